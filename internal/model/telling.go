package model

import "time"

// A Chapter is a run of steps that serve one purpose, for the most part in one
// place: what a reader wants to know before the steps themselves.
type Chapter struct {
	N     int       `json:"n"`
	Title string    `json:"title"` // what was done and where, such as "Gained higher rights on ws1"
	Time  time.Time `json:"time"`
	End   time.Time `json:"end"`
	Hosts []string  `json:"hosts"` // as steps name them, in order of first sight
	From  int       `json:"from"`  // number of its first step
	To    int       `json:"to"`    // and of its last
	Text  string    `json:"text"`  // its most telling steps, in order
	Cites []string  `json:"cites"`
}

// Clocks set what the attacker did beside what the defender had of it at the time.
type Clocks struct {
	Happened   time.Time `json:"happened"`              // the first act told
	FirstAlert time.Time `json:"first_alert"`           // the first act that an alert is about
	Raised     time.Time `json:"raised,omitzero"`       // when enough had happened for an incident: the time of the last act that took part
	RaisedBy   int       `json:"raised_by,omitempty"`   // core alerts about acts until then
	Arrived    time.Time `json:"arrived,omitzero"`      // when the first record of an alert arrived, as records say
	Stamped    int       `json:"stamped"`               // core alerts whose record says when it arrived
	Median     float64   `json:"delay_s,omitempty"`     // half of those arrived within so many seconds
	Longest    float64   `json:"max_delay_s,omitempty"` // and all of them within these
}

// A Silence is a time in which a host of the attack recorded nothing although it
// is seldom quiet for so long.
type Silence struct {
	Host  string    `json:"host"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`    // when it spoke again; when the last of the others did if it did not
	Ended bool      `json:"ended"` // whether it spoke again
	Steps []int     `json:"steps"` // those near by that stopped or cleared a log there
	Why   string    `json:"why"`   // how quiet the host is else, and what happened near by
	Cites []string  `json:"cites"`
}
