// Package report writes a model.Report in the forms people and programs read:
// report.json with its JSON Schema, text for a terminal, one self-contained HTML
// file, a CSV timeline, an ATT&CK Navigator layer, OCSF findings, a STIX bundle and
// a file for the Attack Flow Builder.
//
// Every string of a report may come from an attacker. report.json and OCSF carry it
// unchanged, escaped; all other forms pass it through Clean first, so that no escape
// sequence, control character or bidirectional override reaches a reader. All
// writers are deterministic: equal reports give equal bytes.
package report

import (
	"io"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A Writer writes a report in one format. Writers hold no state between calls
// and never change the report.
type Writer interface {
	// Name is what --format calls the format, such as "html".
	Name() string
	// File is the name of its file in an output folder, such as "report.html".
	File() string
	// Write writes the whole report. Its error is the first of w, or says what
	// of the report cannot be written.
	Write(w io.Writer, r *model.Report) error
}

// Options tell the writers what they cannot know from a report alone. The zero
// value is usable: ids then stand where names would.
type Options struct {
	// TechniqueName returns the name of an ATT&CK technique ("T1110.003" gives
	// "Password Spraying"), empty if unknown.
	TechniqueName func(id string) string
	// TacticName returns the name of a tactic by its short name
	// ("credential-access" gives "Credential Access"), empty if unknown.
	TacticName func(short string) string
	// TacticID returns the id of a tactic by its short name ("credential-access"
	// gives "TA0006"), empty if unknown.
	TacticID func(short string) string
}

// tacticID returns a tactic's id; an unknown one is its short name.
func (o Options) tacticID(short string) string {
	if o.TacticID != nil && short != "" {
		if id := o.TacticID(short); id != "" {
			return id
		}
	}
	return short
}

// technique returns a technique's name, empty if unknown.
func (o Options) technique(id string) string {
	if o.TechniqueName == nil || id == "" {
		return ""
	}
	return Clean(o.TechniqueName(id))
}

// techniqueLabel returns "Name (id)", or the id alone.
func (o Options) techniqueLabel(id string) string {
	if n := o.technique(id); n != "" {
		return n + " (" + id + ")"
	}
	return id
}

// tactic returns a tactic's name; an unknown one is its short name in title case.
func (o Options) tactic(short string) string {
	if o.TacticName != nil && short != "" {
		if n := o.TacticName(short); n != "" {
			return Clean(n)
		}
	}
	return title(short)
}

// title turns "credential-access" and "privilege_escalation" into words with
// capitals.
func title(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '_' || r == ' ' })
	for i, w := range words {
		switch w {
		case "and", "of", "to":
		default:
			if c := w[0]; c >= 'a' && c <= 'z' {
				words[i] = string(c-'a'+'A') + w[1:]
			}
		}
	}
	return strings.Join(words, " ")
}

// alertsByID indexes a report's alerts.
func alertsByID(r *model.Report) map[string]*model.Alert {
	m := make(map[string]*model.Alert, len(r.Alerts))
	for i := range r.Alerts {
		m[r.Alerts[i].ID] = &r.Alerts[i]
	}
	return m
}
