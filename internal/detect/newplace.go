package detect

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// What must be known of a user before a new origin says anything, and how much is
// remembered of one. A visit is a user coming from one network in one hour, however
// often.
const (
	placeVisits   = 10
	placeDays     = 3 * 24 * time.Hour
	placePerNew   = 5  // visits for each network that the user is known to come from: who roams, roams
	placeFriends  = 3  // other users from the same network make it one of the estate's
	maxUserPlaces = 64 // networks, and countries, of one user
)

// newPlace finds a user who comes from where he never came from: a network, or a
// country. Keys of clouds sign in with every call, so these count as well.
type newPlace struct {
	country bool
	def     Definition
	places  Places
	users   *table[userPlaces]
	shared  *table[few] // users by network
}

type userPlaces struct {
	first     time.Time
	hour      int64
	from      string // the network of the last visit
	visits    int
	networks  few
	countries few
}

// NewNewCountry finds a sign-in from a country that the user never came from. The
// country is what the log says, or places, which may be nil.
func NewNewCountry(places Places) Detector {
	return &newPlace{country: true, places: places, users: newTable[userPlaces](MaxKeys), shared: newTable[few](MaxKeys), def: Definition{
		Rule: model.RuleInfo{ID: "41c7d0a2-7f0e-4a0d-9f39-0d5e6a2b8c11", Title: "Sign-in from a country that is new for the user", Level: model.Low, Source: "builtin"},
		Tags: []string{"attack.initial-access", "attack.t1078"}}}
}

// NewNewNetwork finds a sign-in, or the use of a cloud key, from a network that the
// user never came from, in a country where he was or that nobody knows.
func NewNewNetwork(places Places) Detector {
	return &newPlace{places: places, users: newTable[userPlaces](MaxKeys), shared: newTable[few](MaxKeys), def: Definition{
		Rule: model.RuleInfo{ID: "0a5f3c1e-5c44-4b0b-8a3e-6c2f9d7e1b12", Title: "Sign-in from a network that is new for the user", Level: model.Informational, Source: "builtin"},
		Tags: []string{"attack.initial-access", "attack.t1078"}}}
}

func (n *newPlace) Definition() Definition { return n.def }

func (n *newPlace) Observe(o *model.Observation) []*model.Alert {
	user, ok := comer(o)
	if !ok {
		return nil
	}
	addr, place, ok := whence(o, n.places)
	if !ok || n.country && place.Country == "" {
		return nil
	}
	network := networkOf(addr, place)
	friends := n.shared.at(network, o.Time)
	friends.add(user, placeFriends+1)

	u := n.users.at(user, o.Time)
	if u.visits == 0 {
		u.first = o.Time
	}
	known := u.known(o.Time) && len(*friends) <= placeFriends
	fresh := u.visit(o.Time, network, place.Country)
	if !known || fresh.country != n.country || !n.country && !fresh.network {
		return nil
	}
	return []*model.Alert{alertOf(n.def, o)}
}

// comer is who signs in with o, or whose cloud key it uses.
func comer(o *model.Observation) (string, bool) {
	if o.Act == model.ActLogon {
		u, ok := o.Find(model.User, model.Target)
		return u.Value, ok && !strings.HasSuffix(u.Value, "$")
	}
	if _, ok := o.Find(model.AccessKey, model.Actor); !ok || o.Host != "" {
		return "", false
	}
	if r, ok := o.Find(model.IAMRole, model.Actor); ok { // sessions are named anew each time
		return r.Value, true
	}
	u, ok := o.Find(model.User, model.Actor)
	return u.Value, ok
}

// known says whether enough is known of the user by now.
func (u *userPlaces) known(now time.Time) bool {
	return u.visits >= placeVisits && now.Sub(u.first) >= placeDays && u.visits >= placePerNew*len(u.networks) &&
		len(u.networks) < maxUserPlaces && len(u.countries) < maxUserPlaces
}

// visit remembers where the user is now and says what of it is new.
func (u *userPlaces) visit(now time.Time, network, country string) (fresh struct{ network, country bool }) {
	if hour := now.Unix() / 3600; hour != u.hour || network != u.from {
		u.visits++
		u.hour, u.from = hour, network
	}
	networks, countries := len(u.networks), len(u.countries)
	u.networks.add(network, maxUserPlaces)
	if country != "" {
		u.countries.add(country, maxUserPlaces)
	}
	fresh.network, fresh.country = len(u.networks) > networks, countries > 0 && len(u.countries) > countries
	return fresh
}
