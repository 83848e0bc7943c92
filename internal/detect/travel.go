package detect

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const (
	travelSpeed   = 900.0 // km/h, of an airliner
	travelLeast   = 500.0 // km; nearer places are often one that databases differ about
	travelSlack   = 100.0 // km that coordinates without a radius may be off
	travelSpan    = 24 * time.Hour
	travelHabit   = 24 * time.Hour // a network used so long ago already is the user's
	maxTravelNets = 32             // networks of one user
)

// travel finds two sign-ins of one user, both successful, from places that nobody
// comes to that fast. What leaves the internet elsewhere than its user sits is left
// out as far as it shows: networks that several users share, that the user is known
// to come from, and moves within one network.
type travel struct {
	def    Definition
	places Places
	users  *table[traveller]
	shared *table[few] // users by network
}

type traveller struct {
	last     mark
	place    model.Place
	addr     netip.Addr
	network  string
	networks map[string]time.Time // when first used
	told     time.Time
}

// NewTravel finds impossible travel. Where addresses are is what the log says, or
// places, which may be nil.
func NewTravel(places Places) Detector {
	return &travel{places: places, users: newTable[traveller](MaxKeys), shared: newTable[few](MaxKeys), def: Definition{
		Rule: model.RuleInfo{ID: "d4f6a1b8-3c5e-47a9-9b0d-8e7c2f1a5b15", Title: "Impossible travel: one user at two places too far apart", Level: model.Medium, Source: "builtin"},
		Tags: []string{"attack.initial-access", "attack.t1078"}}}
}

func (t *travel) Definition() Definition { return t.def }

func (t *travel) Observe(o *model.Observation) []*model.Alert {
	if o.Act != model.ActLogon {
		return nil
	}
	user, ok := o.Find(model.User, model.Target)
	if !ok {
		return nil
	}
	addr, place, ok := whence(o, t.places)
	if !ok || !place.Located {
		return nil
	}
	network := networkOf(addr, place)
	friends := t.shared.at(network, o.Time)
	friends.add(user.Value, placeFriends+1)
	u := t.users.at(user.Value, o.Time)
	if u.networks == nil {
		u.networks = map[string]time.Time{}
	}
	first, used := u.networks[network]
	if !used {
		first = o.Time
		if len(u.networks) < maxTravelNets {
			u.networks[network] = first
		}
	}
	was := *u
	if !o.Time.Before(was.last.at) {
		u.last, u.place, u.addr, u.network = markOf(o), place, addr, network
	}
	before := t.shared.get(was.network)
	switch {
	case was.last.event == "", was.network == network, was.addr == addr:
	case o.Time.Before(was.last.at), o.Time.Sub(was.last.at) > travelSpan:
	case o.Time.Sub(first) >= travelHabit: // he comes from here as well
	case len(u.networks) >= maxTravelNets: // an account that everybody uses
	case len(*friends) > placeFriends, before != nil && len(*before) > placeFriends:
	case !u.told.IsZero() && o.Time.Sub(u.told) < travelSpan:
	case tooFar(was.place, place, o.Time.Sub(was.last.at)):
		u.told = o.Time
		return []*model.Alert{alertOf(t.def, o, was.last)}
	}
	return nil
}

// tooFar says whether nobody comes from a to b in that time.
func tooFar(a, b model.Place, in time.Duration) bool {
	off := func(p model.Place) float64 {
		if p.Radius > 0 {
			return p.Radius
		}
		return travelSlack
	}
	km := distance(a, b) - off(a) - off(b)
	return km >= travelLeast && km > travelSpeed*in.Hours()
}

// distance is the length in km of the great circle between two places (haversine),
// on a sphere as large as the earth.
func distance(a, b model.Place) float64 {
	const radius = 6371.0
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	hav := func(x float64) float64 { s := math.Sin(x / 2); return s * s }
	h := hav(rad(b.Lat-a.Lat)) + math.Cos(rad(a.Lat))*math.Cos(rad(b.Lat))*hav(rad(b.Lon-a.Lon))
	return 2 * radius * math.Asin(math.Sqrt(min(h, 1)))
}

// median returns the middle of values, the mean of the two middle ones where their
// number is even, and 0 of none. It orders values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values) / 2
	if len(values)%2 == 1 {
		return values[n]
	}
	return (values[n-1] + values[n]) / 2
}

// mad returns the median of values and the median of their absolute deviations
// from it (F. R. Hampel, The influence curve and its role in robust estimation,
// 1974): half of the values may be anything without moving either far. It orders
// values.
func mad(values []float64) (middle, deviation float64) {
	middle = median(values)
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - middle)
	}
	return middle, median(away)
}
