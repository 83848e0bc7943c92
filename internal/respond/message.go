package respond

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// A Message tells people of one change, in words that need no other page. Its texts
// are plain: each notifier escapes them.
type Message struct {
	ID       string // of this delivery; the same whenever it is tried again
	Key      string // of the conversation: one an incident or source
	Kind     model.ChangeKind
	Tenant   string
	Incident string // empty if it is about a source or an objective
	Severity model.Severity
	Time     time.Time // of the change
	Title    string
	What     []string // what happened, in sentences
	Started  string   // where it started
	Reached  string   // what it reached
	Do       []string // what to do now
	Link     string   // to the story; empty without a public URL
	Resolved bool     // what it was about is over
	Test     bool     // sent by the test button
	// Change and Document are for machines: what changed, and the incident as it is.
	Change   model.Change
	Document *model.Incident
}

// Bounds of a message: targets cut longer ones, or refuse them.
const (
	maxText      = 400 // bytes of one text
	maxSentences = 6
	maxNamed     = 5 // entities named in one line
)

// Key is the name of the conversation that a change belongs to.
func Key(c model.Change) string { return c.Tenant + "/" + cmp.Or(c.Incident, "source "+c.Source) }

// Compose makes the message of a change. in is nil of changes that are about none;
// base is the URL of the console; clean makes text of others safe to show.
func Compose(c model.Change, in *model.Incident, base string, clean func(string) string) *Message {
	m := &Message{
		ID: fmt.Sprintf("%s-%d", c.Tenant, c.Seq), Key: Key(c), Kind: c.Kind,
		Tenant: c.Tenant, Incident: c.Incident, Severity: c.Severity, Time: c.Time.UTC(), Change: c, Document: in,
	}
	text := func(s string) string { return clip(clean(s)) }
	if in == nil {
		switch c.Kind { //nolint:exhaustive // the others have an incident
		case model.SourceQuiet:
			m.Title = text("Quiet: " + c.Source)
			m.What = []string{text(cmp.Or(c.Detail, "The source sends nothing any more."))}
			m.Do = []string{"See whether its sender runs and reaches Catena: what is not sent cannot be judged, and attackers silence sensors."}
		case model.SourceBack:
			m.Title, m.Resolved = text("Sends again: "+c.Source), true
			m.What = []string{text(cmp.Or(c.Detail, "The source sends again."))}
		default:
			m.Title, m.What = text(cmp.Or(c.Detail, string(c.Kind))), []string{text(c.Detail)}
		}
		return m
	}
	m.Severity = cmp.Or(c.Severity, in.Severity)
	m.Title = text(in.Title)
	switch c.Kind { //nolint:exhaustive // the others need no word
	case model.IncidentGrown:
		m.What = append(m.What, text(cmp.Or(c.Detail, "The incident has grown.")))
	case model.SeverityChanged:
		m.What = append(m.What, fmt.Sprintf("Its severity is %s now; it was %s.", c.Severity, c.Before))
	case model.IncidentMerged:
		m.What, m.Resolved = append(m.What, text("It turned out to be a part of "+c.Into+", which goes on.")), true
	}
	for _, s := range in.Summary {
		if len(m.What) == maxSentences {
			break
		}
		m.What = append(m.What, text(s.Text))
	}
	m.Started = text(started(&in.Root))
	m.Reached = text(reached(in))
	for _, s := range FirstSteps(in) {
		m.Do = append(m.Do, text(s))
	}
	if base != "" {
		m.Link = strings.TrimRight(base, "/") + "/incidents/" + in.ID + "?tenant=" + c.Tenant
	}
	return m
}

// started says where an incident began.
func started(r *model.Root) string {
	if r.Time.IsZero() {
		return "not seen"
	}
	s := r.Time.UTC().Format("2 Jan 2006 15:04:05 UTC")
	if r.Host != "" {
		s += " on " + r.Host
	}
	if r.User != "" {
		s += " as " + r.User
	}
	if r.Why != "" {
		s += ": " + r.Why
	}
	return fmt.Sprintf("%s (%.0f %% sure)", strings.TrimSuffix(s, "."), r.Confidence*100)
}

// reached says what an incident got.
func reached(in *model.Incident) string {
	if s := in.Impact.Summary; s != "" {
		return s
	}
	return fmt.Sprintf("%d compromised, %d touched.", len(in.Impact.Compromised), len(in.Impact.Touched))
}

// measures are what stops an attacker who holds an entity of that type, in the order
// in which they matter: what acts now first, then what would let him come back.
var measures = []struct {
	of   model.EntityType
	text string
}{
	{model.Host, "Isolate %s from the network; keep it running for its memory."},
	{model.AccessKey, "Revoke %s and look at what it was used for."},
	{model.Session, "End %s."},
	{model.User, "Disable %s or reset its credentials, and end its sessions."},
	{model.IAMRole, "Revoke the sessions of %s and look at who may assume it."},
	{model.Container, "Stop %s and keep its image."},
	{model.Pod, "Cordon and remove %s; rotate what its service account could read."},
	{model.App, "Remove the consent or the credentials of %s."},
	{model.Mailbox, "Look for forwarding and inbox rules in %s."},
}

// maxMeasures bounds what a message says to do.
const maxMeasures = 5

// FirstSteps says what to do now about an incident, the most urgent first: it follows
// from what the attacker holds.
func FirstSteps(in *model.Incident) []string {
	held := map[model.EntityType][]string{}
	for _, s := range in.Impact.Compromised {
		if t, v, ok := strings.Cut(s, ":"); ok && v != "" {
			held[model.EntityType(t)] = append(held[model.EntityType(t)], v)
		}
	}
	var out []string
	for _, m := range measures {
		if l := held[m.of]; len(l) > 0 {
			out = append(out, fmt.Sprintf(m.text, list(l)))
		}
	}
	if r := in.Root; r.Host != "" && !slices.Contains(held[model.Host], r.Host) {
		out = append(out, "Look at "+r.Host+", where it began.")
	}
	if len(out) == 0 {
		out = []string{"Read the story and see whether the acts are wanted."}
	}
	return out[:min(len(out), maxMeasures)]
}

// list names a few of l.
func list(l []string) string {
	s := strings.Join(l[:min(len(l), maxNamed)], ", ")
	if n := len(l) - maxNamed; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

// clip bounds a text.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText-3]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && !utf8.RuneStart(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return strings.ToValidUTF8(s, "") + "..."
}

// A section is one titled part of a message.
type section struct{ title, text string }

// sections are the parts of m besides its title, in order, without empty ones.
func (m *Message) sections() []section {
	var out []section
	for _, s := range []section{
		{"What happened", strings.Join(m.What, "\n")},
		{"Started", m.Started},
		{"Reached", m.Reached},
		{"Do now", bullets(m.Do)},
	} {
		if s.text != "" {
			out = append(out, s)
		}
	}
	return out
}

func bullets(l []string) string {
	if len(l) == 0 {
		return ""
	}
	return "- " + strings.Join(l, "\n- ")
}

// word is how people call a severity.
func word(s model.Severity) string {
	if s == "" {
		return "Notice"
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}

// headline is the one line of m.
func (m *Message) headline() string {
	s := word(m.Severity) + ": " + m.Title
	if m.Test {
		s = "Test: " + m.Title
	}
	if m.Tenant != "" && m.Tenant != "default" {
		s += " (" + m.Tenant + ")"
	}
	return s
}

// plain is m as text without any markup.
func (m *Message) plain() string {
	var b strings.Builder
	b.WriteString(m.headline() + "\n")
	for _, s := range m.sections() {
		b.WriteString("\n" + s.title + "\n" + s.text + "\n")
	}
	if m.Link != "" {
		b.WriteString("\nStory: " + m.Link + "\n")
	}
	return b.String()
}
