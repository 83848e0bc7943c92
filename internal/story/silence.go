package story

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of what is remembered and said of silence.
const (
	maxPulses   = 50_000 // hosts; each takes some 200 bytes
	keptPauses  = 4      // longest pauses kept of a host
	maxSilences = 5      // told of one incident

	burst      = time.Second     // acts closer than that are one
	leastPause = 5 * time.Minute // shorter ones say nothing
	leastMuch  = 50              // pauses that must be known of a host to know its habit
	longerThan = 3               // times the longest pause that is not itself a silence
	rareness   = 0.001           // how many such pauses the host's habit may let expect
	nearBy     = 15 * time.Minute

	stopsLogs = "T1685" // ATT&CK: tools and logs of the defence disabled, changed or cleared
)

// Activity is how often each host records something, in bounded room however long
// the evidence is. It is fed in order of time. The zero value is ready.
type Activity struct {
	hosts map[string]*pulse
	last  time.Time
}

// A pulse is the pauses of one host: how many, how long in all, and the longest.
type pulse struct {
	first, last time.Time
	pauses      int
	sum         time.Duration
	longest     [keptPauses]pause
}

type pause struct {
	from   time.Time
	length time.Duration
}

// See takes note that host recorded something. Times must not go backwards; one
// that does is no pause.
func (a *Activity) See(host string, at time.Time) {
	if at.After(a.last) {
		a.last = at
	}
	if host == "" {
		return
	}
	p := a.hosts[host]
	if p == nil {
		if len(a.hosts) >= maxPulses {
			return
		}
		if a.hosts == nil {
			a.hosts = map[string]*pulse{}
		}
		a.hosts[strings.Clone(host)] = &pulse{first: at, last: at}
		return
	}
	gap := at.Sub(p.last)
	if gap <= 0 {
		return
	}
	if gap >= burst {
		p.pauses++
		p.sum += gap
		x := pause{p.last, gap}
		for i := range p.longest {
			if x.length > p.longest[i].length {
				x, p.longest[i] = p.longest[i], x
			}
		}
	}
	p.last = at
}

// unusual returns the pauses of a host that are out of its habit, longest first,
// with the longest of the others: longer than any other pause by far, and so long
// that pauses of its usual mean, were they spread as those of independent acts are,
// would hardly ever be.
func (p *pulse) unusual() (out []pause, other time.Duration) {
	n, sum := p.pauses, p.sum
	for i, x := range p.longest {
		if x.length < leastPause || i+1 == len(p.longest) {
			break
		}
		n, sum = n-1, sum-x.length
		next := p.longest[i+1].length
		if n >= leastMuch && x.length >= longerThan*next && expected(x.length, n, sum) < rareness {
			return slices.Clone(p.longest[:i+1]), next
		}
	}
	return nil, 0
}

// expected is how many pauses of at least that length n others of that sum let
// expect.
func expected(length time.Duration, n int, sum time.Duration) float64 {
	mean := float64(sum)/float64(n) - float64(burst)
	return float64(n) * math.Exp(-float64(length-burst)/math.Max(mean, float64(burst)))
}

// silences are the pauses of the incident's hosts while the attack went on that are
// out of their habit, and hosts that fell silent for good after a log was stopped
// there. In order of time.
func silences(in *model.Incident, a *Activity) []model.Silence {
	if a == nil {
		return nil
	}
	var hosts []string
	for i := range in.Steps {
		if h := in.Steps[i].Host; h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	var out []model.Silence
	for _, h := range hosts {
		p := a.hosts[h]
		if p == nil {
			continue
		}
		odd, other := p.unusual()
		for _, x := range odd {
			to := x.from.Add(x.length)
			if x.from.After(in.LastSeen) || to.Before(in.FirstSeen) || x.from.Before(in.FirstSeen.Add(-nearBy)) {
				continue
			}
			s := model.Silence{Host: h, From: x.from, To: to, Ended: true, Steps: []int{}, Cites: []string{}}
			s.Why = fmt.Sprintf("its longest other pause is %s", lasted(other))
			silencedBy(&s, in.Steps)
			out = append(out, s)
		}
		if rest := a.last.Sub(p.last); rest >= leastPause && p.pauses > leastMuch && expected(rest, p.pauses, p.sum) < rareness && rest >= longerThan*p.longest[0].length {
			s := model.Silence{Host: h, From: p.last, To: a.last, Steps: []int{}, Cites: []string{}}
			s.Why = fmt.Sprintf("its longest pause before is %s", lasted(p.longest[0].length))
			// Evidence of a host may end because nobody collected more: only beside a
			// sign that somebody silenced it is the end a finding.
			if silencedBy(&s, in.Steps); len(s.Steps) > 0 && a.wentOn(p.last, &s.To) {
				out = append(out, s)
			}
		}
	}
	slices.SortStableFunc(out, func(x, y model.Silence) int { return cmp.Or(x.From.Compare(y.From), cmp.Compare(x.Host, y.Host)) })
	return out[:min(len(out), maxSilences)]
}

// wentOn says whether most of the hosts that spoke before that time and then spoke on
// long enough to tell, and until when: else it is the collection that ended.
func (a *Activity) wentOn(at time.Time, end *time.Time) bool {
	*end = at
	before, after := 0, 0
	for _, p := range a.hosts {
		if !p.first.Before(at) || p.last.Before(at) {
			continue
		}
		before++
		*end = latest(*end, p.last)
		if p.last.Sub(at) >= leastPause {
			after++
		}
	}
	return 2*after >= before // one of those before is the host that fell silent
}

// silencedBy names the steps on the same host shortly before the silence, or in it,
// that stopped or cleared what records.
func silencedBy(s *model.Silence, steps []model.Step) {
	for i := range steps {
		x := &steps[i]
		if x.Host != s.Host || !strings.HasPrefix(x.Technique, stopsLogs) || x.Time.Before(s.From.Add(-nearBy)) || x.Time.After(s.To) || len(s.Steps) == maxTellers {
			continue
		}
		s.Steps = append(s.Steps, x.N)
		for _, id := range slices.Concat(x.Alerts, x.Events) {
			s.Cites = appendCapped(s.Cites, id)
		}
	}
	if len(s.Steps) > 0 {
		s.Why += fmt.Sprintf("; near by, step %d stopped or cleared what records there", s.Steps[0])
	}
}

// silenceText tells a silence.
func silenceText(s *model.Silence) string {
	if !s.Ended {
		return fmt.Sprintf("%s recorded nothing more after %s, while others did for another %s (%s).", short(s.Host), clockTime(s.From), lasted(s.To.Sub(s.From)), s.Why)
	}
	return fmt.Sprintf("Between %s and %s %s recorded nothing (%s).", clockTime(s.From), timeOfDay(s.To), short(s.Host), s.Why)
}

// lasted says a length of time with one unit.
func lasted(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	case d >= 2*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d >= time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return "less than a second"
}
