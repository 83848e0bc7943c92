package detect

import (
	"fmt"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// signIns is n sign-ins of user from src, one every gap from start on.
func signIns(n int, start, gap time.Duration, user, src, country string) []*model.Observation {
	var out []*model.Observation
	for i := range n {
		o := try(i, start+time.Duration(i)*gap, model.ActLogon, user, src)
		o.Event = fmt.Sprint(user, src, start, i)
		if country != "" {
			o.Place = &model.Place{Country: country}
		}
		out = append(out, o)
	}
	return out
}

// keyUses is n uses of a cloud key by an identity from src.
func keyUses(n int, start, gap time.Duration, user, src string) []*model.Observation {
	out := signIns(n, start, gap, user, src, "")
	for _, o := range out {
		o.Act, o.Host = model.ActAPICall, ""
		o.Entities[0].Role = model.Actor
		o.Entities = append(o.Entities, model.Entity{Type: model.AccessKey, Value: "AKIAEXAMPLE", Role: model.Actor})
	}
	return out
}

func joined(parts ...[]*model.Observation) []*model.Observation {
	var out []*model.Observation
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func TestNewPlace(t *testing.T) {
	const day = 24 * time.Hour
	const home, away, other = "198.51.100.7", "203.0.113.9", "192.0.2.77"
	week := func(country string) []*model.Observation {
		return signIns(20, 0, 8*time.Hour, "bob@corp.example", home, country)
	}
	country := func() Detector { return NewNewCountry(nil) }
	network := func() Detector { return NewNewNetwork(nil) }
	colleagues := func(src string) (out []*model.Observation) {
		for i := range placeFriends + 1 {
			out = append(out, signIns(1, 6*day, 0, fmt.Sprintf("user%d@corp.example", i), src, "US")...)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		make   func() Detector
		stream []*model.Observation
		want   int
	}{
		{"another country", country, joined(week("DE"), signIns(1, 7*day, 0, "bob@corp.example", away, "US")), 1},
		{"told once", country, joined(week("DE"), signIns(9, 7*day, time.Hour, "bob@corp.example", away, "US")), 1},
		{"the same country", country, joined(week("DE"), signIns(1, 7*day, 0, "bob@corp.example", away, "DE")), 0},
		{"the first hours of a log", country, joined(signIns(9, 0, time.Minute, "bob@corp.example", home, "DE"), signIns(1, time.Hour, 0, "bob@corp.example", away, "US")), 0},
		{"often, but only today", country, joined(signIns(200, 0, time.Minute, "bob@corp.example", home, "DE"), signIns(1, 5*time.Hour, 0, "bob@corp.example", away, "US")), 0},
		{"hardly known", country, joined(signIns(4, 0, day, "bob@corp.example", home, "DE"), signIns(1, 7*day, 0, "bob@corp.example", away, "US")), 0},
		{"somebody else", country, joined(week("DE"), signIns(1, 7*day, 0, "ann@corp.example", away, "US")), 0},
		{"a log that names no country", country, joined(week(""), signIns(1, 7*day, 0, "bob@corp.example", away, "")), 0},
		{"colleagues are there too", country, joined(week("DE"), colleagues(away), signIns(1, 7*day, 0, "bob@corp.example", away, "US")), 0},

		{"another network", network, joined(week(""), signIns(1, 7*day, 0, "bob@corp.example", away, "")), 1},
		{"another network of the country", network, joined(week("DE"), signIns(1, 7*day, 0, "bob@corp.example", away, "DE")), 1},
		{"another country is the other's", network, joined(week("DE"), signIns(1, 7*day, 0, "bob@corp.example", away, "US")), 0},
		{"the same /16", network, joined(week(""), signIns(1, 7*day, 0, "bob@corp.example", "198.51.3.3", "")), 0},
		{"from home", network, joined(week(""), signIns(1, 7*day, 0, "bob@corp.example", "10.1.2.3", "")), 0},
		{"who roams", network, joined(signIns(4, 0, day, "bob@corp.example", home, ""), signIns(4, 4*day, day, "bob@corp.example", other, ""),
			signIns(6, 8*day, day, "bob@corp.example", "192.88.99.1", ""), signIns(1, 15*day, 0, "bob@corp.example", away, "")), 0},
		{"a machine", network, joined(signIns(20, 0, 8*time.Hour, "pc1$", home, ""), signIns(1, 7*day, 0, "pc1$", away, "")), 0},
		{"a cloud key used elsewhere", network, joined(keyUses(40, 0, 3*time.Hour, "arn:aws:iam::123456789012:user/ci", home), keyUses(5, 7*day, time.Minute, "arn:aws:iam::123456789012:user/ci", away)), 1},
	} {
		if got := feed(c.make(), c.stream); len(got) != c.want {
			t.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
	}
}

// With a database the country need not stand in the log.
func TestNewCountryByDatabase(t *testing.T) {
	g, err := OpenGeoIP(placesFile)
	if err != nil {
		t.Fatal(err)
	}
	stream := joined(signIns(20, 0, 8*time.Hour, "bob", "198.51.100.7", ""), signIns(1, 7*24*time.Hour, 0, "bob", "203.0.113.9", ""))
	if got := feed(NewNewCountry(g), stream); len(got) != 1 {
		t.Errorf("%d alerts", len(got))
	}
	// Two networks of one provider are one.
	stream = joined(signIns(20, 0, 8*time.Hour, "bob", "198.51.100.130", ""), signIns(1, 7*24*time.Hour, 0, "bob", "203.0.113.130", ""))
	if got := feed(NewNewNetwork(g), stream); len(got) != 0 {
		t.Errorf("%d alerts about one provider", len(got))
	}
}
