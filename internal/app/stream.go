package app

import (
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/story"
)

// A reading is what one ordered stream of acts is read into: memory, the detectors and
// correlations with what they remember, and what stories need of the evidence as a
// whole. An analysis has one, the live engine one a generation.
type reading struct {
	memory       *graph.Memory
	detectors    []detect.Detector
	watch        *watch
	insight      *insight
	activity     story.Activity
	bursts       detect.Bursts
	engine       *detect.Engine
	correlations *detect.Correlations

	raised []*model.Alert // scratch
}

// newReading begins with nothing seen. Others are the alerts of other products, which
// the detectors are told of in their time; recall gives acts again, see graph.Options.
func (a *App) newReading(recall func(int64) *model.Observation, others []*model.Alert) *reading {
	r := &reading{memory: graph.New(graph.Options{Recall: recall}), detectors: a.detectors()}
	r.memory.Introduce(others)
	r.watch = newWatch(r.detectors, others)
	r.insight = a.newInsight(r.memory)
	r.use(a)
	return r
}

// use makes the rules of a those by which the acts to come were matched. What
// correlations had counted by other rules is forgotten.
func (r *reading) use(a *App) {
	if r.engine != a.engine {
		r.engine, r.correlations = a.engine, a.engine.Correlations()
	}
}

// see reads one act, in order of time, and tells of each alert that it raised: begun is
// true of one that is new, and false of one that was told before and counts one more.
func (r *reading) see(s *sighting, tell func(alert *model.Alert, begun bool)) {
	r.watch.until(s.obs.Time)
	r.activity.See(s.obs.Host, s.obs.Time)
	raised := r.raised[:0]
	r.memory.Observe(s.obs)
	r.insight.observe(s.obs)
	for _, n := range s.rules {
		i := int(n)
		if r.engine.Alerts(i) {
			raised = append(raised, detect.Alert(r.engine.Definition(i), s.obs))
		}
		if r.engine.Correlated(i) {
			raised = append(raised, r.correlations.Observe(i, s.obs, s.fields)...)
		}
	}
	for _, d := range r.detectors {
		raised = append(raised, d.Observe(s.obs)...)
	}
	r.watch.tell(raised)
	for _, al := range raised { // what tells the same again and again counts into one
		tell(r.bursts.Into(al))
	}
	clear(raised)
	r.raised = raised
}

// estate is what stories need of all that was read.
func (r *reading) estate(a *App) story.Estate {
	e := a.estate(r.insight)
	e.Activity = &r.activity
	return e
}
