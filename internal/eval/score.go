package eval

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// A Result is the scoreboard of one report. Shares are 0..1; a share of nothing
// is null.
type Result struct {
	Campaigns []CampaignResult `json:"campaigns"`
	// FalseIncidents hold no member of any campaign and are of medium severity or
	// above; FalseLow are the same below medium.
	FalseIncidents []string `json:"false_incidents"`
	FalseLow       []string `json:"false_low_incidents"`
	// Glued incidents hold members of two or more campaigns.
	Glued     []string `json:"glued_incidents"`
	Incidents int      `json:"incidents"`
	// Benign are the activities of the truth of which an incident holds an alert.
	Benign []ActivityResult `json:"benign"`
}

// An ActivityResult is what work that is no attack, though it looks like one, came to.
type ActivityResult struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	// False are the false incidents of which it has most members, whatever their severity.
	False []string `json:"false_incidents"`
	// Drawn counts its alerts that are members of incidents of campaigns.
	Drawn int `json:"members_of_campaigns"`
}

// Planned counts the false incidents that are mostly of an activity that the truth names.
func (r *Result) Planned() int {
	n := 0
	for i := range r.Benign {
		for _, id := range r.Benign[i].False {
			if slices.Contains(r.FalseIncidents, id) {
				n++
			}
		}
	}
	return n
}

// CampaignResult is how well a report tells one campaign. Everything but
// Fragments and Recall is about the incident that tells it best: the one with
// most of its alerts, then with most of its steps, then the first.
type CampaignResult struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Found    bool   `json:"found"` // an incident holds an alert of it and shows a step
	Incident string `json:"incident,omitempty"`
	Name     string `json:"incident_title,omitempty"`
	Severity string `json:"severity,omitempty"`
	// Fragments counts the incidents that hold alerts of it: 1 is whole.
	Fragments int `json:"fragments"`

	Root RootResult `json:"root"`

	StepsVisible int          `json:"steps_visible"`
	StepsFound   int          `json:"steps_found"` // strict or loose
	StepsStrict  int          `json:"steps_strict"`
	StepsLoose   int          `json:"steps_loose"`
	StepShare    *float64     `json:"steps_share"`
	Steps        []StepResult `json:"steps"`

	Members   int      `json:"members"`        // alerts in the incident
	Belong    int      `json:"members_belong"` // those that belong to the campaign
	ByUser    int      `json:"members_belong_by_user_only"`
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"` // share of the report's alerts of it that the incident holds
	// RecallContext is the same with the alerts that the incident shows beside its members.
	RecallContext *float64 `json:"recall_with_context"`

	// RaisedAfter is the time from the first visible step to the act with which there was
	// enough for the incident, in seconds; null where the report does not say.
	RaisedAfter *float64 `json:"raised_after_s"`

	Cited       int  `json:"events_cited"`
	CitedBelong *int `json:"events_cited_belong"` // only exact truth can tell

	Order *float64 `json:"order_tau"` // Kendall's tau of the steps that both order, -1..1

	Strangers []Member `json:"strangers"` // members that do not belong, for a person to check
	Judged    []Member `json:"belonging"`
}

// RootResult compares roots; a part is null where the truth knows none.
type RootResult struct {
	Host    *bool  `json:"host"`
	User    *bool  `json:"user"`
	Process *bool  `json:"process"`
	Right   bool   `json:"right"` // every part that the truth knows
	Got     string `json:"got"`
	Want    string `json:"want"`
	Seconds *int64 `json:"seconds_off,omitempty"` // report minus truth
}

// StepResult says how a step was found.
type StepResult struct {
	N         int    `json:"n"`
	Time      string `json:"time,omitempty"`
	Technique string `json:"technique"`
	What      string `json:"what"`
	Visible   bool   `json:"visible"`
	Strict    bool   `json:"strict"` // technique (or its parent) at the time on the host
	Loose     bool   `json:"loose"`  // the evidence itself at the time on the host
	By        string `json:"by,omitempty"`
}

// A Member is an alert of an incident with why it belongs, empty if it does not.
type Member struct {
	ID    string    `json:"id"`
	Title string    `json:"title"`
	Time  time.Time `json:"time"`
	Why   string    `json:"why,omitempty"`
}

// slack is how far outside a campaign's window judged truth accepts its alerts.
const slack = time.Minute

// Score compares a report with a key.
func Score(r *model.Report, k *Key) *Result {
	s := newScorer(r)
	res := &Result{Campaigns: []CampaignResult{}, FalseIncidents: []string{}, FalseLow: []string{}, Glued: []string{}, Incidents: len(r.Incidents), Benign: []ActivityResult{}}
	holds := make([]int, len(r.Incidents)) // campaigns an incident holds members of
	for i := range k.Campaigns {
		c := s.campaign(&k.Campaigns[i], holds)
		res.Campaigns = append(res.Campaigns, c)
	}
	for i, inc := range r.Incidents {
		switch {
		case holds[i] > 1:
			res.Glued = append(res.Glued, inc.ID)
		case holds[i] == 1:
		case inc.Severity.Rank() >= model.Medium.Rank():
			res.FalseIncidents = append(res.FalseIncidents, inc.ID)
		default:
			res.FalseLow = append(res.FalseLow, inc.ID)
		}
	}
	s.activities(k, holds, res)
	return res
}

// activities says which works that are no attacks the incidents hold. A false incident is
// that of the activity with most of its members, if that has more than all else.
func (s *scorer) activities(k *Key, holds []int, res *Result) {
	for i := range k.Activities {
		a := &k.Activities[i]
		of := func(id string) bool {
			seen := s.alerts[id]
			return seen != nil && slices.ContainsFunc(seen.evidence, a.holds)
		}
		x := ActivityResult{ID: a.ID, Kind: a.Kind, False: []string{}}
		for j := range s.report.Incidents {
			inc := &s.report.Incidents[j]
			n := 0
			for _, id := range inc.Alerts {
				if of(id) {
					n++
				}
			}
			switch {
			case holds[j] > 0:
				x.Drawn += n
			case 2*n > len(inc.Alerts):
				x.False = append(x.False, inc.ID)
			}
		}
		if x.Drawn > 0 || len(x.False) > 0 {
			res.Benign = append(res.Benign, x)
		}
	}
}

type scorer struct {
	report *model.Report
	alerts map[string]*seen
	events map[string]*model.Evidence
	views  [][]*seen // by incident: the steps of its story, then its alerts; made when first asked for
}

// seen is an alert or step in the form that truth is compared with.
type seen struct {
	id, title  string
	time, end  time.Time
	techniques []string
	hosts      []string // short names
	ips, users []string
	images     []string // base names of processes and files
	text       string   // everything it says, lower case
	evidence   []model.Evidence
	step       int // its number in the story, 0 for an alert
}

func newScorer(r *model.Report) *scorer {
	s := &scorer{report: r, alerts: map[string]*seen{}, events: map[string]*model.Evidence{}, views: make([][]*seen, len(r.Incidents))}
	for i := range r.Events {
		s.events[r.Events[i].ID] = &r.Events[i]
	}
	for i := range r.Alerts {
		a := &r.Alerts[i]
		for j := range a.Evidence {
			s.events[a.Evidence[j].ID] = &a.Evidence[j]
		}
		s.alerts[a.ID] = s.seeAlert(a)
	}
	return s
}

func (s *scorer) seeAlert(a *model.Alert) *seen {
	v := &seen{id: a.ID, title: a.Rule.Title, time: a.Time, end: a.End, techniques: a.Techniques, evidence: a.Evidence}
	var text strings.Builder
	text.WriteString(a.Rule.Title)
	for _, e := range a.Entities {
		if e.Role == model.Sensor {
			continue
		}
		text.WriteString("\n" + e.Value + "\n" + e.Name)
		switch e.Type {
		case model.Host:
			v.hosts = addNew(v.hosts, shortHost(e.Value))
		case model.IP:
			v.ips = addNew(v.ips, e.Value)
		case model.User, model.IAMRole, model.Session, model.Mailbox:
			v.users = addNew(v.users, userParts(e.Value)...)
		case model.Process:
			v.images = addNew(v.images, baseName(e.Name))
		case model.File:
			v.images = addNew(v.images, baseName(e.Value))
		}
	}
	for _, e := range a.Evidence {
		text.WriteString("\n" + plain(e.Event))
	}
	v.text = strings.ToLower(text.String())
	return v
}

// seeStep merges a step with what it cites.
func (s *scorer) seeStep(st *model.Step) *seen {
	v := &seen{id: "step " + strconv.Itoa(st.N), title: st.Summary, time: st.Time, end: st.End, techniques: []string{st.Technique}, step: st.N}
	v.hosts = addNew(nil, shortHost(st.Host), shortHost(st.From), shortHost(st.To))
	var text strings.Builder
	text.WriteString(st.Summary + "\n" + st.User + "\n" + st.From + "\n" + st.To)
	for _, id := range st.Alerts {
		if a := s.alerts[id]; a != nil {
			v.hosts = addNew(v.hosts, a.hosts...)
			v.techniques = addNew(v.techniques, a.techniques...)
			text.WriteString("\n" + a.text)
			v.evidence = append(v.evidence, a.evidence...)
		}
	}
	for _, id := range st.Events {
		if e := s.events[id]; e != nil {
			text.WriteString("\n" + plain(e.Event))
			v.evidence = append(v.evidence, *e)
		}
	}
	v.text = strings.ToLower(text.String())
	return v
}

// plain returns the values of a JSON record as text: escapes undone, one value a
// line. What is no JSON is returned as it is.
func plain(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	var b strings.Builder
	flatten(&b, v)
	return b.String()
}

func flatten(b *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.WriteString(v + "\n")
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'f', -1, 64) + "\n")
	case []any:
		for _, x := range v {
			flatten(b, x)
		}
	case map[string]any: // the order of keys does not matter to who searches for words
		for _, x := range v {
			flatten(b, x)
		}
	}
}

// overlaps says whether what was seen lies within d of t. What lasted longer than
// a quarter of an hour counts at its ends only: an alert that stands for a day of
// matches is not the sight of a step at noon.
func (v *seen) overlaps(t time.Time, d time.Duration) bool {
	near := func(at time.Time) bool { return t.Sub(at).Abs() <= d }
	end := v.end
	if end.Before(v.time) {
		end = v.time
	}
	if end.Sub(v.time) > 15*time.Minute {
		return near(v.time) || near(end)
	}
	return !t.Before(v.time.Add(-d)) && !t.After(end.Add(d))
}

func (s *scorer) campaign(c *Campaign, holds []int) CampaignResult {
	res := CampaignResult{ID: c.ID, Title: c.Title, Strangers: []Member{}, Judged: []Member{}, Steps: []StepResult{}}
	why := make(map[string]string, len(s.alerts)) // alert id to why it belongs
	total := 0
	for id, a := range s.alerts {
		if w := c.judge(a); w != "" {
			why[id] = w
			total++
		}
	}
	type candidate struct {
		index, sure, found int
		steps              []StepResult
	}
	best := candidate{index: -1}
	for i := range s.report.Incidents {
		inc := &s.report.Incidents[i]
		sure := 0
		for _, id := range inc.Alerts {
			if why[id] != "" && why[id] != byUser {
				sure++
			}
		}
		if sure == 0 {
			continue
		}
		res.Fragments++
		holds[i]++
		x := candidate{index: i, sure: sure, steps: c.steps(s.viewsOf(i))}
		for _, st := range x.steps {
			if st.Strict || st.Loose {
				x.found++
			}
		}
		if best.index < 0 || cmp.Or(cmp.Compare(x.sure, best.sure), cmp.Compare(x.found, best.found)) > 0 {
			best = x
		}
	}
	res.StepsVisible = visible(c.Steps)
	if best.index < 0 {
		res.Steps = c.steps(nil)
		res.Root = c.root(nil)
		res.StepShare, res.Recall, res.RecallContext = ratio(0, res.StepsVisible), ratio(0, total), ratio(0, total)
		return res
	}
	inc := &s.report.Incidents[best.index]
	res.Incident, res.Name, res.Severity = inc.ID, inc.Title, string(inc.Severity)
	res.Found = best.found > 0
	res.Steps = best.steps
	res.StepsFound = best.found
	for _, st := range best.steps {
		if st.Strict {
			res.StepsStrict++
		}
		if st.Loose {
			res.StepsLoose++
		}
	}
	res.StepShare = ratio(res.StepsFound, res.StepsVisible)
	for _, id := range inc.Alerts {
		m := Member{ID: id, Why: why[id]}
		if a := s.alerts[id]; a != nil {
			m.Title, m.Time = a.title, a.time
		}
		res.Members++
		switch m.Why {
		case "":
			res.Strangers = append(res.Strangers, m)
			continue
		case byUser:
			res.ByUser++
		}
		res.Belong++
		res.Judged = append(res.Judged, m)
	}
	beside := res.Belong
	for _, id := range inc.Context {
		if why[id] != "" {
			beside++
		}
	}
	res.Precision, res.Recall, res.RecallContext = ratio(res.Belong, res.Members), ratio(res.Belong, total), ratio(beside, total)
	if begin := c.Onset(); inc.Clocks != nil && !inc.Clocks.Raised.IsZero() && !begin.IsZero() {
		after := max(0, inc.Clocks.Raised.Sub(begin).Seconds())
		res.RaisedAfter = &after
	}
	s.cited(c, inc, &res)
	res.Root = c.root(&inc.Root)
	res.Order = c.order(s.viewsOf(best.index))
	return res
}

// cited counts the events that the story cites beyond its alerts' evidence.
func (s *scorer) cited(c *Campaign, inc *model.Incident, res *CampaignResult) {
	evidence := map[string]bool{}
	for _, id := range inc.Alerts {
		if a := s.alerts[id]; a != nil {
			for _, e := range a.evidence {
				evidence[e.ID] = true
			}
		}
	}
	var ids []string
	for _, st := range inc.Steps {
		ids = append(ids, st.Events...)
	}
	slices.Sort(ids)
	belong := 0
	for _, id := range slices.Compact(ids) {
		if evidence[id] {
			continue
		}
		res.Cited++
		if e := s.events[id]; e != nil && c.hasRecord(*e) {
			belong++
		}
	}
	if c.exact {
		res.CitedBelong = &belong
	}
}

const byUser = "a user of the campaign, nothing more"

// judge says why an alert belongs to the campaign, empty if it does not.
//
// Exact truth: one of its evidence records is named as the campaign's.
//
// Judged truth: the alert lies inside the campaign's window (a minute more at
// both ends), touches one of its hosts where it has any (by name, or by the
// host's address for sensors on the wire), is not by a user known as benign, and
// shares with the campaign, first that applies: the evidence of a step at its
// time; the attacker's address; a program that the attack brought (its entry, or
// an executable it wrote); a technique of a step at its time; a user. The last is weak, as the
// victim's own work goes on, and is counted apart.
func (c *Campaign) judge(a *seen) string {
	if c.exact {
		for _, e := range a.evidence {
			if c.hasRecord(e) {
				return "a record of the campaign"
			}
		}
		return ""
	}
	if c.From.IsZero() || a.end.Before(c.From.Add(-slack)) || a.time.After(c.To.Add(slack)) {
		return ""
	}
	if len(c.Hosts) > 0 && len(a.hosts) > 0 && !share(a.hosts, c.Hosts) && !share(a.ips, c.HostIPs) {
		return ""
	}
	if share(a.users, c.Benign) && !share(a.users, c.Users) {
		return ""
	}
	for i := range c.Steps {
		if st := &c.Steps[i]; st.Visible && a.overlaps(st.Time, st.Tolerance) && st.onHost(a) && st.says(a.text) {
			return "evidence of step " + strconv.Itoa(st.N)
		}
	}
	for _, ip := range c.IPs {
		if slices.Contains(a.ips, ip) {
			return "the attacker's address " + ip
		}
	}
	for _, p := range c.Processes {
		if slices.Contains(a.images, p) || holdsWord(a.text, stem(p)) {
			return "the attack's program " + p
		}
	}
	for i := range c.Steps {
		if st := &c.Steps[i]; st.Visible && a.overlaps(st.Time, st.Tolerance) && st.onHost(a) && st.technique(a) {
			return "technique of step " + strconv.Itoa(st.N) + " at its time"
		}
	}
	if share(a.users, c.Users) {
		return byUser
	}
	return ""
}

func (c *Campaign) hasRecord(e model.Evidence) bool {
	for _, r := range c.records[e.Record] {
		if endsWithPath(e.Input, r.Input) {
			return true
		}
	}
	return false
}

// onHost says whether something was seen on the step's host, as far as both know
// theirs.
func (s *Step) onHost(v *seen) bool {
	return len(s.Hosts) == 0 || len(v.hosts) == 0 || share(s.Hosts, v.hosts)
}

func (s *Step) technique(v *seen) bool {
	return slices.ContainsFunc(v.techniques, func(id string) bool { return knowledge.SameTechnique(id, s.Technique) })
}

// says reports whether text holds the step's evidence.
func (s *Step) says(text string) bool {
	if len(s.Terms) == 0 {
		return false
	}
	for _, term := range s.Terms {
		if holdsWord(text, term) != s.All {
			return !s.All
		}
	}
	return s.All
}

// holdsWord says whether text holds word not inside a longer word or number.
func holdsWord(text, word string) bool {
	if word == "" {
		return false
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(word)
		if (start == 0 || !wordByte(text[start-1]) || !wordByte(word[0])) && (end == len(text) || !wordByte(text[end]) || !wordByte(word[len(word)-1])) {
			return true
		}
		from = start + 1
	}
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// steps looks for a campaign's steps in what an incident shows.
func (c *Campaign) steps(views []*seen) []StepResult {
	out := make([]StepResult, 0, len(c.Steps))
	for i := range c.Steps {
		st := &c.Steps[i]
		r := StepResult{N: st.N, Technique: st.Technique, What: st.What, Visible: st.Visible}
		if r.What == "" {
			r.What = strings.Join(st.Terms, ", ")
		}
		if !st.Time.IsZero() {
			r.Time = st.Time.UTC().Format(time.RFC3339)
		}
		for _, v := range views {
			strict, loose := st.match(v)
			if strict && !r.Strict || loose && !r.Loose {
				r.By = strings.TrimPrefix(r.By+", "+v.id, ", ")
			}
			r.Strict, r.Loose = r.Strict || strict, r.Loose || loose
		}
		out = append(out, r)
	}
	return out
}

// viewsOf returns what incident i shows.
func (s *scorer) viewsOf(i int) []*seen {
	if s.views[i] == nil {
		inc := &s.report.Incidents[i]
		for j := range inc.Steps {
			s.views[i] = append(s.views[i], s.seeStep(&inc.Steps[j]))
		}
		for _, id := range inc.Alerts {
			if a := s.alerts[id]; a != nil {
				s.views[i] = append(s.views[i], a)
			}
		}
	}
	return s.views[i]
}

// match compares a step with something seen. Exact truth: a record of the step is
// its evidence (loose), and the technique is right too (strict). Judged truth, or
// a step without records: at its time and on its host, the technique is right
// (strict), or the evidence is there (loose).
func (s *Step) match(v *seen) (strict, loose bool) {
	if !s.Visible {
		return false, false
	}
	if len(s.records) > 0 {
		loose = slices.ContainsFunc(v.evidence, func(e model.Evidence) bool {
			return slices.ContainsFunc(s.records, func(k recordKey) bool { return k.names(e.Input, e.Record) })
		})
		return loose && s.technique(v), loose
	}
	if !v.overlaps(s.Time, s.Tolerance) || !s.onHost(v) {
		return false, false
	}
	return s.technique(v), s.says(v.text)
}

// order returns Kendall's tau between the truth's order of steps and the story's,
// over pairs that both order; null if there is no such pair.
func (c *Campaign) order(views []*seen) *float64 {
	var matched []placed
	for i := range c.Steps {
		st := &c.Steps[i]
		n, sure := 0, 0 // the story's step that shows it best
		for _, v := range views {
			if v.step == 0 {
				continue
			}
			strict, loose := st.match(v)
			quality := 0
			if loose {
				quality += 2
			}
			if strict {
				quality++
			}
			if quality > sure {
				n, sure = v.step, quality
			}
		}
		if n > 0 {
			matched = append(matched, placed{st.Time, n})
		}
	}
	return tau(matched)
}

// placed is when something happened, and as the how many-th it is told.
type placed struct {
	at time.Time
	n  int
}

// tau is Kendall's, over the pairs that both orders tell apart; nil if there is none.
func tau(all []placed) *float64 {
	sum, pairs := 0, 0
	for i, a := range all {
		for _, b := range all[i+1:] {
			if x := a.at.Compare(b.at) * cmp.Compare(a.n, b.n); x != 0 {
				sum += x
				pairs++
			}
		}
	}
	if pairs == 0 {
		return nil
	}
	t := float64(sum) / float64(pairs)
	return &t
}

// root compares a report's root with the campaign's; nil means none.
func (c *Campaign) root(got *model.Root) RootResult {
	res := RootResult{Want: strings.Join([]string{strings.Join(c.Root.Hosts, "/"), strings.Join(c.Root.Users, "/"), strings.Join(c.Root.Processes, "/")}, " | ")}
	if got == nil {
		got = &model.Root{}
	} else {
		res.Got = strings.Join([]string{got.Host, got.User, got.Process}, " | ")
		if !c.Root.Time.IsZero() && !got.Time.IsZero() {
			off := int64(got.Time.Sub(c.Root.Time).Round(time.Second) / time.Second)
			res.Seconds = &off
		}
	}
	compare := func(want []string, has []string) *bool {
		if len(want) == 0 {
			return nil
		}
		right := share(want, has)
		return &right
	}
	_, entity, _ := strings.Cut(got.Entity, ":")
	res.Host = compare(c.Root.Hosts, nonEmpty(shortHost(got.Host)))
	res.User = compare(c.Root.Users, addNew(userParts(got.User), userParts(entity)...))
	res.Process = compare(c.Root.Processes, nonEmpty(baseName(got.Process)))
	res.Right = res.Host != nil || res.User != nil || res.Process != nil
	for _, part := range []*bool{res.Host, res.User, res.Process} {
		if part != nil && !*part {
			res.Right = false
		}
	}
	return res
}

func visible(steps []Step) int {
	n := 0
	for i := range steps {
		if steps[i].Visible {
			n++
		}
	}
	return n
}

func ratio(part, whole int) *float64 {
	if whole == 0 {
		return nil
	}
	x := float64(part) / float64(whole)
	return &x
}
