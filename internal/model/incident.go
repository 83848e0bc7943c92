package model

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Reason is why two things belong to one incident.
type Reason string

// The link reasons of the contract.
const (
	SameProcessTree Reason = "same_process_tree"
	SameSession     Reason = "same_session"
	SameUser        Reason = "same_user"
	SameHost        Reason = "same_host"
	SameFile        Reason = "same_file"
	SameHash        Reason = "same_hash"
	SameIP          Reason = "same_ip"
	SameDomain      Reason = "same_domain"
	SameAccessKey   Reason = "same_access_key"
	SameRoleChain   Reason = "same_role_chain"
	SameResource    Reason = "same_resource"
	NetworkFlow     Reason = "network_flow"
	FanOut          Reason = "fan_out"
	EnabledBy       Reason = "enabled_by"
	CoOccurrence    Reason = "co_occurrence"
	Analyst         Reason = "analyst"
)

// A Link says why the alert or event To belongs with From.
type Link struct {
	From   string             `json:"from"`
	To     string             `json:"to"`
	Reason Reason             `json:"reason"`
	Entity EntityKey          `json:"-"`
	Shared string             `json:"entity"` // "type:value" of what they share
	Bits   float64            `json:"bits"`
	Terms  map[string]float64 `json:"terms"`
	Detail string             `json:"detail"` // one plain sentence
}

// A Term is one part of an incident's score.
type Term struct {
	What string  `json:"what"`
	Bits float64 `json:"bits"`
}

// Root is where an incident started, or the earliest evidence of it.
type Root struct {
	Alert      string    `json:"alert,omitempty"`
	Event      string    `json:"event,omitempty"`
	Time       time.Time `json:"time"`
	Entity     string    `json:"entity"` // "type:value"
	Host       string    `json:"host,omitempty"`
	User       string    `json:"user,omitempty"`
	Process    string    `json:"process,omitempty"` // image path or program name
	Technique  string    `json:"technique"`
	Why        string    `json:"why"`
	Confidence float64   `json:"confidence"` // 0..1
}

// A Step is one act of the story.
type Step struct {
	N         int       `json:"n"`
	Time      time.Time `json:"time"`
	End       time.Time `json:"end"`
	Arrived   time.Time `json:"arrived,omitzero"` // when its first record arrived, where that says so
	Tactic    string    `json:"tactic"`
	Technique string    `json:"technique"`
	Intent    Intent    `json:"intent"`
	Stage     Stage     `json:"stage"`
	CloudStep CloudStep `json:"cloud_step"`
	Host      string    `json:"host,omitempty"`
	User      string    `json:"user,omitempty"`
	From      string    `json:"from,omitempty"`
	To        string    `json:"to,omitempty"`
	Summary   string    `json:"summary"`
	Alerts    []string  `json:"alerts"`
	Events    []string  `json:"events"`
	CausedBy  []int     `json:"caused_by"` // numbers of earlier steps
	Why       string    `json:"why"`
}

// EntityView is an entity as an incident sees it.
type EntityView struct {
	Type      EntityType `json:"type"`
	Value     string     `json:"value"`
	Name      string     `json:"name,omitempty"`
	Roles     []Role     `json:"roles"`
	FirstSeen time.Time  `json:"first_seen"`
	LastSeen  time.Time  `json:"last_seen"`
	Alerts    int        `json:"alerts"`
}

// Impact says what an attack got: entities as "type:value".
type Impact struct {
	Summary     string   `json:"summary"`
	Compromised []string `json:"compromised"`
	Touched     []string `json:"touched"`
	Exposed     []string `json:"exposed"`
	Data        []string `json:"data,omitempty"` // objects, mailboxes and files read or taken
	// Taken says how much of it, where records tell, most first.
	Taken []Taken `json:"taken,omitempty"`
	// Unseen are hosts that the attack touched and none of whose own records are in
	// the evidence; Unreached are those whose records are and that show no sign of it.
	Unseen    []string `json:"unseen,omitempty"`
	Unreached []string `json:"unreached,omitempty"`
	// Assets says of each asset that the user named how it stands, the worst first.
	Assets []AssetState `json:"assets,omitempty"`
}

// Taken is what one identity of the attack took from one store, mailbox or group of
// objects, or sent to one address.
type Taken struct {
	What    string    `json:"what"`            // "type:value"
	How     string    `json:"how"`             // "read", "sent", or of an archive "packed"
	By      string    `json:"by"`              // "type:value"
	Objects int       `json:"objects"`         // different ones, where records name them; else 0
	Acts    int       `json:"acts"`            // reads, or connections
	Bytes   int64     `json:"bytes"`           // of those acts that say; 0 if none does
	Told    int       `json:"told"`            // how many say
	Items   int64     `json:"items,omitempty"` // rows or messages that those reads gave out which say; 0 if none does
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Cites   []string  `json:"cites"`
}

// Assurance is how a critical asset stands towards an attack.
type Assurance string

// The assurances, worst first.
const (
	AssetTouched      Assurance = "touched"       // the attack acted on it or as it
	AssetReachable    Assurance = "reachable"     // what the attacker holds leads there, by ways that were used before
	AssetNoTelemetry  Assurance = "no_telemetry"  // nothing that would show it is in the evidence: cannot say
	AssetNotReachable Assurance = "not_reachable" // it is watched, shows nothing, and no way was seen; as far as seen
)

// AssetState is an asset that the user named, and how it stands towards an attack.
type AssetState struct {
	Name        string    `json:"name"`
	Kind        string    `json:"kind"` // the word the user gave: host, account, bucket...
	Values      []string  `json:"values"`
	Why         string    `json:"why,omitempty"`
	Owner       string    `json:"owner,omitempty"`
	Criticality string    `json:"criticality,omitempty"`
	State       Assurance `json:"state"`
	Ground      string    `json:"ground"` // what the state rests on, in a sentence or a few
	Cites       []string  `json:"cites"`  // ids of alerts and events
}

// NextStep is what an attacker may do next.
type NextStep struct {
	Technique   string  `json:"technique"`
	Tactic      string  `json:"tactic"`
	Probability float64 `json:"probability"`
	Why         string  `json:"why"`
	// Feasible says where in this estate it could be done, Visible by what it would be
	// seen, or that nothing here would show it. Both are empty when nobody asked.
	Feasible string `json:"feasible,omitempty"`
	Visible  string `json:"visible,omitempty"`
}

// A Lookalike is a group or campaign of ATT&CK whose techniques the incident shows.
// That many tools are everybody's makes a likeness weak: it names nobody.
type Lookalike struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Shared   []string `json:"shared"`   // techniques, ascending
	Of       int      `json:"of"`       // techniques of the group that evidence could show
	Likeness float64  `json:"likeness"` // 0..1, cosine of the two sets
	// Warning stands when so many and such rare techniques are shared that chance does
	// not explain it.
	Warning string `json:"warning,omitempty"`
}

// A Sentence of the story, with the ids of the alerts and events that show it.
type Sentence struct {
	Text  string   `json:"text"`
	Cites []string `json:"cites"`
}

// An Incident is alerts fused into one attack. The JSON form is the contract's.
type Incident struct {
	ID         string       `json:"id"`
	Title      string       `json:"title"`
	Severity   Severity     `json:"severity"`
	Score      int          `json:"score"`
	ScoreTerms []Term       `json:"score_terms"`
	Status     string       `json:"status"`
	FirstSeen  time.Time    `json:"first_seen"`
	LastSeen   time.Time    `json:"last_seen"`
	Root       Root         `json:"root"`
	Steps      []Step       `json:"steps"`
	Stages     []Stage      `json:"stages"`
	CloudSteps []CloudStep  `json:"cloud_steps"`
	Tactics    []string     `json:"tactics"`
	Techniques []string     `json:"techniques"`
	Entities   []EntityView `json:"entities"`
	Impact     Impact       `json:"impact"`
	Links      []Link       `json:"links"`
	Next       []NextStep   `json:"next"`
	Lookalikes []Lookalike  `json:"lookalikes,omitempty"`
	Summary    []Sentence   `json:"summary"`
	Chapters   []Chapter    `json:"chapters,omitempty"`
	Silences   []Silence    `json:"silences,omitempty"`
	Clocks     *Clocks      `json:"clocks,omitempty"`
	Related    []Related    `json:"related,omitempty"` // other incidents that may be of the same attack
	Alerts     []string     `json:"alerts"`
	Context    []string     `json:"context"`

	// What analysts decided about it; empty without decisions. See Decision.
	Verdict    string       `json:"verdict,omitempty"`
	Assignee   string       `json:"assignee,omitempty"`
	SplitFrom  string       `json:"split_from,omitempty"` // id of the incident that a decision took it out of
	Suppressed []Suppressed `json:"suppressed,omitempty"` // its alerts that are kept quiet
	History    []Decision   `json:"history,omitempty"`    // in the order in which they hold
}

// Related is another incident that has things of the attacker in common with this one,
// and that nothing joined to it.
type Related struct {
	Incident  string    `json:"incident"`
	Title     string    `json:"title"`
	Severity  Severity  `json:"severity"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Shared    []string  `json:"shared"` // "type:value", not empty
}

// IncidentID derives an incident's id from the alert that seeded it.
func IncidentID(seed string) string {
	sum := sha256.Sum256([]byte("incident\x00" + seed))
	return "inc-" + hex.EncodeToString(sum[:8])
}

// An Observation is what memory keeps of an event: enough to walk from act to
// act, and to tell it in a story, without the record itself. It shares no memory
// with a batch.
type Observation struct {
	Event     string // the event's id
	Time      time.Time
	Act       Act
	Host      string
	Code      string
	Format    string
	Source    LogSource
	Subsystem Subsystem
	Ref       Ref
	Entities  []Entity
	// Text is what was run, asked or written, where the act has such a thing: a
	// command line, a script's start, a registry value. At most MaxObservedText bytes.
	Text string
	// Bytes is how much left with the act, where the record says so: what the source
	// of a connection sent, what a read of an object or mailbox gave out; of a file
	// written how large it is. 0 is unknown.
	Bytes int64
	// Items is how many things a read gave out, where the record says so: rows of a
	// table, messages of a mailbox. 0 is unknown.
	Items int64
	// Place is where the act came from, as the record itself says; nil mostly. What
	// observations share they do not change.
	Place *Place
	// Kept is the number under which whoever keeps observations gives this one again;
	// 0 when nobody does.
	Kept int64
}

// A Place is where on earth an act came from. Unknown parts are zero.
type Place struct {
	Country  string  // ISO 3166-1 alpha-2, upper case
	Lat, Lon float64 // degrees; known only if Located
	Located  bool
	Radius   float64 // km that the coordinates may be off; 0 if nobody says
	Network  uint32  // number of the autonomous system
}

// MaxObservedText bounds Observation.Text, in bytes.
const MaxObservedText = 2048

// Find returns the first entity of that type and role, and whether there is one.
func (o *Observation) Find(t EntityType, r Role) (Entity, bool) { return find(o.Entities, t, r) }
