package report

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// maxCell bounds a cell, in runes: spreadsheets take 32,767 characters.
const maxCell = 8000

// CSV returns the writer of timeline.csv: one row for each step of each
// incident and for each alert that is in no step, in order of time, for a
// spreadsheet or a timeline tool. It is RFC 4180 in UTF-8 without a byte order
// mark; no cell can start a formula.
func CSV() Writer { return csvWriter{} }

type csvWriter struct{}

func (csvWriter) Name() string { return "csv" }
func (csvWriter) File() string { return "timeline.csv" }

var csvHeader = [...]string{"time", "end", "incident", "severity", "step", "tactic", "technique", "stage", "host", "user",
	"from", "to", "rule", "summary", "entities", "alerts", "evidence"}

type csvRow struct {
	time  time.Time
	cells [len(csvHeader)]string
}

func (csvWriter) Write(w io.Writer, r *model.Report) error {
	rows := timelineRows(r)
	buf := bufio.NewWriter(w)
	out := csv.NewWriter(buf)
	out.UseCRLF = true
	if err := out.Write(csvHeader[:]); err != nil {
		return fmt.Errorf("write timeline.csv: %w", err)
	}
	for i := range rows {
		for j, c := range rows[i].cells {
			rows[i].cells[j] = cell(c)
		}
		if err := out.Write(rows[i].cells[:]); err != nil {
			return fmt.Errorf("write timeline.csv: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write timeline.csv: %w", err)
	}
	return buf.Flush()
}

// cell makes text safe in a spreadsheet: visible characters only, and a leading
// quote where it would be taken for a formula, also behind blanks and in the
// full-width forms that some programs accept.
func cell(s string) string {
	tab := strings.HasPrefix(s, "\t") || strings.HasPrefix(s, "\r")
	s = clip(Clean(s), maxCell)
	t := strings.TrimLeft(s, " \u00a0\u3000'")
	if tab || (t != "" && strings.ContainsRune("=+-@＝＋－＠|%", []rune(t)[0])) {
		return "'" + s
	}
	return s
}

func timelineRows(r *model.Report) []csvRow {
	alerts := alertsByID(r)
	events := make(map[string]*model.Evidence, len(r.Events))
	for i := range r.Events {
		events[r.Events[i].ID] = &r.Events[i]
	}
	var rows []csvRow
	told := make(map[string]bool)
	for i := range r.Incidents {
		inc := &r.Incidents[i]
		for j := range inc.Steps {
			rows = append(rows, stepRow(inc, &inc.Steps[j], alerts, events))
			for _, id := range inc.Steps[j].Alerts {
				told[id] = true
			}
		}
	}
	for i := range r.Alerts {
		if a := &r.Alerts[i]; !told[a.ID] {
			rows = append(rows, alertRow(a))
		}
	}
	slices.SortStableFunc(rows, func(a, b csvRow) int {
		return cmp.Or(a.time.Compare(b.time), slices.Compare(a.cells[:], b.cells[:]))
	})
	return rows
}

func stepRow(inc *model.Incident, s *model.Step, alerts map[string]*model.Alert, events map[string]*model.Evidence) csvRow {
	var rules, entities, evidence list
	for _, id := range s.Alerts {
		if a := alerts[id]; a != nil {
			rules.add(a.Rule.Title)
			entities.addEntities(a.Entities)
			evidence.addEvidence(a.Evidence)
		}
	}
	for _, id := range s.Events {
		if e := events[id]; e != nil {
			evidence.add(place(*e))
		}
	}
	return csvRow{s.Time, [...]string{rfc(s.Time), rfc(s.End), inc.ID, string(inc.Severity), strconv.Itoa(s.N), s.Tactic, s.Technique, string(s.Stage),
		s.Host, s.User, s.From, s.To, rules.String(), s.Summary, entities.String(), strings.Join(s.Alerts, "; "), evidence.String()}}
}

func alertRow(a *model.Alert) csvRow {
	var entities, evidence list
	entities.addEntities(a.Entities)
	evidence.addEvidence(a.Evidence)
	value := func(t model.EntityType, roles ...model.Role) string {
		for _, r := range roles {
			if e, ok := a.Find(t, r); ok {
				return e.Value
			}
		}
		return ""
	}
	incident := ""
	if a.Incident != nil {
		incident = *a.Incident
	}
	host := cmp.Or(value(model.Host, model.Subject, model.Target, model.Object), a.Host)
	user := value(model.User, model.Actor, model.Subject, model.Target)
	from := cmp.Or(value(model.Host, model.Src), value(model.IP, model.Src))
	to := cmp.Or(value(model.Host, model.Dst), value(model.IP, model.Dst))
	return csvRow{a.Time, [...]string{rfc(a.Time), rfc(a.End), incident, string(a.Severity), "", strings.Join(a.Tactics, "; "), strings.Join(a.Techniques, "; "),
		string(a.Stage), host, user, from, to, a.Rule.Title, "", entities.String(), a.ID, evidence.String()}}
}

func rfc(t time.Time) string { return sayable(t).Format(time.RFC3339Nano) }

// place says where a record stands: "input#record".
func place(e model.Evidence) string { return e.Input + "#" + strconv.FormatInt(e.Record, 10) }

// A list gathers different values in order and shows the first few.
type list struct {
	values []string
	more   int
}

const maxListed = 20

func (l *list) add(s string) {
	switch {
	case s == "" || slices.Contains(l.values, s):
	case len(l.values) == maxListed:
		l.more++
	default:
		l.values = append(l.values, s)
	}
}

func (l *list) addEntities(es []model.Entity) {
	for _, e := range es {
		l.add(string(e.Type) + ":" + e.Label())
	}
}

func (l *list) addEvidence(es []model.Evidence) {
	for _, e := range es {
		l.add(place(e))
	}
}

func (l *list) String() string {
	s := strings.Join(l.values, "; ")
	if l.more > 0 {
		s += fmt.Sprintf("; and %d more", l.more)
	}
	return s
}
