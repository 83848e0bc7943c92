package clock

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2024, 3, 5, 9, 30, 0, 0, time.UTC)

const h = time.Hour

func observe(e *Estimator, n int, code string, shift time.Duration, kind string) {
	for i := range n {
		rec := t0.Add(time.Duration(i) * 7 * time.Second)
		s := Stamps{Recorded: rec}
		if kind == "received" {
			s.Received = rec.Add(shift + 2*time.Second)
		} else {
			s.Sensed = rec.Add(shift - 40*time.Millisecond)
		}
		e.Observe(Source{"in", "ws1"}, code, s)
	}
}

func TestHeaderInLocalTime(t *testing.T) {
	var e Estimator
	observe(&e, 20, "1", 19*h, "sensed")
	observe(&e, 20, "11", 19*h, "sensed")
	observe(&e, 300, "3", -4*24*h, "sensed") // many, but one kind only: a sensor with a broken stamp
	c := e.Solve()
	src := Source{"in", "ws1"}
	if got, want := c.Time(src, Stamps{Recorded: t0}), t0.Add(19*h); !got.Equal(want) {
		t.Errorf("an event without a stamp of its own is at %v, want %v", got, want)
	}
	own := t0.Add(19*h - 300*time.Millisecond)
	if got := c.Time(src, Stamps{Recorded: t0, Sensed: own}); !got.Equal(own) {
		t.Errorf("the sensor's own stamp was not used: %v", got)
	}
	if got, want := c.Time(src, Stamps{Recorded: t0, Sensed: t0.Add(-4 * 24 * h)}), t0.Add(19*h); !got.Equal(want) {
		t.Errorf("a stray stamp was believed: %v, want %v", got, want)
	}
	off := c.Offsets()
	if len(off) != 1 || off[0].Seconds != (19*h).Seconds() || !strings.Contains(off[0].Text, "+19.00 h") || !strings.Contains(off[0].Text, "events 3 disagree with all else in this source (300 of 340") {
		t.Errorf("offsets = %+v", off)
	}
}

func TestCollectorShowsTheZone(t *testing.T) {
	var e Estimator
	observe(&e, 50, "4624", 4*h, "received")
	c := e.Solve()
	if got, want := c.Time(Source{"in", "ws1"}, Stamps{Recorded: t0}), t0.Add(4*h); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLateCollectorIsNoZone(t *testing.T) {
	var e Estimator
	observe(&e, 30, "4624", 0, "received")
	observe(&e, 70, "4624", 2*h, "received") // a backlog after an outage
	c := e.Solve()
	if got := c.Time(Source{"in", "ws1"}, Stamps{Recorded: t0}); !got.Equal(t0) {
		t.Errorf("a backlog moved the clock to %v", got)
	}
	if len(c.Offsets()) != 0 {
		t.Errorf("offsets = %+v", c.Offsets())
	}
}

func TestAgreeingClocksAreLeftAlone(t *testing.T) {
	var e Estimator
	observe(&e, 50, "1", 0, "sensed")
	c := e.Solve()
	if len(c.Offsets()) != 0 {
		t.Errorf("offsets = %+v", c.Offsets())
	}
	if got := c.Time(Source{"other", ""}, Stamps{Recorded: t0}); !got.Equal(t0) {
		t.Errorf("an unknown source was moved to %v", got)
	}
}

func TestTwoEventsProveNothing(t *testing.T) {
	var e Estimator
	observe(&e, 2, "1", 5*h, "sensed")
	if off := e.Solve().Offsets(); len(off) != 0 {
		t.Errorf("offsets = %+v", off)
	}
}

func TestMergeIsTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole Estimator
		parts := make([]Estimator, 3)
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			s := Stamps{Recorded: t0, Sensed: t0.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 3600, -7200, 86400}).Draw(t, "shift")) * time.Second)}
			code := rapid.SampledFrom([]string{"1", "3", "11"}).Draw(t, "code")
			whole.Observe(Source{"a", "b"}, code, s)
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Observe(Source{"a", "b"}, code, s)
		}
		var merged Estimator
		for i := range parts {
			merged.Merge(&parts[i])
		}
		for _, sensed := range []time.Duration{0, h, -2 * h} {
			s := Stamps{Recorded: t0, Sensed: t0.Add(sensed)}
			if a, b := whole.Solve().Time(Source{"a", "b"}, s), merged.Solve().Time(Source{"a", "b"}, s); !a.Equal(b) {
				t.Fatalf("whole %v, merged %v", a, b)
			}
		}
	})
}

func TestNetworkSensorShowsASlowHost(t *testing.T) {
	var e Estimator
	host, net := Source{"host.log", "web1"}, Source{"conn.log", ""}
	for i := range 8 {
		at := t0.Add(time.Duration(i) * time.Minute)
		f := Flow{"10.0.0.9:" + strconv.Itoa(40000+i), "10.0.0.1:443"}
		e.ObserveFlow(f, net, true, Stamps{Sensed: at})
		e.ObserveFlow(f, host, false, Stamps{Recorded: at.Add(-95 * time.Second), Sensed: at.Add(-95 * time.Second)})
	}
	c := e.Solve()
	if got, want := c.Time(host, Stamps{Recorded: t0}), t0.Add(95*time.Second); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := c.Time(net, Stamps{Sensed: t0}); !got.Equal(t0) {
		t.Errorf("the network sensor was moved to %v", got)
	}
	if off := c.Offsets(); len(off) != 1 || !strings.Contains(off[0].Text, "+95 s, going by 8 connections") {
		t.Errorf("offsets = %+v", off)
	}
}

func TestFewOrScatteredConnectionsProveNothing(t *testing.T) {
	for _, scatter := range []time.Duration{0, 40 * time.Second} {
		var e Estimator
		n := 4
		if scatter > 0 {
			n = 20
		}
		for i := range n {
			at := t0.Add(time.Duration(i) * time.Minute)
			f := Flow{"10.0.0.9:" + strconv.Itoa(40000+i), "10.0.0.1:443"}
			e.ObserveFlow(f, Source{"conn.log", ""}, true, Stamps{Sensed: at})
			e.ObserveFlow(f, Source{"host.log", "web1"}, false, Stamps{Recorded: at.Add(time.Minute + time.Duration(i%5)*scatter)})
		}
		if off := e.Solve().Offsets(); len(off) != 0 {
			t.Errorf("scatter %v: offsets = %+v", scatter, off)
		}
	}
}

func TestASmallDifferenceToTheNetworkIsToldAndLeft(t *testing.T) {
	var e Estimator
	host := Source{"host.log", "web1"}
	for i := range 8 {
		at := t0.Add(time.Duration(i) * time.Minute)
		f := Flow{"10.0.0.9:" + strconv.Itoa(40000+i), "10.0.0.1:443"}
		e.ObserveFlow(f, Source{"conn.log", ""}, true, Stamps{Sensed: at})
		e.ObserveFlow(f, host, false, Stamps{Recorded: at.Add(13 * time.Second)})
	}
	c := e.Solve()
	if got := c.Time(host, Stamps{Recorded: t0}); !got.Equal(t0) {
		t.Errorf("moved to %v", got)
	}
	if off := c.Offsets(); len(off) != 1 || off[0].Seconds != 0 || !strings.Contains(off[0].Text, "+13 s from those that a network sensor saw") {
		t.Errorf("offsets = %+v", off)
	}
}
