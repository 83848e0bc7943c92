package knowledge

import "math"

// Counted over 39 published Attack Flows: the tactics of 54 actions without a
// cause, and the direction of 883 causal edges in the order of the matrix.
const (
	rootsCounted = 54
	rootsOther   = 8 // spread over the ten tactics not named in rootCounts
	smoothing    = 0.5

	shareForward, shareSame, shareBackward = 0.48, 0.17, 0.35
	shareBackToStart                       = 0.02 // edges that return to reconnaissance, resources or initial access
)

// rootCount returns how often a tactic was a root.
func rootCount(tactic string) float64 {
	switch tactic {
	case InitialAccess:
		return 29
	case Reconnaissance:
		return 6
	case ResourceDevelopment:
		return 5
	case CommandAndControl:
		return 4
	case Execution:
		return 2
	}
	return rootsOther / 10.0
}

// RootBits returns log2 of the probability that an act of this tactic, and not
// one of another, is where an attack starts. It is negative; what counts is the
// difference between two tactics. For a word that is no tactic it is that of a
// tactic never counted by name.
func RootBits(tactic string) float64 {
	t, _ := Tactic(tactic)
	return math.Log2((rootCount(t.ShortName) + smoothing) / (rootsCounted + 15*smoothing))
}

// TransitionBits returns how much the order of two acts speaks for the first
// having led to the second: the logarithm of how often real attacks go that way
// in the matrix over how often chance would, halved and kept within one bit,
// because a third of all real causal edges go backwards. It is for telling, not
// for deciding. Words that are no tactic give 0.
func TransitionBits(prev, next string) float64 {
	from, to := order(prev), order(next)
	if from < 0 || to < 0 {
		return 0
	}
	const tactics, start = 15, 3
	forward, backward := float64(tactics-1-from), float64(from)
	possible := shareSame
	if forward > 0 {
		possible += shareForward
	}
	if backward > 0 {
		possible += shareBackward
	}
	var share, room float64
	switch {
	case to == from:
		share, room = shareSame, 1
	case to > from:
		share, room = shareForward, forward
	case to < start && from >= start:
		share, room = shareBackToStart, start
	default:
		share, room = shareBackward, backward
	}
	bits := 0.5 * math.Log2(share/possible/(room/tactics))
	return max(-1, min(1, bits))
}
