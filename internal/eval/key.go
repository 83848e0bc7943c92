// Package eval is the scoreboard: it compares a report with what really
// happened. Truth comes in two forms. An exact one (catena.truth/v1, written by
// the simulator) names every record of every step. A judged one, as people write
// it about captures of others, names times, hosts, techniques and what was seen;
// there membership is decided by the rules of Campaign.judge.
package eval

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// MaxTruth bounds a truth file, in bytes.
const MaxTruth = 256 << 20

// A Key is truth in the form Score needs, whichever form it was written in.
type Key struct {
	Campaigns  []Campaign
	Activities []Activity
}

// An Activity is work that looks like an attack and is none: what it raises is false, but
// of a kind that can be told of.
type Activity struct {
	ID, Kind string

	records map[int64][]recordKey // by number
}

// Planned returns the activity of which an alert tells, "" if of none.
func (k *Key) Planned(al *model.Alert) string {
	for i := range k.Activities {
		if slices.ContainsFunc(al.Evidence, k.Activities[i].holds) {
			return k.Activities[i].ID
		}
	}
	return ""
}

func (a *Activity) holds(e model.Evidence) bool {
	for _, r := range a.records[e.Record] {
		if r.names(e.Input, e.Record) {
			return true
		}
	}
	return false
}

// Moved returns the campaign as it is where its evidence was laid over an estate with
// others: later, and with other names. Name gives those that a host or account may have
// there, and address that of an address; of what a step's evidence says, only whole
// addresses change.
func (c Campaign) Moved(by time.Duration, name func(string) []string, address func(string) string) Campaign {
	each := func(list []string, to func(string) []string) []string {
		var out []string
		for _, v := range list {
			out = addNew(out, to(v)...)
		}
		return out
	}
	there := func(v string) []string { return []string{address(v)} }
	later := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(by)
	}
	c.Hosts, c.Users, c.Benign, c.IPs, c.HostIPs = each(c.Hosts, name), each(c.Users, name), each(c.Benign, name), each(c.IPs, there), each(c.HostIPs, there)
	c.Root = Root{Hosts: each(c.Root.Hosts, name), Users: each(c.Root.Users, name), Processes: c.Root.Processes, Time: later(c.Root.Time)}
	c.From, c.To = later(c.From), later(c.To)
	c.Steps = slices.Clone(c.Steps)
	for i := range c.Steps {
		s := &c.Steps[i]
		s.Time, s.Hosts, s.Terms = later(s.Time), each(s.Hosts, name), each(s.Terms, there)
	}
	return c
}

// Onset is the time of the first visible step; zero if none is.
func (c *Campaign) Onset() time.Time {
	var first time.Time
	for _, s := range c.Steps {
		if s.Visible && !s.Time.IsZero() && (first.IsZero() || s.Time.Before(first)) {
			first = s.Time
		}
	}
	return first
}

// A Campaign is one attack to be found.
type Campaign struct {
	ID, Title string
	Root      Root
	Hosts     []string // short names, lower case
	HostIPs   []string // addresses of those hosts
	Users     []string // name parts, lower case; built-in accounts are left out
	Benign    []string // name parts of users who are not the attacker although they look like him
	IPs       []string // the attacker's addresses, where an address is his alone
	Processes []string // image names that only the attack runs: its entry and what it wrote
	From, To  time.Time
	Steps     []Step

	exact   bool
	records map[int64][]model.TruthRecord // by record number
}

// Root is where a campaign started, each part with every answer that is right;
// an empty part is not scored.
type Root struct {
	Hosts, Users, Processes []string
	Time                    time.Time
}

// A Step is one step of a campaign.
type Step struct {
	N         int
	Time      time.Time
	Tolerance time.Duration // how far from Time it may be seen
	Technique string
	Hosts     []string // any of them; empty if not known
	What      string
	Visible   bool
	// Terms are words of the evidence, lower case: every one (All) or one of them.
	Terms []string
	All   bool
	// Parent is the number of the step that enabled it, 0 for none.
	Parent int

	records []recordKey
}

// ParseTruth reads a truth file of either form; what stands in it says which.
func ParseTruth(src []byte) (*Key, error) {
	if len(src) > MaxTruth {
		return nil, fmt.Errorf("truth: %d bytes, more than %d", len(src), MaxTruth)
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(src, &head); err != nil {
		return nil, fmt.Errorf("truth: %w", err)
	}
	switch head.Schema {
	case model.TruthSchema:
		var t model.Truth
		if err := json.Unmarshal(src, &t); err != nil {
			return nil, fmt.Errorf("truth: %w", err)
		}
		return FromTruth(&t), nil
	case "":
		return FromOTRF(src)
	}
	return nil, fmt.Errorf("truth: schema %q, want %q", head.Schema, model.TruthSchema)
}

// Only returns the key with one campaign alone.
func (k *Key) Only(id string) (*Key, error) {
	var ids []string
	for _, c := range k.Campaigns {
		if c.ID == id {
			return &Key{Campaigns: []Campaign{c}}, nil
		}
		ids = append(ids, c.ID)
	}
	return nil, fmt.Errorf("truth: no campaign %q; it has %s", id, strings.Join(ids, ", "))
}

// FromTruth makes a key of exact truth.
func FromTruth(t *model.Truth) *Key {
	k := &Key{}
	for _, tc := range t.Campaigns {
		c := Campaign{ID: tc.ID, Title: tc.Title, exact: true, IPs: tc.IPs, records: map[int64][]model.TruthRecord{}}
		c.Root = Root{Hosts: nonEmpty(shortHost(tc.Root.Host)), Users: userParts(tc.Root.User), Processes: nonEmpty(baseName(tc.Root.Process)), Time: tc.Root.Time}
		for _, h := range tc.Hosts {
			c.Hosts = addNew(c.Hosts, shortHost(h))
		}
		for _, u := range tc.Users {
			c.Users = addNew(c.Users, userParts(u)...)
		}
		for _, ts := range tc.Steps {
			s := Step{N: ts.N, Time: ts.Time, Tolerance: tolerance, Technique: ts.Technique, Hosts: nonEmpty(shortHost(ts.Host)), What: ts.What, Visible: ts.Visible, Parent: ts.Parent}
			for _, key := range ts.Events {
				if r, ok := parseRecordKey(key); ok {
					s.records = append(s.records, r)
				}
			}
			c.Steps = append(c.Steps, s)
		}
		for _, r := range t.Records {
			if r.Campaign == c.ID {
				c.records[r.Record] = append(c.records[r.Record], r)
			}
		}
		k.Campaigns = append(k.Campaigns, c)
	}
	for _, b := range t.Benign {
		if b == nil {
			continue
		}
		a := Activity{ID: b.ID, Kind: b.Kind, records: map[int64][]recordKey{}}
		for _, key := range b.Records {
			if r, ok := parseRecordKey(key); ok {
				a.records[r.record] = append(a.records[r.record], r)
			}
		}
		k.Activities = append(k.Activities, a)
	}
	return k
}

// recordKey names a record of the evidence: "<input>#<record>".
type recordKey struct {
	input  string
	record int64
}

func parseRecordKey(s string) (recordKey, bool) {
	i := strings.LastIndexByte(s, '#')
	if i < 0 {
		return recordKey{}, false
	}
	var n int64
	if _, err := fmt.Sscanf(s[i+1:], "%d", &n); err != nil {
		return recordKey{}, false
	}
	return recordKey{s[:i], n}, true
}

// names says whether the key means this record of a report: its input ends with
// the key's, at the border of a path element.
func (k recordKey) names(input string, record int64) bool {
	return k.record == record && endsWithPath(input, k.input)
}

func endsWithPath(full, tail string) bool {
	full, tail = strings.ReplaceAll(full, `\`, "/"), strings.ReplaceAll(tail, `\`, "/")
	rest, ok := strings.CutSuffix(full, tail)
	return ok && tail != "" && (rest == "" || strings.HasSuffix(rest, "/") || strings.HasSuffix(rest, "!"))
}

// shortHost returns a host's first label in lower case: people and products
// disagree about the rest.
func shortHost(s string) string {
	s = strings.ToLower(strings.TrimSpace(stripNote(s)))
	if strings.Count(s, ".") == 3 && strings.Trim(s, "0123456789.") == "" {
		return s // an address
	}
	s, _, _ = strings.Cut(s, ".")
	return s
}

// baseName returns the file name of a path or of a command's first word, in
// lower case.
func baseName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		s, _, _ = strings.Cut(rest, `"`)
	}
	s = path.Base(strings.ReplaceAll(s, `\`, "/"))
	if s == "." || s == "/" {
		return ""
	}
	return s
}

// stripNote cuts what stands in parentheses behind a value.
func stripNote(s string) string {
	s, _, _ = strings.Cut(s, " (")
	return s
}

// userParts returns the names in an account as anyone writes it: the name behind
// the domain or before the "@", or the role, session or user in an ARN. Accounts
// that every machine has are no names.
func userParts(s string) []string {
	s = strings.ToLower(strings.TrimSpace(stripNote(s)))
	var parts []string
	if i := strings.LastIndexByte(s, ':'); i >= 0 || strings.Contains(s, "/") {
		parts = strings.Split(s[i+1:], "/")
	} else {
		s = s[strings.LastIndexByte(s, '\\')+1:]
		s, _, _ = strings.Cut(s, "@")
		parts = []string{s}
	}
	var out []string
	for _, p := range parts {
		switch p {
		case "", "-", "system", "localsystem", "local service", "network service", "anonymous logon", "root", "assumed-role", "user", "role":
			continue
		}
		if !strings.HasSuffix(p, "$") {
			out = addNew(out, p)
		}
	}
	return out
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func addNew(s []string, xs ...string) []string {
	for _, x := range xs {
		if x != "" && !slices.Contains(s, x) {
			s = append(s, x)
		}
	}
	return s
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}
