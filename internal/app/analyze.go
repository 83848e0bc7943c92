package app

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/fusion"
	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/source"
	"github.com/catena-sec/catena/internal/story"
)

// Analyze is the whole path of evidence through Catena: read and decoded and
// matched on all cores, its clocks corrected, then one ordered stream through
// memory and the stateful detectors, then fused, told and reported. An input that
// cannot be read is named in the report and does not fail the run; an error means
// that there is no report.
func (a *App) Analyze(ctx context.Context, paths []string) (*model.Report, error) {
	in, release, err := a.again(paths)
	if err != nil {
		return nil, err
	}
	defer release()
	return a.analyze(ctx, in)
}

// analyze is Analyze over inputs that can be read twice.
func (a *App) analyze(ctx context.Context, in *inputs) (*model.Report, error) {
	book, err := a.openBook()
	if err != nil {
		return nil, err
	}
	defer book.release()

	decided, err := a.readDecisions()
	if err != nil {
		return nil, err
	}

	// The evidence itself, in parallel; what comes back is in the order of the inputs.
	at := a.meter.start()
	ev, err := a.scan(ctx, in)
	if err != nil {
		return nil, err
	}
	defer ev.acts.close()
	at = a.meter.lap(phaseScan, at)

	// One stream, by corrected event time.
	correction := ev.clocks.Solve()
	stream, err := ev.acts.stream(correction, a.inside)
	if err != nil {
		return nil, err
	}

	at = a.meter.lap(phaseOrder, at)
	a.progress(Progress{Phase: "fusing", Inputs: len(ev.inputs), Events: ev.events})
	read := a.newReading(stream.recall, ev.alerts)
	memory := read.memory
	var alerts []*model.Alert
	err = stream.each(ctx, func(s *sighting) {
		read.see(s, func(al *model.Alert, begun bool) {
			if begun {
				alerts = append(alerts, al)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	for _, al := range ev.alerts {
		memory.Locate(al)
	}
	alerts = append(alerts, ev.alerts...)
	at = a.meter.lap(phaseStream, at)

	// Every alert its intent; then alerts into incidents, and incidents into stories.
	for _, al := range alerts {
		knowledge.Classify(al)
	}
	results := fusion.New(fusion.Options{Ledger: book.over(alerts), Decisions: decided.over(alerts)}).Run(alerts, memory)
	at = a.meter.lap(phaseFuse, at)
	incidents, err := tell(results, memory, stream, read.estate(a))
	if err != nil {
		return nil, err
	}
	at = a.meter.lap(phaseStory, at)
	r := a.report(ev, alerts, incidents, correction)

	// Last, the records themselves, of all that the report cites.
	if err := a.attachEvidence(ctx, in, r, stream); err != nil {
		return nil, err
	}
	a.meter.lap(phaseEvidence, at)
	decided.tell(r)
	relate(r)
	book.keep(r)
	a.progress(Progress{Phase: "done", Inputs: len(ev.inputs), Events: ev.events, Done: true})
	return r, nil
}

// relate tells of incidents that may be of one attack, once it is known what analysts
// took apart.
func relate(r *model.Report) {
	all := make([]*model.Incident, len(r.Incidents))
	for i := range r.Incidents {
		all[i] = &r.Incidents[i]
	}
	story.Relate(all)
}

// evidence is what the scan of all inputs came to.
type evidence struct {
	inputs []*inputState
	acts   acts
	alerts []*model.Alert
	clocks clock.Estimator
	events int64
	bytes  int64

	bursts detect.Bursts
	seen   map[string]struct{} // ids of the alerts taken
}

// take keeps an alert of another product: once, if it lies inside the wanted time,
// and counted into its burst if it tells nothing new.
func (ev *evidence) take(a *model.Alert, inside func(time.Time) bool) {
	if _, ok := ev.seen[a.ID]; ok || !inside(a.Time) {
		return
	}
	if ev.seen == nil {
		ev.seen = map[string]struct{}{}
	}
	ev.seen[strings.Clone(a.ID)] = struct{}{}
	if a := ev.bursts.Fold(a); a != nil {
		ev.alerts = append(ev.alerts, a)
	}
}

// scan walks the inputs, finds each input's format, and decodes and matches it.
func (a *App) scan(ctx context.Context, from *inputs) (*evidence, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ev := &evidence{acts: acts{store: pageStore{budget: a.pageBudget}}}
	sc := &scanner{registry: a.registry, engine: a.engine, names: a.names, tells: a.tells, meter: a.meter}
	begun := map[*inputState]bool{}
	joined := newScriptJoiner(sc, func(in *inputState, p acted) {
		if err := ev.acts.add(in.Path, p, a.maxActs); err != nil {
			stop(err)
		}
	})
	collect := func(s *scanned) {
		in := s.input
		joined.begin(in)
		begun[in] = true
		ev.bytes += s.bytes
		if err := ev.acts.add(in.Path, s.acts, a.maxActs); err != nil {
			stop(err)
		}
		joined.add(s.scripts)
		for _, al := range s.alerts {
			ev.take(al, a.inside)
		}
		ev.clocks.Merge(s.clocks)
		ev.events += s.events
		in.Events += s.events
		in.Skipped += s.skipped
		for _, e := range s.errors {
			in.fail(e)
		}
		if !s.first.IsZero() && (in.first.IsZero() || s.first.Before(in.first)) {
			in.first = s.first
		}
		if s.last.After(in.last) {
			in.last = s.last
		}
		a.progress(Progress{Phase: "reading", Input: in.Path, Inputs: len(begun), Bytes: ev.bytes, Events: ev.events})
	}
	produce := func(ctx context.Context, emit func(job) error) error {
		return a.walk(ctx, from, func(in *inputState, d decode.Decoder, r io.Reader) error {
			at := a.meter.start()
			err := frames(in, d, r, in.failLater, func(j job) error {
				a.meter.lap(phaseRead, at)
				err := emit(j)
				at = a.meter.start()
				return err
			})
			a.meter.lap(phaseRead, at)
			return err
		}, func(in *inputState) { ev.inputs = append(ev.inputs, in) })
	}
	err := sc.run(ctx, a.opt.Workers, produce, collect)
	joined.begin(nil)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		ev.acts.close()
		return nil, err
	}
	for _, in := range ev.inputs {
		in.settle()
	}
	slices.SortFunc(ev.inputs, func(x, y *inputState) int { return cmp.Compare(x.Path, y.Path) })
	return ev, nil
}

// walk calls visit with every input whose format is known, and done with every
// input once it was read, whether or not it could be.
func (a *App) walk(ctx context.Context, from *inputs, visit func(*inputState, decode.Decoder, io.Reader) error, done func(*inputState)) error {
	byPath := map[string]*inputState{}
	bad := func(path string, e model.InputError) {
		in := byPath[path]
		if in == nil {
			in = &inputState{Input: model.Input{Path: path}}
			byPath[path] = in
			done(in)
		}
		in.failLater(e)
	}
	stdin, err := from.stdin()
	if err != nil {
		return err
	}
	return source.Walk(ctx, from.paths, source.Options{Stdin: stdin}, func(src source.Input) error {
		in := &inputState{Input: model.Input{Path: src.Path}}
		byPath[src.Path] = in
		done(in)
		counted := &countingReader{r: src.Reader}
		var content io.Reader = counted
		head, err := src.Reader.Peek(decode.SniffLen) // shorter input, or one that fails, still has a beginning
		if decode.Marked(head) {
			text := bufio.NewReaderSize(decode.UTF8(counted), decode.SniffLen)
			head, err = text.Peek(decode.SniffLen)
			content = text
		}
		d := a.registry.Detect(head)
		if d == nil {
			in.Format, in.Bytes = "unknown", int64(len(head))
			cause := "unknown format: " + describe(head)
			if err != nil && !errors.Is(err, io.EOF) {
				cause = err.Error()
			}
			in.failLater(model.InputError{Offset: 0, Count: 1, Cause: cause})
			return nil
		}
		in.Format = d.Name()
		err = visit(in, d, content)
		in.Bytes = counted.n
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			in.failLater(model.InputError{Offset: counted.n, Count: 1, Cause: "the rest cannot be read: " + err.Error()})
		}
		return nil
	}, bad)
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// describe says what stands at the beginning of an input nobody knows.
func describe(head []byte) string {
	if len(head) > 24 {
		head = head[:24]
	}
	return fmt.Sprintf("it begins with %q", head)
}

func (a *App) inside(t time.Time) bool {
	return (a.opt.Since.IsZero() || !t.Before(a.opt.Since)) && (a.opt.Until.IsZero() || t.Before(a.opt.Until))
}

// tell turns the raised results into incidents, worst first.
func tell(results []*fusion.Result, memory *graph.Memory, stream *stream, estate story.Estate) ([]model.Incident, error) {
	shown := map[string]bool{}
	for _, r := range results {
		for _, m := range r.Members {
			if r.Raised && len(m.Alert.Evidence) > 0 {
				shown[m.Alert.Evidence[0].ID] = true
			}
		}
	}
	seen, err := stream.find(shown)
	if err != nil {
		return nil, err
	}
	observed := make(map[string]*model.Observation, len(seen))
	arrived := map[string]time.Time{}
	for id, s := range seen {
		if at := s.stamps.Received; !at.IsZero() {
			arrived[id] = at
		}
		if len(s.rules) > 0 {
			observed[id] = s.obs
		}
	}
	var incidents []model.Incident
	remembered := bringBack(results)
	for _, r := range results {
		if !r.Raised {
			continue
		}
		if told := tellOne(r, remembered[r.ID], observed, arrived, memory, estate); told != nil {
			incidents = append(incidents, *told)
		}
	}
	return incidents, stream.err
}

// tellOne tells the story of one result, nil if nothing in it says anything by itself.
// Remembered are alerts that the result remembers and that it shows as context; observed
// are the acts that its alerts are about, and arrived when their records came, by event.
func tellOne(r *fusion.Result, remembered []*model.Alert, observed map[string]*model.Observation, arrived map[string]time.Time, memory *graph.Memory, estate story.Estate) *model.Incident {
	c := story.Case{ID: r.ID, Score: r.Score, Terms: r.ScoreTerms, Severity: r.Severity, Links: r.Links, Gain: map[string]float64{}, Same: map[string]string{}, Observed: observed, Arrived: arrived, Raised: r.RaisedAt}
	for _, m := range r.Members {
		if m.Tier == fusion.Core {
			c.Core = append(c.Core, m.Alert)
		} else {
			c.Context = append(c.Context, m.Alert)
		}
		c.Gain[m.Alert.ID] = m.Gain
		if m.Same != "" {
			c.Same[m.Alert.ID] = m.Same
		}
	}
	if len(c.Core) == 0 {
		return nil
	}
	c.Context = append(c.Context, remembered...)
	told := story.Tell(c, memory, estate)
	story.Remember(told, r.Remembered())
	return told
}

// report puts together what was found.
func (a *App) report(ev *evidence, alerts []*model.Alert, incidents []model.Incident, c *clock.Correction) *model.Report {
	r := &model.Report{
		Schema:    model.ReportSchema,
		Engine:    model.Engine{Version: a.opt.Version, Rules: a.rulesText(), AttackVersion: knowledge.AttackVersion},
		Totals:    model.Totals{Events: ev.events, Alerts: len(alerts), Incidents: len(incidents)},
		Incidents: incidents,
		Notes:     a.notes(ev, c),
	}
	offsets, most := map[string]float64{}, map[string]int{}
	for _, o := range c.Offsets() {
		if o.Seconds != 0 && len(o.Hosts) > most[o.Input] {
			offsets[o.Input], most[o.Input] = o.Seconds, len(o.Hosts)
		}
	}
	for _, in := range ev.inputs {
		in.ClockOffset = offsets[in.Path]
		if shift := time.Duration(in.ClockOffset * float64(time.Second)); in.First != nil && shift != 0 {
			first, last := in.First.Add(shift), in.Last.Add(shift)
			in.First, in.Last = &first, &last
		}
		r.Inputs = append(r.Inputs, in.Input)
	}
	member := map[string]string{}
	for _, in := range incidents {
		for _, id := range slices.Concat(in.Alerts, in.Context) {
			member[id] = in.ID
		}
	}
	slices.SortStableFunc(alerts, func(x, y *model.Alert) int {
		return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.ID, y.ID))
	})
	alone := lonely(alerts, member)
	shown := map[string]bool{}
	for _, al := range alone {
		r.Alone = append(r.Alone, al.ID)
		shown[al.ID] = true
	}
	for _, al := range alerts {
		if id, ok := member[al.ID]; ok {
			al.Incident = &id
			shown[al.ID] = true
		}
		if shown[al.ID] || a.opt.AllAlerts {
			r.Alerts = append(r.Alerts, *al)
		}
	}
	return r
}

// maxAlone bounds the list of serious alerts that joined nothing.
const maxAlone = 500

// lonely lists the alerts of level high or critical that no incident holds, worst
// first, one for each rule and subject.
func lonely(alerts []*model.Alert, member map[string]string) []*model.Alert {
	var out []*model.Alert
	seen := map[string]bool{}
	for _, al := range alerts {
		if al.Severity.Rank() < model.High.Rank() || member[al.ID] != "" {
			continue
		}
		k := al.Rule.ID + "\x00" + al.Host
		if seen[k] {
			continue
		}
		seen[k] = true
		out = append(out, al)
	}
	slices.SortStableFunc(out, func(x, y *model.Alert) int { return cmp.Compare(y.Severity.Rank(), x.Severity.Rank()) })
	return out[:min(len(out), maxAlone)]
}

// notes say what a reader should know of the evidence as a whole.
func (a *App) notes(ev *evidence, c *clock.Correction) []string {
	var out []string
	const most = 20
	offsets := c.Offsets()
	for i, o := range offsets {
		if i == most {
			out = append(out, fmt.Sprintf("%d further sources had their clocks corrected.", len(offsets)-most))
			break
		}
		out = append(out, o.Text)
	}
	out = append(out, a.RuleNotes()...)
	if n := len(a.refused); n > 0 {
		out = append(out, fmt.Sprintf("%d rules could not be used; the first: %s", n, a.refused[0]))
	}
	out = append(out, assumed(ev.inputs)...)
	if ev.acts.dropped > 0 {
		out = append(out, fmt.Sprintf("The evidence holds more than one run keeps: %d acts after the first %d were left out. Analyse it in parts.", ev.acts.dropped, a.maxActs))
	}
	if ev.events == 0 {
		out = append(out, "No event could be read, so this says nothing about whether there was an attack.")
	}
	return out
}

// assumed says once what decoders assumed, and of how many inputs.
func assumed(inputs []*inputState) []string {
	first := map[string]string{}
	count := map[string]int{}
	var order []string
	for _, in := range inputs {
		for _, n := range in.notes {
			if count[n]++; count[n] == 1 {
				first[n] = in.Path
				order = append(order, n)
			}
		}
	}
	const most = 20
	out := make([]string, 0, min(len(order), most))
	for _, n := range order[:min(len(order), most)] {
		where := first[n]
		if more := count[n] - 1; more > 0 {
			where += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, where+": "+n+".")
	}
	return out
}

// failLater and fail record an error of an input: fail from the collecting
// goroutine, failLater from the reading one, so that neither waits for the other.
func (in *inputState) failLater(e model.InputError) { in.readErrors = addError(in.readErrors, e) }

func (in *inputState) fail(e model.InputError) { in.Errors = addError(in.Errors, e) }

// maxInputErrors bounds the different errors kept of one input.
const maxInputErrors = 50

func addError(list []model.InputError, e model.InputError) []model.InputError {
	for i := range list {
		if list[i].Cause == e.Cause {
			list[i].Count += e.Count
			return list
		}
	}
	if len(list) >= maxInputErrors {
		list[len(list)-1].Count += e.Count
		return list
	}
	return append(list, e)
}

// settle joins what both goroutines recorded, once both are done. What counts no
// record is no failure: a decoder's note on what it assumed.
func (in *inputState) settle() {
	for _, e := range in.readErrors {
		in.fail(e)
	}
	in.readErrors = nil
	in.Errors = slices.DeleteFunc(in.Errors, func(e model.InputError) bool {
		if e.Count == 0 {
			in.notes = append(in.notes, e.Cause)
		}
		return e.Count == 0
	})
	slices.Sort(in.notes)
	slices.SortStableFunc(in.Errors, func(x, y model.InputError) int {
		return cmp.Or(cmp.Compare(x.Offset, y.Offset), cmp.Compare(x.Record, y.Record), cmp.Compare(x.Cause, y.Cause))
	})
	if !in.first.IsZero() {
		first, last := in.first.UTC(), in.last.UTC()
		in.First, in.Last = &first, &last
	}
}
