package fusion

import (
	"math"
	"net"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Some sensors name the place of an alert and nothing else: no process, no account,
// no other side. The place is then all that can link, and what tells an attack from
// work is how new each kind of alert is there just now. So plain alerts are held
// against rates that fade, of what came before: novelty that an hour of work brings
// along, and days of the same, look alike in a mean over everything.

const (
	// newsFade and keyFade are half-lives: of how often new kinds turn up at a place,
	// and of how often one kind fires there.
	newsFade, keyFade = 24 * time.Hour, 72 * time.Hour
	// plainLag is how long ago something must be to be background: what comes
	// together is one episode, and no mean.
	plainLag = 15 * time.Minute
	// plainHours is how many hours the prior of a place weighs, and coldFade how fast
	// a new sensor ceases to find everything new.
	plainHours, coldFade = 2.0, 6.0
	coldPrior            = 50.0
)

// plain says whether the place is all that is known: no one and nothing else is
// named by which alerts of one campaign could be told from others near by.
func (p *portrait) plain() bool {
	return len(p.pivots) > 0 && p.pivots[0].class == wide && len(p.pivots) == 1+p.sites()
}

func (p *portrait) sites() int {
	if n := len(p.pivots); n > 0 && p.pivots[n-1].class == near {
		return 1
	}
	return 0
}

// site is the type of what near pivots name.
const site model.EntityType = "site"

// locate adds to a plain portrait the site that its host is in, as far as the name
// tells: hosts of one domain are of one estate.
func (p *portrait) locate() {
	if !p.plain() || p.subject.Type != model.Host {
		return
	}
	p.add(pivot{key: model.EntityKey{Type: site, Value: siteOf(p.subject.Value)}, reason: model.CoOccurrence, class: near})
}

// siteOf returns the domain of a host, empty if its name has none.
func siteOf(host string) string {
	_, domain, _ := strings.Cut(host, ".")
	if net.ParseIP(host) != nil {
		return ""
	}
	return domain
}

// A fading counts what happens, each time it does. It is kept as it was after every
// one, so that it can be asked for any time.
type fading struct{ marks []mark }

type mark struct {
	at    int64 // Unix seconds
	count float64
}

// add counts once at t; times come roughly in order.
func (f *fading) add(t time.Time, half time.Duration) {
	n := 1.0
	if l := len(f.marks); l > 0 {
		n += f.marks[l-1].count * fade(t.Unix()-f.marks[l-1].at, half)
	}
	f.marks = append(f.marks, mark{t.Unix(), n})
}

// at returns what is left at t of all that was counted until then but for lag.
func (f *fading) at(t time.Time, lag, half time.Duration) float64 {
	if f == nil {
		return 0
	}
	until := t.Add(-lag).Unix()
	lo, hi := 0, len(f.marks)
	for lo < hi {
		if mid := (lo + hi) / 2; f.marks[mid].at <= until {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0
	}
	x := f.marks[lo-1]
	return x.count * fade(t.Unix()-x.at, half)
}

func fade(seconds int64, half time.Duration) float64 {
	return math.Exp2(-float64(max(seconds, 0)) / half.Seconds())
}

// faded returns how many hours count of so many watched, when they fade.
func faded(hours float64, half time.Duration) float64 {
	h := half.Hours()
	return (1 - math.Exp2(-hours/h)) * h / math.Ln2
}

// plainOf is the background of a plain meta at its place.
func (r *rates) plainOf(m *meta) background {
	x := r.cellsOf(m)
	hours := max(m.first.Sub(x.place.begin).Hours(), 0)
	news := x.place.news[m.level].at(m.first, plainLag, newsFade)
	prior := priorRate[m.level] * (1 + coldPrior*math.Exp2(-hours/coldFade))
	weigh := plainHours * fade(int64(hours*3600), newsFade)
	// That none came says no more than that one may be due.
	due := min(.5, priorRate[m.level]*newsFade.Hours())
	level := (prior*weigh + due + news) / (weigh + faded(hours, newsFade))
	fired := r.fired[x.rule].at(m.first, plainLag, keyFade)
	b := background{fired: int(fired), level: level}
	b.rule = fired/(priorHours+faded(hours, keyFade)) + level/ruleKinds
	b.crowd = b.rule
	return b
}

// addPlain counts a plain meta.
func (r *rates) addPlain(m *meta, x *cells) {
	f := r.fired[x.rule]
	if f == nil {
		f = &fading{}
		r.fired[x.rule] = f
	}
	f.add(m.first, keyFade)
	s := r.large[m.what]
	if s == nil {
		s = &sizes{}
		r.large[m.what] = s
	}
	s[sizeOf(m)]++
	r.larges[sizeOf(m)]++
	if m.novel {
		n := x.place.news[m.level]
		if n == nil {
			n = &fading{}
			x.place.news[m.level] = n
		}
		n.add(m.first, newsFade)
	}
}
