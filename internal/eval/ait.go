package eval

import (
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// The AIT alert data sets (Landauer et al. 2024) are tables of alerts in which two
// columns hold the truth. time_label is the phase of the attack in whose window an
// alert lies, so it also marks what only happened meanwhile. event_label is the
// label of the log line beneath, so it misses what a labelled line did not cause.
// Neither alone is the truth; scores are given by both.
const (
	aitBenign    = "false_positive" // time_label of what lies in no phase
	aitUnlabeled = "-"              // event_label of a line without one
	aitDNSTheft  = "dnsteal"        // runs from before the capture on, in no window of its own
	aitStop      = "service_stop"   // the theft's end, hours before the rest begins
)

// maxPhases bounds the phases of one attack: each is compared with every other hour
// of the table.
const maxPhases = 64

// An AITScenario is one such table with its truth.
type AITScenario struct {
	Name        string
	File        string // base name of the table, which the report's evidence names
	First, Last time.Time
	// Onset is the first alert of the attack proper: theft that was there before the
	// capture has no first alert.
	Onset time.Time
	// Kinds are the names of alerts that an event of the attack proper caused, and
	// TheftKinds those that only the theft over DNS did.
	Kinds, TheftKinds []string
	// Phases are those of which there is an alert that is no chance.
	Phases []string
	// Records counts the alerts.
	Records int

	places map[aitPlace][]aitRecord // in the order of time
}

// aitPlace is what bursts of alerts have in common.
type aitPlace struct{ name, host string }

type aitRecord struct {
	at     int64 // Unix seconds
	phase  string
	event  string
	strict bool // of the attack, and no chance
}

// step is the phase that a strict record shows.
func (r *aitRecord) step() string {
	switch {
	case r.event == aitDNSTheft && r.phase != aitStop:
		return aitDNSTheft
	case r.phase == aitBenign:
		return r.event
	}
	return r.phase
}

// IsAIT says whether a truth file is a labelled table of alerts, packed or not, and
// not one of the other forms of truth.
func IsAIT(head []byte) bool {
	return len(head) > 1 && head[0] == 0x1f && head[1] == 0x8b || strings.HasPrefix(string(head), "time,name,ip,host,")
}

// ReadAIT reads a labelled table, packed with gzip or not. The name of the file
// names the scenario.
func ReadAIT(file string, r io.Reader) (*AITScenario, error) {
	s := &AITScenario{File: path.Base(strings.ReplaceAll(file, `\`, "/")), places: map[aitPlace][]aitRecord{}}
	s.Name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(s.File, ".gz"), ".csv"), "_alerts")
	if strings.HasSuffix(file, ".gz") {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		r = z
	}
	limited := &io.LimitedReader{R: r, N: MaxTruth + 1}
	if err := s.read(limited); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("%s: more than %d bytes of truth", file, MaxTruth)
	}
	if err := s.settle(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

func (s *AITScenario) read(r io.Reader) error {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	head, err := rows.Read()
	if err != nil {
		return err
	}
	var at [5]int
	for i, name := range []string{"time", "name", "host", "time_label", "event_label"} {
		if at[i] = slices.Index(head, name); at[i] < 0 {
			return fmt.Errorf("no column %q", name)
		}
	}
	words := map[string]string{} // a few names in hundreds of thousands of rows
	word := func(w string) string {
		known, ok := words[w]
		if !ok {
			known = strings.Clone(w)
			words[known] = known
		}
		return known
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(row[at[0]], 64)
		if err != nil || !(seconds >= 0 && seconds < 1<<40) {
			line, _ := rows.FieldPos(at[0])
			return fmt.Errorf("line %d: time %q is no number of seconds since 1970", line, row[at[0]])
		}
		p := aitPlace{word(row[at[1]]), word(row[at[2]])}
		s.places[p] = append(s.places[p], aitRecord{at: int64(seconds), phase: word(row[at[3]]), event: word(row[at[4]])})
		s.Records++
	}
}

// settle decides which records are of the attack and no chance: those of a labelled
// event; and in a phase's window those of a kind and host of which less than one in a
// hundred windows as long, outside of the attack, holds as many. The hour after the
// theft's end is a window of nothing.
func (s *AITScenario) settle() error {
	type window struct{ from, to int64 }
	windows := map[string]*window{}
	var all *window
	within := func(w *window, at int64) *window {
		if w == nil {
			return &window{at, at}
		}
		w.from, w.to = min(w.from, at), max(w.to, at)
		return w
	}
	for _, records := range s.places {
		slices.SortStableFunc(records, func(a, b aitRecord) int { return cmp.Compare(a.at, b.at) })
		for _, r := range records {
			all = within(all, r.at)
			if r.phase != aitBenign {
				windows[r.phase] = within(windows[r.phase], r.at)
			}
		}
	}
	if all == nil {
		return nil
	}
	s.First, s.Last = time.Unix(all.from, 0).UTC(), time.Unix(all.to, 0).UTC()
	if len(windows) > maxPhases {
		return fmt.Errorf("%d values of time_label, more than %d", len(windows), maxPhases)
	}
	onset := int64(-1)
	for place, records := range s.places {
		inside, chance := map[string]int{}, map[string]bool{}
		var outside []int64
		for _, r := range records {
			inside[r.phase]++
			if r.phase == aitBenign && r.event == aitUnlabeled {
				outside = append(outside, r.at)
			}
		}
		for phase, n := range inside {
			if phase != aitBenign {
				w := windows[phase]
				chance[phase] = usual(outside, all.from, all.to, w.to-w.from+1, n) >= 0.01
			}
		}
		for i := range records {
			r := &records[i]
			r.strict = r.event != aitUnlabeled || r.phase != aitBenign && r.phase != aitDNSTheft && !chance[r.phase]
			if !r.strict {
				continue
			}
			s.Phases = addNew(s.Phases, r.step())
			if r.step() == aitDNSTheft || r.step() == aitStop {
				if r.event == aitDNSTheft {
					s.TheftKinds = addNew(s.TheftKinds, place.name)
				}
				continue
			}
			if onset < 0 || r.at < onset {
				onset = r.at
			}
			if r.event != aitUnlabeled {
				s.Kinds = addNew(s.Kinds, place.name)
			}
		}
	}
	if onset >= 0 {
		s.Onset = time.Unix(onset, 0).UTC()
	}
	s.TheftKinds = slices.DeleteFunc(s.TheftKinds, func(k string) bool { return slices.Contains(s.Kinds, k) })
	slices.Sort(s.Kinds)
	slices.Sort(s.TheftKinds)
	slices.Sort(s.Phases)
	return nil
}

// usual returns the share of windows of a length, laid between from and to, that
// hold at least n of the times, which are in order.
func usual(times []int64, from, to, length int64, n int) float64 {
	step := max(length/2, (to-from)/5000, 1)
	windows, hits, lo, hi := 0, 0, 0, 0
	for at := from; at+length <= to; at += step {
		for hi < len(times) && times[hi] < at+length {
			hi++
		}
		for lo < hi && times[lo] < at {
			lo++
		}
		windows++
		if hi-lo >= n {
			hits++
		}
	}
	return float64(hits) / float64(max(windows, 1))
}

// aitLabel is what the truth says of one alert of a report.
type aitLabel struct {
	byTime, byEvent bool
	strict          bool
	steps           []string
	place           aitPlace
	kind            string // the alert's name, where one of its events is labelled
}

// label joins what the truth says of the records that an alert stands for: those of
// its name and host in its time.
func (s *AITScenario) label(a *model.Alert) aitLabel {
	var l aitLabel
	if !slices.ContainsFunc(a.Evidence, func(e model.Evidence) bool { return endsWithPath(e.Input, s.File) }) {
		return l
	}
	host := ""
	for _, e := range a.Entities { // the sensor's, where the alert is about nobody
		if e.Type == model.Host && (host == "" || e.Role == model.Subject) {
			host = e.Value
		}
	}
	l.place = aitPlace{a.Rule.ID, host}
	records := s.places[l.place]
	i, _ := slices.BinarySearchFunc(records, a.Time.Unix(), func(r aitRecord, at int64) int { return cmp.Compare(r.at, at) })
	for last := max(a.End.Unix(), a.Time.Unix()); i < len(records) && records[i].at <= last; i++ {
		r := &records[i]
		l.byTime = l.byTime || r.phase != aitBenign
		if r.event != aitUnlabeled {
			l.byEvent, l.kind = true, a.Rule.ID
		}
		if r.strict {
			l.strict = true
			l.steps = addNew(l.steps, r.step())
		}
	}
	return l
}

// Attack says whether an alert stands for a record of the attack that is no chance.
func (s *AITScenario) Attack(a *model.Alert) bool { return s.label(a).strict }

// An AITResult is how well a report over one or more of the tables tells their
// attacks apart from noise and from one another.
type AITResult struct {
	Scenarios []AITScore `json:"scenarios"`
	Incidents int        `json:"incidents"`
	// False incidents are of medium severity or above, and fewer than half of their
	// members are of any attack.
	False       []string `json:"false_incidents"`
	FalsePerDay float64  `json:"false_per_day"`
	FalseBits   float64  `json:"worst_false_bits"` // 0 without any
	// Own counts the scenarios that have the best incident for themselves.
	Own   int      `json:"own_incident"`
	Glued []string `json:"glued_incidents"` // hold alerts that are no chance of two attacks
	// PairF1 weighs, over pairs of the attacks' kinds of alert on a host in a phase,
	// whether those of one attack share an incident and those of two do not. A kind
	// that no incident holds is alone.
	PairF1 *float64 `json:"pair_f1"`
}

// AITScore is one scenario's part. Members are deduplicated alerts, core and
// context; shares are 0..1.
type AITScore struct {
	Name       string   `json:"name"`
	Incident   string   `json:"incident,omitempty"`
	Rank       int      `json:"rank"` // of the incident in the report, 0 if there is none
	Bits       float64  `json:"bits"` // of the incident's score
	Fragments  int      `json:"fragments"`
	Steps      int      `json:"steps"` // phases that a member shows
	StepsAll   int      `json:"steps_visible"`
	Missed     []string `json:"steps_missed"`
	Kinds      *float64 `json:"kinds"`      // share of the attack's names of alerts among the members
	KindsCore  *float64 `json:"kinds_core"` // among the core members
	Core       int      `json:"core"`
	Members    int      `json:"members"`
	TimeCore   *float64 `json:"precision_time_core"`
	TimeAll    *float64 `json:"precision_time"`
	EventCore  *float64 `json:"precision_event_core"`
	EventAll   *float64 `json:"precision_event"`
	MissedKind []string `json:"kinds_missed"`
	// Order is Kendall's tau between the order in which the phases began and that in
	// which the story's steps tell of them; null where there are no two.
	Order *float64 `json:"order_tau"`
}

// ScoreAIT compares a report over the scenarios' tables with their labels.
func ScoreAIT(r *model.Report, scenarios []*AITScenario) *AITResult {
	res := &AITResult{Scenarios: []AITScore{}, Incidents: len(r.Incidents), False: []string{}, Glued: []string{}}
	alerts := make(map[string]*model.Alert, len(r.Alerts))
	for i := range r.Alerts {
		alerts[r.Alerts[i].ID] = &r.Alerts[i]
	}
	labels := make([][]map[string]aitLabel, len(scenarios)) // by scenario and incident, of its members
	pairs := newPairs(scenarios)
	best := make([]int, len(scenarios))
	for si, s := range scenarios {
		best[si] = -1
		most := 0
		for i, inc := range r.Incidents {
			of := map[string]aitLabel{}
			var steps []string
			strict := 0
			for _, id := range slices.Concat(inc.Alerts, inc.Context) {
				a := alerts[id]
				if a == nil {
					continue
				}
				l := s.label(a)
				of[id] = l
				if l.strict {
					strict++
					pairs.in(si, i, l)
				}
				steps = addNew(steps, l.steps...)
			}
			labels[si] = append(labels[si], of)
			if n := len(steps)*1_000_000 + strict; n > most { // the phases first
				best[si], most = i, n
			}
		}
	}
	fragments := make([]int, len(scenarios))
	for i, inc := range r.Incidents {
		members, attack, holds := slices.Concat(inc.Alerts, inc.Context), 0, 0
		for si := range scenarios {
			n := 0
			for _, l := range labels[si][i] {
				if l.strict {
					n++
				}
			}
			if attack += n; n > 0 {
				holds++
			}
			if n > 0 && (i == best[si] || 2*n >= len(members)) {
				fragments[si]++
			}
		}
		switch {
		case holds > 1:
			res.Glued = append(res.Glued, inc.ID)
		case slices.Contains(best, i):
		case 2*attack < len(members) && inc.Severity.Rank() >= model.Medium.Rank():
			res.False = append(res.False, inc.ID)
			res.FalseBits = max(res.FalseBits, bitsOf(&inc))
		}
	}
	for si, s := range scenarios {
		x := AITScore{Name: s.Name, StepsAll: len(s.Phases), Missed: s.Phases, MissedKind: s.Kinds, Fragments: fragments[si]}
		if i := best[si]; i >= 0 {
			x.tell(s, &r.Incidents[i], i, alerts, labels[si][i])
			if !slices.Contains(append(slices.Clone(best[:si]), best[si+1:]...), i) {
				res.Own++
			}
		}
		res.Scenarios = append(res.Scenarios, x)
	}
	if d := days(scenarios); d > 0 {
		res.FalsePerDay = float64(len(res.False)) / d
	}
	res.PairF1 = pairs.f1()
	return res
}

func (x *AITScore) tell(s *AITScenario, inc *model.Incident, rank int, alerts map[string]*model.Alert, labels map[string]aitLabel) {
	x.Incident, x.Rank, x.Bits = inc.ID, rank+1, bitsOf(inc)
	var steps, kinds []string
	count := func(ids []string) (byTime, byEvent int) {
		for _, id := range ids {
			l := labels[id]
			if l.byTime {
				byTime++
			}
			if l.byEvent {
				byEvent++
			}
			steps, kinds = addNew(steps, l.steps...), addNew(kinds, l.kind)
		}
		return byTime, byEvent
	}
	share := func() *float64 {
		n := 0
		for _, k := range s.Kinds {
			if slices.Contains(kinds, k) {
				n++
			}
		}
		return ratio(n, len(s.Kinds))
	}
	t, e := count(inc.Alerts)
	x.Core, x.TimeCore, x.EventCore, x.KindsCore = len(inc.Alerts), ratio(t, len(inc.Alerts)), ratio(e, len(inc.Alerts)), share()
	ct, ce := count(inc.Context)
	x.Members = len(inc.Alerts) + len(inc.Context)
	x.TimeAll, x.EventAll, x.Kinds = ratio(t+ct, x.Members), ratio(e+ce, x.Members), share()
	x.Missed, x.MissedKind = without(s.Phases, steps), without(s.Kinds, kinds)
	x.Order = s.order(inc, labels)
	x.Steps = len(s.Phases) - len(x.Missed)
}

// order compares the order of the story with that of the phases. The theft that was there
// before has no beginning to compare.
func (s *AITScenario) order(inc *model.Incident, labels map[string]aitLabel) *float64 {
	began := map[string]int64{}
	for _, records := range s.places {
		for i := range records {
			r := &records[i]
			if at, ok := began[r.step()]; r.strict && (!ok || r.at < at) {
				began[r.step()] = r.at
			}
		}
	}
	var all []placed
	told := map[string]bool{aitDNSTheft: true, aitStop: true}
	for i := range inc.Steps {
		for _, id := range inc.Steps[i].Alerts {
			for _, phase := range labels[id].steps {
				if !told[phase] {
					told[phase] = true
					all = append(all, placed{time.Unix(began[phase], 0), inc.Steps[i].N})
				}
			}
		}
	}
	return tau(all)
}

func without(all, found []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(found, s) })
}

// bitsOf adds up the terms of an incident's score.
func bitsOf(inc *model.Incident) float64 {
	sum := 0.0
	for _, t := range inc.ScoreTerms {
		sum += t.Bits
	}
	return sum
}

// days is how long the tables together last, at least an hour.
func days(scenarios []*AITScenario) float64 {
	d := 0.0
	for _, s := range scenarios {
		d += max(s.Last.Sub(s.First).Hours(), 1) / 24
	}
	return d
}

// pairs holds in which incident each kind of attack alert on a host in a phase is
// first met.
type pairs struct {
	of []map[aitUnit]int // by scenario; -1 for no incident
}

type aitUnit struct {
	aitPlace
	step string
}

func newPairs(scenarios []*AITScenario) *pairs {
	p := &pairs{}
	for _, s := range scenarios {
		of := map[aitUnit]int{}
		for place, records := range s.places {
			for i := range records {
				if r := &records[i]; r.strict && r.step() != aitDNSTheft && r.step() != aitStop {
					of[aitUnit{place, r.step()}] = -1
				}
			}
		}
		p.of = append(p.of, of)
	}
	return p
}

// in notes that an incident holds an alert of a scenario.
func (p *pairs) in(scenario, incident int, l aitLabel) {
	for _, step := range l.steps {
		if at, ok := p.of[scenario][aitUnit{l.place, step}]; ok && at < 0 {
			p.of[scenario][aitUnit{l.place, step}] = incident
		}
	}
}

func (p *pairs) f1() *float64 {
	perIncident := map[int][]int{} // by incident, units of each scenario
	var together, same, right int
	two := func(n int) int { return n * (n - 1) / 2 }
	for si, of := range p.of {
		same += two(len(of))
		for _, at := range of {
			if at < 0 {
				continue
			}
			if perIncident[at] == nil {
				perIncident[at] = make([]int, len(p.of))
			}
			perIncident[at][si]++
		}
	}
	for _, units := range perIncident {
		all := 0
		for _, n := range units {
			all += n
			right += two(n)
		}
		together += two(all)
	}
	if same+together == 0 {
		return nil
	}
	return ratio(2*right, same+together)
}
