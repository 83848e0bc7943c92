package story

import (
	"cmp"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// chapterGap is how long an actor may pause within one step.
const chapterGap = 15 * time.Minute

// together is how close two reports of one act from different sources lie.
const together = 2 * time.Second

// toSteps folds deeds into steps: what one process, user or key did on one host
// for one purpose without a long pause is one step.
func toSteps(ds []*deed, root origin) []model.Step {
	type open struct {
		step model.Step
		last time.Time
		ds   []*deed
	}
	type groupKey struct {
		host, who, technique, tactic string
	}
	var all []*open
	by := map[groupKey]*open{}
	step := 0
	for _, d := range ds {
		k := groupKey{d.host, whoKey(d), d.technique, d.tactic}
		o := by[k]
		if o == nil || d.time.Sub(o.last) > chapterGap {
			if len(all) >= maxSteps {
				o = all[len(all)-1]
			} else {
				o = &open{step: model.Step{Time: d.time, End: d.end, Tactic: d.tactic, Technique: d.technique, Intent: d.intent,
					Stage: d.stage, CloudStep: d.step, Host: d.host, User: d.user, From: d.from(), To: d.to()}}
				all = append(all, o)
				step++
			}
			by[k] = o
		}
		o.last = d.time
		o.ds = append(o.ds, d)
		if d.end.After(o.step.End) {
			o.step.End = d.end
		}
		for _, a := range d.alerts {
			o.step.Alerts = appendCapped(o.step.Alerts, a)
		}
		for _, e := range d.events {
			o.step.Events = appendCapped(o.step.Events, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *open) int { return a.step.Time.Compare(b.step.Time) })
	firstOf := map[string]bool{}
	out := make([]model.Step, len(all))
	made := map[*deed]int{}
	for i, o := range all {
		s := o.step
		s.N = i + 1
		for _, d := range o.ds {
			made[d] = s.N
		}
		// The first thing a host or account suffers is access to it; later rights
		// gained there serve moving on.
		place := cmp.Or(s.Host, s.User)
		s.CloudStep = knowledge.StepOf(s.Tactic, !firstOf[place])
		firstOf[place] = true
		s.Summary = line(summary(o.ds), maxSummary)
		s.Why = o.ds[0].why
		s.CausedBy = []int{}
		s.Alerts = orEmpty(s.Alerts)
		s.Events = orEmpty(s.Events)
		out[i] = s
	}
	floatSteps(out)
	for i, o := range all {
		if n := cause(o.ds[0], ds, made, i+1, root); n > 0 {
			out[i].CausedBy = []int{n}
		}
	}
	return out
}

// floatSteps gives stealth and impairment the cloud step of the nearest step of
// the same host: hiding serves whatever is being done there.
func floatSteps(steps []model.Step) {
	for i := range steps {
		if steps[i].CloudStep != "" {
			continue
		}
		best := -1
		for j := range steps {
			if steps[j].CloudStep == "" || j == i || steps[j].Tactic == steps[i].Tactic {
				continue
			}
			if best < 0 || near(steps[i], steps[j]) < near(steps[i], steps[best]) {
				best = j
			}
		}
		steps[i].CloudStep = model.StepAccess
		if best >= 0 {
			steps[i].CloudStep = steps[best].CloudStep
		}
	}
}

// near is the distance of two steps in time; another host is far.
func near(a, b model.Step) time.Duration {
	d := a.Time.Sub(b.Time).Abs()
	if a.Host != b.Host {
		d += 24 * time.Hour
	}
	return d
}

// cause returns the number of the earlier step that led to d: the one of its
// parent process, of the same process, of the same user on another host, 0 if
// none does.
func cause(d *deed, ds []*deed, made map[*deed]int, before int, root origin) int {
	best, rank := 0, 0
	for _, o := range ds {
		n := made[o]
		if n == 0 || n >= before || o.time.After(d.time) {
			continue
		}
		r := 0
		switch {
		case d.parentKey.Value != "" && o.procKey == d.parentKey:
			r = 5
		case d.procKey.Value != "" && o.procKey == d.procKey:
			r = 4
		case shareKey(d, o):
			r = 3
		case d.user != "" && o.user == d.user:
			r = 2
		case d.host != "" && o.host == d.host:
			r = 1
		}
		if r > rank || r == rank && r > 0 && n > best {
			best, rank = n, r
		}
	}
	if best == 0 && root.deed != d {
		if n := made[root.deed]; n > 0 && n < before {
			return n
		}
	}
	return best
}

// shareKey says whether two deeds used the same file, session or key.
func shareKey(a, b *deed) bool {
	for _, x := range a.entities {
		switch x.Type {
		case model.File, model.Session, model.AccessKey, model.Hash:
			for _, y := range b.entities {
				if x.Type == y.Type && x.Value == y.Value {
					return true
				}
			}
		}
	}
	return false
}

// whoKey is who did a deed, for grouping: the process instance where known.
func whoKey(d *deed) string {
	if d.act == model.ActProcessStart && d.parentKey.Value != "" {
		return "child of " + d.parentKey.Value
	}
	if d.procKey.Value != "" {
		return d.procKey.Value
	}
	return d.user
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
