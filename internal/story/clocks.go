package story

import (
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// clocks sets when things happened beside when they were known of. arrived is when
// the record of an event reached a collector, as the record says, by event id. What
// arrived before it happened has a wrong clock somewhere and is left out.
func clocks(c Case, steps []model.Step) *model.Clocks {
	out := &model.Clocks{Happened: steps[0].Time, FirstAlert: c.Core[0].Time}
	var delays []time.Duration
	for _, a := range c.Core {
		at, ok := c.Arrived[a.Evidence[0].ID]
		if a.Time.Before(out.FirstAlert) {
			out.FirstAlert = a.Time
		}
		if !ok || at.Before(a.Time) {
			continue
		}
		delays = append(delays, at.Sub(a.Time))
		if out.Arrived.IsZero() || at.Before(out.Arrived) {
			out.Arrived = at
		}
	}
	if out.Stamped = len(delays); out.Stamped > 0 {
		slices.Sort(delays)
		out.Median, out.Longest = delays[(len(delays)-1)/2].Seconds(), delays[len(delays)-1].Seconds()
	}
	for i := range steps {
		for _, id := range steps[i].Events {
			if at, ok := c.Arrived[id]; ok && !at.Before(steps[i].Time) && (steps[i].Arrived.IsZero() || at.Before(steps[i].Arrived)) {
				steps[i].Arrived = at
			}
		}
	}
	return out
}

// clockText tells what the defender's clock adds; empty where it adds nothing.
func clockText(c *model.Clocks) string {
	s := ""
	if d := c.FirstAlert.Sub(c.Happened); d >= time.Minute {
		s = fmt.Sprintf("The first alert is about what happened at %s, %s after the first act told here.", clockTime(c.FirstAlert), lasted(d))
	}
	if c.Longest < 60 {
		return s
	}
	if s != "" {
		s += " "
	}
	seconds := func(x float64) string { return lasted(time.Duration(x * float64(time.Second))) }
	return s + fmt.Sprintf("Of the %d alerts whose records say when they arrived, half did within %s and the last after %s; the first arrived at %s.",
		c.Stamped, seconds(c.Median), seconds(c.Longest), clockTime(c.Arrived))
}
