package detect

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

// However observations come, a window holds only what lies within its span, in
// order of time, with right counts; keys stay in their bound; and a key that was
// forgotten was quieter than all that stayed.
func TestWindowsLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const span = 10 * time.Second
		w := newWindows(span, triedUser)
		w.max = rapid.IntRange(1, 8).Draw(t, "max")
		lastOf := map[string]time.Time{}
		at := time.Duration(0)
		for i := range rapid.IntRange(1, 80).Draw(t, "n") {
			at += time.Duration(rapid.IntRange(-3, 4).Draw(t, "step")) * time.Second
			key := fmt.Sprint("k", rapid.IntRange(0, 12).Draw(t, "key"))
			user := fmt.Sprint("u", rapid.IntRange(0, 3).Draw(t, "user"))
			before := map[string]time.Time{}
			for k, g := range w.by {
				before[k] = g.last
			}
			o := try(i, at, model.ActLogonFailed, user, "")
			g := w.add(key, o)
			if o.Time.After(lastOf[key]) {
				lastOf[key] = o.Time
			}
			if w.by[key] != g {
				t.Fatalf("%s was not remembered", key)
			}
			if len(w.by) > w.max {
				t.Fatalf("%d keys, at most %d", len(w.by), w.max)
			}
			counted := map[string]int{}
			for j, it := range g.items {
				if g.last.Sub(it.Time) > span {
					t.Fatalf("%v old", g.last.Sub(it.Time))
				}
				if j > 0 && it.Time.Before(g.items[j-1].Time) {
					t.Fatal("out of order")
				}
				counted[triedUser(it)]++
			}
			if fmt.Sprint(counted) != fmt.Sprint(g.labels) {
				t.Fatalf("counts %v, want %v", g.labels, counted)
			}
			for k, last := range before {
				if w.by[k] != nil || k == key || o.Time.Sub(last) > span {
					continue
				}
				for kept, h := range w.by { // forgotten for want of room
					if kept != key && h.last.Before(last) {
						t.Fatalf("%s (last %v) went and %s (last %v) stayed", k, last, kept, h.last)
					}
				}
			}
		}
	})
}

func TestWindowsItems(t *testing.T) {
	w := newWindows(time.Hour, triedUser)
	for i := range 3 * maxItems {
		w.add("k", try(i, time.Duration(i)*time.Millisecond, model.ActLogonFailed, fmt.Sprint(i), ""))
	}
	g := w.get("k")
	if len(g.items) != maxItems || len(g.labels) != maxItems || g.items[0].Event != fmt.Sprintf("e-%04d", 2*maxItems) {
		t.Errorf("%d items, %d labels, first %s", len(g.items), len(g.labels), g.items[0].Event)
	}
	if w.get("other") != nil {
		t.Error("a window of nothing")
	}
}

// More sources than are remembered, refused once each, and as many refusals of
// one: both stay bounded.
func TestFlood(t *testing.T) {
	const n = 5 * MaxKeys / 2 // half of them sources of their own
	ds := []Detector{NewSpray(), NewBruteForce(), NewGuessed()}
	o := try(0, 0, model.ActLogonFailed, "root", "")
	for i := range n {
		x := *o
		x.Time = noon.Add(time.Duration(i) * 100 * time.Microsecond)
		src := "203.0.113.9"
		if i%2 == 0 {
			src = fmt.Sprintf("2001:db8::%x", i)
		}
		x.Entities = []model.Entity{o.Entities[0], {Type: model.IP, Value: src, Role: model.Src}}
		for _, d := range ds {
			d.Observe(&x)
		}
	}
	for i, w := range []*windows{ds[0].(*guess).seen, ds[1].(*guess).seen, ds[2].(*guessed).fails} {
		if len(w.by) > MaxKeys {
			t.Errorf("detector %d remembers %d keys", i, len(w.by))
		}
		for k, g := range w.by {
			if len(g.items) > maxItems {
				t.Fatalf("%d items of %s", len(g.items), k)
			}
		}
	}
}

func BenchmarkBruteForce(b *testing.B) {
	d := NewSpray()
	o := try(0, 0, model.ActLogonFailed, "root", "203.0.113.9")
	for i := 0; b.Loop(); i++ {
		x := *o
		x.Time = noon.Add(time.Duration(i) * time.Microsecond)
		d.Observe(&x)
	}
}
