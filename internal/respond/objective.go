package respond

import (
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

// A Burn says how an objective stands.
type Burn struct {
	Name   string  `json:"name"`
	Judged int     `json:"judged"` // incidents of the window that it speaks of
	Kept   int     `json:"kept"`   // of them, those for which it held
	Share  float64 `json:"share"`  // kept of judged; 1 if there are none
	Aim    float64 `json:"aim"`
	Left   float64 `json:"left"`    // of what may be missed in the window, the share that is left; below 0 it is broken
	Fast   float64 `json:"fast"`    // how many times too fast it was missed in the last hour
	Slow   float64 `json:"slow"`    // and in the last six
	Median float64 `json:"median"`  // seconds
	P99    float64 `json:"p99"`     // seconds
	Worst  float64 `json:"worst"`   // seconds
	Burns  bool    `json:"burning"` // people should be told
}

// Judged is one incident as an objective sees it.
type Judged struct {
	Severity model.Severity
	Times    model.Milestones
}

// How fast an objective may be missed before people are told, as in the workbook of
// site reliability engineering: at such a rate a month's allowance is gone in two days
// or five. It is said of windows in which something was judged at all.
const (
	fastWindow, fastBurn = time.Hour, 14.4
	slowWindow, slowBurn = 6 * time.Hour, 6.0
)

// Judge says how o stands at now over incidents. One that has not reached its end yet
// counts as missed once its time is over, and not at all before.
func Judge(o config.Objective, l []Judged, now time.Time) Burn {
	b := Burn{Name: o.Name, Aim: o.Share, Share: 1, Left: 1}
	var took []float64
	count := func(window time.Duration) (judged, kept int) {
		for _, x := range l {
			from := moment(&x.Times, o.From)
			if x.Severity.Rank() < model.Severity(o.Severity).Rank() || from == nil || now.Sub(*from) > window {
				continue
			}
			until, within := moment(&x.Times, o.Until), time.Duration(o.Within)
			switch {
			case until != nil && until.Sub(*from) <= within:
				judged, kept = judged+1, kept+1
			case until != nil || now.Sub(*from) > within:
				judged++
			}
			if until != nil && window == time.Duration(o.Window) {
				took = append(took, max(until.Sub(*from).Seconds(), 0))
			}
		}
		return judged, kept
	}
	b.Judged, b.Kept = count(time.Duration(o.Window))
	allowed := 1 - o.Share
	if b.Judged > 0 {
		b.Share = float64(b.Kept) / float64(b.Judged)
		b.Left = 1 - (1-b.Share)/allowed
	}
	rate := func(window time.Duration) float64 {
		judged, kept := count(window)
		if judged == 0 {
			return 0
		}
		return float64(judged-kept) / float64(judged) / allowed
	}
	b.Fast, b.Slow = rate(fastWindow), rate(slowWindow)
	b.Burns = b.Fast >= fastBurn || b.Slow >= slowBurn
	if n := len(took); n > 0 {
		slices.Sort(took)
		b.Median, b.P99, b.Worst = took[n/2], took[(n*99)/100], took[n-1]
	}
	return b
}

// moment returns one of the times by its name in an objective.
func moment(m *model.Milestones, name string) *time.Time {
	switch name {
	case "act":
		return m.Act
	case "arrived":
		return m.Arrived
	case "alerted":
		return m.Alerted
	case "raised":
		return m.Raised
	case "noticed":
		return m.Noticed
	case "acknowledged":
		return m.Acknowledged
	case "contained":
		return m.Contained
	}
	return nil
}

// Text says in a sentence how b stands.
func (b *Burn) Text() string {
	return fmt.Sprintf("Objective %s: held for %d of %d incidents (%.0f %%, aim %.0f %%); half took %.0f s or less, the longest %.0f s.", b.Name, b.Kept, b.Judged, 100*b.Share, 100*b.Aim, b.Median, b.Worst)
}
