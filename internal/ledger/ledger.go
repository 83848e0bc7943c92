// Package ledger is the long memory: of every entity that an alert named, when it was
// seen, on how many places and days, in which tactics, and by which alerts it was
// worst, in about a hundred bytes and not in events. So what an address tried on the
// first day is still known when it takes data on the hundred and twentieth.
//
// A Ledger lives as long as a run, or in a file across runs (Open). A run holds the
// file for itself, and what it learnt is there as a whole once Commit returns, or not
// at all. To take in the same evidence twice, or in another order, changes nothing.
//
// What fills a ledger was written by attackers. So time is never taken as a reason to
// forget, since stamps can lie: only lack of room is, and then the weakest evidence
// goes first and the oldest of it; one run brings at most a quarter of what the file
// holds; and what was let go is counted. The file holds digests and no names.
package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Options set up a Ledger; a zero field means its default.
type Options struct {
	// MaxEntities bounds how many entities the file holds (1,000,000). A run learns of
	// at most a quarter as many.
	MaxEntities int
}

// A Sighting is that an alert named an entity.
type Sighting struct {
	Alert   string // its id
	Rule    string // its rule's id
	Title   string // and title
	Level   model.Severity
	Tactics []string // ATT&CK short names
	Time    time.Time
	Subject string  // the place that the alert is about
	Common  float64 // share of all acts of the evidence that named the entity, 0 to 1
}

// A Past is what is remembered of an entity from before a time: the worst alert that
// named it then, and how rare the entity is up to now.
type Past struct {
	Alert   string
	Rule    string // empty if there were too many rules to keep their names
	Title   string
	Level   model.Severity
	Tactics []string // of that alert
	Time    time.Time

	First    time.Time // of all sightings
	Last     time.Time
	Seen     []string // tactics of all alerts that named it
	Subjects int      // distinct places, about; manyThings and more look alike
	Days     int      // distinct days, about
	Common   float64  // share of all acts that named it, the largest of all runs
	Peers    int      // entities of its type, itself included, whose worst alert is as grave as this one
	Known    int      // entities of its type that any one run saw, or that are held if these are more
}

// Stats count what a Ledger holds and what it did in this run.
type Stats struct {
	Entities int       // held now
	Runs     int       // committed before this one
	First    time.Time // time of the earliest sighting of earlier runs; zero without one
	Last     time.Time
	Added    int // entities that this run brought
	Renewed  int // and those known before that it saw again
	Refused  int // entities whose sightings in this run there was no room for
	Evicted  int // entities let go for lack of room, in all runs
}

// maxRules bounds the list of rules, maxText each of their names in bytes. What an act
// beyond that was is told by its level and tactics.
const (
	maxRules = 20_000
	maxText  = 200
)

// levels are the severities by the number that the file holds.
var levels = [...]model.Severity{model.Informational, model.Low, model.Medium, model.High, model.Critical}

// A Ledger is not safe for concurrent use.
type Ledger struct {
	opt     Options
	touched map[digest]*entry // what this run saw
	tally   [len(kinds)][len(levels)]int
	census  [len(kinds)]int // the most of a kind that one run saw
	rules   []rule          // by number less one
	numbers map[rule]int
	stats   Stats
	store   *store // nil without a file
	err     error  // of the store; nothing is taken or told after it
}

// A rule names what raised an alert.
type rule struct{ id, title string }

// An entry is a record in this run.
type entry struct {
	record
	stored bool  // the file has it
	was    uint8 // with that level
}

// New returns a Ledger that lasts as long as the run.
func New(o Options) *Ledger {
	if o.MaxEntities <= 0 {
		o.MaxEntities = 1_000_000
	}
	return &Ledger{opt: o, touched: map[digest]*entry{}, numbers: map[rule]int{}}
}

// Durable says whether entities of that type mean the same months later: a process or
// a session does not.
func Durable(t model.EntityType) bool { return slices.Contains(kinds[:], t) }

// Count takes in how many entities of a type all the evidence of the run names, those
// without an alert too. It is what makes a thing that did something rare among those
// that did nothing.
func (l *Ledger) Count(t model.EntityType, n int) {
	if kind := slices.Index(kinds[:], t); kind >= 0 {
		l.census[kind] = max(l.census[kind], n)
	}
}

// Note takes in that an alert named an entity. One of a type that is not Durable, or
// without a time that can be, is left out. Informational alerts and those without a
// tactic count towards how common the entity is, and are never told again.
func (l *Ledger) Note(k model.EntityKey, s Sighting) {
	kind, at := slices.Index(kinds[:], k.Type), s.Time.Unix()
	if kind < 0 || at < 0 || at > latest || l.err != nil {
		return
	}
	id := digestOf(string(k.Type), k.Value)
	e := l.touched[id]
	if e == nil {
		if e = l.begin(id, uint8(kind), at); e == nil {
			return
		}
	}
	worst := e.level()
	e.first, e.last = min(e.first, at), max(e.last, at)
	e.subjects = e.subjects.with(digestOf("subject", s.Subject))
	e.days = e.days.with(dayDigest(at / day))
	e.common = max(e.common, uint8(100*min(max(s.Common, 0), 1)))
	set := tacticBits(s.Tactics)
	e.tactics |= set
	if level := s.Level.Rank(); level >= 1 && set != 0 && s.Alert != "" && len(s.Alert) <= maxAlertID {
		e.add(deed{at: at, level: uint8(level), tactics: set, rule: l.number(s.Rule, s.Title), alert: s.Alert})
	}
	if now := e.level(); now != worst {
		l.tally[kind][worst]--
		l.tally[kind][now]++
	}
	if len(l.touched) > max(l.opt.MaxEntities/4, 1) {
		l.refuse()
	}
}

// dayDigest spreads days over the slots of a sketch: consecutive ones fall into
// different slots.
func dayDigest(n int64) digest {
	var d digest
	binary.BigEndian.PutUint64(d[:], uint64(n))
	return d
}

// begin finds what is known of an entity that this run has not seen yet.
func (l *Ledger) begin(id digest, kind uint8, at int64) *entry {
	e := &entry{record: record{kind: kind, first: at, last: at}}
	if l.store != nil {
		r, err := l.store.read(id)
		if err != nil {
			l.err = err
			return nil
		}
		if r != nil {
			e.record, e.stored, e.was = *r, true, r.level()
		}
	}
	if !e.stored {
		l.tally[kind][0]++
	}
	l.touched[id] = e
	return e
}

func (l *Ledger) number(id, title string) int {
	r := rule{clip(id), clip(title)}
	if n, ok := l.numbers[r]; ok {
		return n
	}
	if len(l.rules) >= maxRules {
		return 0
	}
	l.rules = append(l.rules, r)
	l.numbers[r] = len(l.rules)
	return len(l.rules)
}

func clip(s string) string {
	return strings.Clone(strings.ToValidUTF8(s[:min(len(s), maxText)], ""))
}

// refuse gives up the weakest quarter of what this run saw, the latest of it first: who
// floods a run with new names pushes out what the flood brought.
func (l *Ledger) refuse() {
	type ranked struct {
		level uint8
		first int64
		id    digest
	}
	all := make([]ranked, 0, len(l.touched))
	for id, e := range l.touched {
		all = append(all, ranked{e.level(), e.first, id})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.level, b.level), cmp.Compare(b.first, a.first), bytes.Compare(a.id[:], b.id[:]))
	})
	for _, x := range all[:max(len(all)/4, 1)] {
		e := l.touched[x.id]
		l.tally[e.kind][e.level()]--
		if e.stored {
			l.tally[e.kind][e.was]++
		}
		delete(l.touched, x.id)
		l.stats.Refused++
	}
}

// Recall tells what is remembered of an entity from that time or before. False if
// there is nothing.
func (l *Ledger) Recall(k model.EntityKey, before time.Time) (Past, bool) {
	if l.err != nil || !Durable(k.Type) {
		return Past{}, false
	}
	id := digestOf(string(k.Type), k.Value)
	var r *record
	if e := l.touched[id]; e != nil {
		r = &e.record
	} else if l.store != nil {
		if r, l.err = l.store.read(id); l.err != nil {
			return Past{}, false
		}
	}
	if r == nil {
		return Past{}, false
	}
	i := slices.IndexFunc(r.deeds, func(d deed) bool { return d.at <= before.Unix() })
	if i < 0 {
		return Past{}, false
	}
	d := &r.deeds[i]
	p := Past{
		Alert: d.alert, Level: levels[d.level], Tactics: tacticNames(d.tactics), Time: time.Unix(d.at, 0).UTC(),
		First: time.Unix(r.first, 0).UTC(), Last: time.Unix(r.last, 0).UTC(), Seen: tacticNames(r.tactics),
		Subjects: r.subjects.count(), Days: r.days.count(), Common: float64(r.common) / 100,
	}
	if d.rule > 0 && d.rule <= len(l.rules) {
		p.Rule, p.Title = l.rules[d.rule-1].id, l.rules[d.rule-1].title
	}
	for level, n := range l.tally[r.kind] {
		p.Known += n
		if level >= int(d.level) {
			p.Peers += n
		}
	}
	p.Known = max(p.Known, l.census[r.kind])
	return p, true
}

// Stats returns the counters.
func (l *Ledger) Stats() Stats {
	s := l.stats
	for _, t := range l.tally {
		for _, n := range t {
			s.Entities += n
		}
	}
	for _, e := range l.touched {
		if e.stored {
			s.Renewed++
		} else {
			s.Added++
		}
	}
	return s
}

// Err is why the file could not be used to the end, nil if it could. After an error
// nothing more is taken or told.
func (l *Ledger) Err() error { return l.err }
