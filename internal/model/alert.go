package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// RuleInfo says which rule, detector or product raised an alert.
type RuleInfo struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Level  Severity `json:"level"`
	Source string   `json:"source"` // "builtin", the rule's file, or the product that raised the alert
}

// Evidence is a record that shows what an alert claims.
type Evidence struct {
	Input  string          `json:"input"`
	Record int64           `json:"record"`
	ID     string          `json:"id"` // the event's id, which stories cite
	Event  json.RawMessage `json:"event,omitempty"`
}

// An Alert is one detection finding: a claim, with the events that show it. The
// JSON form is the contract's.
type Alert struct {
	ID         string      `json:"id"`
	Time       time.Time   `json:"time"` // of the first match, UTC, corrected
	End        time.Time   `json:"end"`  // of the last match
	Count      int         `json:"count"`
	Rule       RuleInfo    `json:"rule"`
	Product    string      `json:"product"`
	Format     string      `json:"format"`
	Subsystem  Subsystem   `json:"subsystem"`
	Severity   Severity    `json:"severity"`
	Techniques []string    `json:"techniques"` // ATT&CK v19 ids
	Tactics    []string    `json:"tactics"`    // ATT&CK v19 short names
	Intent     AlertIntent `json:"intent"`
	Stage      Stage       `json:"stage"`
	CloudStep  CloudStep   `json:"cloud_step"`
	Entities   []Entity    `json:"entities"`
	Incident   *string     `json:"incident"`
	Evidence   []Evidence  `json:"evidence"` // never empty
	// Raw keeps the sensor's own words on intent and severity; empty for our rules.
	Raw map[string]string `json:"raw,omitempty"`

	// Tags are the rule's tags as written (attack.t1110.003, attack.credential-access).
	Tags []string `json:"-"`
	// Pattern says that the alert is about several acts of different kinds, each shown
	// by evidence of its own: that they belong together is what it claims.
	Pattern bool `json:"-"`
	// Act, Host and Code are those of the first event.
	Act  Act    `json:"-"`
	Host string `json:"-"`
	Code string `json:"-"`
}

// AlertID derives an alert's id from its rule and its first event.
func AlertID(rule, event string) string {
	sum := sha256.Sum256([]byte(rule + "\x00" + event))
	return "a-" + hex.EncodeToString(sum[:10])
}

// Find returns the first entity of that type and role, and whether there is one.
func (a *Alert) Find(t EntityType, r Role) (Entity, bool) { return find(a.Entities, t, r) }
