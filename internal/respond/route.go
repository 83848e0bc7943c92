package respond

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

// A Route says which changes are told to whom, and when.
type Route struct {
	config.Route
	severity model.Severity
	when     *vm.Program
	hours    hours
}

// Subject is what a route's condition sees.
type Subject struct {
	Tenant   string          `expr:"tenant"`
	Change   SubjectChange   `expr:"change"`
	Incident SubjectIncident `expr:"incident"`
}

// SubjectChange is the change a condition is asked about.
type SubjectChange struct {
	Kind     string `expr:"kind"`
	Severity string `expr:"severity"`
	Before   string `expr:"before"`
	Source   string `expr:"source"`
	Detail   string `expr:"detail"`
}

// SubjectIncident is the incident; empty if the change is about none.
type SubjectIncident struct {
	ID         string   `expr:"id"`
	Title      string   `expr:"title"`
	Severity   string   `expr:"severity"`
	Score      int      `expr:"score"`
	Status     string   `expr:"status"`
	Stages     []string `expr:"stages"`
	Tactics    []string `expr:"tactics"`
	Techniques []string `expr:"techniques"`
	Entities   []string `expr:"entities"` // "type:value"
	Assets     []string `expr:"assets"`   // names of critical assets that it touched
	Root       string   `expr:"root"`     // host where it began
	Alerts     int      `expr:"alerts"`
}

// Bounds of a condition.
const (
	maxCondition = 4 << 10
	maxNodes     = 500
	maxMemory    = 100_000 // elements that a condition may make
)

// standard are the kinds of a route that names none.
var standard = []string{string(model.IncidentRaised), string(model.SeverityChanged), string(model.SourceQuiet), string(model.ObjectiveBurns)}

// NewRoutes reads routes; an error says which and why.
func NewRoutes(list []config.Route) ([]*Route, error) {
	var out []*Route
	for _, c := range list {
		r := &Route{Route: c, severity: model.Severity(c.Severity)}
		if len(r.Kinds) == 0 {
			r.Kinds = standard
		}
		var err error
		if r.hours, err = parseHours(c.Hours, c.Zone); err != nil {
			return nil, fmt.Errorf("route %q: hours: %w", c.Name, err)
		}
		if c.When != "" {
			if len(c.When) > maxCondition {
				return nil, fmt.Errorf("route %q: when is longer than %d bytes", c.Name, maxCondition)
			}
			if r.when, err = expr.Compile(c.When, expr.Env(Subject{}), expr.AsBool(), expr.MaxNodes(maxNodes)); err != nil {
				return nil, fmt.Errorf("route %q: when: %w", c.Name, err)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// Fits says whether r tells of c; in is nil of changes that are about no incident. An
// error is one of its condition, which then counts as met: rather told too often than
// not at all.
func (r *Route) Fits(c model.Change, in *model.Incident) (bool, error) {
	if !slices.Contains(r.Kinds, string(c.Kind)) || len(r.Tenants) > 0 && !slices.Contains(r.Tenants, c.Tenant) {
		return false, nil
	}
	s := subject(c, in)
	if in != nil {
		worst := max(c.Severity.Rank(), in.Severity.Rank(), c.Before.Rank()) // that it became milder is told to who was told of it
		if worst < r.severity.Rank() {
			return false, nil
		}
		if len(r.Stages) > 0 && !slices.ContainsFunc(r.Stages, func(x string) bool { return slices.Contains(s.Incident.Stages, x) }) {
			return false, nil
		}
		if len(r.Assets) > 0 && !slices.ContainsFunc(r.Assets, func(p string) bool {
			return slices.ContainsFunc(s.Incident.names(), func(n string) bool { return glob(p, n) })
		}) {
			return false, nil
		}
	}
	if r.when == nil {
		return true, nil
	}
	machine := vm.VM{MemoryBudget: maxMemory}
	v, err := machine.Run(r.when, s)
	if err != nil {
		return true, fmt.Errorf("route %q: when: %w", r.Name, err)
	}
	ok, _ := v.(bool)
	return ok, nil
}

// Begins says when a message of that moment may be sent: at once, or when the hours of
// r begin.
func (r *Route) Begins(t time.Time) time.Time { return r.hours.next(t) }

func subject(c model.Change, in *model.Incident) Subject {
	s := Subject{Tenant: c.Tenant, Change: SubjectChange{string(c.Kind), string(c.Severity), string(c.Before), c.Source, c.Detail}}
	if in == nil {
		return s
	}
	i := &s.Incident
	i.ID, i.Title, i.Severity, i.Score, i.Status, i.Root = in.ID, in.Title, string(in.Severity), in.Score, in.Status, in.Root.Host
	i.Tactics, i.Techniques, i.Alerts = in.Tactics, in.Techniques, len(in.Alerts)
	for _, x := range in.Stages {
		i.Stages = append(i.Stages, string(x))
	}
	for _, e := range in.Entities {
		i.Entities = append(i.Entities, string(e.Type)+":"+e.Value)
	}
	for _, a := range in.Impact.Assets {
		if a.State == model.AssetTouched {
			i.Assets = append(i.Assets, a.Name)
		}
	}
	return s
}

// names are what assets of a route are held against.
func (i *SubjectIncident) names() []string {
	out := slices.Clone(i.Assets)
	for _, e := range i.Entities {
		_, v, _ := strings.Cut(e, ":")
		out = append(out, v)
	}
	return out
}

// glob matches a name, whatever its case; * stands for any text.
func glob(pattern, name string) bool {
	parts := strings.Split(strings.ToLower(pattern), "*")
	name = strings.ToLower(name)
	rest, ok := strings.CutPrefix(name, parts[0])
	if len(parts) == 1 {
		return name == parts[0]
	}
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, p)
		if !ok || i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}

// hours are the times of a week in which something is sent; without days it is always.
type hours struct {
	zone     *time.Location
	days     [7]bool // of the week, from Sunday
	from, to int     // minutes of the day; to may be less: over midnight
	set      bool
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func parseHours(s, zone string) (hours, error) {
	h := hours{zone: time.UTC}
	if zone != "" {
		z, err := time.LoadLocation(zone)
		if err != nil {
			return h, err
		}
		h.zone = z
	}
	if s == "" {
		return h, nil
	}
	wrong := errors.New("write mon-fri 08:00-18:00")
	days, clock, ok := strings.Cut(s, " ")
	if !ok {
		days, clock = "sun-sat", s
	}
	for part := range strings.SplitSeq(days, ",") {
		a, b, isRange := strings.Cut(part, "-")
		if !isRange {
			b = a
		}
		i, j := slices.Index(weekdays, a), slices.Index(weekdays, b)
		if i < 0 || j < 0 {
			return h, wrong
		}
		for d := i; ; d = (d + 1) % 7 {
			h.days[d] = true
			if d == j {
				break
			}
		}
	}
	a, b, ok := strings.Cut(clock, "-")
	from, ok1 := minutes(a)
	to, ok2 := minutes(b)
	if !ok || !ok1 || !ok2 || from == to {
		return h, wrong
	}
	h.from, h.to, h.set = from, to, true
	return h, nil
}

func minutes(s string) (int, bool) {
	var hh, mm int
	if n, err := fmt.Sscanf(s, "%d:%d", &hh, &mm); n != 2 || err != nil || hh < 0 || hh > 24 || mm < 0 || mm > 59 || hh == 24 && mm > 0 {
		return 0, false
	}
	return hh*60 + mm, true
}

// open says whether t lies in h. What goes over midnight belongs to the day on which
// it began.
func (h *hours) open(t time.Time) bool {
	if !h.set {
		return true
	}
	t = t.In(h.zone)
	m, day := t.Hour()*60+t.Minute(), int(t.Weekday())
	if h.from < h.to {
		return h.days[day] && m >= h.from && m < h.to
	}
	return h.days[day] && m >= h.from || h.days[(day+6)%7] && m < h.to
}

// next is the first moment from t on that lies in h.
func (h *hours) next(t time.Time) time.Time {
	if h.open(t) {
		return t
	}
	at := t.In(h.zone).Truncate(time.Minute)
	for range 8 * 24 * 60 { // days may have 25 hours, so that it is asked minute by minute
		if at = at.Add(time.Minute); h.open(at) {
			return at.UTC()
		}
	}
	return t
}
