package simulate

import (
	"cmp"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

type truthRecord = model.TruthRecord

// A campaign is a planted attack and what is true about it.
type campaign struct {
	w *world
	model.TruthCampaign
	root  int // the step that is its root
	shown []sight
}

// A sight is a record that shows a step.
type sight struct {
	at   time.Time
	step int
	key  string
}

// campaign begins an attack.
func (w *world) campaign(id, title string) *campaign {
	c := &campaign{w: w, root: 1, TruthCampaign: newTruth(id, title)}
	w.campaigns = append(w.campaigns, c)
	return c
}

func newTruth(id, title string) model.TruthCampaign {
	return model.TruthCampaign{ID: id, Title: title, Hosts: []string{}, Users: []string{}}
}

// A deed describes a step.
type deed struct {
	technique, tactic string
	host, user        string
	what              string
	parent            int
}

// step runs do, whose records all belong to the step, and returns its number.
// Steps are given in order of time.
func (c *campaign) step(at time.Time, d deed, do func()) int {
	return c.plan(at, d, func(n int) {
		c.w.added = nil
		c.again(n, do)
		if c.w.watch != nil {
			c.w.tell(d, c.w.added)
		}
	})
}

// plan takes a step down, lets do make what belongs to it, and returns its number.
func (c *campaign) plan(at time.Time, d deed, do func(n int)) int {
	n := len(c.Steps) + 1
	c.Steps = append(c.Steps, model.TruthStep{N: n, Time: at, Technique: d.technique, Tactic: d.tactic, Host: d.host, User: d.user, What: d.what,
		Events: []string{}, Parent: d.parent})
	if d.host != "" && !slices.Contains(c.Hosts, d.host) {
		c.Hosts = append(c.Hosts, d.host)
	}
	if d.user != "" && !slices.Contains(c.Users, d.user) {
		c.Users = append(c.Users, d.user)
	}
	do(n)
	return n
}

// again runs do as a later part of an earlier step: a beacon, a scheduled job.
func (c *campaign) again(step int, do func()) {
	before := c.w.mark
	c.w.mark = mark{campaign: c, step: step}
	do()
	c.w.mark = before
}

// truth is what is known once all files are rendered.
func (w *world) truth() *model.Truth { return assemble(w.campaigns, w.records) }

// assemble makes the truth of campaigns and of the records that belong to them.
func assemble(campaigns []*campaign, records []truthRecord) *model.Truth {
	t := &model.Truth{Schema: model.TruthSchema, Campaigns: []model.TruthCampaign{}, Records: records}
	if t.Records == nil {
		t.Records = []model.TruthRecord{}
	}
	slices.SortStableFunc(t.Records, func(a, b model.TruthRecord) int {
		return cmp.Or(cmp.Compare(a.Input, b.Input), cmp.Compare(a.Record, b.Record))
	})
	for _, c := range campaigns {
		slices.SortStableFunc(c.shown, func(a, b sight) int { return a.at.Compare(b.at) })
		for _, s := range c.shown {
			if c.Root.Event == "" && s.step == c.root {
				c.Root.Event = s.key
			}
			step := &c.Steps[s.step-1]
			step.Visible = true
			step.Events = append(step.Events, s.key)
		}
		t.Campaigns = append(t.Campaigns, c.TruthCampaign)
	}
	return t
}
