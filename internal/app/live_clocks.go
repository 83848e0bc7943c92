package app

import (
	"github.com/catena-sec/catena/internal/clock"
)

// liveClocks find out which clocks are wrong while records come. What was told before a
// clock was known to be wrong stays as it was told.
type liveClocks struct {
	Stamps clock.Estimator `json:"stamps"`
	Votes  map[string]int  `json:"votes"` // by input and host

	now *clock.Correction
	due bool
}

// Bounds of what is asked of clocks: who writes evidence makes up hosts.
const (
	maxClocks     = 4096
	maxClockVotes = 256 // of one
)

func newLiveClocks() *liveClocks {
	return &liveClocks{Votes: map[string]int{}, now: (&clock.Estimator{}).Solve()}
}

// see takes in the stamps of one act.
func (c *liveClocks) see(input string, s *sighting) {
	if s.stamps.Recorded.IsZero() || s.stamps.Sensed.IsZero() && s.stamps.Received.IsZero() {
		return
	}
	key := input + "\x00" + s.obs.Host
	n, known := c.Votes[key]
	if n >= maxClockVotes || !known && len(c.Votes) >= maxClocks {
		return
	}
	n++
	c.Votes[key] = n
	if n >= 3 && n&(n-1) == 0 || n == 3 {
		c.due = true
	}
	c.Stamps.Observe(clock.Source{Input: input, Host: s.obs.Host}, s.obs.Code, s.stamps)
}

// correction is what is known of clocks. It is worked out anew when a clock has been
// heard often enough to say more of it.
func (c *liveClocks) correction() *clock.Correction {
	if c.due || c.now == nil {
		c.now, c.due = c.Stamps.Solve(), false
	}
	return c.now
}
