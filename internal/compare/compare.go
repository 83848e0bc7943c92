// Package compare tells what two reports over the same evidence fuse differently:
// which incidents appear, vanish, split, merge or change, which alerts moved, which
// rules made the difference, and what that does to an analyst's verdicts.
//
// Incidents and alerts are matched by the records that show them (input and
// number), never by id: an id comes from a seed alert, and another rule set has
// other seeds. All results depend on the reports only and come in a fixed order.
package compare

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Kind is what became of a group of incidents.
type Kind string

// The kinds, in the order a result lists them.
const (
	Vanished  Kind = "vanished"  // only in A
	Appeared  Kind = "appeared"  // only in B
	Split     Kind = "split"     // one of A, several of B
	Merged    Kind = "merged"    // several of A, one of B
	Regrouped Kind = "regrouped" // several of both
	Changed   Kind = "changed"   // one of each that say different things
	Same      Kind = "same"      // one of each, and nothing to tell
)

func kinds() []Kind { return []Kind{Vanished, Appeared, Split, Merged, Regrouped, Changed, Same} }

// A Result is how B differs from A.
type Result struct {
	A Side `json:"a"`
	B Side `json:"b"`
	// Counts says how many groups there are of each kind.
	Counts map[Kind]int `json:"counts"`
	// Groups hold every incident of both reports once, changed ones first.
	Groups []Group `json:"groups"`
	// Rules hold the rules whose alerts differ or moved, the most first.
	Rules []RuleDiff `json:"rules"`
	// Moved are the alerts of both reports that stand with others in B.
	Moved []Move `json:"moved"`
	// Verdicts is nil if none were given.
	Verdicts *VerdictResult `json:"verdicts,omitempty"`
	// Notes say what keeps the two from being compared in full.
	Notes []string `json:"notes"`
}

// Differ reports whether B fuses anything differently: any group that is not the
// same, or any alert that is in one only or moved.
func (r *Result) Differ() bool {
	return len(r.Groups) != r.Counts[Same] || len(r.Rules) > 0 || len(r.Moved) > 0
}

// A Side is what is compared.
type Side struct {
	Version   string `json:"version"`
	Rules     string `json:"rules"`
	Attack    string `json:"attack_version"`
	Events    int64  `json:"events"`
	Incidents int    `json:"incidents"`
	Alerts    int    `json:"alerts"` // in the report, not of the evidence
}

// A Group is incidents of A and B that share evidence.
type Group struct {
	Kind    Kind     `json:"kind"`
	A       []Member `json:"a"`
	B       []Member `json:"b"`
	Shared  int      `json:"shared"` // records in both
	Changes []Change `json:"changes"`
	// Rules are those with alerts here that only one report has or that moved; at
	// most ten, the most first.
	Rules []RuleDiff `json:"rules"`
}

// A Member is one incident of a group.
type Member struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Severity string `json:"severity"`
	Score    int    `json:"score"`
	Rank     int    `json:"rank"` // 1 is the worst of its report
	Alerts   int    `json:"alerts"`
	Records  int    `json:"records"`
}

// A Change is one thing that the two say differently of an incident.
type Change struct {
	What string `json:"what"` // severity, rank, score, root, title
	A    string `json:"a"`
	B    string `json:"b"`
}

// A RuleDiff counts the alerts of one rule.
type RuleDiff struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	A     int    `json:"a"`
	B     int    `json:"b"`
	OnlyA int    `json:"only_a"`
	OnlyB int    `json:"only_b"`
	Moved int    `json:"moved"`
}

func (d RuleDiff) weight() int { return d.OnlyA + d.OnlyB + d.Moved }

// A Move is an alert that stands elsewhere in B. An empty incident is none.
type Move struct {
	AlertA    string `json:"alert_a"`
	AlertB    string `json:"alert_b"`
	Rule      string `json:"rule"`
	Title     string `json:"title"`
	IncidentA string `json:"incident_a"`
	IncidentB string `json:"incident_b"`
}

// groupRules bounds how many rules a group lists.
const groupRules = 10

// Reports compares two reports. verdicts may be empty.
func Reports(a, b *Report, verdicts []Verdict) *Result {
	c := newComparison(a, b)
	c.match()
	c.pair()
	res := &Result{A: sideOf(a), B: sideOf(b), Counts: map[Kind]int{}, Groups: c.groups(), Rules: c.rules(), Moved: c.moves(), Notes: c.notes()}
	for _, g := range res.Groups {
		res.Counts[g.Kind]++
	}
	if len(verdicts) > 0 {
		res.Verdicts = c.judge(verdicts)
	}
	return res
}

func sideOf(r *Report) Side {
	return Side{r.Engine.Version, r.Engine.Rules, r.Engine.AttackVersion, r.Totals.Events, len(r.incidents), len(r.alerts)}
}

// side is a report made ready: places as numbers that both sides share.
type side struct {
	*Report
	alertPlaces [][]int32 // by alert, sorted
	incPlaces   [][]int32 // by incident, sorted
	incOf       []int     // by alert, -1 if none
	alone       map[int]bool
	// holders are the incidents that hold a place.
	holders map[int32][]int32
}

type comparison struct {
	a, b   side
	shared []overlap // linked pairs of incidents, strongest first
	heirOf []int     // by incident of A: its best of B, or -1
	group  []int     // by incident of A, then of B: its group
	groupN int
	pairA  []int // by alert of A: that of B, or -1
	pairB  []int
	byPath bool // inputs are compared by their whole path
}

type overlap struct{ a, b, n int }

func newComparison(a, b *Report) *comparison {
	c := &comparison{byPath: sharePath(a, b)}
	ids := map[place]int32{}
	c.a, c.b = c.ready(a, ids), c.ready(b, ids)
	return c
}

// sharePath reports whether any input stands under the same path in both. Where
// none does, the same folder was read from elsewhere.
func sharePath(a, b *Report) bool {
	in := map[string]bool{}
	for _, i := range a.inputs {
		in[i.Path] = true
	}
	return slices.ContainsFunc(b.inputs, func(i input) bool { return in[i.Path] })
}

// below returns what to take off the paths of a report's inputs: their common folder.
func (c *comparison) below(r *Report) string {
	if c.byPath || len(r.inputs) == 0 {
		return ""
	}
	dir := path.Dir(r.inputs[0].Path) + "/"
	for _, i := range r.inputs {
		for dir != "" && !strings.HasPrefix(i.Path, dir) {
			dir = dir[:strings.LastIndexByte(strings.TrimSuffix(dir, "/"), '/')+1]
		}
	}
	return dir
}

func (c *comparison) ready(r *Report, ids map[place]int32) side {
	s := side{Report: r, alertPlaces: make([][]int32, len(r.alerts)), incPlaces: make([][]int32, len(r.incidents)),
		incOf: make([]int, len(r.alerts)), alone: map[int]bool{}, holders: map[int32][]int32{}}
	dir := c.below(r)
	for i := range r.alerts {
		s.incOf[i] = -1
		var list []int32
		for _, e := range r.alerts[i].Evidence {
			e.Input = strings.TrimPrefix(e.Input, dir)
			id, ok := ids[e]
			if !ok {
				id = int32(len(ids))
				ids[e] = id
			}
			list = append(list, id)
		}
		slices.Sort(list)
		s.alertPlaces[i] = slices.Compact(list)
	}
	for i := range r.incidents {
		var list []int32
		for _, id := range r.incidents[i].Alerts {
			k := r.byAlert[id]
			if s.incOf[k] < 0 {
				s.incOf[k] = i
			}
			list = append(list, s.alertPlaces[k]...)
		}
		slices.Sort(list)
		s.incPlaces[i] = slices.Compact(list)
		for _, p := range s.incPlaces[i] {
			s.holders[p] = append(s.holders[p], int32(i))
		}
	}
	for _, id := range r.alone {
		if k, ok := r.byAlert[id]; ok {
			s.alone[k] = true
		}
	}
	return s
}

// Two incidents are linked if they share at least half of the smaller one's
// records, or if each is the other's best: a rule set that reads other records
// of the same attack shares few.
const linkShare = 2

// maxHolders bounds how many incidents of one report a record may count for: a
// record that more of them cite tells none from another.
const maxHolders = 64

func (c *comparison) match() {
	var all []overlap
	counts := newCounter(len(c.b.incidents))
	for i, list := range c.a.incPlaces {
		for _, p := range list {
			if hs := c.b.holders[p]; len(hs) <= maxHolders && len(c.a.holders[p]) <= maxHolders {
				for _, j := range hs {
					counts.add(int(j))
				}
			}
		}
		for _, j := range counts.seen {
			all = append(all, overlap{i, j, counts.of[j]})
		}
		counts.reset()
	}
	slices.SortFunc(all, func(x, y overlap) int {
		return cmp.Or(cmp.Compare(y.n, x.n), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	bestA, bestB := filled(len(c.a.incidents), -1), filled(len(c.b.incidents), -1)
	for _, o := range all {
		if bestA[o.a] < 0 {
			bestA[o.a] = o.b
		}
		if bestB[o.b] < 0 {
			bestB[o.b] = o.a
		}
	}
	sets := newSets(len(c.a.incidents) + len(c.b.incidents))
	c.heirOf = filled(len(c.a.incidents), -1)
	for _, o := range all {
		smaller := min(len(c.a.incPlaces[o.a]), len(c.b.incPlaces[o.b]))
		if o.n*linkShare < smaller && (bestA[o.a] != o.b || bestB[o.b] != o.a) {
			continue
		}
		c.shared = append(c.shared, o)
		sets.join(o.a, len(c.a.incidents)+o.b)
		if c.heirOf[o.a] < 0 {
			c.heirOf[o.a] = o.b
		}
	}
	c.group, c.groupN = sets.numbers()
}

// pair finds for each alert of A the alert of B by the same rule that shares most
// of its records.
func (c *comparison) pair() {
	rules := map[string]int32{}
	key := func(rule string, place int32) uint64 {
		n, ok := rules[rule]
		if !ok {
			n = int32(len(rules))
			rules[rule] = n
		}
		return uint64(n)<<32 | uint64(uint32(place))
	}
	of := map[uint64][]int32{} // alerts of B by rule and place
	for j := range c.b.alerts {
		for _, p := range c.b.alertPlaces[j] {
			k := key(c.b.alerts[j].Rule.ID, p)
			if l := of[k]; len(l) < maxHolders {
				of[k] = append(l, int32(j))
			}
		}
	}
	c.pairA, c.pairB = filled(len(c.a.alerts), -1), filled(len(c.b.alerts), -1)
	counts := newCounter(len(c.b.alerts))
	for i := range c.a.alerts {
		for _, p := range c.a.alertPlaces[i] {
			for _, j := range of[key(c.a.alerts[i].Rule.ID, p)] {
				if c.pairB[j] < 0 {
					counts.add(int(j))
				}
			}
		}
		best := -1
		for _, j := range counts.seen {
			if best < 0 || counts.of[j] > counts.of[best] || counts.of[j] == counts.of[best] && j < best {
				best = j
			}
		}
		counts.reset()
		if best >= 0 {
			c.pairA[i], c.pairB[best] = best, i
		}
	}
}

// moved reports whether alert i of A, which B has as j, stands elsewhere there.
func (c *comparison) moved(i, j int) bool {
	x, y := c.a.incOf[i], c.b.incOf[j]
	if x < 0 || y < 0 {
		return x >= 0 || y >= 0
	}
	return c.heirOf[x] != y
}

func (c *comparison) moves() []Move {
	out := []Move{}
	for i, j := range c.pairA {
		if j >= 0 && c.moved(i, j) {
			a := &c.a.alerts[i]
			out = append(out, Move{a.ID, c.b.alerts[j].ID, a.Rule.ID, a.Rule.Title, c.a.incidentOf(i), c.b.incidentOf(j)})
		}
	}
	return out
}

func (s *side) incidentOf(alert int) string {
	if i := s.incOf[alert]; i >= 0 {
		return s.incidents[i].ID
	}
	return ""
}

func (c *comparison) rules() []RuleDiff {
	t := tally{}
	for i, j := range c.pairA {
		t.a(&c.a.alerts[i], j < 0, j >= 0 && c.moved(i, j))
	}
	for j, i := range c.pairB {
		t.b(&c.b.alerts[j], i < 0, false) // moves are counted where they leave
	}
	return t.list()
}

// A tally counts alerts by rule.
type tally map[string]*RuleDiff

func (t tally) of(a *alert) *RuleDiff {
	d := t[a.Rule.ID]
	if d == nil {
		d = &RuleDiff{ID: a.Rule.ID, Title: a.Rule.Title}
		t[a.Rule.ID] = d
	}
	return d
}

func (t tally) a(a *alert, only, moved bool) {
	d := t.of(a)
	d.A++
	if only {
		d.OnlyA++
	}
	if moved {
		d.Moved++
	}
}

func (t tally) b(a *alert, only, moved bool) {
	d := t.of(a)
	d.B++
	if only {
		d.OnlyB++
	}
	if moved {
		d.Moved++
	}
}

// list returns the rules that differ, the most first.
func (t tally) list() []RuleDiff {
	out := []RuleDiff{}
	for _, d := range t {
		if d.weight() > 0 {
			out = append(out, *d)
		}
	}
	slices.SortFunc(out, func(x, y RuleDiff) int {
		return cmp.Or(cmp.Compare(y.weight(), x.weight()), cmp.Compare(x.ID, y.ID))
	})
	return out
}

func (c *comparison) groups() []Group {
	out := make([]Group, c.groupN)
	tallies := make([]tally, c.groupN)
	for g := range out {
		out[g] = Group{A: []Member{}, B: []Member{}, Changes: []Change{}}
		tallies[g] = tally{}
	}
	for i := range c.a.incidents {
		g := &out[c.group[i]]
		g.A = append(g.A, c.a.member(i))
	}
	for j := range c.b.incidents {
		g := &out[c.group[len(c.a.incidents)+j]]
		g.B = append(g.B, c.b.member(j))
	}
	for _, o := range c.shared {
		out[c.group[o.a]].Shared += o.n
	}
	for i, j := range c.pairA {
		if x := c.a.incOf[i]; x >= 0 {
			tallies[c.group[x]].a(&c.a.alerts[i], j < 0, j >= 0 && c.moved(i, j))
		}
	}
	for j, i := range c.pairB {
		if y := c.b.incOf[j]; y >= 0 {
			g := c.group[len(c.a.incidents)+y]
			came := i >= 0 && (c.a.incOf[i] < 0 || c.group[c.a.incOf[i]] != g)
			tallies[g].b(&c.b.alerts[j], i < 0, came)
		}
	}
	ranks := c.relativeRanks(out)
	for g := range out {
		rules := tallies[g].list()
		out[g].Rules = rules[:min(groupRules, len(rules))]
		c.name(&out[g], ranks)
	}
	slices.SortStableFunc(out, func(x, y Group) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds(), x.Kind), slices.Index(kinds(), y.Kind)), cmp.Compare(x.rank(), y.rank()))
	})
	return out
}

// rank is that of the worst incident of a group.
func (g *Group) rank() int {
	if len(g.A) > 0 {
		return g.A[0].Rank
	}
	return g.B[0].Rank
}

func (s *side) member(i int) Member {
	inc := &s.incidents[i]
	return Member{ID: inc.ID, Title: inc.Title, Severity: string(inc.Severity), Score: inc.Score, Rank: i + 1, Alerts: len(inc.Alerts), Records: len(s.incPlaces[i])}
}

// relativeRanks returns the place of each incident that has one counterpart among
// those that have, by id, "a" or "b" before it: one that appears above others has
// not changed how they stand to each other.
func (c *comparison) relativeRanks(groups []Group) map[string]int {
	one := func(g int) bool { return len(groups[g].A) == 1 && len(groups[g].B) == 1 }
	ranks := map[string]int{}
	for i, n := 0, 0; i < len(c.a.incidents); i++ {
		if one(c.group[i]) {
			n++
			ranks["a"+c.a.incidents[i].ID] = n
		}
	}
	for j, n := 0, 0; j < len(c.b.incidents); j++ {
		if one(c.group[len(c.a.incidents)+j]) {
			n++
			ranks["b"+c.b.incidents[j].ID] = n
		}
	}
	return ranks
}

// name gives a group its kind and its changes.
func (c *comparison) name(g *Group, ranks map[string]int) {
	switch a, b := len(g.A), len(g.B); {
	case b == 0:
		g.Kind = Vanished
	case a == 0:
		g.Kind = Appeared
	case a == 1 && b > 1:
		g.Kind = Split
	case a > 1 && b == 1:
		g.Kind = Merged
	case a > 1:
		g.Kind = Regrouped
	default:
		g.Changes = c.changes(g.A[0], g.B[0], ranks)
		g.Kind = Same
		if len(g.Changes) > 0 || len(g.Rules) > 0 {
			g.Kind = Changed
		}
	}
}

func (c *comparison) changes(a, b Member, ranks map[string]int) []Change {
	out := []Change{}
	add := func(what, x, y string) {
		if x != y {
			out = append(out, Change{what, x, y})
		}
	}
	add("severity", a.Severity, b.Severity)
	if ranks["a"+a.ID] != ranks["b"+b.ID] {
		add("rank", fmt.Sprint(ranks["a"+a.ID]), fmt.Sprint(ranks["b"+b.ID]))
	}
	add("score", fmt.Sprint(a.Score), fmt.Sprint(b.Score))
	add("root", c.a.root(a.Rank-1), c.b.root(b.Rank-1))
	add("title", a.Title, b.Title)
	return out
}

func (s *side) root(i int) string {
	r := &s.incidents[i].Root
	words := []string{r.Time.UTC().Format(time.RFC3339Nano), r.Entity}
	for _, w := range []string{r.Host, r.Process, r.Technique} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// maxNotes bounds how many inputs the notes name.
const maxNotes = 20

func (c *comparison) notes() []string {
	notes := []string{}
	for _, s := range []struct {
		name string
		r    *Report
	}{{"A", c.a.Report}, {"B", c.b.Report}} {
		if s.r.Totals.Alerts > len(s.r.alerts) {
			notes = append(notes, fmt.Sprintf("%s holds %d of its %d alerts: those that joined nothing are not compared (analyze with --alerts holds all)", s.name, len(s.r.alerts), s.r.Totals.Alerts))
		}
	}
	if !c.byPath && len(c.a.inputs) > 0 && len(c.b.inputs) > 0 {
		notes = append(notes, "no input has the same path in both: inputs are compared by their path below their common folder")
	}
	other := c.inputNotes()
	if more := len(other) - maxNotes; more > 0 {
		other = append(other[:maxNotes], fmt.Sprintf("and %d further inputs differ", more))
	}
	return append(notes, other...)
}

// inputNotes says which evidence is not the same.
func (c *comparison) inputNotes() []string {
	in := map[string]int64{}
	da, db := c.below(c.a.Report), c.below(c.b.Report)
	for _, i := range c.a.inputs {
		in[strings.TrimPrefix(i.Path, da)] = i.Events
	}
	var notes []string
	for _, i := range c.b.inputs {
		p := strings.TrimPrefix(i.Path, db)
		switch n, ok := in[p]; {
		case !ok:
			notes = append(notes, "only B read "+p)
		case n != i.Events:
			notes = append(notes, fmt.Sprintf("%s: %d events in A, %d in B", p, n, i.Events))
		}
		delete(in, p)
	}
	var rest []string
	for p := range in {
		rest = append(rest, "only A read "+p)
	}
	slices.Sort(rest)
	return append(notes, rest...)
}

func filled(n, v int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// A counter counts small numbers, again and again, at the cost of those it saw.
type counter struct {
	of   []int
	seen []int
}

func newCounter(n int) *counter { return &counter{of: make([]int, n)} }

func (c *counter) add(i int) {
	if c.of[i] == 0 {
		c.seen = append(c.seen, i)
	}
	c.of[i]++
}

func (c *counter) reset() {
	for _, i := range c.seen {
		c.of[i] = 0
	}
	c.seen = c.seen[:0]
}

// sets are disjoint sets of small numbers.
type sets []int

func newSets(n int) sets {
	s := make(sets, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func (s sets) find(i int) int {
	for s[i] != i {
		s[i] = s[s[i]]
		i = s[i]
	}
	return i
}

func (s sets) join(i, j int) { s[s.find(i)] = s.find(j) }

// numbers returns the number of each one's set, by first member, and how many there are.
func (s sets) numbers() (of []int, n int) {
	first := map[int]int{}
	of = make([]int, len(s))
	for i := range s {
		r := s.find(i)
		k, ok := first[r]
		if !ok {
			k = len(first)
			first[r] = k
		}
		of[i] = k
	}
	return of, len(first)
}
