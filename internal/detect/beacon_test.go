package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

// reach is a connection of a program on a host.
func reach(n int, at time.Duration, host, image, dst string, port int) *model.Observation {
	o := &model.Observation{Event: fmt.Sprint(host, dst, n), Time: noon.Add(at), Act: model.ActConnect, Host: host, Text: fmt.Sprintf("%s:%d", dst, port),
		Entities: []model.Entity{{Type: model.IP, Value: "addr-" + host, Role: model.Src}, {Type: model.IP, Value: dst, Role: model.Dst}}}
	if image != "" {
		o.Entities = append(o.Entities, model.Entity{Type: model.Process, Value: "p", Role: model.Actor, Name: image})
	}
	return o
}

// pulses is n connections with the gaps that gap returns.
func pulses(n int, host, image, dst string, port int, gap func(i int) time.Duration) (out []*model.Observation) {
	at := time.Duration(0)
	for i := range n {
		out = append(out, reach(i, at, host, image, dst, port))
		at += gap(i)
	}
	return out
}

// asks is as pulses, of questions for a name.
func asks(n int, host, name string, gap time.Duration) (out []*model.Observation) {
	for i := range n {
		out = append(out, &model.Observation{Event: fmt.Sprint(host, name, i), Time: noon.Add(time.Duration(i) * gap), Act: model.ActDNS, Host: host,
			Entities: []model.Entity{{Type: model.Domain, Value: fmt.Sprintf(name, i), Role: model.Object}}})
	}
	return out
}

// onWire is what a sensor on the wire tells of the same.
func onWire(stream []*model.Observation) []*model.Observation {
	for _, o := range stream {
		o.Event, o.Host = "wire-"+o.Event, ""
	}
	return stream
}

func interleaved(a, b []*model.Observation) (out []*model.Observation) {
	for i := range a {
		out = append(out, a[i], b[i])
	}
	return out
}

func TestBeacon(t *testing.T) {
	const dst, evil = "203.0.113.9", `C:\Users\ann\AppData\Roaming\upd.exe`
	r := rand.New(rand.NewPCG(1, 2))
	each := func(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
	jitter := func(d time.Duration, j float64) func(int) time.Duration {
		return func(int) time.Duration { return d - time.Duration(r.Float64()*j*float64(d)) }
	}
	chance := func(d time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return time.Duration(r.ExpFloat64() * float64(d)) }
	}
	missed := func(i int) time.Duration { // every eighth is lost
		if i%8 == 7 {
			return 4 * time.Minute
		}
		return 2 * time.Minute
	}
	fleet := joined(pulses(1, "a", "", "192.0.2.1", 443, each(0)), pulses(1, "b", "", "192.0.2.1", 443, each(0)), pulses(1, "c", "", "192.0.2.1", 443, each(0)))
	two := 2 * time.Minute
	for _, c := range []struct {
		name   string
		stream []*model.Observation
		want   int
	}{
		{"every two minutes", joined(fleet, pulses(40, "a", "", dst, 443, each(two))), 1},
		{"with a jitter of .4", joined(fleet, pulses(40, "a", "", dst, 443, jitter(two, .4))), 1},
		{"with some lost", joined(fleet, pulses(40, "a", "", dst, 443, missed)), 1},
		{"every hour", joined(fleet, pulses(40, "a", "", dst, 443, each(time.Hour))), 1},
		{"told once a day", joined(fleet, pulses(24*60, "a", "", dst, 443, each(time.Minute))), 1},
		{"told again the next day", joined(fleet, pulses(2*24*60, "a", "", dst, 443, each(time.Minute))), 2},
		{"to a name", joined(fleet, asks(40, "a", "x%d.evil.example", two)), 1},
		{"by chance", joined(fleet, pulses(2000, "a", "", dst, 443, chance(two))), 0},
		{"too few", joined(fleet, pulses(beaconTimes, "a", "", dst, 443, each(two))), 0},
		{"ten minutes", joined(fleet, pulses(60, "a", "", dst, 443, each(10*time.Second))), 0},
		{"one long talk", joined(fleet, pulses(5000, "a", "", dst, 443, each(time.Second))), 0},
		{"too seldom", joined(fleet, pulses(40, "a", "", dst, 443, each(30*time.Hour))), 0},
		{"everybody goes there", joined(fleet, pulses(1, "b", "", dst, 443, each(0)), pulses(1, "c", "", dst, 443, each(0)), pulses(40, "a", "", dst, 443, each(two))), 0},
		{"told by the host and on the wire", joined(fleet, interleaved(pulses(40, "a", evil, dst, 443, each(two)), onWire(pulses(40, "a", "", dst, 443, each(two))))), 1},
		{"two hosts", joined(fleet, pulses(40, "a", "", dst, 443, each(two)), pulses(40, "b", "", dst, 443, each(two))), 2},
		{"time servers", joined(fleet, pulses(40, "a", "", dst, 123, each(two))), 0},
		{"at home", joined(fleet, pulses(40, "a", "", "10.0.0.9", 443, each(two))), 0},
		{"names of home", joined(fleet, asks(40, "a", "srv%d.lan", two)), 0},
		{"alone, by a program of the system", pulses(40, "a", `C:\Windows\System32\svchost.exe`, dst, 443, each(two)), 0},
		{"alone, by a program where anyone can write", pulses(40, "a", evil, dst, 443, each(two)), 1},
		{"two programs in turn", joined(fleet, pulses(20, "a", evil, dst, 443, each(two)), pulses(20, "a", `C:\Windows\a.exe`, dst, 443, each(two))), 0},
	} {
		got := feed(NewBeacon(), c.stream)
		if len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
		for _, a := range got {
			if len(a.Evidence) != beaconTimes+1 || !a.Time.Before(a.End) {
				t.Errorf("%s: %d records from %v to %v", c.name, len(a.Evidence), a.Time, a.End)
			}
		}
	}
}

// Jitter up to the stated one is regular, chance is not, whatever the interval.
func TestBeaconStatistic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		interval := time.Duration(rapid.IntRange(120, 40000).Draw(t, "seconds")) * time.Second
		j := rapid.Float64Range(0, .4).Draw(t, "jitter")
		var drawn, random pulse
		a, b := time.Duration(0), time.Duration(0)
		for i := range beaconTimes + 1 {
			drawn.add(reach(i, a, "a", "", "203.0.113.9", 443))
			random.add(reach(i, b, "a", "", "203.0.113.9", 443))
			a += interval - time.Duration(j*r.Float64()*float64(interval))
			b += beaconLeast + time.Duration(-math.Log(1-r.Float64())*float64(interval))
		}
		if !drawn.regular() {
			t.Fatalf("a jitter of %.2f is not regular", j)
		}
		if random.regular() {
			t.Fatal("chance is regular")
		}
	})
}

func TestOwnedDomain(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		if got, ok := ownedDomain(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f("a.b.evil.example", "evil.example")
	f("Evil.Example.", "evil.example")
	f("www.shop.co.uk", "shop.co.uk")
	f("co.uk", "co.uk")
	f("localhost", "")
	f("7.0.0.10.in-addr.arpa", "")
	f("printer.local", "")
	f("", "")
	f("..", "")
}

// However many hosts and destinations there are, what is remembered stays bounded.
func TestBeaconBounds(t *testing.T) {
	d := NewBeacon().(*beacon)
	for i := range 5 * maxBeacons / 2 {
		d.Observe(reach(i, time.Duration(i)*time.Second, fmt.Sprint("h", i%5000), "", fmt.Sprintf("203.%d.%d.%d", i>>16&255, i>>8&255, i&255), 443))
	}
	if len(d.pairs.by) > maxBeacons || len(d.dsts.by) > maxBeaconDsts || len(d.hosts) > beaconFleet {
		t.Errorf("%d pairs, %d destinations, %d hosts", len(d.pairs.by), len(d.dsts.by), len(d.hosts))
	}
	for i := range 1000 {
		d.Observe(reach(i, time.Duration(i)*time.Hour, "h", "", "198.51.100.1", 443))
	}
	if p := d.pairs.get("h\x00\x00198.51.100.1:443"); p == nil || len(p.marks) > beaconTimes+1 {
		t.Errorf("%+v", p)
	}
}
