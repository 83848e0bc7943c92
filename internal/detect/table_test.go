package detect

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

// However keys come, a table keeps its bound, remembers what it was told of those it
// holds, and forgets those that were quiet longest first.
func TestTableLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 8).Draw(t, "most")
		tb := newTable[int](most)
		want, last := map[string]int{}, map[string]time.Time{}
		for range rapid.IntRange(1, 80).Draw(t, "n") {
			key := fmt.Sprint("k", rapid.IntRange(0, 12).Draw(t, "key"))
			at := noon.Add(time.Duration(rapid.IntRange(-5, 50).Draw(t, "at")) * time.Second)
			had := tb.get(key) != nil
			before := map[string]bool{}
			for k := range tb.by {
				before[k] = true
			}
			var v *int
			if rapid.Bool().Draw(t, "bytes") {
				v = tb.seen([]byte(key), at)
			} else {
				v = tb.at(key, at)
			}
			if !had {
				delete(want, key)
				delete(last, key)
			}
			if *v != want[key] {
				t.Fatalf("%s is %d, want %d", key, *v, want[key])
			}
			*v++
			want[key]++
			if at.After(last[key]) {
				last[key] = at
			}
			if len(tb.by) > most {
				t.Fatalf("%d keys of at most %d", len(tb.by), most)
			}
			for gone := range before {
				if tb.by[gone] != nil {
					continue
				}
				for kept := range tb.by {
					if kept != key && last[kept].Before(last[gone]) {
						t.Fatalf("%s went and %s, quiet for longer, stayed", gone, kept)
					}
				}
			}
		}
	})
}

func TestNetworks(t *testing.T) {
	f := func(addr string, asn uint32, want string) {
		t.Helper()
		a, ok := outside(addr)
		got := ""
		if ok {
			got = networkOf(a, model.Place{Network: asn})
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	f("203.0.113.9", 0, "203.0.0.0/16")
	f("::ffff:203.0.113.9", 0, "203.0.0.0/16")
	f("2001:db8:1:2::3", 0, "2001:db8::/32")
	f("203.0.113.9", 64500, "as64500")
	for _, home := range []string{"10.1.2.3", "192.168.1.1", "172.16.5.4", "127.0.0.1", "169.254.1.1", "100.64.0.1", "224.0.0.251", "255.255.255.255", "0.0.0.0", "::1", "fe80::1%eth0", "fd00::1", "ff02::1", "", "x"} {
		f(home, 0, "")
	}
}

// An alert names the records it rests on, in bounds and each once.
func TestAlertOf(t *testing.T) {
	o := try(9, time.Hour, model.ActLogon, "root", "203.0.113.9")
	var marks []mark
	for i := range 100 {
		marks = append(marks, markOf(try(i, time.Duration(i)*time.Second, model.ActLogon, "root", "203.0.113.9")))
	}
	a := alertOf(Definition{}, o, marks...)
	if len(a.Evidence) != maxGuessedBy || a.Evidence[len(a.Evidence)-1].ID != o.Event || !a.Time.Equal(noon) || !a.End.Equal(o.Time) {
		t.Errorf("%d records from %v to %v, the last %s", len(a.Evidence), a.Time, a.End, a.Evidence[len(a.Evidence)-1].ID)
	}
	ids := map[string]bool{}
	for _, e := range a.Evidence {
		ids[e.ID] = true
	}
	if len(ids) != len(a.Evidence) {
		t.Error("a record stands twice")
	}
}

func TestWhence(t *testing.T) {
	g, err := OpenGeoIP(placesFile)
	if err != nil {
		t.Fatal(err)
	}
	berlin := &model.Place{Country: "DE", Lat: 52.5, Lon: 13.4, Located: true}
	for _, c := range []struct {
		name, src string
		told      *model.Place
		places    Places
		want      model.Place
		ok        bool
	}{
		{"nobody knows", "203.0.113.9", nil, nil, model.Place{}, true},
		{"the database knows", "203.0.113.9", nil, g, model.Place{Country: "US", Lat: 40.71, Lon: -74.01, Located: true, Radius: 20}, true},
		{"the log knows", "203.0.113.9", berlin, nil, *berlin, true},
		{"both know, the log better", "203.0.113.9", berlin, g, *berlin, true},
		{"the log knows the country only", "203.0.113.9", &model.Place{Country: "US"}, g, model.Place{Country: "US", Lat: 40.71, Lon: -74.01, Located: true, Radius: 20}, true},
		{"they differ about the country", "203.0.113.9", &model.Place{Country: "DE"}, g, model.Place{Country: "DE"}, true},
		{"at home", "10.0.0.9", berlin, g, model.Place{}, false},
		{"from nowhere", "", berlin, g, model.Place{}, false},
	} {
		o := try(1, 0, model.ActLogon, "root", c.src)
		o.Place = c.told
		if _, got, ok := whence(o, c.places); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v", c.name, got, ok)
		}
	}
}

// What the detectors that see every act cost for each.
func BenchmarkUnusual(b *testing.B) {
	ds := []Detector{NewNewCountry(nil), NewNewNetwork(nil), NewNewImage(), NewNewCall(), NewTravel(nil), NewBeacon(), NewVolumeOut(), NewVolumeRead(), NewSilence()}
	var stream []*model.Observation
	for i := range 4096 {
		host := fmt.Sprint("h", i%50)
		o := start(i, 0, "windows", host, `C:\Windows\System32\svchost.exe`)
		if i%3 == 0 {
			o = reach(i, 0, host, `C:\Windows\System32\svchost.exe`, fmt.Sprintf("203.0.113.%d", i%100), 443)
		}
		stream = append(stream, o)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o := stream[i%len(stream)]
		o.Time = noon.Add(time.Duration(i) * 10 * time.Millisecond)
		for _, d := range ds {
			d.Observe(o)
		}
	}
}
