package clock

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Bounds of the clocks that an Estimator written as JSON holds.
const (
	maxStateSources = 100_000
	maxStateVotes   = 4_000_000
)

// sourceState is what one source's stamps said, as JSON.
type sourceState struct {
	Input    string      `json:"input"`
	Host     string      `json:"host"`
	Sensed   []voteState `json:"sensed,omitempty"`
	Received []voteState `json:"received,omitempty"`
}

type voteState struct {
	Shift shift  `json:"s"` // seconds
	Code  string `json:"c,omitempty"`
	N     int    `json:"n"`
}

// MarshalJSON writes what was observed of stamps, in an order of its own; flows, which
// compare machines with network sensors, are left out.
func (e *Estimator) MarshalJSON() ([]byte, error) {
	out := make([]sourceState, 0, len(e.sources))
	for src, v := range e.sources {
		s := sourceState{Input: src.Input, Host: src.Host}
		for k, by := range v.sensed {
			for code, n := range by {
				s.Sensed = append(s.Sensed, voteState{k, code, n})
			}
		}
		for k, n := range v.received {
			s.Received = append(s.Received, voteState{Shift: k, N: n})
		}
		slices.SortFunc(s.Sensed, compareVotes)
		slices.SortFunc(s.Received, compareVotes)
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b sourceState) int { return cmp.Or(cmp.Compare(a.Input, b.Input), cmp.Compare(a.Host, b.Host)) })
	return json.Marshal(out)
}

func compareVotes(a, b voteState) int {
	return cmp.Or(cmp.Compare(a.Shift, b.Shift), cmp.Compare(a.Code, b.Code))
}

// UnmarshalJSON makes e what MarshalJSON wrote.
func (e *Estimator) UnmarshalJSON(b []byte) error {
	var in []sourceState
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if len(in) > maxStateSources {
		return fmt.Errorf("%d clocks, more than %d", len(in), maxStateSources)
	}
	*e = Estimator{}
	votes := 0
	for _, s := range in {
		v := e.votes(Source{s.Input, s.Host})
		if votes += len(s.Sensed) + len(s.Received); votes > maxStateVotes {
			return fmt.Errorf("more than %d kinds of stamps", maxStateVotes)
		}
		for _, x := range s.Sensed {
			if x.N > 0 {
				vote(v.sensed, x.Shift, x.Code, x.N)
			}
		}
		for _, x := range s.Received {
			if x.N > 0 && len(v.received) < maxBuckets {
				v.received[x.Shift] += x.N
			}
		}
	}
	return nil
}
