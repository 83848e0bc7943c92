package model

import "time"

// ReportSchema names the version of the report's JSON form.
const ReportSchema = "catena.report/v1"

// A Report is what one analysis found. The JSON form is the contract's.
type Report struct {
	Schema    string     `json:"schema"`
	Engine    Engine     `json:"engine"`
	Inputs    []Input    `json:"inputs"`
	Totals    Totals     `json:"totals"`
	Incidents []Incident `json:"incidents"`
	Alerts    []Alert    `json:"alerts"`
	// Alone are the ids of alerts of level high or critical that joined nothing,
	// worst first: nothing serious hides because it was alone.
	Alone []string `json:"alone"`
	// Events are the events that steps and roots cite and that are no alert's evidence.
	Events []Evidence `json:"events"`
	// Notes say what was corrected, could not be seen, or was left out.
	Notes []string `json:"notes"`

	// What decisions of analysts did; empty without decisions. See Decision.
	Decisions  []Decision   `json:"decisions,omitempty"`  // those that no incident's history holds
	Redirects  []Redirect   `json:"redirects,omitempty"`  // ids that decisions name, and where they lead now
	Suppressed []Suppressed `json:"suppressed,omitempty"` // by each suppression that matched
}

// Engine says what made a report.
type Engine struct {
	Version       string `json:"version"`
	Rules         string `json:"rules"` // count and content hash of the rules used
	AttackVersion string `json:"attack_version"`
}

// Input is one file, or one member of an archive, as it was read.
type Input struct {
	Path        string       `json:"path"`
	Format      string       `json:"format"`
	Bytes       int64        `json:"bytes"`
	Events      int64        `json:"events"`
	Skipped     int64        `json:"skipped"`
	Errors      []InputError `json:"errors"`
	First       *time.Time   `json:"first,omitempty"`
	Last        *time.Time   `json:"last,omitempty"`
	ClockOffset float64      `json:"clock_offset_s,omitempty"` // seconds added to its times; the commonest where hosts differ
}

// InputError is why a part of an input could not be read.
type InputError struct {
	Offset int64  `json:"offset"` // bytes from its start, -1 if unknown
	Record int64  `json:"record"` // 1-based, 0 if unknown
	Cause  string `json:"cause"`
	Count  int    `json:"count"` // how many records failed in this way; Offset and Record are the first's
}

// Totals counts what a report holds.
type Totals struct {
	Events    int64 `json:"events"`
	Alerts    int   `json:"alerts"`
	Incidents int   `json:"incidents"`
}
