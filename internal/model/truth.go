package model

import "time"

// TruthSchema names the version of a truth file's JSON form.
const TruthSchema = "catena.truth/v1"

// Truth says what really happened in a body of evidence: what a simulator
// planted, or what a person found out. A report is scored against it.
type Truth struct {
	Schema    string          `json:"schema"`
	Campaigns []TruthCampaign `json:"campaigns"`
	// Records name the evidence records that belong to a campaign. A record that
	// is not named is background.
	Records []TruthRecord `json:"records"`
	// Benign are works of which alerts tell as if they were attacks.
	Benign []*TruthActivity `json:"benign,omitempty"`
}

// TruthActivity is something that was done on purpose and is no attack, although it looks
// like one: a roll-out, a scan, maintenance, a test that was ordered.
type TruthActivity struct {
	ID     string    `json:"id"`
	Kind   string    `json:"kind"` // roll-out, vulnerability-scan, internet-scan, pentest, maintenance
	Title  string    `json:"title"`
	Tenant string    `json:"tenant,omitempty"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	// Records are the keys "<input>#<record>" of its records.
	Records []string `json:"records"`
}

// TruthCampaign is one attack: where it started, whom it touched, and its steps.
type TruthCampaign struct {
	ID    string      `json:"id"`
	Title string      `json:"title"`
	Root  TruthRoot   `json:"root"`
	Hosts []string    `json:"hosts"` // hosts it acted on, as the evidence names them
	Users []string    `json:"users"` // accounts it acted as
	IPs   []string    `json:"ips,omitempty"`
	Steps []TruthStep `json:"steps"`
}

// TruthRoot is where a campaign started. An empty part is not known or does not
// exist there (a cloud campaign may have no process) and is not scored.
type TruthRoot struct {
	Host    string    `json:"host,omitempty"`
	User    string    `json:"user,omitempty"`
	Process string    `json:"process,omitempty"` // image name or path
	Time    time.Time `json:"time"`
	// Event is the match key of the record that shows the root; see TruthStep.
	Event string `json:"event,omitempty"`
}

// TruthStep is one step of a campaign.
type TruthStep struct {
	N         int       `json:"n"` // 1-based, in order of time
	Time      time.Time `json:"time"`
	Technique string    `json:"technique"` // ATT&CK id
	Tactic    string    `json:"tactic"`    // ATT&CK short name
	Host      string    `json:"host,omitempty"`
	User      string    `json:"user,omitempty"`
	What      string    `json:"what"`
	// Events are match keys of the records that show the step: the record's
	// "<input>#<record>", as in TruthRecord.
	Events []string `json:"events"`
	Parent int      `json:"parent"` // the step that enabled it, 0 for none
	// Visible says whether the evidence shows the step at all; a step that nothing
	// recorded is not expected to be found.
	Visible bool `json:"visible"`
}

// TruthRecord says which step of which campaign an evidence record belongs to.
type TruthRecord struct {
	// Input is the path of the record's file relative to the evidence's root, with
	// slashes; it matches an input that ends with it ("hosts/a.xml" matches
	// "out/evidence/hosts/a.xml").
	Input    string `json:"input"`
	Record   int64  `json:"record"` // 1-based number of the record in its input
	Campaign string `json:"campaign"`
	Step     int    `json:"step"` // TruthStep.N, 0 if it belongs to no one step
}
