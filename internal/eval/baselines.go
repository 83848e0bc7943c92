package eval

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// The baselines are the ways in which alerts are commonly put together without
// learning anything of the estate. They get the same alerts and are scored the same.
const (
	baselineGap    = 30 * time.Minute // of silence on a host ends its group
	baselineWindow = time.Hour        // in which a shared entity joins two alerts
	baselineDay    = 24 * time.Hour   // in which a host's risk adds up
	baselineHub    = 5                // an entity met on more hosts joins nothing
	baselineRisk   = 12               // of a group that is shown: two rules of level high, or four of medium
	baselineStages = 3                // tactics that risk per host asks for besides
)

// A Baseline is a report with the same alerts and other incidents.
type Baseline struct {
	Name   string
	Report *model.Report
	Raised map[string]time.Time // by incident: when its risk was enough
}

// Baselines returns what three simple ways make of the alerts of a report, which
// must hold all that there were.
//
//   - host and gap: the alerts of one host with no half hour of silence between;
//   - components: alerts that share an entity within an hour, and those that share
//     one with these; entities that are met on many hosts join nothing;
//   - risk per host: the alerts of one host within a day that are of three tactics.
//
// The risk of a group adds up the severities of its rules, each once. Groups of
// enough risk are its incidents, the riskiest first.
func Baselines(r *model.Report) []Baseline {
	alerts := make([]*model.Alert, len(r.Alerts))
	for i := range r.Alerts {
		alerts[i] = &r.Alerts[i]
	}
	slices.SortStableFunc(alerts, func(a, b *model.Alert) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	var out []Baseline
	for _, b := range []struct {
		name   string
		groups [][]*model.Alert
		stages int
	}{
		{"host and gap", byHost(alerts, func(group []*model.Alert, a *model.Alert) bool { return a.Time.Sub(endOf(group)) > baselineGap }), 0},
		{"components", components(alerts), 0},
		{"risk per host", byHost(alerts, func(group []*model.Alert, a *model.Alert) bool { return a.Time.Sub(group[0].Time) > baselineDay }), baselineStages},
	} {
		out = append(out, baseline(b.name, r, b.groups, b.stages))
	}
	return out
}

// riskOf is what an alert of a level adds to its group.
func riskOf(s model.Severity) int {
	switch s {
	case model.Critical:
		return 10
	case model.High:
		return 6
	case model.Medium:
		return 3
	case model.Low:
		return 1
	}
	return 0
}

func baseline(name string, r *model.Report, groups [][]*model.Alert, stages int) Baseline {
	b := Baseline{Name: name, Raised: map[string]time.Time{}}
	report := *r
	report.Incidents = nil
	for _, group := range groups {
		rules, tactics, risk := map[string]bool{}, []string(nil), 0
		inc := model.Incident{Title: name, FirstSeen: group[0].Time}
		worst := model.Medium
		for _, a := range group {
			inc.Alerts = append(inc.Alerts, a.ID)
			tactics = addNew(tactics, a.Tactics...)
			if !rules[a.Rule.ID] {
				rules[a.Rule.ID] = true
				risk += riskOf(a.Severity)
			}
			if a.Severity.Rank() > worst.Rank() {
				worst = a.Severity
			}
			if inc.ID == "" && risk >= baselineRisk && len(tactics) >= stages {
				inc.ID = model.IncidentID(name + a.ID)
				b.Raised[inc.ID] = a.Time
			}
			if a.End.After(inc.LastSeen) {
				inc.LastSeen = a.End
			}
		}
		if inc.ID == "" {
			continue
		}
		inc.Severity, inc.Tactics = worst, tactics
		inc.ScoreTerms = []model.Term{{What: fmt.Sprintf("risk of %d rules", len(rules)), Bits: float64(risk)}}
		report.Incidents = append(report.Incidents, inc)
	}
	slices.SortStableFunc(report.Incidents, func(x, y model.Incident) int {
		return cmp.Or(cmp.Compare(bitsOf(&y), bitsOf(&x)), x.FirstSeen.Compare(y.FirstSeen), cmp.Compare(x.ID, y.ID))
	})
	report.Totals.Incidents = len(report.Incidents)
	b.Report = &report
	return b
}

// placeOf is where an alert happened: its host, or who did it where there is none.
func placeOf(a *model.Alert) model.EntityKey {
	for _, t := range []model.EntityType{model.Host, model.AccessKey, model.User} {
		for _, e := range a.Entities {
			if e.Type == t && e.Role != model.Sensor {
				return e.Key()
			}
		}
	}
	return model.EntityKey{}
}

// byHost groups the alerts of each host; ended says that an alert begins a new one.
func byHost(alerts []*model.Alert, ended func([]*model.Alert, *model.Alert) bool) [][]*model.Alert {
	var groups [][]*model.Alert
	open := map[model.EntityKey]int{}
	for _, a := range alerts {
		k := placeOf(a)
		if k == (model.EntityKey{}) {
			continue
		}
		i, ok := open[k]
		if !ok || ended(groups[i], a) {
			i = len(groups)
			open[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], a)
	}
	return groups
}

func endOf(group []*model.Alert) time.Time {
	end := group[0].End
	for _, a := range group[max(0, len(group)-64):] { // bursts that began earlier have mostly ended
		if a.End.After(end) {
			end = a.End
		}
	}
	return end
}

// components joins alerts by what they share.
func components(alerts []*model.Alert) [][]*model.Alert {
	places := map[model.EntityKey]map[model.EntityKey]bool{}
	each := func(a *model.Alert, do func(model.EntityKey)) {
		for _, e := range a.Entities {
			if e.Role != model.Sensor {
				do(e.Key())
			}
		}
	}
	for _, a := range alerts {
		at := placeOf(a)
		each(a, func(k model.EntityKey) {
			if places[k] == nil {
				places[k] = map[model.EntityKey]bool{}
			}
			if len(places[k]) <= baselineHub {
				places[k][at] = true
			}
		})
	}
	parent := make([]int, len(alerts))
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	last := map[model.EntityKey]int{}
	for i, a := range alerts {
		parent[i] = i
		each(a, func(k model.EntityKey) {
			if len(places[k]) > baselineHub {
				return
			}
			if j, ok := last[k]; ok && a.Time.Sub(alerts[j].End) <= baselineWindow {
				if x, y := find(i), find(j); x != y {
					parent[max(x, y)] = min(x, y)
				}
			}
			last[k] = i
		})
	}
	var groups [][]*model.Alert
	at := map[int]int{}
	for i, a := range alerts {
		root := find(i)
		g, ok := at[root]
		if !ok {
			g = len(groups)
			at[root] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], a)
	}
	return groups
}
