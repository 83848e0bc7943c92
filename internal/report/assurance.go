package report

import (
	"fmt"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// assuranceWords says how an asset stands, in the fewest words.
func assuranceWords(s model.Assurance) string {
	switch s {
	case model.AssetTouched:
		return "touched"
	case model.AssetReachable:
		return "reachable"
	case model.AssetNoTelemetry:
		return "cannot say"
	case model.AssetNotReachable:
		return "not reachable" // as far as seen, which its ground says
	}
	return string(s)
}

// assetFacts is what the user said of an asset besides its name.
func assetFacts(a *model.AssetState) string {
	owner := ""
	if a.Owner != "" {
		owner = "owner " + a.Owner
	}
	return join(" · ", a.Kind, a.Criticality, a.Why, owner)
}

// takenLine says how much was read from where, or sent to where, and by whom.
func takenLine(t *model.Taken) string {
	var amount string
	switch {
	case t.How == "sent":
		amount = size(t.Bytes) + " sent to"
	case t.How == "packed":
		amount = size(t.Bytes) + " packed into"
	case t.Objects > 0:
		amount = plural(int64(t.Objects), "object") + " read from"
	default:
		amount = plural(int64(t.Acts), "read") + " of"
	}
	line := amount + " " + keyWords(t.What)
	if t.How == "read" && t.Items > 0 {
		of := "row"
		if strings.HasPrefix(t.What, string(model.Mailbox)+":") {
			of = "message"
		}
		line += ", " + plural(t.Items, of)
	}
	if t.How == "read" && t.Bytes > 0 {
		line += ", " + size(t.Bytes)
		if t.Told < t.Acts {
			line += fmt.Sprintf(" told of %s of %s reads", thousands(int64(t.Told)), thousands(int64(t.Acts)))
		}
	}
	line += ", by " + keyWords(t.By) + ", " + stamp(t.First)
	if stamp(t.First) != stamp(t.Last) {
		line += " to " + stamp(t.Last)
	}
	return line
}

// size writes bytes in powers of a thousand.
func size(n int64) string {
	if n < 1000 {
		return plural(n, "byte")
	}
	v, i := float64(n)/1000, 0
	for ; v >= 999.5 && i < 5; i++ {
		v /= 1000
	}
	return fmt.Sprintf("%.3g %cB", v, "kMGTPE"[i])
}

// hostKeys makes names of hosts keys as the other lists of the impact hold.
func hostKeys(hosts []string) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = string(model.Host) + ":" + h
	}
	return out
}
