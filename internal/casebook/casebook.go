// Package casebook keeps what analysts decided about alerts and incidents: links
// they cut or added, incidents they split and merged, what they keep out of fusion
// or quiet, and what they said. Decisions stand in a journal, one JSON object a
// line, to which lines are only ever added; what is taken back is taken back by a
// further line.
//
// The package is a pure fold. Read turns a journal into decisions in order, Apply
// works out which of them are in force over given alerts, and package fusion obeys.
// Equal evidence and an equal journal give equal incidents.
package casebook

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of a journal.
const (
	MaxDecisions = 100_000  // in one journal
	MaxLine      = 64 << 10 // bytes of one
	MaxTargets   = 1_000    // of one
	MaxText      = 4_000    // bytes of a reason
	MaxName      = 256      // bytes of an author, value or part of a condition
	MaxMatchers  = 2_000    // exclusions and suppressions of one journal that are in force
	MaxProblems  = 100      // lines named as bad, one by one
	maxPairs     = 200_000  // pairs of alerts that decisions join or keep apart
)

// A Problem is a line of a journal that cannot be used.
type Problem struct {
	Line  int // from 1; 0 if the whole file is meant
	Cause string
}

// A Journal is decisions in the order in which they hold: by time, and those of one
// time by line.
type Journal struct {
	Decisions []model.Decision
	Bytes     int64 // how much was read
}

// Read reads a journal. Bad lines are problems and the rest goes on; the error is
// that of r.
func Read(r io.Reader) (*Journal, []Problem, error) {
	j := &Journal{}
	var bad []Problem
	more := 0
	fail := func(line int, cause string) {
		if len(bad) < MaxProblems {
			bad = append(bad, Problem{line, cause})
		} else {
			more++
		}
	}
	seen := map[string]bool{}
	in := bufio.NewReaderSize(r, MaxLine)
	for n := 1; ; n++ {
		line, size, err := readLine(in)
		j.Bytes += size
		if size > MaxLine {
			fail(n, fmt.Sprintf("longer than %d bytes", MaxLine))
		} else if line = bytes.TrimSpace(line); len(line) > 0 {
			d, cause := Parse(line)
			switch {
			case cause != nil:
				fail(n, cause.Error())
			case seen[d.ID]: // said twice is said once
			case len(j.Decisions) >= MaxDecisions:
				fail(n, fmt.Sprintf("one of more than %d decisions; this and all after it are left out", MaxDecisions))
				err = io.EOF
			default:
				seen[d.ID] = true
				j.Decisions = append(j.Decisions, d)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return j, bad, err
		}
	}
	if more > 0 {
		bad = append(bad, Problem{0, fmt.Sprintf("%d further lines cannot be used", more)})
	}
	slices.SortStableFunc(j.Decisions, func(a, b model.Decision) int { return a.At.Compare(b.At) })
	return j, bad, nil
}

// readLine returns the next line, which is valid until the next call, and its size
// with its end; of a line longer than MaxLine only the size.
func readLine(r *bufio.Reader) ([]byte, int64, error) {
	line, err := r.ReadSlice('\n')
	size := int64(len(line))
	for errors.Is(err, bufio.ErrBufferFull) {
		line = nil
		var rest []byte
		rest, err = r.ReadSlice('\n')
		size += int64(len(rest)) + 1 // beyond the bound, whatever follows
	}
	return line, size, err
}

// Parse reads one line of a journal and checks it.
func Parse(line []byte) (model.Decision, error) {
	var d model.Decision
	if !utf8.Valid(line) {
		return d, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields() // a misspelt "until" would suppress for ever
	if err := dec.Decode(&d); err != nil {
		return d, fmt.Errorf("no decision: %w", err)
	}
	if dec.More() {
		return d, errors.New("more than one JSON value on the line")
	}
	d.Effect = ""
	d.At = d.At.UTC()
	if err := Check(d); err != nil {
		return d, err
	}
	d.ID = model.DecisionID(d)
	return d, nil
}

// The forms of ids.
var (
	alertForm    = regexp.MustCompile(`^a-[0-9a-f]{20}$`)
	incidentForm = regexp.MustCompile(`^inc-[0-9a-f]{16}$`)
	decisionForm = regexp.MustCompile(`^d-[0-9a-f]{12}$`)
)

// Statuses are the values of a status decision.
func Statuses() []string { return []string{"new", "in_progress", "on_hold", "resolved", "closed"} }

// Verdicts are the values of a verdict.
func Verdicts() []string {
	return []string{model.TruePositive, model.FalsePositive, model.BenignWork}
}

// shape is what a kind of decision takes.
type shape struct {
	targets string // a letter each: a alert, i incident, e either, d decision; "+" for more of the last
	value   func(string) error
	where   bool
	until   bool
}

// shapeOf returns what a kind takes, and whether there is such a kind.
func shapeOf(k model.DecisionKind) (shape, bool) {
	switch k {
	case model.Cut, model.LinkUp:
		return shape{targets: "aa"}, true
	case model.Split:
		return shape{targets: "ia+"}, true
	case model.Merge:
		return shape{targets: "ii+"}, true
	case model.Move:
		return shape{targets: "aii"}, true
	case model.Exclude:
		return shape{where: true}, true
	case model.Suppress:
		return shape{where: true, until: true}, true
	case model.JudgeAs:
		return shape{targets: "e", value: oneOf(Verdicts())}, true
	case model.Comment:
		return shape{targets: "e"}, true
	case model.Assign:
		return shape{targets: "i", value: func(string) error { return nil }}, true
	case model.SetStatus:
		return shape{targets: "i", value: oneOf(Statuses())}, true
	case model.Undo:
		return shape{targets: "d"}, true
	}
	return shape{}, false
}

// Kinds are the kinds of decisions.
func Kinds() []model.DecisionKind {
	return []model.DecisionKind{model.Cut, model.LinkUp, model.Split, model.Merge, model.Move, model.Exclude, model.Suppress,
		model.JudgeAs, model.Comment, model.Assign, model.SetStatus, model.Undo}
}

func oneOf(l []string) func(string) error {
	return func(v string) error {
		if !slices.Contains(l, v) {
			return fmt.Errorf("value %q: want one of %s", v, strings.Join(l, ", "))
		}
		return nil
	}
}

// Check says what is wrong with a decision, nil if nothing is.
func Check(d model.Decision) error {
	s, ok := shapeOf(d.Kind)
	switch {
	case !ok:
		return fmt.Errorf("kind %q: there is none such", clip(string(d.Kind)))
	case d.At.IsZero():
		return errors.New("at: when it was decided is needed")
	case d.At.Year() < 1 || d.At.Year() > 9999:
		return errors.New("at: no such year")
	case strings.TrimSpace(d.Author) == "":
		return errors.New("author: who decided is needed")
	case strings.TrimSpace(d.Reason) == "":
		return errors.New("reason: why is needed")
	case len(d.Reason) > MaxText:
		return fmt.Errorf("reason: longer than %d bytes", MaxText)
	case len(d.Author) > MaxName:
		return fmt.Errorf("author: longer than %d bytes", MaxName)
	case len(d.Value) > MaxName:
		return fmt.Errorf("value: longer than %d bytes", MaxName)
	case s.value == nil && d.Value != "":
		return fmt.Errorf("value: a %s has none", d.Kind)
	case !s.until && d.Until != nil:
		return fmt.Errorf("until: a %s has no end; undo takes it back", d.Kind)
	case s.until && (d.Until == nil || d.Until.IsZero()):
		return errors.New("until: when the suppression ends is needed")
	case s.until && (d.Until.Year() < 1 || d.Until.Year() > 9999):
		return errors.New("until: no such year")
	}
	if s.value != nil {
		if err := s.value(d.Value); err != nil {
			return err
		}
	}
	if err := checkWhere(d, s); err != nil {
		return err
	}
	return checkTargets(d, s.targets)
}

func checkWhere(d model.Decision, s shape) error {
	w := d.Where
	switch {
	case !s.where && w == nil:
		return nil
	case !s.where:
		return fmt.Errorf("where: a %s has none", d.Kind)
	case w == nil || w.Rule == "" && w.Product == "" && w.Entity == "":
		return fmt.Errorf("where: a %s names a rule, a product or an entity", d.Kind)
	case len(w.Rule) > MaxName || len(w.Product) > MaxName:
		return fmt.Errorf("where: longer than %d bytes", MaxName)
	case len(w.Entity) > MaxText:
		return fmt.Errorf("where.entity: longer than %d bytes", MaxText)
	case w.Since != nil && (w.Since.Year() < 1 || w.Since.Year() > 9999):
		return errors.New("where.since: no such year")
	case w.Since != nil && d.Until != nil && !w.Since.Before(*d.Until):
		return errors.New("where.since: not before until")
	case d.Kind == model.Exclude && w.Entity != "" && (w.Rule != "" || w.Product != "" || w.Since != nil):
		return errors.New("where: an entity is kept out of fusion by itself; a rule or product is named in a decision of its own")
	}
	if w.Entity != "" {
		if _, ok := Entity(w.Entity); !ok {
			return fmt.Errorf("where.entity %q: want type:value, such as host:web1.example.com", clip(w.Entity))
		}
	}
	return nil
}

func checkTargets(d model.Decision, want string) error {
	letters := strings.TrimSuffix(want, "+")
	open := letters != want
	switch n := len(d.Targets); {
	case n > MaxTargets:
		return fmt.Errorf("targets: more than %d", MaxTargets)
	case n < len(letters) || n > len(letters) && !open:
		return fmt.Errorf("targets: a %s takes %s", d.Kind, spell(want))
	}
	seen := make(map[string]bool, len(d.Targets))
	for i, t := range d.Targets {
		l := letters[min(i, len(letters)-1)]
		a, in := alertForm.MatchString(t), incidentForm.MatchString(t)
		ok := l == 'a' && a || l == 'i' && in || l == 'e' && (a || in) || l == 'd' && decisionForm.MatchString(t)
		if !ok {
			return fmt.Errorf("targets: %q stands where a %s takes %s", clip(t), d.Kind, spell(want))
		}
		if seen[t] {
			return fmt.Errorf("targets: %s is named twice", t)
		}
		seen[t] = true
	}
	return nil
}

// spell says in words what targets a kind takes.
func spell(want string) string {
	names := map[rune]string{'a': "an alert (a-...)", 'i': "an incident (inc-...)", 'e': "an alert or incident", 'd': "a decision (d-...)", '+': "and more of these"}
	if want == "" {
		return "none"
	}
	var out []string
	for _, l := range want {
		out = append(out, names[l])
	}
	return strings.Join(out, ", ")
}

// Entity reads "type:value".
func Entity(s string) (model.EntityKey, bool) {
	t, v, ok := strings.Cut(s, ":")
	if !ok || v == "" || !slices.Contains(entityTypes(), model.EntityType(t)) {
		return model.EntityKey{}, false
	}
	return model.EntityKey{Type: model.EntityType(t), Value: v}, true
}

func entityTypes() []model.EntityType {
	return []model.EntityType{model.Host, model.User, model.Process, model.File, model.Hash, model.IP, model.Domain, model.URL, model.Session,
		model.AccessKey, model.IAMRole, model.Resource, model.Container, model.Pod, model.Namespace, model.Mailbox, model.App}
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}

// Append adds decisions to the journal in a file, making it if there is none. All
// of them are written at once, after an end of line if a writer before died within
// its line, and are on disk when it returns.
func Append(path string, ds ...model.Decision) error {
	var b bytes.Buffer
	for _, d := range ds {
		if err := Check(d); err != nil {
			return err
		}
		d.At, d.Effect = d.At.UTC(), ""
		d.ID = model.DecisionID(d)
		line, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("decision: %w", err)
		}
		if len(line) >= MaxLine {
			return fmt.Errorf("decision: longer than %d bytes", MaxLine)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = appendTo(f, b.Bytes())
	return cmp.Or(err, f.Close())
}

func appendTo(f *os.File, b []byte) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if n := st.Size(); n > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, n-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			b = append([]byte{'\n'}, b...)
		}
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// Load reads the journal in a file. No file is an error.
func Load(path string) (*Journal, []Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	j, bad, err := Read(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, bad, nil
}

// by says a decision's author, day and reason after what was done.
func by(d *model.Decision) string {
	return fmt.Sprintf("%s on %s: %s", d.Author, d.At.UTC().Format(time.DateOnly), d.Reason)
}
