package respond

import (
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

func route(t *testing.T, c config.Route) *Route {
	t.Helper()
	l, err := NewRoutes([]config.Route{c})
	if err != nil {
		t.Fatal(err)
	}
	return l[0]
}

func TestFits(t *testing.T) {
	in := attack()
	in.Impact.Assets = []model.AssetState{{Name: "payroll", State: model.AssetTouched}, {Name: "vault", State: model.AssetReachable}}
	milder := raised()
	milder.Kind, milder.Severity, milder.Before = model.SeverityChanged, model.Low, model.Critical
	grown := raised()
	grown.Kind = model.IncidentGrown
	low := attack()
	low.Severity = model.Low
	lowChange := raised()
	lowChange.Severity = model.Low
	for _, c := range []struct {
		name   string
		route  config.Route
		change model.Change
		in     *model.Incident
		want   bool
	}{
		{"all", config.Route{}, raised(), in, true},
		{"severe enough", config.Route{Severity: "high"}, raised(), in, true},
		{"not severe enough", config.Route{Severity: "critical"}, raised(), in, false},
		{"low", config.Route{Severity: "high"}, lowChange, low, false},
		{"milder is told to who was told", config.Route{Severity: "critical"}, milder, in, true},
		{"growth is told only where asked for", config.Route{}, grown, in, false},
		{"growth", config.Route{Kinds: []string{"incident_grown"}}, grown, in, true},
		{"stage", config.Route{Stages: []string{"exfiltration"}}, raised(), in, true},
		{"other stage", config.Route{Stages: []string{"denial_of_service"}}, raised(), in, false},
		{"asset by pattern", config.Route{Assets: []string{"pay*"}}, raised(), in, true},
		{"entity by name", config.Route{Assets: []string{"WEB1"}}, raised(), in, true},
		{"asset that was not touched", config.Route{Assets: []string{"vault"}}, raised(), in, false},
		{"tenant", config.Route{Tenants: []string{"default"}}, raised(), in, true},
		{"other tenant", config.Route{Tenants: []string{"b"}}, raised(), in, false},
		{"condition", config.Route{When: `incident.score > 80 and "exfiltration" in incident.stages and incident.root == "web1"`}, raised(), in, true},
		{"condition not met", config.Route{When: `incident.score > 95`}, raised(), in, false},
		{"condition that fails counts as met", config.Route{When: `incident.stages[9] == "x"`}, raised(), in, true},
		{"source", config.Route{Severity: "high"}, model.Change{Kind: model.SourceQuiet, Source: "fw"}, nil, true},
	} {
		if got, _ := route(t, c.route).Fits(c.change, c.in); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A condition is written by whoever may change settings, and bounded all the same.
func TestConditionBounds(t *testing.T) {
	for _, when := range []string{"nonsense(", `incident.nothing > 1`, `"text"`, strings.Repeat("true and ", 600) + "true", strings.Repeat(" ", 5000)} {
		if _, err := NewRoutes([]config.Route{{Name: "r", When: when}}); err == nil {
			t.Errorf("%.30q is taken", when)
		}
	}
	start := time.Now()
	r := route(t, config.Route{When: `len(map(1..90000, {map(1..90000, {#})})) > 0`})
	if ok, err := r.Fits(raised(), attack()); !ok || err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("an endless condition: %v %v after %v", ok, err, time.Since(start))
	}
}

func TestHours(t *testing.T) {
	at := func(s string) time.Time {
		x, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct{ hours, zone, now, begins string }{
		{"", "UTC", "2026-03-04 03:00", "2026-03-04 03:00"},
		{"mon-fri 08:00-18:00", "UTC", "2026-03-04 12:00", "2026-03-04 12:00"},
		{"mon-fri 08:00-18:00", "UTC", "2026-03-06 18:00", "2026-03-09 08:00"},
		{"mon-fri 08:00-18:00", "Europe/Berlin", "2026-03-04 06:30", "2026-03-04 07:00"},
		{"22:00-06:00", "UTC", "2026-03-04 05:59", "2026-03-04 05:59"},
		{"22:00-06:00", "UTC", "2026-03-04 06:00", "2026-03-04 22:00"},
		{"fri 22:00-06:00", "UTC", "2026-03-07 05:00", "2026-03-07 05:00"}, // Saturday morning is Friday's night
		{"fri 22:00-06:00", "UTC", "2026-03-08 05:00", "2026-03-13 22:00"},
		{"sat-mon,wed 00:00-24:00", "UTC", "2026-03-03 10:00", "2026-03-04 00:00"},
		{"sun 02:00-03:00", "Europe/Berlin", "2026-03-28 12:00", "2026-04-05 00:00"}, // there is no such hour on the 29th
	} {
		r := route(t, config.Route{Hours: c.hours, Zone: c.zone})
		if got := r.Begins(at(c.now)); !got.Equal(at(c.begins)) {
			t.Errorf("%s in %s at %s begins %s, not %s", c.hours, c.zone, c.now, got.Format("2006-01-02 15:04"), c.begins)
		}
	}
	for _, bad := range []string{"noon", "mon-xyz 08:00-18:00", "mon 08:00", "mon 8-18", "08:00-08:00", "mon 25:00-26:00"} {
		if _, err := parseHours(bad, ""); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true}, {"a*c", "abc", true}, {"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"*", "", true}, {"a*a", "a", false}, {"DC*", "dc01", true}} {
		if got := glob(c.pattern, c.name); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.name, got)
		}
	}
}
