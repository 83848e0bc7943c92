package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/model"
)

// A sighting is what the scan keeps of an event that a rule matched or that
// memory wants: its observation, its stamps, and the rules.
type sighting struct {
	obs    *model.Observation
	stamps clock.Stamps
	rules  []int32
	raised bool                // one of the rules raises an alert, and is no mere step of a correlation
	fields map[string][]string // by name, of an event that a correlation counts; nil for others
}

// scanned is what the scan made of one chunk.
type scanned struct {
	input   *inputState
	seq     int // of the chunk in its input
	acts    acted
	scripts []heldScript   // events that wait for parts of their script in other chunks
	alerts  []*model.Alert // of other products, from the evidence itself
	clocks  *clock.Estimator
	events  int64
	bytes   int64
	skipped int64
	errors  []model.InputError
	first   time.Time
	last    time.Time
}

// inputState collects what is known of one input. The reading goroutine writes
// Path, Format, Bytes and readErrors, the collecting one all else.
type inputState struct {
	model.Input
	first, last time.Time
	readErrors  []model.InputError
	notes       []string // what was assumed to read it
}

// scanner decodes chunks and matches rules on many goroutines.
type scanner struct {
	registry *decode.Registry
	engine   *detect.Engine
	names    *model.Names
	tells    tells
	meter    *meter // nil mostly
}

type job struct {
	input   *inputState
	decoder decode.Decoder
	chunk   decode.Chunk
	seq     int
}

// run decodes and matches jobs with n workers and hands the results to collect,
// in the order of the jobs whatever worker did them, on the calling goroutine.
func (s *scanner) run(ctx context.Context, n int, produce func(context.Context, func(job) error) error, collect func(*scanned)) error {
	return inOrder(ctx, n, produce, func() func(job) *scanned {
		w := newWorker(s)
		return w.scan
	}, collect)
}

// decode decodes a job's chunk. A decoder that panics is our bug; the evidence of
// the others must not be lost for it.
func (j *job) decode() (b decode.Batch) {
	j.decodeTo(&b)
	return b
}

// decodeTo is decode into a batch that may have room from before.
func (j *job) decodeTo(b *decode.Batch) {
	defer func() {
		if p := recover(); p != nil {
			b.Fail(j.chunk.Offset, j.chunk.Record+b.Records, fmt.Sprintf("internal error in the %s decoder: %v", j.decoder.Name(), p))
		}
	}()
	j.decoder.Decode(j.chunk, b)
}

// worker is the state of one scanning goroutine.
type worker struct {
	*scanner
	matcher *detect.Matcher
	strings map[string]string // values seen before: hosts, users and images repeat endlessly
	pages   pageWriter
	batch   decode.Batch
	act     model.Observation // scratch
	rules   []int32           // scratch

	rows     *[]EventRow  // where every event is put, for the live engine; nil for an analysis
	received time.Time    // of rows
	rowed    *model.Event // of which digest is
	digest   model.Digest
}

func newWorker(s *scanner) worker {
	return worker{scanner: s, matcher: s.engine.NewMatcher(), strings: map[string]string{}}
}

func (w *worker) intern(s string) string {
	if s == "" {
		return ""
	}
	if t, ok := w.strings[s]; ok {
		return t
	}
	if len(w.strings) >= maxInterned {
		clear(w.strings)
	}
	t := strings.Clone(s)
	w.strings[t] = t
	return t
}

// scan decodes one chunk and matches every event of it.
func (w *worker) scan(j job) *scanned {
	out := &scanned{input: j.input, seq: j.seq, clocks: &clock.Estimator{}}
	b := &w.batch
	at := w.meter.start()
	j.decodeTo(b)
	at = w.meter.lap(phaseDecode, at)
	defer w.recycle(&j)
	out.events = int64(len(b.Events) + len(b.Alerts))
	out.bytes, out.skipped, out.errors = int64(len(j.chunk.Data)), b.Skipped, b.Errors
	var held []int
	out.scripts, held = w.hold(b)
	for i := range b.Events {
		ev := &b.Events[i]
		stamps := clock.Of(ev)
		header := stamps.Recorded // what the input's correction applies to
		if header.IsZero() {
			header = ev.Time
		}
		if out.first.IsZero() || header.Before(out.first) {
			out.first = header
		}
		if header.After(out.last) {
			out.last = header
		}
		host := w.intern(ev.Host)
		clk := clock.Source{Input: ev.Ref.Input, Host: host}
		out.clocks.Observe(clk, w.intern(ev.Code), stamps)
		if ev.Act == model.ActConnect {
			if f, ok := flow(ev); ok {
				out.clocks.ObserveFlow(f, clk, ev.Source.Product == "zeek", stamps)
			}
		}
		if w.rows != nil {
			w.row(ev)
		}
		at = w.meter.lap(phaseKeep, at)
		if len(held) > 0 && slices.Contains(held, i) {
			continue
		}
		at = w.sight(ev, stamps, at)
	}
	out.acts = w.pages.take()
	for i := range b.Alerts {
		a := &b.Alerts[i]
		w.detach(a)
		if w.rows != nil {
			w.alertRow(a)
		}
		out.alerts = append(out.alerts, a)
		if out.first.IsZero() || a.Time.Before(out.first) {
			out.first = a.Time
		}
		if a.End.After(out.last) {
			out.last = a.End
		}
	}
	w.meter.lap(phaseKeep, at)
	return out
}

// sight matches rules on an event and keeps it if one matched or memory wants it. at
// is when the worker began, and it returns when it ended; see meter.
func (w *worker) sight(ev *model.Event, stamps clock.Stamps, at time.Time) time.Time {
	rules := w.matcher.Match(ev)
	at = w.meter.lap(phaseMatch, at)
	if len(rules) == 0 && ev.Act == model.ActNone {
		return at
	}
	s := sighting{obs: &w.act, stamps: stamps, rules: w.rules[:0]}
	for _, r := range rules {
		s.rules = append(s.rules, int32(r))
		s.raised = s.raised || w.engine.Alerts(r)
		if s.fields == nil && w.engine.Correlated(r) {
			s.fields = w.fields(ev)
		}
	}
	w.registry.Entities(ev)
	w.observe(ev)
	digest := w.digest
	if w.rowed != ev {
		digest = ev.Digest()
	}
	w.pages.add(&s, digest)
	w.rules = s.rules
	return at
}

// recycle frees the memory of a chunk and its batch for others. Events are copied
// into pages by then; but alerts and errors are handed on and may share it.
func (w *worker) recycle(j *job) {
	w.act = model.Observation{}
	if len(w.batch.Alerts) > 0 || len(w.batch.Errors) > 0 {
		w.batch = decode.Batch{}
		return
	}
	w.batch.Reset()
	j.chunk.Release()
}

// fields copies the values of ev by their names.
func (w *worker) fields(ev *model.Event) map[string][]string {
	out := make(map[string][]string, len(ev.Slots))
	for _, s := range ev.Slots {
		if name := w.names.Name(s.Field); name != "" {
			out[name] = append(out[name], w.intern(s.Text))
		}
	}
	return out
}

// observe makes w.act what memory keeps of ev, its id and its time aside. It shares
// the batch's memory.
func (w *worker) observe(ev *model.Event) {
	w.act = model.Observation{
		Act: ev.Act, Host: ev.Host, Code: ev.Code, Format: ev.Format,
		Source: ev.Source, Subsystem: ev.Subsystem, Ref: ev.Ref, Entities: ev.Entities, Text: observedText(ev),
	}
	w.tells.fill(&w.act, ev)
}

// flow names the connection that ev tells of, whichever product it comes from.
func flow(ev *model.Event) (clock.Flow, bool) {
	from, fromPort := firstText(ev, model.FSourceIp, model.FSourceAddress, model.FIdOrigH, model.FSrcIp), firstText(ev, model.FSourcePort, model.FIdOrigP, model.FSrcPort)
	to, toPort := firstText(ev, model.FDestinationIp, model.FDestAddress, model.FIdRespH, model.FDstIp), firstText(ev, model.FDestinationPort, model.FDestPort, model.FIdRespP, model.FDstPort)
	if from == "" || fromPort == "" || to == "" || toPort == "" {
		return clock.Flow{}, false
	}
	return clock.Flow{From: from + ":" + fromPort, To: to + ":" + toPort}, true
}

// detach copies out of its batch what an alert of another product says, so that it
// does not keep the whole chunk.
func (w *worker) detach(a *model.Alert) {
	a.ID = strings.Clone(a.ID)
	a.Rule = model.RuleInfo{ID: w.intern(a.Rule.ID), Title: w.intern(a.Rule.Title), Level: a.Rule.Level, Source: w.intern(a.Rule.Source)}
	a.Product, a.Host, a.Code = w.intern(a.Product), w.intern(a.Host), w.intern(a.Code)
	for i, e := range a.Entities {
		a.Entities[i] = model.Entity{Type: e.Type, Value: w.intern(e.Value), Role: e.Role, Name: w.intern(e.Name), Alt: w.intern(e.Alt)}
	}
	for _, list := range [][]string{a.Tags, a.Techniques, a.Tactics} {
		for i, s := range list {
			list[i] = w.intern(s)
		}
	}
	for k, v := range a.Raw {
		a.Raw[k] = w.intern(v)
	}
}

// textFields are the fields that say what was run, asked or written, the most
// telling first.
var textFields = []model.FieldID{model.FCommandLine, model.FScriptBlockText, model.FPayload, model.FTargetObject, model.FTargetFilename, model.FPipeName,
	model.FServiceFileName, model.FImagePath, model.FTaskName, model.FGrantedAccess, model.FQueryName, model.FEventName, model.FOperation, model.FOperationName, model.FActionType,
	model.FQuery, model.FUri, model.FCUri, model.FMessageLower}

// observedText is the one text of ev that a story would quote.
func observedText(ev *model.Event) string {
	if ev.Act == model.ActConnect {
		if port := firstText(ev, model.FDestinationPort, model.FDestPort, model.FIdRespP); port != "" {
			return firstText(ev, model.FDestinationIp, model.FDestAddress, model.FIdRespH) + ":" + port
		}
	}
	s := firstText(ev, textFields...)
	if len(s) > model.MaxObservedText {
		s = strings.ToValidUTF8(s[:model.MaxObservedText], "")
	}
	return s
}

func firstText(ev *model.Event, fields ...model.FieldID) string {
	for _, f := range fields {
		if s, ok := ev.Get(f); ok && s != "" && s != "-" {
			return s
		}
	}
	return ""
}

// frames cuts one input into jobs. Its error is why the rest of the input could
// not be read, never that of emit.
func frames(in *inputState, d decode.Decoder, r io.Reader, bad func(model.InputError), emit func(job) error) error {
	seq := 0
	return d.Frame(r, func(c decode.Chunk) error {
		c.Input = in.Path
		j := job{input: in, decoder: d, chunk: c, seq: seq}
		seq++
		return emit(j)
	}, bad)
}
