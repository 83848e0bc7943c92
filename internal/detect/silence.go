package detect

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A source is what one host sends of one kind. Time is cut into bins; a source is
// steady when nearly each bin of the last hours holds something of it, and silent
// when after a reason to fear for it nothing comes, or next to nothing, for several
// bins in which the others go on.
const (
	silenceBin    = 5 * time.Minute
	silencePast   = 24  // bins of the past that are remembered
	silenceKnown  = 12  // of them that must have been watched
	silenceFilled = .8  // share of them that must hold something
	silenceUsual  = 5.0 // median of what they hold, at least
	silenceAfter  = 6   // bins of silence
	silenceRest   = .1  // of what is usual, that silence may hold
	silenceSoon   = 3   // bins between the reason and the silence
	silencePeers  = .5  // share of the other sources that must go on
	silenceAgain  = 24 * time.Hour
	maxSources    = 1 << 13 // sources remembered
	maxReasons    = 256     // reasons that wait for what comes
)

// silence finds sources that fall silent after an alert on their host, or after
// somebody cleared or stopped a log there.
type silence struct {
	def     Definition
	sources *table[tide]
	reasons []reason
	bin     int64 // now
	key     []byte
}

// A tide is how much of a source came in the newest bins.
type tide struct {
	host, format, product string

	first int64 // bin
	bin   int64 // newest that something came in
	count [silencePast + silenceAfter + silenceSoon + 2]int32
	told  time.Time
}

// A reason is why the sources of a host are watched.
type reason struct {
	host string
	bin  int64
	mark mark
}

// NewSilence finds sources that fall silent after something happened on their host.
func NewSilence() Detector {
	return &silence{sources: newTable[tide](maxSources), def: Definition{
		Rule: model.RuleInfo{ID: "a3b8d2e6-4f71-4c09-9e65-2b7d8c0f1a19", Title: "Sensor fell silent after an alert on its host", Level: model.Medium, Source: "builtin"},
		Tags: []string{"attack.defense-impairment", "attack.t1685"}}}
}

func (s *silence) Definition() Definition { return s.def }

// Alerted takes alerts of weight as reasons to watch a host.
func (s *silence) Alerted(a *model.Alert) {
	if a.Rule.ID == s.def.Rule.ID || a.Severity.Rank() < model.Medium.Rank() || a.Host == "" || len(a.Evidence) == 0 {
		return
	}
	e := a.Evidence[0]
	s.watch(a.Host, mark{at: a.End, ref: model.Ref{Input: e.Input, Record: e.Record}, event: e.ID})
}

func (s *silence) watch(host string, m mark) {
	bin := binOf(m.at)
	if slices.ContainsFunc(s.reasons, func(r reason) bool { return r.host == host && bin-r.bin < silenceSoon }) {
		return // one reason is enough
	}
	if len(s.reasons) >= maxReasons {
		s.reasons = append(s.reasons[:0], s.reasons[1:]...)
	}
	s.reasons = append(s.reasons, reason{host, bin, m})
}

func (s *silence) Observe(o *model.Observation) []*model.Alert {
	var out []*model.Alert
	if bin := binOf(o.Time); bin > s.bin {
		if s.bin > 0 {
			out = s.judge(o, bin)
		}
		s.bin = bin
	}
	if o.Host == "" {
		return out
	}
	if o.Act == model.ActLogCleared {
		s.watch(o.Host, markOf(o))
	}
	s.key = s.key[:0]
	service := o.Source.Service // a sensor with a service sends all its categories
	if service == "" {
		service = o.Source.Category
	}
	for _, part := range [...]string{o.Host, o.Format, o.Source.Product, service} {
		s.key = append(append(s.key, part...), 0)
	}
	t := s.sources.seen(s.key, o.Time)
	if t.first == 0 {
		t.host, t.format, t.product, t.first, t.bin = o.Host, o.Format, product(o), binOf(o.Time), binOf(o.Time)
	}
	t.add(binOf(o.Time))
	return out
}

func binOf(t time.Time) int64 { return t.Unix() / int64(silenceBin/time.Second) }

func (t *tide) slot(bin int64) *int32 {
	n := int64(len(t.count))
	return &t.count[((bin%n)+n)%n]
}

// move makes bin the newest: what lies between is empty, what lies too far back is
// forgotten.
func (t *tide) move(bin int64) {
	for i := max(t.bin+1, bin-int64(len(t.count))+1); i <= bin; i++ {
		*t.slot(i) = 0
	}
	t.bin = max(t.bin, bin)
}

func (t *tide) add(bin int64) {
	t.move(bin)
	if bin > t.bin-int64(len(t.count)) {
		*t.slot(bin)++
	}
}

// sum is what came in n bins from bin from on.
func (t *tide) sum(from int64, n int64) (total float64) {
	for i := max(from, t.bin-int64(len(t.count))+1); i < from+n && i <= t.bin; i++ {
		total += float64(*t.slot(i))
	}
	return total
}

// usual is the median of the bins before bin, and whether the source was steady in
// them.
func (t *tide) usual(bin int64) (float64, bool) {
	from := max(t.first+1, bin-silencePast, t.bin-int64(len(t.count))+1) // the first bin may have been cut
	var past []float64
	filled := 0
	for i := from; i < bin; i++ {
		n := t.sum(i, 1)
		past = append(past, n)
		if n > 0 {
			filled++
		}
	}
	m := median(past)
	return m, len(past) >= silenceKnown && float64(filled) >= silenceFilled*float64(len(past)) && m >= silenceUsual
}

// judge looks, when a bin begins, at the hosts that were watched long enough.
func (s *silence) judge(o *model.Observation, now int64) []*model.Alert {
	var out []*model.Alert
	s.reasons = slices.DeleteFunc(s.reasons, func(r reason) bool {
		// Silence begins within some bins of the reason, in the first that holds too
		// little; that is known silenceAfter bins later.
		if now < r.bin+1+silenceAfter {
			return false
		}
		for begin := r.bin + 1; begin <= r.bin+1+silenceSoon && begin+silenceAfter <= now; begin++ {
			for _, t := range s.of(r.host) {
				if s.fell(t, r, begin, o.Time) {
					t.told = o.Time
					out = append(out, s.alert(t, r, o))
				}
			}
		}
		return now >= r.bin+1+silenceSoon+silenceAfter
	})
	return out
}

// of lists the sources of a host, in the order of their names.
func (s *silence) of(host string) []*tide {
	var out []*tide
	for _, e := range s.sources.by {
		if e.v.host == host {
			out = append(out, &e.v)
		}
	}
	slices.SortFunc(out, func(a, b *tide) int {
		return cmp.Or(strings.Compare(a.format, b.format), strings.Compare(a.product, b.product))
	})
	return out
}

// fell says whether a steady source of a watched host is silent from begin on while
// the others go on.
func (s *silence) fell(t *tide, r reason, begin int64, now time.Time) bool {
	usual, steady := t.usual(r.bin)
	if !steady || !t.told.IsZero() && now.Sub(t.told) < silenceAgain {
		return false
	}
	if t.sum(begin, silenceAfter) > silenceRest*usual*silenceAfter {
		return false
	}
	before, after := 0, 0
	for _, e := range s.sources.by {
		p := &e.v
		if p == t {
			continue
		}
		if u, steady := p.usual(r.bin); steady {
			before++
			if p.sum(begin, silenceAfter) > silenceRest*u*silenceAfter {
				after++
			}
		}
	}
	return after > 0 && float64(after) >= silencePeers*float64(before)
}

// alert tells that t fell silent: its evidence is the reason, and o, which came
// when t should have sent for long.
func (s *silence) alert(t *tide, r reason, o *model.Observation) *model.Alert {
	a := &model.Alert{Time: r.mark.at, End: o.Time, Count: 1, Evidence: []model.Evidence{r.mark.evidence()},
		Entities: []model.Entity{{Type: model.Host, Value: t.host, Role: model.Subject}}}
	a = Finish(s.def, o, a)
	a.ID = model.AlertID(s.def.Rule.ID, r.mark.event+"\x00"+t.format+"\x00"+t.product)
	a.Host, a.Format, a.Product, a.Act, a.Subsystem = t.host, t.format, t.product, model.ActLogCleared, model.Management
	return a
}
