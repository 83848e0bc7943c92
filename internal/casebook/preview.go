package casebook

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/catena-sec/catena/internal/model"
)

// A Preview says what suppressions would have done to a report that was made
// without them. It looks at the alerts that the report holds: those of incidents,
// serious ones alone and, if it was made so, all others.
type Preview struct {
	Suppressions []Hidden `json:"suppressions"`
	// Silent are incidents of which every alert falls under a suppression: with these
	// in force they would not be raised. Weaker are those that lose a part.
	Silent []Quieted `json:"silent"`
	Weaker []Quieted `json:"weaker"`
	Alerts int       `json:"alerts"` // that the report holds
}

// Hidden is what one suppression matches.
type Hidden struct {
	model.Suppressed
	Alone int `json:"alone"` // of its alerts, those that are in no incident
}

// Quieted is an incident with alerts that fall under a suppression.
type Quieted struct {
	Incident   string         `json:"incident"`
	Title      string         `json:"title"`
	Severity   model.Severity `json:"severity"`
	Suppressed int            `json:"suppressed"`
	Members    int            `json:"members"`
}

// PreviewOf says what the suppressions of a journal would have done to a report.
func PreviewOf(j *Journal, r *model.Report) Preview {
	all := make([]*model.Alert, len(r.Alerts))
	for i := range r.Alerts {
		all[i] = &r.Alerts[i]
	}
	b := j.Apply(all)
	p := Preview{Alerts: len(all)}
	alone := map[string]int{}
	quiet, members := map[string]int{}, map[string]int{}
	for _, a := range all {
		s := b.Suppressed(a)
		if a.Incident == nil {
			alone[s]++
			continue
		}
		members[*a.Incident]++
		if s != "" {
			quiet[*a.Incident]++
		}
	}
	for _, x := range slices.Backward(b.quiet.all) {
		p.Suppressions = append(p.Suppressions, Hidden{x.suppressed(x.hits), alone[x.d.ID]})
	}
	for i := range r.Incidents {
		inc := &r.Incidents[i]
		q := Quieted{inc.ID, inc.Title, inc.Severity, quiet[inc.ID], members[inc.ID]}
		switch q.Suppressed {
		case 0:
		case q.Members:
			p.Silent = append(p.Silent, q)
		default:
			p.Weaker = append(p.Weaker, q)
		}
	}
	slices.SortStableFunc(p.Weaker, func(x, y Quieted) int {
		return cmp.Compare(y.Suppressed*x.Members, x.Suppressed*y.Members) // by share
	})
	return p
}

// InReport says which of the ids that a decision names a report does not hold, or
// that no alert of it meets its condition; nil if all is there. An id that the report
// redirects is there.
func InReport(d model.Decision, r *model.Report) error {
	known := map[string]bool{}
	for i := range r.Alerts {
		known[r.Alerts[i].ID] = true
	}
	for i := range r.Incidents {
		known[r.Incidents[i].ID] = true
		for _, id := range slices.Concat(r.Incidents[i].Alerts, r.Incidents[i].Context) {
			known[id] = true
		}
	}
	now := map[string]string{}
	for _, x := range r.Redirects {
		known[x.From], now[x.From] = true, x.To
	}
	for _, t := range d.Targets {
		if !known[t] {
			return fmt.Errorf("there is no %s in it", t)
		}
	}
	inside := func(alert, incident string) bool {
		return slices.ContainsFunc(r.Incidents, func(inc model.Incident) bool {
			return inc.ID == cmp.Or(now[incident], incident) && (slices.Contains(inc.Alerts, alert) || slices.Contains(inc.Context, alert))
		})
	}
	switch d.Kind {
	case model.Move:
		if !inside(d.Targets[0], d.Targets[1]) {
			return fmt.Errorf("%s is not in %s", d.Targets[0], d.Targets[1])
		}
	case model.Split:
		for _, a := range d.Targets[1:] {
			if !inside(a, d.Targets[0]) {
				return fmt.Errorf("%s is not in %s", a, d.Targets[0])
			}
			if model.IncidentID(a) == d.Targets[0] {
				return fmt.Errorf("%s is what %s began with and stays in it; name those that leave", a, d.Targets[0])
			}
		}
	case model.Exclude, model.Suppress:
		if !slices.ContainsFunc(r.Alerts, func(a model.Alert) bool { return Matches(&d, &a) }) {
			return fmt.Errorf("no alert in it is meant (it holds all alerts if it was made with --alerts)")
		}
	}
	return nil
}
