package detect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

// sensor is what a source of a host sends: one observation every gap, from start to
// end.
func sensor(host, service string, start, end, gap time.Duration) (out []*model.Observation) {
	for at := start; at < end; at += gap {
		out = append(out, &model.Observation{Event: fmt.Sprint(host, service, at), Time: noon.Add(at), Act: model.ActProcessStart, Host: host, Format: "evtx",
			Source: model.LogSource{Product: "windows", Service: service}, Ref: model.Ref{Input: host + ".evtx", Record: int64(at / time.Second)}})
	}
	return out
}

// alertOn is an alert about a host.
func alertOn(host string, at time.Duration, level model.Severity) *model.Alert {
	return &model.Alert{ID: "a", Rule: model.RuleInfo{ID: "r", Level: level}, Severity: level, Host: host, Time: noon.Add(at), End: noon.Add(at),
		Evidence: []model.Evidence{{Input: host + ".evtx", Record: 1, ID: "e-reason"}}}
}

// watchAll feeds the stream, in order of time, and the alert when its time comes.
func watchAll(d *silence, stream []*model.Observation, a *model.Alert) (out []*model.Alert) {
	slices.SortStableFunc(stream, func(x, y *model.Observation) int { return x.Time.Compare(y.Time) })
	for _, o := range stream {
		if a != nil && !a.Time.After(o.Time) {
			d.Alerted(a)
			a = nil
		}
		out = append(out, d.Observe(o)...)
	}
	return out
}

func TestSilence(t *testing.T) {
	const sec, min = time.Second, time.Minute
	const trouble = 120 * min // two hours in
	others := joined(sensor("b", "sysmon", 0, 300*min, 20*sec), sensor("c", "sysmon", 0, 300*min, 20*sec))
	stops := sensor("a", "sysmon", 0, trouble+3*min, 20*sec)
	cleared := &model.Observation{Event: "e-clear", Time: noon.Add(trouble), Act: model.ActLogCleared, Host: "a", Format: "evtx", Source: model.LogSource{Product: "windows", Service: "security"}}
	medium := alertOn("a", trouble, model.Medium)
	for _, c := range []struct {
		name   string
		stream []*model.Observation
		alert  *model.Alert
		want   int
	}{
		{"stops after an alert", joined(others, stops), medium, 1},
		{"stops after a log was cleared", joined(others, stops, []*model.Observation{cleared}), nil, 1},
		{"shrinks after an alert", joined(others, stops, sensor("a", "sysmon", trouble+10*min, 300*min, 40*min)), medium, 1},
		{"stops for no reason", joined(others, stops), nil, 0},
		{"stops after a mild alert", joined(others, stops), alertOn("a", trouble, model.Low), 0},
		{"stops after an alert elsewhere", joined(others, stops), alertOn("b", trouble, model.High), 0},
		{"stops long after the alert", joined(others, sensor("a", "sysmon", 0, trouble+40*min, 20*sec)), medium, 0},
		{"goes on", joined(others, sensor("a", "sysmon", 0, 300*min, 20*sec)), medium, 0},
		{"goes on at a quarter", joined(others, stops, sensor("a", "sysmon", trouble+3*min, 300*min, 80*sec)), medium, 0},
		{"is back soon", joined(others, stops, sensor("a", "sysmon", trouble+15*min, 300*min, 20*sec)), medium, 0},
		{"the end of the evidence", joined(stops, sensor("b", "sysmon", 0, trouble+3*min, 20*sec)), medium, 0},
		{"soon before the end of the evidence", joined(stops, sensor("b", "sysmon", 0, trouble+25*min, 20*sec)), medium, 0},
		{"everybody goes home", joined(stops, sensor("b", "sysmon", 0, trouble+3*min, 20*sec), sensor("c", "sysmon", 0, trouble+3*min, 20*sec), sensor("d", "sysmon", 0, 300*min, 20*sec)), medium, 0},
		{"one sensor of the host, alone in the evidence", joined(stops, sensor("a", "security", 0, 300*min, 20*sec)), medium, 1},
		{"never steady", joined(others, sensor("a", "sysmon", 0, 10*min, 20*sec), sensor("a", "sysmon", 60*min, 70*min, 20*sec), sensor("a", "sysmon", 118*min, trouble+2*min, 20*sec)), medium, 0},
		{"hardly sends anything", joined(others, sensor("a", "sysmon", 0, trouble, 3*min)), medium, 0},
		{"not known for long", joined(others, sensor("a", "sysmon", trouble-20*min, trouble+min, 20*sec)), medium, 0},
		{"an alert from nowhere", joined(others, stops), &model.Alert{Severity: model.High, Time: noon.Add(trouble), End: noon.Add(trouble), Host: "a"}, 0},
	} {
		got := watchAll(NewSilence().(*silence), slices.Clone(c.stream), c.alert)
		if len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
		for _, a := range got {
			if a.Host != "a" || a.Product != "windows/sysmon" || !strings.HasPrefix(a.Evidence[0].ID, "e-") || a.Time.Before(noon.Add(trouble)) ||
				a.End.Sub(a.Time) < silenceAfter*silenceBin || len(a.Entities) != 1 || a.Entities[0].Value != "a" {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
	}
}

// Two sensors of one host that fall silent are two alerts with ids of their own, in
// one order.
func TestSilenceOfTwo(t *testing.T) {
	const min = time.Minute
	stream := joined(sensor("b", "sysmon", 0, 300*min, 20*time.Second), sensor("c", "sysmon", 0, 300*min, 20*time.Second), sensor("d", "sysmon", 0, 300*min, 20*time.Second),
		sensor("a", "sysmon", 0, 120*min, 20*time.Second), sensor("a", "security", 0, 120*min, 20*time.Second))
	for range 5 {
		got := watchAll(NewSilence().(*silence), slices.Clone(stream), alertOn("a", 119*min, model.High))
		if len(got) != 2 || got[0].ID == got[1].ID || got[0].Product != "windows/security" {
			t.Fatalf("%v", got)
		}
	}
}

// A sensor is one source, whatever kinds of acts it tells of.
func TestSilenceOfAllCategories(t *testing.T) {
	const min = time.Minute
	stream := joined(sensor("b", "sysmon", 0, 300*min, 20*time.Second), sensor("a", "sysmon", 0, 120*min, 20*time.Second))
	for i, o := range stream {
		o.Source.Category = []string{"process_creation", "dns_query", "network_connection"}[i%3]
	}
	if got := watchAll(NewSilence().(*silence), stream, alertOn("a", 119*min, model.High)); len(got) != 1 {
		t.Errorf("%d alerts about one sensor", len(got))
	}
}

// A tide counts what came in the bins that it remembers, however late.
func TestTideLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := int64(rapid.IntRange(-100, 1<<20).Draw(t, "first"))
		td := &tide{first: first, bin: first}
		want, newest := map[int64]float64{}, first
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			bin := newest + int64(rapid.IntRange(-60, 20).Draw(t, "step"))
			newest = max(newest, bin)
			if bin > newest-int64(len(td.count)) {
				want[bin]++
			}
			td.add(bin)
		}
		sum := 0.0
		for bin := newest - int64(len(td.count)) + 1; bin <= newest; bin++ {
			if got := td.sum(bin, 1); got != want[bin] {
				t.Fatalf("bin %d of %d: %f, want %f", bin, newest, got, want[bin])
			}
			sum += want[bin]
		}
		if got := td.sum(newest-1000, 2000); got != sum {
			t.Fatalf("%f in all, want %f", got, sum)
		}
	})
}

func TestSilenceBounds(t *testing.T) {
	d := NewSilence().(*silence)
	o := sensor("a", "sysmon", 0, time.Second, time.Second)[0]
	for i := range 2 * maxSources {
		x := *o
		x.Host, x.Time = fmt.Sprint("h", i), noon.Add(time.Duration(i)*time.Second)
		d.Alerted(alertOn(x.Host, time.Duration(i)*time.Second, model.High))
		d.Observe(&x)
	}
	if len(d.sources.by) > maxSources || len(d.reasons) > maxReasons {
		t.Errorf("%d sources, %d reasons", len(d.sources.by), len(d.reasons))
	}
}
