// Package story tells an incident: where it started, step by step how it went on,
// what it reached, what it may do next, and in sentences that cite their
// evidence. It adds to the alerts what memory knows of the acts between them, so
// that a download that no rule matched stands where it belongs. It decides
// nothing about which alerts belong together, and is a pure function: the same
// case gives the same story.
package story

import (
	"cmp"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// A Case is what fusion found: alerts that belong together, with the reasons.
type Case struct {
	ID       string
	Score    int
	Terms    []model.Term
	Severity model.Severity
	Core     []*model.Alert // in any order; never empty
	Context  []*model.Alert // low-gain members, shown apart
	Links    []model.Link
	Gain     map[string]float64 // bits by alert id
	Same     map[string]string  // alert id to that of the alert which told of the same act first
	// Observed are the events that the alerts are about, by id, as far as known.
	Observed map[string]*model.Observation
	// Raised is the time of the act with which there was enough for an incident; zero if
	// nobody says.
	Raised time.Time
	// Arrived is when records reached a collector, by event id, of those that say so.
	Arrived map[string]time.Time
}

// Memory is what a story asks of the telemetry.
type Memory interface {
	// Resolve gives the canonical identity of an entity seen on host at a time.
	Resolve(e model.Entity, host string, at time.Time) model.EntityKey
	// Back walks from things to the acts that caused them, Forward to what they did.
	Back(from []model.EntityKey, at time.Time, lim graph.Limits) []graph.Hop
	Forward(from []model.EntityKey, since time.Time, lim graph.Limits) []graph.Hop
	// Tree is the first process of a process's tree, Lineage what stands behind it.
	Tree(k model.EntityKey, at time.Time) (root model.EntityKey, name string, known bool)
	Lineage(k model.EntityKey, at time.Time) []graph.Bridge
	// Owner is the host that had an address, Name the image of a process; empty if unknown.
	Owner(ip string, at time.Time) string
	Name(k model.EntityKey, at time.Time) string
}

// Estate is what the whole evidence knows, so that a story can say what was not
// reached.
type Estate struct {
	Hosts    []string  // every host that has records of its own in the evidence, sorted
	Activity *Activity // how often each of them records something; nil if nobody counted
	// Assets are what the user calls critical, Ways what was seen to lead where; both
	// are nil when he named none.
	Assets *Assets
	Ways   *graph.Ways
	// Transfers are how much was read and sent; nil when nobody counted.
	Transfers *graph.Transfers
	// Platforms are those of ATT&CK that the evidence is of, sorted; empty is unknown.
	Platforms []string
	// Visible says how many of the rules in use would show a technique in the records
	// that this evidence is made of, and in which; nil when nobody asked.
	Visible func(technique string) (rules int, source string)
}

// Limits of one story.
const (
	maxSteps    = 200 // further ones are folded into the last of their host and tactic
	maxCites    = 24  // alerts or events cited by one step
	maxBack     = 400 // acts taken over from one walk backwards
	maxForward  = 400
	maxEntities = 500
	maxListed   = 100 // entities in each list of the impact

	maxTitle    = 250  // runes of a title
	maxSummary  = 1000 // runes of a step's summary
	maxSentence = 2000 // runes of a sentence
)

// Tell turns a case into an incident.
func Tell(c Case, mem Memory, estate Estate) *model.Incident {
	c.Core = slices.Clone(c.Core)
	slices.SortFunc(c.Core, func(a, b *model.Alert) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	ds := collect(c, mem)
	root := findRoot(c, ds, mem)
	steps := toSteps(ds, root)
	in := &model.Incident{
		ID: c.ID, Severity: c.Severity, Score: c.Score, ScoreTerms: c.Terms, Status: "new",
		Root: root.Root, Steps: steps, Links: c.Links,
		Alerts: ids(c.Core), Context: ids(c.Context),
	}
	in.FirstSeen, in.LastSeen = span(c, steps)
	in.Tactics, in.Techniques = attack(steps, c.Core)
	in.Stages, in.CloudSteps = stages(steps)
	in.Entities = entities(c, mem)
	in.Impact = impact(c, ds, mem)
	in.Impact.Taken = taken(ds, in.FirstSeen, in.LastSeen, mem, estate.Transfers)
	in.Impact.Unseen = unseen(in, estate)
	in.Impact.Unreached = capped(unreached(in, estate))
	in.Impact.Assets = assure(in, ds, mem, estate)
	in.Next = next(in.Tactics, in.Techniques, estate)
	in.Lookalikes = lookalikes(in.Techniques)
	in.Title = line(title(in, ds), maxTitle)
	in.Clocks = clocks(c, in.Steps)
	in.Silences = silences(in, estate.Activity)
	in.Chapters = chapters(in.Steps, root.told())
	in.Summary = sentences(in, root, estate)
	return in
}

func ids(as []*model.Alert) []string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = a.ID
	}
	return out
}

// span is from the first act of the story to the last.
func span(c Case, steps []model.Step) (first, last time.Time) {
	first, last = c.Core[0].Time, c.Core[0].End
	for _, a := range c.Core {
		if a.Time.Before(first) {
			first = a.Time
		}
		if a.End.After(last) {
			last = a.End
		}
	}
	for _, s := range steps {
		if s.Time.Before(first) {
			first = s.Time
		}
		if s.End.After(last) {
			last = s.End
		}
	}
	return first, last
}

// attack lists the tactics in the order of the matrix and the techniques sorted.
func attack(steps []model.Step, core []*model.Alert) (tactics, techniques []string) {
	seenTactic, seenTechnique := map[string]bool{}, map[string]bool{}
	add := func(ts, qs []string) {
		for _, t := range ts {
			seenTactic[t] = true
		}
		for _, q := range qs {
			if q != "" && !seenTechnique[q] {
				seenTechnique[q] = true
				techniques = append(techniques, q)
			}
		}
	}
	for _, s := range steps {
		add([]string{s.Tactic}, []string{s.Technique})
	}
	for _, a := range core {
		add(nil, a.Techniques)
	}
	for _, t := range knowledge.Tactics() {
		if seenTactic[t.ShortName] {
			tactics = append(tactics, t.ShortName)
		}
	}
	slices.Sort(techniques)
	return tactics, techniques
}

// stages lists the stages and cloud steps in order of first sight.
func stages(steps []model.Step) (stages []model.Stage, cloud []model.CloudStep) {
	for _, s := range steps {
		if s.Stage != "" && !slices.Contains(stages, s.Stage) {
			stages = append(stages, s.Stage)
		}
		if s.CloudStep != "" && !slices.Contains(cloud, s.CloudStep) {
			cloud = append(cloud, s.CloudStep)
		}
	}
	return stages, cloud
}

// entities sums up the entities of all core members.
func entities(c Case, mem Memory) []model.EntityView {
	by := map[model.EntityKey]*model.EntityView{}
	for _, a := range c.Core {
		counted := map[model.EntityKey]bool{}
		for _, e := range a.Entities {
			if e.Role == model.Sensor {
				continue
			}
			k := mem.Resolve(e, a.Host, a.Time)
			v := by[k]
			if v == nil {
				v = &model.EntityView{Type: k.Type, Value: k.Value, Name: e.Name, FirstSeen: a.Time, LastSeen: a.End}
				by[k] = v
			}
			v.Name = cmp.Or(v.Name, e.Name)
			if a.Time.Before(v.FirstSeen) {
				v.FirstSeen = a.Time
			}
			if a.End.After(v.LastSeen) {
				v.LastSeen = a.End
			}
			if !slices.Contains(v.Roles, e.Role) {
				v.Roles = append(v.Roles, e.Role)
			}
			if !counted[k] {
				counted[k] = true
				v.Alerts++
			}
		}
	}
	out := make([]model.EntityView, 0, len(by))
	for _, v := range by {
		slices.Sort(v.Roles)
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b model.EntityView) int {
		return cmp.Or(cmp.Compare(b.Alerts, a.Alerts), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(len(out), maxEntities)]
}
