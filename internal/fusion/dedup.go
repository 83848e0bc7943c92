package fusion

import (
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of a burst and of a fan-out.
const (
	burstGap   = 5 * time.Minute  // silence that ends a burst
	burstLen   = time.Hour        // its longest life
	fanWindow  = 15 * time.Minute // in which fanSubjects must be reached
	fanSubject = 10               // subjects that make a sweep of one alert each one thing
	maxTables  = 500_000          // keys of each table before it is swept
)

type burstKey struct {
	rule               string
	subject, principal model.EntityKey
	told               told
}

type fanKey struct {
	rule  string
	pivot model.EntityKey
	quiet string
}

type fan struct {
	begin    time.Time
	subjects []model.EntityKey
	meta     *meta
}

// dedup folds repeated alerts into bursts, and one alert each on many subjects
// into a fan-out.
type dedup struct {
	open map[burstKey]*meta
	fans map[fanKey]*fan
}

func newDedup() dedup { return dedup{open: map[burstKey]*meta{}, fans: map[fanKey]*fan{}} }

// offer returns the meta that an alert belongs to and whether it is new.
func (d *dedup) offer(a *model.Alert, p portrait, t told) (*meta, bool) {
	d.sweep(a.Time)
	k := burstKey{a.Rule.ID, p.subject, p.principal, told{0, t.quiet}}
	torn := false
	for {
		m := d.open[k]
		if m == nil || m.gone || !m.takes(a, &p) {
			break
		}
		if m.admits(t.group) {
			m.absorb(a)
			return m, false
		}
		torn = true
		if k.told == t {
			break
		}
		k.told = t // decisions keep it out of the burst that runs: it may have one of its own
	}
	if m, isNew := d.fanOut(a, &p, t); m != nil {
		d.open[k] = m
		return m, isNew
	}
	m := newMeta(a, p)
	m.quiet, m.torn = t.quiet, torn
	d.open[k] = m
	return m, true
}

// takes says whether a burst still runs and the alert brings nothing new to it.
func (m *meta) takes(a *model.Alert, p *portrait) bool {
	gap, length := burstGap, burstLen
	if m.fan {
		gap, length = fanWindow, 24*time.Hour
	}
	if a.Time.Sub(m.last) > gap || a.Time.Sub(m.first) > length {
		return false
	}
	if m.fan {
		return true
	}
	for i := range p.pivots {
		if !m.has(p.pivots[i].key) {
			return false
		}
	}
	return true
}

func newMeta(a *model.Alert, p portrait) *meta {
	m := &meta{portrait: p, first: a.Time, last: a.Time, level: level(a), acts: p.acted(), plain: p.plain()}
	m.absorb(a)
	return m
}

func (m *meta) absorb(a *model.Alert) {
	m.alerts = append(m.alerts, a)
	m.count += max(a.Count, 1)
	if a.Time.Before(m.first) {
		m.first = a.Time
	}
	if end := a.End; end.After(a.Time) && end.After(m.last) {
		m.last = end
	} else if a.Time.After(m.last) {
		m.last = a.Time
	}
}

// fanOut counts on how many subjects one rule fires with one thing in common. From
// fanSubject on they are one meta about that thing.
func (d *dedup) fanOut(a *model.Alert, p *portrait, t told) (*meta, bool) {
	for _, v := range p.pivots {
		if v.class <= wide || v.key == p.subject {
			continue
		}
		k := fanKey{a.Rule.ID, v.key, t.quiet}
		f := d.fans[k]
		if f == nil {
			f = &fan{begin: a.Time}
			d.fans[k] = f
		}
		if f.meta != nil && f.meta.takes(a, p) {
			if !f.meta.admits(t.group) {
				continue
			}
			f.meta.absorb(a)
			return f.meta, false
		}
		if f.meta != nil || a.Time.Sub(f.begin) > fanWindow {
			*f = fan{begin: a.Time}
		}
		if !contains(f.subjects, p.subject) {
			f.subjects = append(f.subjects, p.subject)
		}
		if len(f.subjects) >= fanSubject {
			whole := portrait{subject: v.key, principal: v.key, pivots: []pivot{v}}
			f.meta = newMeta(a, whole)
			f.meta.fan, f.meta.quiet = true, t.quiet
			f.subjects = nil
			return f.meta, true
		}
	}
	return nil, false
}

func contains(l []model.EntityKey, k model.EntityKey) bool {
	for _, x := range l {
		if x == k {
			return true
		}
	}
	return false
}

// sweep drops what is over once the tables are large.
func (d *dedup) sweep(now time.Time) {
	if len(d.open) <= maxTables && len(d.fans) <= maxTables {
		return
	}
	d.prune(now)
	if len(d.open) > maxTables {
		clear(d.open) // all at once is hostile or broken; bursts then start anew
	}
	if len(d.fans) > maxTables {
		clear(d.fans)
	}
}

// prune drops what no alert from now on can add to.
func (d *dedup) prune(now time.Time) {
	for k, m := range d.open {
		if now.Sub(m.last) > fanWindow {
			delete(d.open, k)
		}
	}
	for k, f := range d.fans {
		if now.Sub(f.begin) > fanWindow && (f.meta == nil || now.Sub(f.meta.last) > fanWindow) {
			delete(d.fans, k)
		}
	}
}

// close ends the burst of a meta that is forgotten.
func (d *dedup) close(m *meta) {
	for _, t := range []told{{0, m.quiet}, {m.group, m.quiet}} {
		k := burstKey{m.rule(), m.subject, m.principal, t}
		if d.open[k] == m {
			delete(d.open, k)
		}
	}
}
