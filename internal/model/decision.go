package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// DecisionKind is what an analyst decided.
type DecisionKind string

// The kinds of decisions. Which targets each takes, the comment says; an alert is
// named by its id (a-...), an incident by its own (inc-...).
const (
	Cut       DecisionKind = "cut"      // alert, alert: never in one incident
	LinkUp    DecisionKind = "link"     // alert, alert: always in one incident
	Split     DecisionKind = "split"    // incident, alerts: these leave it for an incident of their own
	Merge     DecisionKind = "merge"    // incidents: they are one
	Move      DecisionKind = "move"     // alert, incident, incident: out of the first, into the second
	Exclude   DecisionKind = "exclude"  // Where: kept out of fusion
	Suppress  DecisionKind = "suppress" // Where, Until: kept quiet, and weak evidence still
	JudgeAs   DecisionKind = "verdict"  // alert or incident; Value: a verdict
	Comment   DecisionKind = "comment"  // alert or incident; Reason is the text
	Assign    DecisionKind = "assign"   // incident; Value: who works on it, empty for nobody
	SetStatus DecisionKind = "status"   // incident; Value: a status
	Undo      DecisionKind = "undo"     // an earlier decision, by its id (d-...)
)

// The verdicts of a JudgeAs.
const (
	TruePositive  = "true_positive"
	FalsePositive = "false_positive"
	BenignWork    = "benign" // it happened, and is allowed
)

// A Decision is what an analyst changed or said, as one line of the journal of
// decisions holds it. The JSON form is that of `catena schema decision`.
type Decision struct {
	// ID is derived from all that follows but Effect (see DecisionID); a journal need
	// not carry it.
	ID      string       `json:"id,omitempty"`
	At      time.Time    `json:"at"`
	Author  string       `json:"author"`
	Kind    DecisionKind `json:"kind"`
	Targets []string     `json:"targets,omitempty"`
	Where   *Condition   `json:"where,omitempty"`
	// Until ends a suppression: alerts from then on are not suppressed.
	Until  *time.Time `json:"until,omitempty"`
	Value  string     `json:"value,omitempty"`
	Reason string     `json:"reason"`
	// Effect says in a report what became of the decision where that is not what it
	// says: a later one overrides it, or what it names is not in the evidence.
	Effect string `json:"effect,omitempty"`
}

// A Condition says of which alerts a decision speaks: of those for which all that
// it names holds. One that names nothing speaks of none.
type Condition struct {
	Rule    string `json:"rule,omitempty"`    // id of the rule
	Product string `json:"product,omitempty"` // product that raised the alert
	Entity  string `json:"entity,omitempty"`  // "type:value" of an entity in the alert, in any role
	// Since is the first time, by the alert's own, of which it speaks.
	Since *time.Time `json:"since,omitempty"`
}

// DecisionID derives a decision's id from what it says.
func DecisionID(d Decision) string {
	d.ID, d.Effect, d.At = "", "", d.At.UTC()
	b, err := json.Marshal(d)
	if err != nil { // a year that RFC 3339 cannot say; no journal holds one
		b = []byte(err.Error())
	}
	sum := sha256.Sum256(append([]byte("decision\x00"), b...))
	return "d-" + hex.EncodeToString(sum[:6])
}

// A Redirect says under which id an incident is found that was known by another.
type Redirect struct {
	From string `json:"from"`
	To   string `json:"to"`
	Why  string `json:"why"`
}

// A Suppressed says what one suppression did to an incident, or to a report.
type Suppressed struct {
	Decision string     `json:"decision"` // its id
	Where    Condition  `json:"where"`
	Until    *time.Time `json:"until,omitempty"`
	Author   string     `json:"author"`
	Reason   string     `json:"reason"`
	Alerts   int        `json:"alerts"` // matched by it
	Text     string     `json:"text"`   // the same as a sentence
}
