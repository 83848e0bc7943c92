package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A sourceState is what is known of one source of the configuration: how much came, and
// how long it is usually silent.
type sourceState struct {
	Source  string        `json:"source"`
	Events  int64         `json:"events"`
	Bytes   int64         `json:"bytes"`
	Skipped int64         `json:"skipped"`
	Rounds  int64         `json:"rounds"` // in which it gave something
	First   time.Time     `json:"first"`
	Last    time.Time     `json:"last"`
	Pause   time.Duration `json:"pause"` // between what it gives, usually; the longest that is not rare
	Rate    float64       `json:"rate"`  // events a second, of about the last minute
	Quiet   bool          `json:"quiet,omitempty"`
	Problem string        `json:"problem,omitempty"`
}

// A SourceHealth says how a source of evidence does.
type SourceHealth struct {
	Source  string    `json:"source"`
	Events  int64     `json:"events"`
	Bytes   int64     `json:"bytes"`
	Skipped int64     `json:"skipped"` // records that could not be read
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Rate    float64   `json:"rate"` // events a second, of about the last minute
	Quiet   bool      `json:"quiet"`
	Problem string    `json:"problem,omitempty"` // the newest reason why a record could not be read
}

func (s *sourceState) health() SourceHealth {
	return SourceHealth{s.Source, s.Events, s.Bytes, s.Skipped, s.First, s.Last, s.Rate, s.Quiet, s.Problem}
}

const (
	maxLiveSources = 10_000
	// quietTimes is how many times its usual pause a source must be silent to be told of.
	quietTimes = 10
	// quietLeast is how often a source must have given something for its habit to be known.
	quietLeast = 5
	rateSpan   = time.Minute
)

// sources are the states by name.
type sources map[string]*sourceState

// round takes in what a round brought and returns whom it is silent of, or not any more.
func (m sources) round(counts []sourceCount, at time.Time, after time.Duration) []model.Change {
	var out []model.Change
	for _, c := range counts {
		s := m[c.Source]
		if s == nil {
			if len(m) >= maxLiveSources {
				continue
			}
			s = &sourceState{Source: c.Source, First: c.Last, Last: c.Last}
			m[c.Source] = s
		}
		if pause := c.Last.Sub(s.Last); pause > 0 {
			// Quickly up and slowly down: what happens now and then is usual, too.
			if pause > s.Pause && !s.Quiet {
				s.Pause += (pause - s.Pause) / 4
			} else {
				s.Pause -= s.Pause / 256
			}
			seconds := max(pause.Seconds(), 0.1)
			weight := min(seconds/rateSpan.Seconds(), 1)
			s.Rate += weight * (float64(c.Events)/seconds - s.Rate)
			s.Last = c.Last
		}
		s.Events += c.Events
		s.Bytes += c.Bytes
		s.Skipped += c.Skipped
		s.Rounds++
		if c.Problem != "" {
			s.Problem = c.Problem
		}
		if s.Quiet {
			s.Quiet = false
			out = append(out, model.Change{Kind: model.SourceBack, Source: s.Source, Time: at, Detail: "records come again"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		s := m[name]
		silent := at.Sub(s.Last)
		if s.Quiet || s.Rounds < quietLeast || silent < max(after, quietTimes*s.Pause) {
			continue
		}
		s.Quiet, s.Rate = true, 0
		out = append(out, model.Change{Kind: model.SourceQuiet, Source: s.Source, Time: at,
			Detail: fmt.Sprintf("no record for %s; it is usually silent for at most about %s", silent.Round(time.Second), max(s.Pause, time.Second).Round(time.Second))})
	}
	return out
}

func (m sources) list() []*sourceState {
	return slices.SortedFunc(maps.Values(m), func(a, b *sourceState) int { return cmp.Compare(a.Source, b.Source) })
}
