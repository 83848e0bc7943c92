package knowledge

// The tactics of ATT&CK v19 by short name, as alerts and steps carry them.
const (
	Reconnaissance      = "reconnaissance"
	ResourceDevelopment = "resource-development"
	InitialAccess       = "initial-access"
	Execution           = "execution"
	Persistence         = "persistence"
	PrivilegeEscalation = "privilege-escalation"
	Stealth             = "stealth"
	DefenseImpairment   = "defense-impairment"
	CredentialAccess    = "credential-access"
	Discovery           = "discovery"
	LateralMovement     = "lateral-movement"
	Collection          = "collection"
	CommandAndControl   = "command-and-control"
	Exfiltration        = "exfiltration"
	Impact              = "impact"
)

// defenseEvasion is the squeezed name of the tactic that v19 split into Stealth
// and Defense Impairment.
const defenseEvasion = "defenseevasion"

// A TacticInfo is one tactic of ATT&CK.
type TacticInfo struct {
	ID        string // "TA0006"
	ShortName string // "credential-access"
	Name      string // "Credential Access"
	Order     int    // place in the matrix, 0 for Reconnaissance
}

// Tactics returns the tactics in the order of the matrix.
func Tactics() []TacticInfo { return append([]TacticInfo(nil), attack().tactics...) }

// Tactic understands what rules and products call a tactic: short names with any
// separators, ids, display names and Defender's intents ("Pre-attack", "Initial
// access", "Exploitation"). It reports false for words that name none, "Unknown"
// among them.
//
// Defense Evasion is no tactic any more. Without a technique to tell which of
// its two successors is meant (see FromTags), it is Stealth, the larger one,
// which also kept its id.
func Tactic(s string) (TacticInfo, bool) {
	f := attack()
	word := squeeze(s)
	i, ok := f.tacticOf[word]
	if !ok {
		var name string
		if name, ok = tacticWords[word]; ok {
			i, ok = f.tacticOf[squeeze(name)]
		}
	}
	if !ok {
		return TacticInfo{}, false
	}
	return f.tactics[i], true
}

// tacticWords are squeezed words that are no name of a v19 tactic and mean one.
var tacticWords = map[string]string{
	defenseEvasion:     Stealth,
	"defenceevasion":   Stealth,
	"evasion":          Stealth,
	"impairdefenses":   DefenseImpairment,
	"preattack":        Reconnaissance,
	"probing":          Reconnaissance,
	"recon":            Reconnaissance,
	"exploitation":     InitialAccess, // Defender's older name of it, not the classic stage
	"c2":               CommandAndControl,
	"commandcontrol":   CommandAndControl,
	"impactdefacement": Impact,
}

func isDefenseEvasion(word string) bool {
	switch squeeze(word) {
	case defenseEvasion, "defenceevasion":
		return true
	}
	return false
}

// order returns the place of a short name in the matrix, -1 if it is none.
func order(tactic string) int {
	if t, ok := Tactic(tactic); ok {
		return t.Order
	}
	return -1
}
