package server

import (
	"container/list"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A recent map holds at most max values, those least recently used being forgotten. A
// limit by address or account name is kept in one: whoever asks chooses the key.
type recent[K comparable, V any] struct {
	mu   sync.Mutex
	max  int
	byK  map[K]*list.Element
	used *list.List // of pair, the latest in front
}

type pair[K comparable, V any] struct {
	key K
	val V
}

func newRecent[K comparable, V any](max int) *recent[K, V] {
	return &recent[K, V]{max: max, byK: map[K]*list.Element{}, used: list.New()}
}

// with calls f on the value of a key, made by a call of make if there is none. Calls of
// f exclude each other, so it must be short.
func (r *recent[K, V]) with(k K, make func() V, f func(v *V)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byK[k]
	if e == nil {
		for r.used.Len() >= r.max {
			old := r.used.Back()
			delete(r.byK, old.Value.(*pair[K, V]).key)
			r.used.Remove(old)
		}
		e = r.used.PushFront(&pair[K, V]{k, make()})
		r.byK[k] = e
	} else {
		r.used.MoveToFront(e)
	}
	f(&e.Value.(*pair[K, V]).val)
}

func (r *recent[K, V]) forget(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byK[k]; e != nil {
		delete(r.byK, k)
		r.used.Remove(e)
	}
}

// rates gives each key so many turns a second, and a burst of them at once.
type rates struct {
	per   rate.Limit
	burst int
	keys  *recent[string, *rate.Limiter]
	now   func() time.Time
}

func newRates(per float64, burst int, now func() time.Time) *rates {
	return &rates{per: rate.Limit(per), burst: burst, keys: newRecent[string, *rate.Limiter](16384), now: now}
}

// take takes a turn, or says how long until there is one.
func (l *rates) take(key string) (wait time.Duration) {
	now := l.now()
	l.keys.with(key, func() *rate.Limiter { return rate.NewLimiter(l.per, l.burst) }, func(v **rate.Limiter) {
		r := (*v).ReserveN(now, 1)
		if wait = r.DelayFrom(now); wait > 0 {
			r.CancelAt(now)
		}
	})
	return wait
}

// lockout holds back log-ins of a key after failures, for twice as long with each one
// beyond the free ones. It knows keys, not accounts: one that is not there locks as one
// that is, so nothing is told about which are.
type lockout struct {
	free  int           // failures before the first delay
	first time.Duration // the first delay
	most  time.Duration // the longest
	keys  *recent[string, failures]
	now   func() time.Time
}

type failures struct {
	n     int
	last  time.Time
	until time.Time
}

func newLockout(free int, first, most time.Duration, now func() time.Time) *lockout {
	return &lockout{free: free, first: first, most: most, keys: newRecent[string, failures](65536), now: now}
}

// wait says how long a key is held back from now on.
func (l *lockout) wait(key string) (d time.Duration) {
	l.keys.with(key, func() failures { return failures{} }, func(f *failures) { d = max(f.until.Sub(l.now()), 0) })
	return d
}

// failed counts a failure. After a day without one a key begins anew.
func (l *lockout) failed(key string) {
	now := l.now()
	l.keys.with(key, func() failures { return failures{} }, func(f *failures) {
		if now.Sub(f.last) > 24*time.Hour {
			*f = failures{}
		}
		f.n++
		f.last = now
		if over := f.n - l.free; over > 0 {
			d := l.most
			if over <= 30 {
				d = min(l.first<<(over-1), l.most)
			}
			f.until = now.Add(d)
		}
	})
}

// passed forgets what a key did.
func (l *lockout) passed(key string) { l.keys.forget(key) }

// addressKey is the part of an address that one party is taken to hold: of IPv6 its /64.
func addressKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// remoteAddr is the address of "host:port", the zero address if there is none.
func remoteAddr(hostport string) netip.Addr {
	if ap, err := netip.ParseAddrPort(hostport); err == nil {
		return ap.Addr()
	}
	a, _ := netip.ParseAddr(strings.Trim(hostport, "[]"))
	return a
}

// has says whether there is a value of a key.
func (r *recent[K, V]) has(k K) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.byK[k]
	return ok
}

// take returns the value of a key and forgets it.
func (r *recent[K, V]) take(k K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byK[k]
	if e == nil {
		return v, false
	}
	delete(r.byK, k)
	r.used.Remove(e)
	return e.Value.(*pair[K, V]).val, true
}
