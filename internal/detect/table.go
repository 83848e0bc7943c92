package detect

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// table remembers one V a key, at most max of them: when it is full, the quarter
// that was quiet longest is forgotten, by event time.
type table[V any] struct {
	max    int
	by     map[string]*entry[V]
	shrunk int // how often
}

type entry[V any] struct {
	last time.Time
	v    V
}

func newTable[V any](most int) *table[V] { return &table[V]{max: most, by: map[string]*entry[V]{}} }

// get returns what is remembered of key, nil if nothing is.
func (t *table[V]) get(key string) *V {
	if e := t.by[key]; e != nil {
		return &e.v
	}
	return nil
}

// at returns what is remembered of key, which is seen now; a new key begins with
// the zero V. What it returns is good until the next call.
func (t *table[V]) at(key string, now time.Time) *V { return t.touch(t.by[key], key, now) }

// seen is at for a key that its caller goes on to change.
func (t *table[V]) seen(key []byte, now time.Time) *V {
	if e := t.by[string(key)]; e != nil { // allocates nothing
		return t.touch(e, "", now)
	}
	return t.touch(nil, string(key), now)
}

func (t *table[V]) touch(e *entry[V], key string, now time.Time) *V {
	if e == nil {
		if len(t.by) >= t.max {
			t.shrink()
		}
		e = &entry[V]{}
		t.by[strings.Clone(key)] = e
	}
	if now.After(e.last) {
		e.last = now
	}
	return &e.v
}

func (t *table[V]) shrink() {
	t.shrunk++
	type aged struct {
		key  string
		last time.Time
	}
	all := make([]aged, 0, len(t.by))
	for k, e := range t.by {
		all = append(all, aged{k, e.last})
	}
	slices.SortFunc(all, func(a, b aged) int { return cmp.Or(a.last.Compare(b.last), strings.Compare(a.key, b.key)) })
	for _, a := range all[:max(1, len(all)/4)] {
		delete(t.by, a.key)
	}
}

// few is a set of at most so many; what does not fit is not remembered, and a full
// one says so by its length.
type few []string

// add adds s, if it is new and there is room, and reports whether it holds s now.
func (f *few) add(s string, most int) bool {
	if slices.Contains(*f, s) {
		return true
	}
	if len(*f) >= most {
		return false
	}
	*f = append(*f, strings.Clone(s))
	return true
}

// A mark is what is kept of an observation that may become evidence.
type mark struct {
	at    time.Time
	ref   model.Ref
	event string
}

func markOf(o *model.Observation) mark { return mark{o.Time, o.Ref, o.Event} }

func (m mark) evidence() model.Evidence {
	return model.Evidence{Input: m.ref.Input, Record: m.ref.Record, ID: m.event}
}

// alertOf is an alert that o completes, with earlier marks in order of time as its
// ground.
func alertOf(d Definition, o *model.Observation, marks ...mark) *model.Alert {
	a := &model.Alert{Time: o.Time, End: o.Time, Count: 1, Entities: o.Entities}
	for _, m := range marks {
		if m.event == o.Event {
			continue
		}
		if m.at.Before(a.Time) {
			a.Time = m.at
		}
		if len(a.Evidence) < maxGuessedBy-1 {
			a.Evidence = append(a.Evidence, m.evidence())
		}
	}
	a.Evidence = append(a.Evidence, markOf(o).evidence())
	a.Count = len(a.Evidence)
	return Finish(d, o, a)
}

// outside returns the address s if it is one of the internet: neither private nor
// shared, local or many at once.
func outside(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, false
	}
	a = a.Unmap().WithZone("")
	return a, a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}

// sharedSpace are the addresses that providers share among customers (RFC 6598).
var sharedSpace = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)

// networkOf names the network that a belongs to: its autonomous system where known,
// else /16 or, of IPv6, /32, which is about what one provider has in one place.
func networkOf(a netip.Addr, p model.Place) string {
	if p.Network != 0 {
		return "as" + strconv.FormatUint(uint64(p.Network), 10)
	}
	bits := 16
	if a.Is6() {
		bits = 32
	}
	n, err := a.Prefix(bits)
	if err != nil {
		return a.String()
	}
	return n.String()
}

// whence returns the address that o came from, if it is one of the internet, and
// the place as the record tells it or else as places do.
func whence(o *model.Observation, places Places) (netip.Addr, model.Place, bool) {
	ip, ok := o.Find(model.IP, model.Src)
	if !ok {
		return netip.Addr{}, model.Place{}, false
	}
	a, ok := outside(ip.Value)
	if !ok {
		return a, model.Place{}, false
	}
	var p model.Place
	if places != nil {
		p, _ = places.Place(a)
	}
	if o.Place != nil { // the record knows better, in what it knows
		told := *o.Place
		if told.Country == "" {
			told.Country = p.Country
		}
		if told.Network == 0 {
			told.Network = p.Network
		}
		if !told.Located && (told.Country == p.Country) {
			told.Lat, told.Lon, told.Located, told.Radius = p.Lat, p.Lon, p.Located, p.Radius
		}
		p = told
	}
	return a, p, true
}
