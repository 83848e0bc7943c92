package knowledge

import "math"

// Counted over 39 published Attack Flows: the tactics of 54 actions without a
// cause.
const (
	rootsCounted = 54
	rootsOther   = 8 // spread over the ten tactics not named in rootCounts
	smoothing    = 0.5
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
