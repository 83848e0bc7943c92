package report

import (
	"cmp"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// maxMarksShown bounds the steps of one timeline.
const maxMarksShown = 200

// Sizes of a timeline, in pixels.
const (
	markRadius = 12
	bandHeight = 46
	tickSpace  = 74 // a time needs so much room
	axisHeight = 30
)

// A Timeline is an incident's steps in order, in lanes of hosts or accounts. The
// room between two steps grows with the logarithm of the time between them: a
// pause of a day and one of a second both fit.
type Timeline struct {
	Width, Height int // pixels
	Lanes         []Lane
	Marks         []Mark
	Arcs          []Arc // from cause to effect
	Ticks         []Tick
	Hidden        int // steps left out
}

// A Mark is a step.
type Mark struct {
	N     int // number of the step
	X, Y  int // its centre
	Title string
	Stage model.Stage
}

// An Arc leads from a step to one it caused, as an SVG path.
type Arc struct{ Path string }

// A Tick is a time on the axis, or the length of a long pause.
type Tick struct {
	X     int
	Label string
	Pause bool
}

// LayoutTimeline lays out an incident's steps.
func LayoutTimeline(inc *model.Incident) Timeline {
	steps := inc.Steps
	t := Timeline{Hidden: max(0, len(steps)-maxMarksShown)}
	steps = steps[:len(steps)-t.Hidden]
	lane := make(map[string]int)
	at := make(map[int]int) // number of a step to its mark
	x := laneHead + 30
	lastTick := -tickSpace
	for i := range steps {
		s := &steps[i]
		if i > 0 {
			gap := max(0, s.Time.Sub(steps[i-1].Time))
			room := 2*markRadius + 6 + 5*bits.Len64(uint64(gap/time.Second))
			if gap >= 30*time.Minute {
				room = max(room, 5*tickSpace/2)
				t.Ticks = append(t.Ticks, Tick{x + room/2, "+ " + span(gap), true})
			}
			x += room
		}
		if x-lastTick >= tickSpace {
			t.Ticks = append(t.Ticks, Tick{x, clock(s.Time), false})
			lastTick = x
		}
		name := cmp.Or(s.Host, s.User, s.To, s.From, "elsewhere")
		l, ok := lane[name]
		if !ok && len(t.Lanes) == maxLanes {
			l = maxLanes - 1
			t.Lanes[l].Label = "others"
		} else if !ok {
			l = len(t.Lanes)
			t.Lanes = append(t.Lanes, Lane{Label: laneName(name), Y: axisHeight + l*bandHeight, Height: bandHeight})
		}
		lane[name] = l
		at[s.N] = len(t.Marks)
		t.Marks = append(t.Marks, Mark{N: s.N, X: x, Y: t.Lanes[l].Y + bandHeight/2, Title: s.Summary, Stage: s.Stage})
		for _, c := range s.CausedBy {
			if k, ok := at[c]; ok && c != s.N && len(t.Arcs) < maxEdges {
				t.Arcs = append(t.Arcs, Arc{arcPath(t.Marks[k], t.Marks[len(t.Marks)-1])})
			}
		}
	}
	t.Width = x + 60
	t.Height = axisHeight + len(t.Lanes)*bandHeight
	return t
}

// laneName shortens an ARN to its last part; other names are short.
func laneName(s string) string {
	if strings.HasPrefix(s, "arn:") {
		return baseName(s)
	}
	return s
}

// arcPath bows upwards inside a lane and swings from lane to lane.
func arcPath(from, to Mark) string {
	if from.Y == to.Y {
		top := from.Y - markRadius
		return fmt.Sprintf("M%d %dQ%d %d %d %d", from.X, top, (from.X+to.X)/2, top-14, to.X, top)
	}
	x1, x2 := from.X+markRadius, to.X-markRadius
	mid := (x1 + x2) / 2
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, from.Y, mid, from.Y, mid, to.Y, x2, to.Y)
}
