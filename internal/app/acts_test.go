package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/model"
)

func digest(n uint64) (d model.Digest) {
	for i := range d {
		d[i] = byte(n * 0x9E3779B97F4A7C15 >> (5 * i))
	}
	return d
}

// fill gives every exported part of v a value that is not zero.
func fill(t *testing.T, v reflect.Value, n *int64) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(*n)
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1700000000+*n, 7**n).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("an observation has a %s, of which this test knows nothing", v.Type())
	}
}

// A page gives back all that was put in, field by field, whatever an observation
// comes to have; and what it gives back is nobody else's memory.
func TestPage(t *testing.T) {
	var n int64
	var full model.Observation
	fill(t, reflect.ValueOf(&full).Elem(), &n)
	full.Ref.Input, full.Kept, full.Time, full.Event = "in", 0, time.Time{}, digest(1).ID()
	want := []sighting{
		{obs: &full, stamps: clock.Stamps{Recorded: time.Date(2024, 3, 1, 10, 0, 0, 123456789, time.UTC), Sensed: time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), Received: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)},
			rules: []int32{0, 3, 70000}, raised: true, fields: map[string][]string{"a": {"x", ""}, "b": {"y"}}},
		{obs: &model.Observation{Event: digest(2).ID(), Ref: model.Ref{Input: "in"}}},
		{obs: &model.Observation{Event: digest(3).ID(), Ref: model.Ref{Input: "in", Record: 1 << 40, Offset: 1 << 50}, Bytes: -1, Entities: full.Entities}, fields: map[string][]string{}},
	}
	var w pageWriter
	var r pageReader
	for range 2 { // a writer can be used again
		for i := range want {
			w.add(&want[i], digest(uint64(i+1)))
		}
		p := w.take()
		if p.count != len(want) || p.raised != 1 {
			t.Errorf("%d acts, %d raised", p.count, p.raised)
		}
		r.open(p.page, "in")
		var got []sighting
		for i := range p.count {
			got = append(got, r.sighting(i))
			if st, host := r.stamps(i); st != want[i].stamps || host != want[i].obs.Host {
				t.Errorf("%d: %v %q", i, st, host)
			}
		}
		clear(p.page)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v %+v, want\n%+v %+v", got[0], got[0].obs, want[0], want[0].obs)
		}
	}
	if p := w.take(); p.count != 0 || p.page != nil {
		t.Errorf("%+v", p)
	}
}

// Whatever lies in memory and whatever in a file, acts come in the one order of
// corrected time, input and place, each event once, and can be found and recalled.
func TestStream(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	base := time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)
	type act struct {
		s      sighting
		digest model.Digest
	}
	type chunk struct {
		input string
		acts  []act
	}
	var chunks []chunk
	var clocks clock.Estimator
	var all []sighting
	record := map[string]int64{}
	for i := range 60 {
		c := chunk{input: fmt.Sprint("in", (i*7)%5)}
		for range rnd.IntN(600) {
			at := base.Add(time.Duration(rnd.IntN(5000)) * time.Second)
			record[c.input]++
			n := uint64(rnd.IntN(15000)) // some events come twice
			s := sighting{obs: &model.Observation{Event: digest(n).ID(), Host: fmt.Sprint("h", rnd.IntN(4)), Act: model.ActConnect, Ref: model.Ref{Input: c.input, Record: record[c.input]}, Text: fmt.Sprint(n)},
				stamps: clock.Stamps{Recorded: at, Sensed: at.Add(-time.Hour)}}
			if c.input == "in3" {
				s.stamps.Sensed = at
			}
			if n%50 == 0 {
				s.rules = []int32{int32(n)}
			}
			clocks.Observe(clock.Source{Input: c.input, Host: s.obs.Host}, "3", s.stamps)
			c.acts = append(c.acts, act{s, digest(n)})
			all = append(all, s)
		}
		chunks = append(chunks, c)
	}
	times := clocks.Solve()
	inside := func(at time.Time) bool { return !at.Before(base.Add(-50 * time.Minute)) }

	// The order as one would write it down.
	when := func(s sighting) time.Time {
		return times.Time(clock.Source{Input: s.obs.Ref.Input, Host: s.obs.Host}, s.stamps)
	}
	slices.SortFunc(all, func(x, y sighting) int {
		return cmp.Or(when(x).Compare(when(y)), cmp.Compare(x.obs.Ref.Input, y.obs.Ref.Input), cmp.Compare(x.obs.Ref.Record, y.obs.Ref.Record))
	})
	var want []string
	seen := map[string]bool{}
	line := func(s sighting, at time.Time) string {
		return fmt.Sprint(at, s.obs.Event, s.obs.Ref, s.obs.Host, s.obs.Text, s.rules)
	}
	for _, s := range all {
		if at := when(s); inside(at) && !seen[s.obs.Event] {
			seen[s.obs.Event] = true
			want = append(want, line(s, at))
		}
	}
	if len(want) <= window || len(want) == len(all) {
		t.Fatalf("%d of %d acts: this tests less than it should", len(want), len(all))
	}

	for _, budget := range []int{1 << 30, 100 << 10, 0} {
		a := acts{store: pageStore{budget: budget}}
		var w pageWriter
		for _, c := range chunks {
			for i := range c.acts {
				w.add(&c.acts[i].s, c.acts[i].digest)
			}
			if err := a.add(c.input, w.take(), maxActs); err != nil {
				t.Fatal(err)
			}
		}
		if (a.store.file != nil) != (budget < 1<<30) {
			t.Errorf("budget %d: file %v", budget, a.store.file)
		}
		s, err := a.stream(times, inside)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var got []string
			ids := map[string]bool{}
			kept := map[string]int64{}
			err = s.each(t.Context(), func(x *sighting) {
				got = append(got, line(*x, x.obs.Time))
				if len(got)%97 == 0 {
					ids[x.obs.Event] = true
					kept[line(*x, x.obs.Time)] = x.obs.Kept
				}
			})
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("budget %d: %v, %d acts, want %d", budget, err, len(got), len(want))
			}
			ids["e-ffffffffffffffffffffffff"], ids["unknown"] = true, true
			found, err := s.find(ids)
			if err != nil || len(found) != len(kept) {
				t.Errorf("%v, found %d of %d", err, len(found), len(kept))
			}
			for _, x := range found {
				if k := kept[line(x, x.obs.Time)]; k == 0 || k != x.obs.Kept {
					t.Errorf("found %v, which was not in the stream", line(x, x.obs.Time))
				}
			}
			for l, k := range kept {
				o := s.recall(k)
				if got := line(found[o.Event], o.Time); got != l || o.Kept != k {
					t.Errorf("recalled %s, want %s", got, l)
				}
			}
		}
		a.close()
	}
}

// The report is the same whether acts wait in memory or in a file, and the file is
// gone afterwards, also when the run is given up.
func TestSpill(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	left := func() []string {
		l, err := filepath.Glob(filepath.Join(tmp, "catena-*"))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	folder(t, file{"auth.log", guessing(200)}, file{"sysmon.json", dumping()})
	var want []byte
	for _, budget := range []int{pageBudget, 0} {
		a, err := New(Options{AllAlerts: true})
		if err != nil {
			t.Fatal(err)
		}
		a.pageBudget = budget
		r, err := a.Analyze(t.Context(), []string{"."})
		if err != nil {
			t.Fatal(err)
		}
		got := asJSON(t, r)
		if want == nil {
			want = got
		}
		if string(got) != string(want) {
			t.Errorf("budget %d gives another report", budget)
		}
	}
	if l := left(); len(l) > 0 {
		t.Errorf("left behind: %q", l)
	}
	if err := os.Remove(tmp); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.pageBudget = 0
	if r, err := a.Analyze(t.Context(), []string{"."}); err == nil || r != nil {
		t.Errorf("no folder for the file: %v, %v", r, err)
	}
}

// What cannot be read back is an error, not half a report.
func TestPageStore(t *testing.T) {
	s := pageStore{budget: 4}
	for _, p := range []string{"abcd", "efg", "hi"} {
		if err := s.add([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	defer s.close()
	var buf []byte
	for i, want := range []string{"abcd", "efg", "hi"} {
		if p, err := s.page(i, &buf); string(p) != want || err != nil {
			t.Errorf("%q, %v, want %q", p, err, want)
		}
	}
	if err := s.file.Truncate(1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.page(2, &buf); err == nil {
		t.Error("what is gone was read")
	}
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.add([]byte("x")); err == nil {
		t.Error("wrote to a closed file")
	}
}

func asJSON(t *testing.T, r *model.Report) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
