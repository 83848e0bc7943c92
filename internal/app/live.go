package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/journal"
	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/source"
	"github.com/catena-sec/catena/internal/store"
	"github.com/catena-sec/catena/internal/story"
)

// LiveOptions set up a Live; a zero field means its default.
type LiveOptions struct {
	Tenant string // "default"
	Dir    string // the tenant's folder: journal, long memory and dead letters stand in it
	// Tick is what comes within it is put in order together (250 ms).
	Tick time.Duration
	// SegmentActs and SegmentAge are how many acts and how much time memory holds at
	// least, whichever comes first, and at most twice (2,000,000; 7 days).
	SegmentActs int
	SegmentAge  time.Duration
	QuietAfter  time.Duration // a source silent for so long may be told of (1 hour)
	Ledger      int           // entities remembered for months (1,000,000)
	// Behind is how many bytes of evidence may wait for the engine before senders are
	// pushed back (256 MiB).
	Behind int64
	Log    *slog.Logger     // nil: nowhere
	Now    func() time.Time // nil: the clock of the machine
}

// LiveCases is where a Live tells incidents; *store.Cases is one.
type LiveCases interface {
	// Applied is the offset of the last commit.
	Applied(ctx context.Context) (uint64, error)
	// Commit takes a round in once; see store.Commit.
	Commit(ctx context.Context, c store.Commit) (applied bool, changes []model.Change, err error)
}

// LiveEvents is where a Live keeps the records themselves.
type LiveEvents interface {
	// Position is up to which position of the stream rows are kept, durably.
	Position() uint64
	// Append keeps the rows of the messages up to pos, and pos with them: all or none.
	Append(ctx context.Context, pos uint64, rows []EventRow) error
}

// A Live is the engine of one tenant that always runs: the driver of the same pipeline
// that Analyze drives from files. It reads the tenant's stream, and what it tells follows
// from the stream alone, however often it is stopped on the way:
//
//   - Workers decode and match batches in parallel, and give them back in the order of
//     the stream; between two ticks they make up a round.
//   - A round is written to the journal, then folded: its acts in order of time go
//     through memory, correlations and detectors, its alerts into incidents.
//   - What changed is told, in one commit to the store that names the position.
//
// After a crash the journal is folded again, without telling what was told. It is cut
// into segments; each begins with what the next generation is given of the last, and two
// generations fold at once, so that memory is bounded and nothing raised is forgotten.
type Live struct {
	o      LiveOptions
	log    *slog.Logger
	stream Stream
	cases  LiveCases
	events LiveEvents
	dead   deadLetters

	first   string // digest of the rules to begin with
	workers int

	mu       sync.Mutex // of what follows, and of what health tells
	app      *App       // newest set of rules
	sets     map[string]*App
	troubles map[string]string
	health   LiveHealth
	faults   int // internal errors

	waiting atomic.Int64 // bytes published here and not read yet
	pending atomic.Bool  // there is what no tick ended yet

	// Of the fold alone, but for segment and table, which are of who writes the journal
	// and wait for the other where a segment ends.
	journal  *journal.Journal
	shelf    *shelf
	primary  *generation
	shadow   *generation
	rounds   uint64
	clocks   *liveClocks
	sources  sources
	known    map[string]*knownIncident
	dirty    map[string]bool
	applied  uint64
	last     liveRound // without its content
	tables   map[string][]string
	table    string // the set whose table was written last
	segment  segmentState
	estate   *story.Estate
	estateOf uint64
	reader   pageReader
}

// A segmentState counts what the segment that is written to holds.
type segmentState struct {
	number uint64
	acts   int
	pages  int
	since  time.Time
}

// LiveHealth says how a Live does.
type LiveHealth struct {
	Position  uint64            `json:"position"` // of the last message that was folded
	Time      time.Time         `json:"time"`     // of the last tick that was folded
	Rounds    uint64            `json:"rounds"`
	Waiting   int64             `json:"waiting_bytes"` // published and not read yet
	Incidents int               `json:"incidents"`
	Segment   uint64            `json:"segment"`
	Acts      int               `json:"acts"` // in it
	Journal   int64             `json:"journal_bytes"`
	Rules     string            `json:"rules"`
	Memory    int               `json:"memory_nodes"`
	Troubles  map[string]string `json:"troubles,omitempty"` // what does not succeed now, and why
	Repairs   []string          `json:"repairs,omitempty"`  // what the journal lost
	Faults    int               `json:"faults,omitempty"`   // internal errors since the start
	Sources   []SourceHealth    `json:"sources"`

	resume uint64 // behind which the stream would be read again
}

// NewLive makes the engine of one tenant. Nothing is read or written before Run.
func NewLive(a *App, s Stream, cases LiveCases, events LiveEvents, o LiveOptions) *Live {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Tick, 250*time.Millisecond)
	def(&o.SegmentAge, 7*24*time.Hour)
	def(&o.QuietAfter, time.Hour)
	if o.SegmentActs <= 0 {
		o.SegmentActs = 2_000_000
	}
	if o.Behind <= 0 {
		o.Behind = 256 << 20
	}
	o.Tenant = cmp.Or(o.Tenant, "default")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Live{o: o, log: o.Log.With("tenant", o.Tenant), stream: s, cases: cases, events: events, dead: deadLetters{filepath.Join(o.Dir, "dead"), maxDead},
		sets: map[string]*App{}, troubles: map[string]string{}}
	l.first, l.workers = l.use(a), a.opt.Workers
	return l
}

func (l *Live) use(a *App) string {
	digest := a.digest()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.app, l.sets[digest] = a, a
	return digest
}

// set returns the rules of that digest, or the newest if there are none such any more.
func (l *Live) set(digest string) *App {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.sets[digest]; a != nil {
		return a
	}
	return l.app
}

// Sink takes a batch of evidence: when it returns nil the batch is on disk. An error that
// passes is a source.PushBack.
func (l *Live) Sink(ctx context.Context, b model.Batch) error {
	if n := l.waiting.Load(); n > l.o.Behind {
		return source.Later(fmt.Errorf("the engine of tenant %s is behind by %d MB of evidence", l.o.Tenant, n>>20), 2*time.Second)
	}
	b.Tenant = l.o.Tenant
	n := int64(len(b.Head) + len(b.Data))
	l.waiting.Add(n)
	if _, err := l.stream.PublishBatch(ctx, b); err != nil {
		l.waiting.Add(-n)
		return err
	}
	return nil
}

// Decide puts a decision of an analyst on the stream, where it takes effect in its place.
func (l *Live) Decide(ctx context.Context, d model.Decision) error {
	if err := casebook.Check(d); err != nil {
		return err
	}
	d.At, d.Effect = d.At.UTC(), ""
	d.ID = model.DecisionID(d)
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = l.stream.Publish(ctx, StreamDecision, l.o.Now(), b)
	return err
}

// SetRules has the records that come from here on matched by the rules of a. What was
// found by others stays.
func (l *Live) SetRules(ctx context.Context, a *App) error {
	b, err := json.Marshal(control{Rules: l.use(a)})
	if err != nil {
		return err
	}
	_, err = l.stream.Publish(ctx, StreamControl, l.o.Now(), b)
	return err
}

// Health says how the engine does.
func (l *Live) Health() LiveHealth {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.health
	h.Waiting, h.Faults = max(l.waiting.Load(), 0), l.faults
	h.Troubles = map[string]string{}
	for k, v := range l.troubles {
		h.Troubles[k] = v
	}
	return h
}

// DeadLetters lists the batches of which nothing could be used, newest first, without
// their data.
func (l *Live) DeadLetters() ([]DeadLetter, error) { return l.dead.list(maxDead) }

// DeadLetter returns one with its data.
func (l *Live) DeadLetter(pos uint64) (DeadLetter, error) { return l.dead.get(pos) }

// Replay sends a dead letter again, and removes it once it is on disk anew.
func (l *Live) Replay(ctx context.Context, pos uint64) error {
	d, err := l.dead.get(pos)
	if err != nil {
		return err
	}
	if err := l.Sink(ctx, d.batch(l.o.Tenant, l.o.Now())); err != nil {
		return err
	}
	return l.dead.remove(pos)
}

// trouble notes that something does not succeed, or that it does again.
func (l *Live) trouble(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, was := l.troubles[what]
	switch {
	case err != nil:
		if !was || l.troubles[what] != err.Error() {
			l.log.Error("cannot "+what+"; it is tried again", "error", err)
		}
		l.troubles[what] = err.Error()
	case was:
		delete(l.troubles, what)
		l.log.Info("can " + what + " again")
	}
}

// Run folds the stream until ctx ends, and then returns nil. An error says why there is
// no going on; Run may be called again after one.
func (l *Live) Run(ctx context.Context) error {
	if err := l.open(ctx); err != nil {
		return errors.Join(err, l.close())
	}
	after, err := l.replay(ctx)
	if s, ok := l.stream.(Advancer); ok && err == nil {
		err = l.insist(ctx, "reach the queue", func() error {
			return s.Advance(ctx, max(l.last.Pos, l.applied, l.events.Position()))
		})
	}
	if err == nil {
		err = l.follow(ctx, after)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return errors.Join(err, l.close())
}

func (l *Live) open(ctx context.Context) error {
	j, err := journal.Open(filepath.Join(l.o.Dir, "journal"))
	if err != nil {
		return err
	}
	l.journal, l.shelf = j, &shelf{journal: j}
	l.primary, l.shadow, l.rounds, l.last = nil, nil, 0, liveRound{}
	l.clocks, l.sources, l.known, l.dirty = newLiveClocks(), sources{}, map[string]*knownIncident{}, map[string]bool{}
	l.tables, l.table, l.segment = map[string][]string{}, "", segmentState{}
	var repairs []string
	for _, r := range j.Repairs() {
		l.log.Warn("the journal was repaired", "what", r.String())
		repairs = append(repairs, r.String())
	}
	l.mu.Lock()
	l.health.Repairs = repairs
	l.mu.Unlock()
	return l.insist(ctx, "read the store", func() error {
		var err error
		l.applied, err = l.cases.Applied(ctx)
		return err
	})
}

func (l *Live) close() error {
	var errs []error
	for _, g := range [...]*generation{l.primary, l.shadow} {
		if g != nil && g.ledger != nil {
			errs = append(errs, g.ledger.Close())
		}
	}
	l.primary, l.shadow = nil, nil
	if l.journal != nil {
		errs = append(errs, l.journal.Close())
	}
	return errors.Join(errs...)
}

// The kinds of records of the journal, by their first byte.
const (
	recordPage  = 'p'
	recordRound = 'r'
	recordCarry = 'c'
)

// replay folds what the journal holds, and returns behind which position the stream is
// read.
func (l *Live) replay(ctx context.Context) (uint64, error) {
	type paged struct {
		place journal.Place
		data  []byte
	}
	var pages []paged
	place := func(ps []livePage) error {
		if len(ps) != len(pages) {
			return fmt.Errorf("%w: %d pages of acts where %d belong", journal.ErrDamaged, len(pages), len(ps))
		}
		for i := range ps {
			ps[i].place, ps[i].data = pages[i].place, pages[i].data
		}
		pages = nil
		return nil
	}
	err := l.journal.Each(0, func(at journal.Place, record []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch body := record[1:]; record[0] {
		case recordPage:
			pages = append(pages, paged{at, bytes.Clone(body)})
		case recordRound:
			var r liveRound
			if err := json.Unmarshal(body, &r); err != nil {
				return fmt.Errorf("%w: %w", journal.ErrDamaged, err)
			}
			r.check()
			if l.primary == nil { // ahead of the first segment that is whole
				pages = nil
				return nil
			}
			if err := place(r.Pages); err != nil {
				l.log.Warn("a round of the journal is left out", "error", err)
				pages = nil
				return nil
			}
			if r.Table != nil {
				l.tables[r.Rules], l.table = r.Table, r.Rules
			}
			r.app = l.set(r.Rules)
			for i := range r.Pages {
				r.acts += r.Pages[i].Count
			}
			r.end = l.counts(&r)
			return l.fold(ctx, &r)
		case recordCarry:
			var c carried
			if err := json.Unmarshal(body, &c); err != nil {
				return fmt.Errorf("%w: %w", journal.ErrDamaged, err)
			}
			c.check()
			if err := place(c.Pages); err != nil {
				return err
			}
			return l.begin(at.Segment, &c)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("fold the journal again: %w", err)
	}
	segments := l.journal.Segments()
	switch {
	case l.primary == nil:
		err = l.write(&carried{}, nil)
		if err == nil {
			err = l.begin(segments[len(segments)-1], &carried{})
		}
	case segments[len(segments)-1] != l.segment.number: // a crash between two segments
		if err = l.journal.Truncate(l.journal.Begin()); err == nil {
			err = l.boundary(ctx, false)
		}
	case len(pages) > 0:
		err = l.journal.Truncate(pages[0].place)
	case l.last.end:
		err = l.boundary(ctx, true)
	}
	l.log.Info("the journal was folded again", "rounds", l.rounds, "position", l.last.Pos, "told", l.applied)
	return min(l.last.Resume, l.events.Position()), err
}

// counts counts a round into the segment that is written to, and says whether the segment
// ends with it.
func (l *Live) counts(r *liveRound) bool {
	s := &l.segment
	s.acts += r.acts
	s.pages += len(r.Pages)
	if s.since.IsZero() {
		s.since = r.At
	}
	l.mu.Lock()
	l.health.Segment, l.health.Acts = s.number, s.acts
	l.mu.Unlock()
	return s.acts >= l.o.SegmentActs || s.pages >= maxSegmentPages || s.acts > 0 && r.At.Sub(s.since) >= l.o.SegmentAge
}

// maxSegmentPages bounds the pages of a segment, of which each takes some memory.
const maxSegmentPages = 500_000

// follow reads the stream behind that position, until ctx ends.
func (l *Live) follow(ctx context.Context, after uint64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop(nil)

	type rowsOf struct {
		pos  uint64
		rows []EventRow
	}
	rows := make(chan rowsOf, 4)
	kept := l.events.Position()
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case x := <-rows:
				if l.insist(ctx, "keep the records", func() error { return l.events.Append(ctx, x.pos, x.rows) }) != nil {
					return
				}
			}
		}
	})

	rounds, folded := make(chan *liveRound, 1), make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case r := <-rounds:
				if err := l.fold(ctx, r); err != nil {
					stop(err)
					return
				}
				if !r.end {
					continue
				}
				if err := l.boundary(ctx, true); err != nil {
					stop(err)
					return
				}
				select {
				case folded <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	wg.Go(func() { l.ticks(ctx) })
	wg.Go(func() {
		if err := l.sync(ctx); err != nil {
			stop(err)
		}
	})

	var batched []EventRow
	var batchedTo uint64
	handRows := func() error {
		if batchedTo == 0 {
			return nil
		}
		select {
		case rows <- rowsOf{batchedTo, batched}:
			batched, batchedTo = nil, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g := &gatherer{settled: l.last.Pos, at: l.last.At}
	g.poison = func(d *digested) error {
		if d.msg.Pos <= g.settled {
			return nil
		}
		l.log.Warn("a batch could not be used", "source", d.source, "position", d.msg.Pos, "cause", d.poison)
		return l.insist(ctx, "keep a dead letter", func() error { return l.dead.put(deadLetterOf(d)) })
	}
	g.rows = func(pos uint64, more []EventRow) error {
		if pos <= kept {
			return nil
		}
		batched, batchedTo = append(batched, more...), pos
		if len(batched) >= maxRows {
			return handRows()
		}
		return nil
	}
	g.emit = func(r *liveRound) error {
		if err := handRows(); err != nil {
			return err
		}
		if err := l.keep(r); err != nil {
			return err
		}
		select {
		case rounds <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
		if r.end {
			select {
			case <-folded:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	err := g.read(ctx, counted{l.stream, l}, after, l.workers, cmp.Or(l.last.Rules, l.first), l.set)
	if cause := context.Cause(ctx); cause != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = cause
	}
	return err
}

// maxRows is how many rows are handed on at once.
const maxRows = 20_000

// counted is a stream whose readers tell how far they are.
type counted struct {
	Stream
	l *Live
}

func (c counted) Consume(ctx context.Context, after uint64, each func(StreamMessage) error) error {
	return c.Stream.Consume(ctx, after, func(m StreamMessage) error {
		c.l.pending.Store(m.Kind != StreamTick)
		if m.Kind == StreamBatch && m.Batch != nil {
			decode := m.Batch
			m.Batch = func() (model.Batch, error) {
				b, err := decode()
				if n := int64(len(b.Head) + len(b.Data)); c.l.waiting.Add(-n) < 0 { // of an earlier process
					c.l.waiting.Add(n)
				}
				return b, err
			}
		}
		return each(m)
	})
}

// idleTick is after what time without data a tick comes all the same: sources that are
// silent are told of by the time of ticks.
const idleTick = time.Minute

// ticks ends rounds. What is on the stream when the engine is not told by it, and
// another engine would come to the same.
func (l *Live) ticks(ctx context.Context) {
	t := time.NewTicker(l.o.Tick)
	defer t.Stop()
	last := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := l.o.Now()
		if !l.pending.Load() && now.Sub(last) < idleTick {
			continue
		}
		l.pending.Store(false)
		_, err := l.stream.Publish(ctx, StreamTick, now, nil)
		if ctx.Err() != nil {
			return
		}
		l.trouble("end a round", err)
		if err == nil {
			last = now
		} else {
			l.pending.Store(true)
		}
	}
}

// syncEvery is how often the journal is made durable, and the stream is let go of that far.
const syncEvery = time.Second

func (l *Live) sync(ctx context.Context) error {
	t := time.NewTicker(syncEvery)
	defer t.Stop()
	var purged uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		l.mu.Lock()
		upTo := l.health.resume
		l.mu.Unlock()
		if err := l.journal.Sync(); err != nil {
			return err
		}
		if upTo = min(upTo, l.events.Position()); upTo > purged {
			err := l.stream.Purge(ctx, upTo)
			if ctx.Err() != nil {
				return nil
			}
			if l.trouble("let go of what was read from the queue", err); err == nil {
				purged = upTo
			}
		}
	}
}

// keep writes a round to the journal.
func (l *Live) keep(r *liveRound) error {
	if r.Rules != l.table {
		r.Table = ruleIDs(r.app)
		l.table = r.Rules
	}
	for i := range r.Pages {
		p := &r.Pages[i]
		at, err := l.journal.Append(append([]byte{recordPage}, p.data...))
		if err != nil {
			return err
		}
		p.place = at
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := l.journal.Append(append([]byte{recordRound}, b...)); err != nil {
		return err
	}
	r.end = l.counts(r)
	l.mu.Lock()
	l.health.resume = r.Resume
	l.mu.Unlock()
	return nil
}

func ruleIDs(a *App) []string {
	ids := make([]string, a.engine.Rules())
	for i := range ids {
		ids[i] = a.engine.Definition(i).Rule.ID
	}
	return ids
}

// fold takes in a round, in both generations, and tells what came of it.
func (l *Live) fold(ctx context.Context, r *liveRound) error {
	l.rounds++
	var acts []sighting
	first := make([]int, len(r.Pages))
	renumber := l.renumber(r)
	for i := range r.Pages {
		p := &r.Pages[i]
		first[i] = len(acts)
		l.reader.open(p.data, p.Input)
		for slot := range l.reader.count {
			s := l.reader.sighting(slot)
			renumber(&s)
			l.clocks.see(p.Input, &s)
			acts = append(acts, s)
		}
	}
	times := l.clocks.correction()
	for i := range r.Pages {
		p := &r.Pages[i]
		number := l.shelf.add(*p, times)
		for slot := range p.Count {
			s := &acts[first[i]+slot]
			s.obs.Time, s.obs.Kept = p.timeOf(times, s.stamps, s.obs.Host), keptOf(number, slot)
		}
		p.data = nil
	}
	inOrderOfTime(acts)
	page := func(kept int64) *shelved {
		n, _ := placeOf(kept)
		return l.shelf.page(n)
	}
	var wg sync.WaitGroup
	if l.shadow != nil {
		wg.Go(func() { l.guard("fold a round", func() { l.shadow.fold(r, acts, page) }) })
	}
	l.guard("fold a round", func() { l.primary.fold(r, acts, page) })
	wg.Wait()
	if l.shadow != nil && l.rounds%grownRounds == 0 {
		clear(l.shadow.grown) // nobody is told of them, and when its turn comes they are told anew
	}
	changes := l.sources.round(r.Counts, r.At, l.o.QuietAfter)
	l.last = liveRound{Pos: r.Pos, Resume: r.Resume, At: r.At, Rules: r.Rules, end: r.end}
	if err := l.tell(ctx, r, changes); err != nil {
		return err
	}
	l.report()
	return nil
}

// guard does what must not end the process: it would be done again after a restart, and
// end that as well. A panic there is a mistake of ours that evidence can bring about.
func (l *Live) guard(what string, do func()) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("internal error; the engine goes on with the rest", "while", what, "round", l.rounds, "error", p, "stack", string(debug.Stack()))
			l.mu.Lock()
			l.faults++
			l.mu.Unlock()
		}
	}()
	do()
}

// inOrderOfTime sorts acts by time, and those of one time as they came.
func inOrderOfTime(acts []sighting) {
	slices.SortFunc(acts, func(a, b sighting) int {
		return cmp.Or(a.obs.Time.Compare(b.obs.Time), cmp.Compare(a.obs.Kept, b.obs.Kept))
	})
}

// renumber gives the rules of acts the numbers that they have now. Acts that another
// process matched by another set keep of their rules those that there still are.
func (l *Live) renumber(r *liveRound) func(*sighting) {
	if r.app.digest() == r.Rules {
		return func(*sighting) {}
	}
	numbers := map[string]int32{}
	for i, id := range ruleIDs(r.app) {
		numbers[id] = int32(i) //nolint:gosec // as many as there are rules
	}
	table := l.tables[r.Rules]
	return func(s *sighting) {
		rules := s.rules[:0]
		for _, n := range s.rules {
			if int(n) < len(table) {
				if m, ok := numbers[table[n]]; ok {
					rules = append(rules, m)
				}
			}
		}
		s.rules = rules
	}
}

// report makes what health tells.
func (l *Live) report() {
	h := LiveHealth{Position: l.last.Pos, Time: l.last.At, Rounds: l.rounds, Incidents: len(l.known),
		Journal: l.journal.Bytes(), Memory: l.primary.read.memory.Stats().Nodes}
	for _, s := range l.sources.list() {
		h.Sources = append(h.Sources, s.health())
	}
	l.mu.Lock()
	h.Repairs, h.resume, h.Segment, h.Acts, h.Rules = l.health.Repairs, l.health.resume, l.health.Segment, l.health.Acts, l.app.digest()
	l.health = h
	l.mu.Unlock()
	if err := l.primary.failed; err != nil {
		l.trouble("read an act again from the journal", err)
	}
}

// boundary ends a segment and starts the next, which begins with what the primary
// generation hands on. Cut is false if the next segment is there already.
func (l *Live) boundary(ctx context.Context, cut bool) error {
	// What was told must not be told again by a generation that does not know it.
	if l.last.Pos > l.applied {
		if err := l.commit(ctx, store.Commit{Offset: l.last.Pos, Time: l.last.At}); err != nil {
			return err
		}
		l.applied = l.last.Pos
	}
	c, pages, err := l.primary.carry(l.estateNow())
	if err != nil {
		return fmt.Errorf("hand incidents on: %w", err)
	}
	c.By, c.Round, c.Pos, c.Resume, c.At = l.primary.segment, l.rounds, l.last.Pos, l.last.Resume, l.last.At
	c.Clocks, c.Sources, c.Known, c.Dirty = l.clocks, l.sources.list(), map[string]*knownIncident{}, l.dirty
	for i := range c.Kept { // of others fusion knows nothing any more
		if k := l.known[c.Kept[i].ID]; k != nil {
			c.Known[c.Kept[i].ID] = k
		}
	}
	if l.shadow != nil { // then the primary's time is over
		if err := l.retire(l.primary); err != nil {
			return err
		}
	}
	if cut {
		if _, err := l.journal.Cut(); err != nil {
			return err
		}
	}
	if err := l.write(c, pages); err != nil {
		return err
	}
	// Read as a fold that begins again reads it, so that both come to the same.
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	var again carried
	if err := json.Unmarshal(b, &again); err != nil {
		return err
	}
	for i := range again.Pages {
		again.Pages[i].place, again.Pages[i].data = c.Pages[i].place, pages[i].page
	}
	segments := l.journal.Segments()
	if err := l.begin(segments[len(segments)-1], &again); err != nil {
		return err
	}
	if err := l.journal.Drop(l.primary.segment); err != nil {
		return err
	}
	return l.dropMemories()
}

// write writes the beginning of a segment, durably.
func (l *Live) write(c *carried, pages []acted) error {
	for i := range pages {
		at, err := l.journal.Append(append([]byte{recordPage}, pages[i].page...))
		if err != nil {
			return err
		}
		c.Pages[i].place = at
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := l.journal.Append(append([]byte{recordCarry}, b...)); err != nil {
		return err
	}
	l.table = "" // a segment names its rules itself
	return l.journal.Sync()
}

// begin starts the generation of a segment, and gives the one that was in the shadow its
// turn.
func (l *Live) begin(segment uint64, c *carried) error {
	var acts []sighting
	for i := range c.Pages {
		p := c.Pages[i]
		number := l.shelf.add(p, l.clocks.correction())
		x := l.shelf.page(number)
		acts = x.acts(&l.reader, p.data, number, acts)
	}
	inOrderOfTime(acts)
	memory, err := l.openMemory(segment)
	if err != nil {
		return err
	}
	g := newGeneration(l.set(""), segment, l.shelf, memory)
	g.adopt(c, acts)
	switch {
	case l.primary == nil:
		l.primary = g
	case l.shadow == nil:
		if c.By != l.primary.segment {
			l.primary.adopt(c, acts)
		}
		l.shadow = g
	default:
		if err := l.retire(l.primary); err != nil {
			return err
		}
		l.shadow.adopt(c, acts)
		l.primary, l.shadow = l.shadow, g
		l.shelf.drop(l.primary.segment)
	}
	l.rounds = c.Round
	l.last = liveRound{Pos: c.Pos, Resume: c.Resume, At: c.At, Rules: l.last.Rules}
	l.clocks = newLiveClocks()
	if c.Clocks != nil {
		c.Clocks.due = true
		l.clocks = c.Clocks
	}
	l.sources = sources{}
	for _, s := range c.Sources {
		l.sources[s.Source] = s
	}
	l.known, l.dirty = c.Known, c.Dirty
	if l.known == nil {
		l.known = map[string]*knownIncident{}
	}
	if l.dirty == nil {
		l.dirty = map[string]bool{}
	}
	l.segment = segmentState{number: segment}
	return nil
}

// The long memory of a generation is a file that begins as a copy of that which the
// generation two before it left: of every two generations that follow each other one
// has seen each segment. So a fold that begins again begins with the same memory.

func (l *Live) memoryFile(segment uint64) string {
	return filepath.Join(l.o.Dir, fmt.Sprintf("memory-%016x.db", segment))
}

func (l *Live) openMemory(segment uint64) (*ledger.Ledger, error) {
	if err := os.MkdirAll(l.o.Dir, 0o700); err != nil {
		return nil, err
	}
	name := l.memoryFile(segment)
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(name + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if segment > 2 {
		if err := copyFile(name, l.memoryFile(segment-2)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("begin with the memory of earlier: %w", err)
		}
	}
	return ledger.Open(name, ledger.Options{MaxEntities: l.o.Ledger})
}

func copyFile(to, from string) error {
	in, err := os.Open(from) //nolint:gosec // of the engine's own folder
	if err != nil {
		return err
	}
	defer in.Close()                                                       //nolint:errcheck // only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // of the engine's own folder
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// retire writes what a generation learnt for the one that follows the next.
func (l *Live) retire(g *generation) error {
	if g.ledger == nil {
		return nil
	}
	err := g.ledger.Commit()
	g.ledger = nil
	if err != nil {
		l.trouble("keep what was learnt of entities", err)
	}
	return nil
}

// dropMemories removes the memory of generations that nobody begins with any more.
func (l *Live) dropMemories() error {
	names, err := filepath.Glob(filepath.Join(l.o.Dir, "memory-*.db*"))
	if err != nil {
		return err
	}
	oldest := l.memoryFile(max(l.primary.segment, 3) - 2)
	for _, n := range names {
		if filepath.Base(n) < filepath.Base(oldest) {
			if err := os.Remove(n); err != nil {
				return err
			}
		}
	}
	return nil
}
