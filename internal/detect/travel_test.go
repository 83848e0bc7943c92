package detect

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

var (
	berlin  = &model.Place{Country: "DE", Lat: 52.52, Lon: 13.40, Located: true}
	hamburg = &model.Place{Country: "DE", Lat: 53.55, Lon: 9.99, Located: true}
	newYork = &model.Place{Country: "US", Lat: 40.71, Lon: -74.01, Located: true}
)

func from(n int, at time.Duration, user, src string, p *model.Place) *model.Observation {
	o := try(n, at, model.ActLogon, user, src)
	o.Place = p
	return o
}

func TestTravel(t *testing.T) {
	const b, n = "198.51.100.7", "203.0.113.9"
	via := func(p *model.Place, asn uint32) *model.Place { q := *p; q.Network = asn; return &q }
	refused := from(1, 0, "bob", b, berlin)
	refused.Act = model.ActLogonFailed
	for _, c := range []struct {
		name   string
		stream []*model.Observation
		want   int
	}{
		{"over the ocean in an hour", []*model.Observation{from(1, 0, "bob", b, berlin), from(2, time.Hour, "bob", n, newYork)}, 1},
		{"at the same time", []*model.Observation{from(1, 0, "bob", b, berlin), from(2, 0, "bob", n, newYork)}, 1},
		{"over the ocean in half a day", []*model.Observation{from(1, 0, "bob", b, berlin), from(2, 12*time.Hour, "bob", n, newYork)}, 0},
		{"to the next town", []*model.Observation{from(1, 0, "bob", b, berlin), from(2, time.Minute, "bob", n, hamburg)}, 0},
		{"two users", []*model.Observation{from(1, 0, "bob", b, berlin), from(2, time.Hour, "ann", n, newYork)}, 0},
		{"one was refused", []*model.Observation{refused, from(2, time.Hour, "bob", n, newYork)}, 0},
		{"within one provider", []*model.Observation{from(1, 0, "bob", b, via(berlin, 64500)), from(2, time.Hour, "bob", n, via(newYork, 64500))}, 0},
		{"from another provider", []*model.Observation{from(1, 0, "bob", b, via(berlin, 64500)), from(2, time.Hour, "bob", n, via(newYork, 64501))}, 1},
		{"one is at home", []*model.Observation{from(1, 0, "bob", "10.0.0.7", berlin), from(2, time.Hour, "bob", n, newYork)}, 0},
		{"nobody knows where", []*model.Observation{from(1, 0, "bob", b, nil), from(2, time.Hour, "bob", n, newYork)}, 0},
		{"nobody knows where in the country", []*model.Observation{from(1, 0, "bob", b, &model.Place{Country: "DE"}), from(2, time.Hour, "bob", n, newYork)}, 0},
		{"back and forth is told once a day", []*model.Observation{from(1, 0, "bob", b, berlin), from(2, time.Hour, "bob", n, newYork), from(3, 2*time.Hour, "bob", b, berlin), from(4, 3*time.Hour, "bob", n, newYork)}, 1},
		{"who has a proxy there since yesterday", []*model.Observation{from(1, 0, "bob", n, newYork), from(2, 23*time.Hour, "bob", b, berlin), from(3, 26*time.Hour, "bob", n, newYork)}, 0},
		{"everybody's proxy", []*model.Observation{from(1, 0, "a", n, newYork), from(2, 0, "b", n, newYork), from(3, 0, "c", n, newYork), from(4, 0, "bob", b, berlin), from(5, time.Minute, "bob", n, newYork)}, 0},
		{"late", []*model.Observation{from(2, time.Hour, "bob", n, newYork), from(1, 0, "bob", b, berlin)}, 0},
	} {
		got := feed(NewTravel(nil), c.stream)
		if len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
		for _, a := range got {
			if len(a.Evidence) != 2 || a.Time.After(a.End) {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
	}
}

func TestTravelByDatabase(t *testing.T) {
	stream := []*model.Observation{from(1, 0, "bob", "198.51.100.7", nil), from(2, time.Hour, "bob", "203.0.113.9", nil)}
	if got := feed(NewTravel(nil), stream); len(got) != 0 {
		t.Errorf("%d alerts without a database", len(got))
	}
	g, err := OpenGeoIP(placesFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := feed(NewTravel(g), stream); len(got) != 1 || got[0].Severity != model.Medium {
		t.Errorf("%v", got)
	}
}

func TestDistance(t *testing.T) {
	f := func(a, b *model.Place, want float64) {
		t.Helper()
		if got := distance(*a, *b); math.Abs(got-want) > want/100+.001 {
			t.Errorf("%f km, want %f", got, want)
		}
	}
	f(berlin, berlin, 0)
	f(berlin, hamburg, 255)
	f(berlin, newYork, 6385)
	f(newYork, berlin, 6385)
	f(&model.Place{Lat: 90}, &model.Place{Lat: -90, Lon: 77}, 20015)
	f(&model.Place{Lon: 179.9}, &model.Place{Lon: -179.9}, 22.2)
}

// The middle and the deviation move with the values and scale with them, and less
// than half of the values, whatever they are, cannot carry them away.
func TestMAD(t *testing.T) {
	if m, d := mad(nil); m != 0 || d != 0 {
		t.Errorf("%f %f of nothing", m, d)
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(10, 20), 3, 40).Draw(t, "values")
		bad := rapid.IntRange(0, (len(values)-1)/2).Draw(t, "bad")
		for i := range bad {
			values[i] = 1e12
		}
		m, d := mad(append([]float64(nil), values...))
		if m < 10 || m > 20 || d < 0 || d > 10 {
			t.Fatalf("%f %f of %v", m, d, values)
		}
		for i := range values {
			values[i] = 2*values[i] + 5
		}
		if m2, d2 := mad(values); math.Abs(m2-2*m-5) > 1e-3 || math.Abs(d2-2*d) > 1e-3 {
			t.Fatalf("%f %f, then %f %f", m, d, m2, d2)
		}
	})
}
