package app

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/fusion"
	"github.com/catena-sec/catena/internal/journal"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/story"
)

// A shelf is where the acts stand that memory asks for again: the pages of the journal
// from the primary generation's beginning on. Generations read it side by side; it
// changes between rounds only.
type shelf struct {
	journal *journal.Journal
	first   int // number of the first page
	pages   []shelved
}

type shelved struct {
	page  livePage
	times *clock.Correction
}

// slotBits is how much of an act's number says where on its page it stands.
const slotBits = 22

// add puts a page behind all others and returns its number.
func (s *shelf) add(p livePage, times *clock.Correction) int {
	p.data = nil
	s.pages = append(s.pages, shelved{p, times})
	return s.first + len(s.pages) - 1
}

func (s *shelf) page(n int) *shelved {
	if n -= s.first; n >= 0 && n < len(s.pages) {
		return &s.pages[n]
	}
	return nil
}

// drop lets go of the pages before a segment.
func (s *shelf) drop(segment uint64) {
	n := 0
	for n < len(s.pages) && s.pages[n].page.place.Segment < segment {
		n++
	}
	s.pages = slices.Clone(s.pages[n:])
	s.first += n
}

func keptOf(page, slot int) int64 { return int64(page)<<slotBits | int64(slot) + 1 }

func placeOf(kept int64) (page, slot int) {
	return int((kept - 1) >> slotBits), int((kept - 1) & (1<<slotBits - 1))
}

// acts returns the acts of a page as sightings with their times and numbers. Data is the
// page's bytes.
func (x *shelved) acts(r *pageReader, data []byte, number int, out []sighting) []sighting {
	r.open(data, x.page.Input)
	for i := range r.count {
		s := r.sighting(i)
		s.obs.Time, s.obs.Kept = x.page.timeOf(x.times, s.stamps, s.obs.Host), keptOf(number, i)
		out = append(out, s)
	}
	return out
}

// A generation is all that the engine derives of a stream from one boundary on: memory,
// detectors, correlations, bursts, incidents. Two of them fold at once, so that what is
// let go with the older is known to the younger.
type generation struct {
	app     *App
	segment uint64 // with which it began
	shelf   *shelf
	read    *reading
	fuse    *fusion.Engine
	said    casebook.Journal
	ledger  *ledger.Ledger

	heirs   []*model.Alert       // of what it was handed
	events  recent               // acts seen lately: those that come again are not read again
	taken   recent               // alerts of products
	about   map[string]int64     // event of an alert, to the number of its act
	arrived map[string]time.Time // event of an alert, to when it was received
	since   map[string]time.Time // alert, to the tick by which it was raised

	fresh   []*model.Alert          // of the round
	grown   map[string]*model.Alert // told before, and counting more since
	changes []fusion.Change         // of the round

	reader pageReader // of recall
	buf    []byte
	lately map[int64]*model.Observation
	failed error // the first of recall
}

func newGeneration(a *App, segment uint64, s *shelf, l *ledger.Ledger) *generation {
	g := &generation{app: a, segment: segment, shelf: s, ledger: l, about: map[string]int64{}, arrived: map[string]time.Time{}, since: map[string]time.Time{},
		grown: map[string]*model.Alert{}, lately: map[int64]*model.Observation{}}
	g.read = a.newReading(g.recall, nil)
	g.fuse = fusion.New(fusion.Options{Memory: g.read.memory, Ledger: l, MaxMetas: maxLiveAlerts})
	return g
}

// maxLiveAlerts bounds the deduplicated alerts that one generation keeps.
const maxLiveAlerts = 300_000

// recall gives an act of the shelf again, nil if it cannot be read any more.
func (g *generation) recall(kept int64) *model.Observation {
	if o := g.lately[kept]; o != nil {
		return o
	}
	number, slot := placeOf(kept)
	x := g.shelf.page(number)
	if x == nil || slot >= x.page.Count {
		return nil
	}
	data, err := g.shelf.journal.Read(x.page.place, g.buf)
	if err != nil {
		if g.failed == nil {
			g.failed = err
		}
		return nil
	}
	g.buf = data
	g.reader.open(data[1:], x.page.Input)
	s := g.reader.sighting(slot)
	s.obs.Time, s.obs.Kept = x.page.timeOf(x.times, s.stamps, s.obs.Host), kept
	if len(g.lately) >= maxRecent {
		clear(g.lately)
	}
	g.lately[kept] = s.obs
	return s.obs
}

// fold takes in one round: its acts in order of time, its alerts of products, what
// analysts said.
func (g *generation) fold(r *liveRound, acts []sighting, pages func(kept int64) *shelved) {
	g.fresh, g.changes = g.fresh[:0], nil
	g.read.use(r.app)
	var others []*model.Alert
	for i := range r.Alerts {
		k := &r.Alerts[i]
		if !g.taken.add(k.Alert.ID, 0) {
			continue
		}
		a := k.own()
		if a.Time.After(k.Received.Add(futureMost)) {
			a.Time, a.End = k.Received, k.Received
		}
		g.arrived[a.Evidence[0].ID] = k.Received
		burst, begun := g.read.bursts.Into(a)
		if !begun {
			g.grown[burst.ID] = burst
			continue
		}
		others = append(others, a)
	}
	g.read.memory.Introduce(others)
	g.read.watch.expect(others)
	for i := range acts {
		s := &acts[i]
		if !g.events.add(s.obs.Event, s.obs.Kept<<1|ruled(s)) {
			continue
		}
		g.read.see(s, func(a *model.Alert, begun bool) {
			if !begun {
				g.grown[a.ID] = a
				return
			}
			g.fresh = append(g.fresh, a)
			g.remember(a, pages)
		})
	}
	g.read.watch.rest()
	for _, a := range others {
		g.read.memory.Locate(a)
	}
	g.fresh = append(g.fresh, others...)
	slices.SortStableFunc(g.fresh, func(a, b *model.Alert) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	for _, a := range g.fresh {
		knowledge.Classify(a)
		g.since[a.ID] = r.At
		g.changes = append(g.changes, g.fuse.Add(a)...)
	}
	if g.hear(r.Said) {
		g.changes = append(g.changes, g.decide()...)
	}
	g.trim()
}

func ruled(s *sighting) int64 {
	if len(s.rules) > 0 {
		return 1
	}
	return 0
}

// remember notes where the act stands that an alert is about, and when it came.
func (g *generation) remember(a *model.Alert, pages func(int64) *shelved) {
	id := a.Evidence[0].ID
	v, ok := g.events.get(id)
	if !ok {
		return
	}
	if v&1 != 0 {
		g.about[id] = v >> 1
	}
	if p := pages(v >> 1); p != nil && p.page.Received != 0 {
		g.arrived[id] = time.Unix(0, p.page.Received).UTC()
	}
}

// hear takes in decisions, and says whether any of them may change what is fused.
func (g *generation) hear(said []model.Decision) bool {
	changed := false
	for _, d := range said {
		if len(g.said.Decisions) >= casebook.MaxDecisions || slices.ContainsFunc(g.said.Decisions, func(o model.Decision) bool { return o.ID == d.ID }) {
			continue
		}
		g.said.Decisions = append(g.said.Decisions, d)
		switch d.Kind {
		case model.Comment, model.Assign, model.SetStatus:
		default:
			changed = true
		}
	}
	if changed {
		slices.SortStableFunc(g.said.Decisions, func(a, b model.Decision) int { return a.At.Compare(b.At) })
	}
	return changed
}

// trim forgets what is kept of alerts that fusion let go.
func (g *generation) trim() {
	if len(g.since) < maxLiveAlerts+maxLiveAlerts/2 {
		return
	}
	ids, events := map[string]bool{}, map[string]bool{}
	for _, a := range g.fuse.Alerts() {
		ids[a.ID] = true
		if len(a.Evidence) > 0 {
			events[a.Evidence[0].ID] = true
		}
	}
	for id := range g.since {
		if !ids[id] {
			delete(g.since, id)
		}
	}
	for id := range g.arrived {
		if !events[id] {
			delete(g.arrived, id)
		}
	}
	for id := range g.about {
		if !events[id] {
			delete(g.about, id)
		}
	}
}

// tell tells the story of one result, nil if there is none.
func (g *generation) tell(r *fusion.Result, estate story.Estate) *model.Incident {
	observed, arrived := map[string]*model.Observation{}, map[string]time.Time{}
	for _, m := range r.Members {
		if len(m.Alert.Evidence) == 0 {
			continue
		}
		id := m.Alert.Evidence[0].ID
		if kept, ok := g.about[id]; ok {
			if o := g.recall(kept); o != nil {
				observed[id] = o
			}
		}
		if at, ok := g.arrived[id]; ok {
			arrived[id] = at
		}
	}
	var back []*model.Alert
	held := map[string]bool{}
	for _, m := range r.Members {
		held[m.Alert.ID] = true
	}
	for _, x := range r.Earlier {
		if x.In != nil && !held[x.In.ID] {
			held[x.In.ID] = true
			back = append(back, x.In)
		}
	}
	return tellOne(r, back, observed, arrived, g.read.memory, estate)
}

// recent remembers the newest keys with a value each, at least maxLately and at most
// twice as many. The zero value is ready.
type recent struct{ now, before map[string]int64 }

const maxLately = 1 << 17

// add takes a key in, and says whether it was not known.
func (r *recent) add(key string, v int64) bool {
	if _, ok := r.get(key); ok {
		return false
	}
	if len(r.now) >= maxLately {
		r.now, r.before = nil, r.now
	}
	if r.now == nil {
		r.now = map[string]int64{}
	}
	r.now[key] = v
	return true
}

func (r *recent) get(key string) (int64, bool) {
	if v, ok := r.now[key]; ok {
		return v, true
	}
	v, ok := r.before[key]
	return v, ok
}

// A carried is what a segment of the journal begins with: what a generation that starts
// with it is given of the ones before.
type carried struct {
	By      uint64                    `json:"by"`    // the generation that hands on
	Round   uint64                    `json:"round"` // rounds so far
	Pos     uint64                    `json:"pos"`
	Resume  uint64                    `json:"resume"`
	At      time.Time                 `json:"at"`
	Kept    []fusion.Kept             `json:"kept,omitempty"`
	Arrived map[string]time.Time      `json:"arrived,omitempty"`
	Since   map[string]time.Time      `json:"since,omitempty"`
	Known   map[string]*knownIncident `json:"known,omitempty"`
	Dirty   map[string]bool           `json:"dirty,omitempty"` // incidents that wait to be told
	Said    []model.Decision          `json:"said,omitempty"`
	Clocks  *liveClocks               `json:"clocks,omitempty"`
	Sources []*sourceState            `json:"sources,omitempty"`
	Pages   []livePage                `json:"pages,omitempty"` // acts that the kept are about, in the segment ahead of this
}

// check leaves out what cannot be, of a record that another version wrote.
func (c *carried) check() {
	maps.DeleteFunc(c.Known, func(_ string, k *knownIncident) bool { return k == nil })
	c.Sources = slices.DeleteFunc(c.Sources, func(s *sourceState) bool { return s == nil })
	if c.Clocks != nil && c.Clocks.Votes == nil {
		c.Clocks.Votes = map[string]int{}
	}
	for i := range c.Kept {
		for j := range c.Kept[i].Bursts {
			b := &c.Kept[i].Bursts[j]
			b.Alerts = slices.DeleteFunc(b.Alerts, func(k fusion.KeptAlert) bool { return k.Alert == nil || len(k.Alert.Evidence) == 0 })
		}
		c.Kept[i].Bursts = slices.DeleteFunc(c.Kept[i].Bursts, func(b fusion.KeptBurst) bool { return len(b.Alerts) == 0 })
	}
}

// maxCarried bounds the alerts of incidents that go over to the next generation.
const maxCarried = 100_000

// carry is what this generation hands on: its raised incidents, and on pages the acts
// that their stories are made of.
func (g *generation) carry(estate story.Estate) (*carried, []acted, error) {
	c := &carried{Arrived: map[string]time.Time{}, Since: map[string]time.Time{}, Said: g.said.Decisions}
	kept := g.fuse.Retained()
	slices.SortStableFunc(kept, func(a, b fusion.Kept) int { return lastOf(&b).Compare(lastOf(&a)) }) // the latest first
	alerts, wanted := 0, map[string]bool{}
	for i := range kept {
		n := 0
		for j := range kept[i].Bursts {
			n += len(kept[i].Bursts[j].Alerts)
		}
		if alerts += n; alerts > maxCarried {
			break
		}
		c.Kept = append(c.Kept, kept[i])
	}
	slices.SortStableFunc(c.Kept, func(a, b fusion.Kept) int { return cmp.Or(a.Raised.Compare(b.Raised), cmp.Compare(a.ID, b.ID)) })
	for i := range c.Kept {
		for j := range c.Kept[i].Bursts {
			for _, k := range c.Kept[i].Bursts[j].Alerts {
				if at, ok := g.since[k.Alert.ID]; ok {
					c.Since[k.Alert.ID] = at
				}
				for _, e := range k.Alert.Evidence {
					wanted[e.ID] = true
					if at, ok := g.arrived[e.ID]; ok {
						c.Arrived[e.ID] = at
					}
				}
			}
		}
		r := g.fuse.Incident(c.Kept[i].ID)
		if r == nil {
			continue
		}
		if in := g.tell(r, estate); in != nil {
			wanted[in.Root.Event] = true
			for _, s := range in.Steps {
				for _, id := range s.Events {
					wanted[id] = true
				}
			}
		}
	}
	pages, err := g.copied(c, wanted)
	return c, pages, err
}

func lastOf(k *fusion.Kept) time.Time {
	var t time.Time
	for i := range k.Bursts {
		if k.Bursts[i].Last.After(t) {
			t = k.Bursts[i].Last
		}
	}
	return t
}

// copied writes the wanted acts of the shelf on new pages, one an input, with the times
// that they were given.
func (g *generation) copied(c *carried, wanted map[string]bool) ([]acted, error) {
	digests := map[model.Digest]bool{}
	for id := range wanted {
		if d, ok := model.DigestOf(id); ok {
			digests[d] = true
		}
	}
	if len(digests) == 0 {
		return nil, nil
	}
	writers := map[string]*pageWriter{}
	var inputs []string
	var r pageReader
	var buf []byte
	for i := range g.shelf.pages {
		x := &g.shelf.pages[i]
		if x.page.place.Segment < g.segment {
			continue
		}
		data, err := g.shelf.journal.Read(x.page.place, buf)
		if err != nil {
			return nil, err
		}
		buf = data
		r.open(data[1:], x.page.Input)
		for slot := range r.count {
			d := r.digest(slot)
			if !digests[d] {
				continue
			}
			delete(digests, d) // once
			s := r.sighting(slot)
			s.stamps = clock.Stamps{Recorded: x.page.timeOf(x.times, s.stamps, s.obs.Host)}
			w := writers[x.page.Input]
			if w == nil {
				w = &pageWriter{}
				writers[x.page.Input] = w
				inputs = append(inputs, x.page.Input)
			}
			w.add(&s, d)
		}
	}
	var out []acted
	for _, in := range inputs {
		p := writers[in].take()
		c.Pages = append(c.Pages, livePage{Input: in, Count: p.count})
		out = append(out, p)
	}
	return out, nil
}

// adopt takes over what another generation handed on. Acts are those of its pages, in
// order of time.
func (g *generation) adopt(c *carried, acts []sighting) {
	for i := range acts {
		s := &acts[i]
		if !g.events.add(s.obs.Event, s.obs.Kept<<1|ruled(s)) {
			continue
		}
		g.read.memory.Observe(s.obs)
		g.read.insight.observe(s.obs)
		if len(s.rules) > 0 {
			g.about[s.obs.Event] = s.obs.Kept
		}
	}
	for id, at := range c.Arrived {
		if _, ok := g.arrived[id]; !ok {
			g.arrived[id] = at
		}
	}
	for id, at := range c.Since {
		g.since[id] = at
	}
	decided := g.hear(c.Said)
	kept := ownKept(c.Kept)
	for i := range kept {
		for j := range kept[i].Bursts {
			for _, k := range kept[i].Bursts[j].Alerts {
				g.heirs = append(g.heirs, k.Alert)
			}
		}
	}
	g.fuse.Resume(kept)
	if decided {
		g.decide()
	}
	g.grown = map[string]*model.Alert{}
}

// decide has fusion obey what analysts decided.
func (g *generation) decide() []fusion.Change {
	return g.fuse.Decide(g.said.Apply(slices.Concat(g.heirs, g.fuse.Alerts())))
}

// ownKept is a copy that a generation may change.
func ownKept(kept []fusion.Kept) []fusion.Kept {
	b, err := json.Marshal(kept)
	if err != nil {
		return kept // what was read from JSON can be written as it
	}
	var out []fusion.Kept
	if json.Unmarshal(b, &out) != nil {
		return kept
	}
	return out
}
