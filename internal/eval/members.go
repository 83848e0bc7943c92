package eval

import (
	"slices"

	"github.com/catena-sec/catena/internal/model"
)

// Belonging returns, by alert, the campaign that each alert of a report belongs to;
// of several the first. The report must hold all of its alerts.
func Belonging(r *model.Report, k *Key) map[string]string {
	s := newScorer(r)
	of := map[string]string{}
	for i := range k.Campaigns {
		for id, a := range s.alerts {
			if of[id] == "" && k.Campaigns[i].judge(a) != "" {
				of[id] = k.Campaigns[i].ID
			}
		}
	}
	return of
}

// ScoreMembers compares incidents with what their members belong to (by alert),
// where nothing else is known of the campaigns: it tells found, fragments, glued,
// precision and recall, and which incidents are false. Only members at the core
// count, as what is beside an incident is said to be uncertain.
func ScoreMembers(r *model.Report, campaigns []string, of map[string]string) *Result {
	res := &Result{Campaigns: []CampaignResult{}, FalseIncidents: []string{}, FalseLow: []string{}, Glued: []string{}, Incidents: len(r.Incidents), Benign: []ActivityResult{}}
	total := map[string]int{}
	for _, a := range r.Alerts {
		total[of[a.ID]]++
	}
	holds := make([]map[string]int, len(r.Incidents))
	for i, inc := range r.Incidents {
		holds[i] = map[string]int{}
		for _, id := range inc.Alerts {
			if c := of[id]; c != "" {
				holds[i][c]++
			}
		}
		switch {
		case len(holds[i]) > 1:
			res.Glued = append(res.Glued, inc.ID)
		case len(holds[i]) == 1:
		case inc.Severity.Rank() >= model.Medium.Rank():
			res.FalseIncidents = append(res.FalseIncidents, inc.ID)
		default:
			res.FalseLow = append(res.FalseLow, inc.ID)
		}
	}
	for _, id := range campaigns {
		c := CampaignResult{ID: id, Steps: []StepResult{}, Strangers: []Member{}, Judged: []Member{}}
		best := -1
		for i := range holds {
			if n := holds[i][id]; n > 0 {
				c.Fragments++
				if best < 0 || n > holds[best][id] {
					best = i
				}
			}
		}
		if best >= 0 {
			inc := &r.Incidents[best]
			c.Found, c.Incident, c.Name, c.Severity = true, inc.ID, inc.Title, string(inc.Severity)
			c.Members, c.Belong = len(inc.Alerts), holds[best][id]
			c.Precision = ratio(c.Belong, c.Members)
		}
		c.Recall = ratio(c.Belong, total[id])
		if best >= 0 {
			beside := c.Belong
			for _, a := range r.Incidents[best].Context {
				if of[a] == id {
					beside++
				}
			}
			c.RecallContext = ratio(beside, total[id])
		}
		res.Campaigns = append(res.Campaigns, c)
	}
	slices.Sort(res.Glued)
	return res
}
