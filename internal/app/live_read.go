package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/journal"
	"github.com/catena-sec/catena/internal/model"
)

// A liveJob is a message of the stream on its way through the workers.
type liveJob struct {
	StreamMessage
	app *App // whose rules match it
}

// A digested is what a worker made of one message.
type digested struct {
	msg     StreamMessage
	app     *App
	source  string
	input   *inputState
	bytes   int64
	at      time.Time // when it was received
	parts   []*scanned
	rows    []EventRow
	poison  string // why nothing of the batch could be used
	batch   model.Batch
	problem string // the first reason why a record could not be read
	skipped int64
}

// liveWorker digests batches on one goroutine. Its scanner is that of the rules in use.
type liveWorker struct {
	app    *App
	worker worker
}

// digest decodes a batch and matches it. Whatever stands in it, the next one is read.
func (w *liveWorker) digest(j liveJob) (out *digested) {
	out = &digested{msg: j.StreamMessage, app: j.app}
	if j.Kind != StreamBatch {
		return out
	}
	if w.app != j.app {
		w.app, w.worker = j.app, newWorker(j.app.scanner())
	}
	defer func() {
		if p := recover(); p != nil {
			w.app = nil // what it was in the middle of is in no known state
			out.parts, out.rows = nil, nil
			out.poison = fmt.Sprintf("internal error: %v", p)
		}
	}()
	b, err := j.Batch()
	if err != nil {
		out.poison = "the message holds no batch: " + err.Error()
		return out
	}
	out.batch = b
	out.source, out.at, out.bytes = clipped(b.Source, maxSourceName), b.Received.UTC(), int64(len(b.Head)+len(b.Data))
	out.input = &inputState{Input: model.Input{Path: inputName(&b)}}
	d, content := j.app.decoderOf(&b)
	if d == nil {
		out.poison = "unknown format: " + describe(slices.Concat(b.Head, b.Data[:min(len(b.Data), 64)]))
		return out
	}
	out.input.Format = d.Name()
	w.worker.rows, w.worker.received = &out.rows, out.at
	defer func() { w.worker.rows, w.worker.rowed = nil, nil }()
	err = frames(out.input, d, content, func(e model.InputError) { out.fail(e) }, func(c job) error {
		s := w.worker.scan(c)
		for _, e := range s.errors {
			out.fail(e)
		}
		out.parts = append(out.parts, s)
		return nil
	})
	if err != nil {
		out.fail(model.InputError{Count: 1, Cause: "the rest cannot be read: " + err.Error()})
	}
	events := int64(0)
	for _, s := range out.parts {
		events += s.events
	}
	if events == 0 && out.problem != "" {
		out.poison = out.problem
	}
	return out
}

func (d *digested) fail(e model.InputError) {
	if e.Count == 0 {
		return // what a decoder assumed
	}
	d.skipped += int64(e.Count)
	if d.problem == "" {
		d.problem = e.Cause
	}
}

// Bounds of names that receivers and senders give.
const (
	maxSourceName = 100
	maxPeerName   = 300
)

// inputName is what evidence of a batch is said to come from.
func inputName(b *model.Batch) string {
	name := clipped(b.Source, maxSourceName)
	if b.Peer != "" {
		name += " " + clipped(b.Peer, maxPeerName)
	}
	return name
}

func clipped(s string, most int) string {
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// decoderOf finds the decoder of a batch, and what it reads. It is nil if none knows it.
func (a *App) decoderOf(b *model.Batch) (decode.Decoder, io.Reader) {
	whole := b.Data
	if len(b.Head) > 0 {
		whole = slices.Concat(b.Head, b.Data)
	}
	var content io.Reader = bytes.NewReader(whole) // which knows its size: small batches are cheap to frame
	head := whole[:min(len(whole), decode.SniffLen)]
	if decode.Marked(head) {
		text := bufio.NewReaderSize(decode.UTF8(bytes.NewReader(whole)), decode.SniffLen)
		head, _ = text.Peek(decode.SniffLen) // shorter content still has a beginning
		content = text
	}
	registry := a.registryIn(b.Received.UTC().Year())
	if b.Format != "" {
		if d := registry.Named(b.Format); d != nil {
			return d, content
		}
	}
	return registry.Detect(head), content
}

// maxYears bounds the years of which decoders are kept.
const maxYears = 8

// registryIn returns the decoders for evidence received in a year: stamps without one
// are of it.
func (a *App) registryIn(year int) *decode.Registry {
	if a.opt.Year != 0 {
		return a.registry
	}
	a.years.Lock()
	defer a.years.Unlock()
	if r := a.years.of[year]; r != nil {
		return r
	}
	mappings, err := loadMappings(a.opt.Mappings)
	if err != nil || len(a.years.of) >= maxYears { // the files have changed since they were read
		return a.registry
	}
	if a.years.of == nil {
		a.years.of = map[int]*decode.Registry{}
	}
	r := decode.NewRegistry(decoders(decode.Options{Names: a.names, Zone: a.opt.Zone, Year: year, Mappings: mappings})...)
	a.years.of[year] = r
	return r
}

// digest identifies the rules in use, and which of them raise no alerts of their own: one
// that is switched off may be there still for a correlation.
func (a *App) digest() string {
	a.years.Lock()
	defer a.years.Unlock()
	if a.years.rules == "" {
		h := sha256.New()
		for i := range a.engine.Rules() {
			if !a.engine.Alerts(i) {
				fmt.Fprintln(h, a.engine.Definition(i).Rule.ID)
			}
		}
		a.years.rules = fmt.Sprintf("%s %x", a.engine.Digest(), h.Sum(nil)[:6])
	}
	return a.years.rules
}

// yearly is what the live engine asks of an App again and again: decoders by the year in
// which evidence is received, and the digest of the rules.
type yearly struct {
	sync.Mutex
	of    map[int]*decode.Registry
	rules string
}

// scanner is what workers share.
func (a *App) scanner() *scanner {
	return &scanner{registry: a.registry, engine: a.engine, names: a.names, tells: a.tells, meter: a.meter}
}

// A liveRound is what came between two ticks, as the journal keeps it. Its acts stand on
// pages of their own, ahead of it.
type liveRound struct {
	Pos    uint64           `json:"pos"`             // of the last message in it
	Resume uint64           `json:"resume"`          // behind which the stream is read again after a crash: parts of scripts wait from there on
	At     time.Time        `json:"at"`              // of the last tick
	Rules  string           `json:"rules"`           // digest of the set by which its acts were matched
	Table  []string         `json:"table,omitempty"` // ids of the set by the numbers that acts name, where they are not known yet
	Pages  []livePage       `json:"pages,omitempty"`
	Alerts []liveAlert      `json:"alerts,omitempty"` // of products
	Counts []sourceCount    `json:"counts,omitempty"` // by source
	Said   []model.Decision `json:"said,omitempty"`   // by analysts

	acts int
	app  *App
	end  bool // the segment ends with it
}

// check leaves out what cannot be, of a record that another version wrote.
func (r *liveRound) check() {
	r.Alerts = slices.DeleteFunc(r.Alerts, func(k liveAlert) bool { return k.Alert == nil || len(k.Alert.Evidence) == 0 })
}

// A livePage says what a page of acts is of.
type livePage struct {
	Input    string `json:"input"`
	Received int64  `json:"received"` // when, in nanoseconds since 1970; 0 if its stamps are true as they are
	Count    int    `json:"count"`

	data  []byte
	place journal.Place
}

// A liveAlert is an alert of a product with what its JSON form leaves out.
type liveAlert struct {
	Alert    *model.Alert `json:"alert"`
	Tags     []string     `json:"tags,omitempty"`
	Pattern  bool         `json:"pattern,omitempty"`
	Act      model.Act    `json:"act,omitempty"`
	Host     string       `json:"host,omitempty"`
	Code     string       `json:"code,omitempty"`
	Received time.Time    `json:"received"`
}

func keepAlert(a *model.Alert, received time.Time) liveAlert {
	return liveAlert{a, a.Tags, a.Pattern, a.Act, a.Host, a.Code, received}
}

// own returns a copy that shares nothing that changes.
func (k *liveAlert) own() *model.Alert {
	a := *k.Alert
	a.Tags, a.Pattern, a.Act, a.Host, a.Code = slices.Clone(k.Tags), k.Pattern, k.Act, k.Host, k.Code
	a.Techniques, a.Tactics = slices.Clone(a.Techniques), slices.Clone(a.Tactics)
	a.Entities, a.Evidence = slices.Clone(a.Entities), slices.Clone(a.Evidence)
	a.Raw = maps.Clone(a.Raw)
	a.Incident = nil
	return &a
}

// A sourceCount is what one source gave in one round.
type sourceCount struct {
	Source  string    `json:"source"`
	Events  int64     `json:"events"`
	Bytes   int64     `json:"bytes"`
	Skipped int64     `json:"skipped,omitempty"`
	Batches int64     `json:"batches"`
	Last    time.Time `json:"last"`
	Problem string    `json:"problem,omitempty"`
}

// Bounds of one round, beyond which it ends without a tick.
const (
	maxRoundActs  = 1 << 16
	maxRoundBytes = 32 << 20 // of pages and alerts
)

// A gatherer puts digested messages, in the order of the stream, into rounds. What it
// hands on depends on the messages alone.
type gatherer struct {
	emit    func(*liveRound) error
	poison  func(*digested) error
	rows    func(pos uint64, rows []EventRow) error
	settled uint64    // up to which the journal holds all: read again only for what waits
	at      time.Time // of the last tick

	round   *liveRound
	bytes   int
	counts  map[string]*sourceCount
	ticks   int
	joiners map[string]*liveJoiner
	shared  worker // that sees joined scripts
	app     *App
}

// A liveJoiner joins the scripts of one input.
type liveJoiner struct {
	*scriptJoiner
	since uint64 // position behind which all that it holds came
	tick  int    // at which it was last given something
	at    time.Time
}

// Bounds of what waits for parts of scripts.
const (
	maxJoiners  = 64
	joinerTicks = 20 // without a further part
)

func (g *gatherer) add(d *digested) error {
	if g.app != d.app {
		if g.round != nil && !g.empty() {
			if err := g.finish(); err != nil {
				return err
			}
		}
		g.round = nil
		g.app, g.shared = d.app, newWorker(d.app.scanner())
	}
	if g.round == nil {
		g.round = &liveRound{Rules: d.app.digest(), app: d.app}
	}
	r := g.round
	before := r.Pos
	if before == 0 {
		before = d.msg.Pos - 1
	}
	r.Pos = d.msg.Pos
	switch d.msg.Kind {
	case StreamTick:
		g.at = d.msg.Time.UTC()
		g.ticks++
		g.release()
		return g.finish()
	case StreamDecision:
		if x, err := casebook.Parse(bytes.TrimSpace(d.msg.Body)); err == nil && len(r.Said) < maxSaid {
			r.Said = append(r.Said, x)
		}
	case StreamBatch:
		if d.poison != "" {
			if err := g.poison(d); err != nil {
				return err
			}
		}
		for i := range d.rows {
			d.rows[i].Position = d.msg.Pos
		}
		g.batch(d, before)
		if err := g.rows(d.msg.Pos, d.rows); err != nil {
			return err
		}
	case StreamControl:
	}
	if g.round.acts >= maxRoundActs || g.bytes >= maxRoundBytes || d.msg.Pos == g.settled {
		return g.finish()
	}
	return nil
}

// maxSaid bounds the decisions of one round.
const maxSaid = 1000

func (g *gatherer) batch(d *digested, before uint64) {
	c := g.count(d.source)
	c.Batches++
	c.Bytes += d.bytes
	c.Skipped += d.skipped
	if d.problem != "" {
		c.Problem = clipped(d.problem, 300)
	}
	if d.at.After(c.Last) {
		c.Last = d.at
	}
	for _, s := range d.parts {
		c.Events += s.events
		g.page(d.input.Path, d.at, s.acts)
		for _, a := range s.alerts {
			g.round.Alerts = append(g.round.Alerts, keepAlert(a, d.at))
			g.bytes += 1024
		}
		g.scripts(d, s, before)
	}
}

func (g *gatherer) count(source string) *sourceCount {
	if g.counts == nil {
		g.counts = map[string]*sourceCount{}
	}
	c := g.counts[source]
	if c == nil {
		c = &sourceCount{Source: source}
		g.counts[source] = c
	}
	return c
}

func (g *gatherer) page(input string, at time.Time, p acted) {
	if p.count == 0 {
		return
	}
	g.round.Pages = append(g.round.Pages, livePage{Input: input, Received: at.UnixNano(), Count: p.count, data: p.page})
	g.round.acts += p.count
	g.bytes += len(p.page)
}

// scripts hands what waits for parts to the joiner of its input.
func (g *gatherer) scripts(d *digested, s *scanned, before uint64) {
	j := g.joiners[d.input.Path]
	if j == nil {
		if len(s.scripts) == 0 {
			return
		}
		if len(g.joiners) >= maxJoiners {
			oldest := slices.MinFunc(slices.Sorted(maps.Keys(g.joiners)), func(a, b string) int { return g.joiners[a].tick - g.joiners[b].tick })
			g.let(oldest)
		}
		j = &liveJoiner{since: before}
		j.scriptJoiner = &scriptJoiner{w: &g.shared, open: map[scriptKey]*heldScript{}, input: d.input,
			emit: func(in *inputState, p acted) { g.page(in.Path, j.at, p) }}
		if g.joiners == nil {
			g.joiners = map[string]*liveJoiner{}
		}
		g.joiners[d.input.Path] = j
	}
	if len(s.scripts) == 0 {
		return
	}
	j.tick, j.at = g.ticks, d.at
	j.add(s.scripts)
	if len(j.open) == 0 {
		delete(g.joiners, d.input.Path)
	}
}

// release lets scripts go on whose further parts do not come.
func (g *gatherer) release() {
	for _, name := range slices.Sorted(maps.Keys(g.joiners)) {
		if g.ticks-g.joiners[name].tick >= joinerTicks {
			g.let(name)
		}
	}
}

func (g *gatherer) let(name string) {
	j := g.joiners[name]
	j.begin(nil)
	delete(g.joiners, name)
}

func (g *gatherer) empty() bool {
	r := g.round
	return len(r.Pages)+len(r.Alerts)+len(r.Said)+len(g.counts) == 0
}

// finish hands on the round.
func (g *gatherer) finish() error {
	r := g.round
	g.round, g.bytes, r.At = nil, 0, g.at
	for _, name := range slices.Sorted(maps.Keys(g.counts)) {
		r.Counts = append(r.Counts, *g.counts[name])
	}
	g.counts = nil
	r.Resume = r.Pos
	for _, j := range g.joiners {
		r.Resume = min(r.Resume, j.since)
	}
	if r.Pos <= g.settled {
		return nil // folded from the journal
	}
	return g.emit(r)
}

// read consumes the stream behind after, where rules are in use, and gathers its rounds
// until ctx ends. Its error says why there is no going on.
func (g *gatherer) read(ctx context.Context, s Stream, after uint64, workers int, rules string, current func(digest string) *App) error {
	return inOrderUntil(ctx, workers, func(ctx context.Context, emit func(liveJob) error) error {
		app := current(rules)
		err := s.Consume(ctx, after, func(m StreamMessage) error {
			if m.Kind == StreamControl {
				var c control
				if json.Unmarshal(m.Body, &c) == nil {
					app = current(c.Rules)
				}
			}
			return emit(liveJob{m, app})
		})
		return err
	}, func() func(liveJob) *digested {
		w := &liveWorker{}
		return w.digest
	}, g.add)
}

// inOrderUntil is inOrder for a collect that can fail: its first error ends the work.
func inOrderUntil[J, T any](ctx context.Context, n int, produce func(context.Context, func(J) error) error, worker func() func(J) T, collect func(T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var failed error
	err := inOrder(ctx, n, produce, worker, func(x T) {
		if failed == nil {
			if failed = collect(x); failed != nil {
				stop(failed)
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// timeOf says when an act of a page happened: as the clocks say, and never after it was
// received.
func (p *livePage) timeOf(times *clock.Correction, stamps clock.Stamps, host string) time.Time {
	if p.Received == 0 {
		return stamps.Recorded
	}
	received := time.Unix(0, p.Received).UTC()
	t := times.Time(clock.Source{Input: p.Input, Host: host}, stamps)
	if t.IsZero() || t.After(received.Add(futureMost)) {
		return received
	}
	return t
}

// futureMost is how far a clock may run ahead of ours: what is stamped later was stamped
// wrongly, and would make all that follows look late.
const futureMost = 10 * time.Minute
