package knowledge

import (
	"slices"
	"strings"
)

// A Technique is one technique or sub-technique of ATT&CK, in use or not.
type Technique struct {
	ID         string
	Name       string
	Tactics    []string // v19 short names, in ATT&CK's order; empty if revoked
	TacticsV18 []string // short names in v18.1
	Platforms  []string
	Parent     string // id of the technique a sub-technique belongs to
	Deprecated bool
	RevokedBy  string // id of its successor, empty if in use
}

// Lookup returns the technique with that id exactly as given, revoked or not.
// The slices of the answer belong to the table.
func Lookup(id string) (Technique, bool) {
	f := attack()
	if i, ok := f.index[id]; ok {
		return f.techniques[i], true
	}
	return Technique{}, false
}

// Resolve returns the v19 id of a technique: ids in any case, revoked ids by
// following ATT&CK to their successor (T1562.001 is T1685), and sub-techniques
// that ATT&CK does not know by their parent. It reports false for anything else.
func Resolve(id string) (string, bool) {
	f := attack()
	id = strings.ToUpper(strings.TrimSpace(id))
	if _, ok := f.index[id]; !ok {
		id = parentOf(id)
	}
	for range 8 { // revocations are chains of at most three; a table with a ring must not hang us
		i, ok := f.index[id]
		if !ok {
			return "", false
		}
		if f.techniques[i].RevokedBy == "" {
			return id, true
		}
		id = f.techniques[i].RevokedBy
	}
	return "", false
}

// TechniqueName returns a technique's name, with its parent's before it where it
// has one ("OS Credential Dumping: LSASS Memory"), and the id itself if unknown.
func TechniqueName(id string) string {
	t, ok := Lookup(id)
	if !ok {
		return id
	}
	if p, ok := Lookup(t.Parent); ok {
		return p.Name + ": " + t.Name
	}
	return t.Name
}

// TacticsOf returns the v19 tactics of a technique, however old its id.
func TacticsOf(id string) []string {
	if now, ok := Resolve(id); ok {
		t, _ := Lookup(now)
		return t.Tactics
	}
	return nil
}

// SameTechnique says whether two ids mean the same technique, or one is the
// parent of the other, once both are followed to v19.
func SameTechnique(a, b string) bool {
	a, okA := Resolve(a)
	b, okB := Resolve(b)
	return okA && okB && (a == b || parentOf(a) == b || parentOf(b) == a)
}

// parentOf returns what stands before the dot of a sub-technique's id, empty for
// any other.
func parentOf(id string) string {
	if parent, _, sub := strings.Cut(id, "."); sub {
		return parent
	}
	return ""
}

// MaxTags bounds how many tags of a rule FromTags reads.
const MaxTags = 256

// FromTags reads the tags of a Sigma rule ("attack.t1059.001",
// "attack.credential-access", "attack.ta0006"; the prefix may be missing) and
// returns v19 technique ids and v19 tactic short names, each in the order of the
// tags. Tactics are those that the tags name; if they name none, those of the
// techniques. Groups, software and other name spaces are passed over.
//
// A defense-evasion tag becomes the successors that the rule's techniques have:
// with T1562.001 it is defense-impairment, with T1036 stealth, alone stealth.
func FromTags(tags []string) (techniques, tactics []string) {
	techniques, tactics = readTags(tags)
	if len(tactics) == 0 {
		for _, id := range techniques {
			tactics = add(tactics, TacticsOf(id)...)
		}
	}
	return techniques, tactics
}

// readTags is FromTags without the tactics that only the techniques imply.
func readTags(tags []string) (techniques, tactics []string) {
	var words []string
	for _, tag := range tags[:min(len(tags), MaxTags)] {
		word := strings.ToLower(strings.TrimSpace(tag))
		if space, rest, ok := strings.Cut(word, "."); ok && !isTechniqueID(word) {
			if space != "attack" {
				continue
			}
			word = rest
		}
		if isTechniqueID(word) {
			if id, ok := Resolve(word); ok {
				techniques = add(techniques, id)
			}
			continue
		}
		words = append(words, word)
	}
	return techniques, readTactics(words, techniques)
}

// readTactics returns the tactics that words name, in their order.
func readTactics(words, techniques []string) []string {
	var tactics []string
	for _, word := range words {
		if isDefenseEvasion(word) {
			tactics = add(tactics, evasionBy(techniques)...)
		} else if t, ok := Tactic(word); ok {
			tactics = add(tactics, t.ShortName)
		}
	}
	return tactics
}

// evasionBy returns which successors of Defense Evasion the techniques belong
// to, Stealth if none says.
func evasionBy(techniques []string) []string {
	var out []string
	for _, id := range techniques {
		for _, t := range TacticsOf(id) {
			if t == Stealth || t == DefenseImpairment {
				out = add(out, t)
			}
		}
	}
	if out == nil {
		return []string{Stealth}
	}
	return out
}

// isTechniqueID says whether s looks like t1059 or t1059.001.
func isTechniqueID(s string) bool {
	if len(s) < 5 || (s[0] != 't' && s[0] != 'T') {
		return false
	}
	return !slices.ContainsFunc([]byte(s[1:5]), func(c byte) bool { return c < '0' || c > '9' }) &&
		(len(s) == 5 || len(s) == 9 && s[5] == '.')
}
