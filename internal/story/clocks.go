package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// clocks sets when things happened beside when they were known of. arrived is when
// the record of an event reached a collector, as the record says, by event id. What
// arrived before it happened has a wrong clock somewhere and is left out.
func clocks(c Case, steps []model.Step) *model.Clocks {
	out := &model.Clocks{Happened: steps[0].Time, FirstAlert: c.Core[0].Time}
	var delays []time.Duration
	if !c.Raised.IsZero() && !c.Raised.Before(out.Happened) {
		out.Raised = c.Raised
	}
	for _, a := range c.Core {
		if !out.Raised.IsZero() && !a.Time.After(out.Raised) {
			out.RaisedBy++
		}
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

// clockText tells what the defender's clock adds: when the first alert was, when there
// was enough for an incident of all its alerts, counted from when it began, and how late
// records came. Empty where it adds nothing.
func clockText(c *model.Clocks, all int, began time.Time) string {
	var told []string
	say := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
	if d := c.FirstAlert.Sub(c.Happened); d >= time.Minute {
		say("The first alert is about what happened at %s, %s after the first act told here.", clockTime(c.FirstAlert), lasted(d))
	}
	if c.RaisedBy > 0 {
		when := ""
		if d := c.Raised.Sub(began); d >= time.Second {
			when = ", " + lasted(d) + " after it began"
		}
		say("It was raised after %d of its %s%s, at %s.", c.RaisedBy, times(all, "1 alert", "%d alerts"), when, clockTime(c.Raised))
	}
	if c.Longest >= 60 {
		seconds := func(x float64) string { return lasted(time.Duration(x * float64(time.Second))) }
		say("Of the %d alerts whose records say when they arrived, half did within %s and the last after %s; the first arrived at %s.",
			c.Stamped, seconds(c.Median), seconds(c.Longest), clockTime(c.Arrived))
	}
	return strings.Join(told, " ")
}
