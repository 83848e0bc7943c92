package model

import "time"

// ChangeKind says what happened to an incident or a source.
type ChangeKind string

// The changes that people can be told of.
const (
	IncidentRaised  ChangeKind = "incident_raised"
	IncidentGrown   ChangeKind = "incident_grown"
	SeverityChanged ChangeKind = "severity_changed"
	IncidentMerged  ChangeKind = "incident_merged" // into another one; its id redirects from then on
	IncidentEdited  ChangeKind = "incident_edited" // by a person: status, owner, verdict, comment, links
	SourceQuiet     ChangeKind = "source_quiet"
	SourceBack      ChangeKind = "source_back"
	ObjectiveBurns  ChangeKind = "objective_burning" // a promise is being broken
)

// A Change is one line of a tenant's outbox: written in the transaction that made
// what it tells of, and never changed.
type Change struct {
	Seq      int64      `json:"seq"` // grows by one with every change of the tenant
	Tenant   string     `json:"tenant"`
	Time     time.Time  `json:"time"` // when it was committed
	Kind     ChangeKind `json:"kind"`
	Incident string     `json:"incident,omitempty"`
	Into     string     `json:"into,omitempty"` // of a merge: the incident that survives
	Severity Severity   `json:"severity,omitempty"`
	Before   Severity   `json:"before,omitempty"` // of a changed severity
	Source   string     `json:"source,omitempty"`
	Actor    string     `json:"actor,omitempty"` // who did it, if a person
	Detail   string     `json:"detail,omitempty"`
}

// Milestones are the times of one incident, each nil until it has come: what the attacker
// did and when the defender knew.
type Milestones struct {
	Act          *time.Time `json:"act,omitempty"`     // its first act, by event time
	Arrived      *time.Time `json:"arrived,omitempty"` // when the first record of it was taken
	Alerted      *time.Time `json:"alerted,omitempty"` // when its first alert was raised
	Raised       *time.Time `json:"raised,omitempty"`  // when it became an incident
	Noticed      *time.Time `json:"noticed,omitempty"` // when somebody was told
	Acknowledged *time.Time `json:"acknowledged,omitempty"`
	Contained    *time.Time `json:"contained,omitempty"`
}
