package story

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// Bounds of chapters.
const (
	maxChapters = 8   // of one story: more is no summary
	fewChapters = 5   // of one that is fleeting
	maxLeads    = 3   // steps that a chapter's text tells
	littlePlace = 0.1 // share of a chapter's steps below which its title does not name a host
	mergeCost   = 1.3 // two neighbours that differ by less are one chapter
)

// fleeting is a story so short that a tool did it all: its parts are hard to tell.
const fleeting = 5 * time.Minute

// deedsOf say in a manager's words what a tactic comes to.
var deedsOf = map[string]string{
	knowledge.Reconnaissance: "looked for a way in", knowledge.ResourceDevelopment: "prepared the attack", knowledge.InitialAccess: "got in",
	knowledge.Execution: "ran programs", knowledge.Persistence: "made sure to stay", knowledge.PrivilegeEscalation: "gained higher rights",
	knowledge.Stealth: "hid", knowledge.DefenseImpairment: "weakened the defences", knowledge.CredentialAccess: "went for credentials",
	knowledge.Discovery: "looked around", knowledge.LateralMovement: "moved on", knowledge.Collection: "gathered data",
	knowledge.CommandAndControl: "kept contact with another machine", knowledge.Exfiltration: "took data out", knowledge.Impact: "did damage",
}

// purposes group the tactics that serve one purpose: where one follows another in
// the same place, the reader is still in the same chapter.
var purposes = map[string]string{
	knowledge.Reconnaissance: "entry", knowledge.ResourceDevelopment: "entry", knowledge.InitialAccess: "entry",
	knowledge.Execution: "hold", knowledge.Persistence: "hold", knowledge.PrivilegeEscalation: "hold",
	knowledge.Stealth: "hold", knowledge.DefenseImpairment: "hold", knowledge.CommandAndControl: "hold",
	knowledge.Discovery: "knowing", knowledge.CredentialAccess: "knowing",
	knowledge.LateralMovement: "moving",
	knowledge.Collection:      "goal", knowledge.Exfiltration: "goal", knowledge.Impact: "goal",
}

// deedOf is what a step does in terms of deedsOf; guessing passwords is no theft of them.
func deedOf(s *model.Step) string {
	if strings.HasPrefix(s.Technique, "T1110") && s.Tactic == knowledge.CredentialAccess {
		return "guessed passwords"
	}
	return cmp.Or(deedsOf[s.Tactic], "drew alerts that name no tactic")
}

// grave is how much a step matters to a reader: what it led to, and whether an alert
// says so.
func grave(s *model.Step) float64 {
	g := float64(1 + consequence[s.Tactic])
	if s.Tactic == knowledge.Stealth || s.Tactic == knowledge.CommandAndControl { // they serve what else is done
		g = 2.5
	}
	if strings.HasPrefix(s.Technique, "T1110") {
		g = float64(1 + consequence[knowledge.InitialAccess])
	}
	if len(s.Alerts) == 0 || s.Tactic == "" {
		g /= 4
	}
	return g
}

// A part is a run of steps that may become a chapter: from and to are indices, to
// is behind the last.
type part struct {
	from, to int
	end      time.Time
	places   shares
	purposes shares
}

// shares are weights by name, in order of first sight.
type shares struct {
	names   []string
	weights []float64
	total   float64
}

func (s *shares) add(name string, weight float64) {
	i := slices.Index(s.names, name)
	if i < 0 {
		i = len(s.names)
		s.names, s.weights = append(s.names, name), append(s.weights, 0)
	}
	s.weights[i] += weight
	s.total += weight
}

// of is the share of a name.
func (s *shares) of(name string) float64 {
	if i := slices.Index(s.names, name); i >= 0 {
		return s.weights[i] / s.total
	}
	return 0
}

// apart is 1 less what both have in common: 0 for equal shares, 1 for nothing.
func (s *shares) apart(o *shares) float64 {
	if s.total == 0 || o.total == 0 { // nothing is known that would tell them apart
		return 0
	}
	common := 0.0
	for i, name := range s.names {
		if j := slices.Index(o.names, name); j >= 0 {
			common += math.Min(s.weights[i]/s.total, o.weights[j]/o.total)
		}
	}
	return 1 - common
}

// placeOf is where a step happened: on its host, else as the account it was done
// as; where somebody tries to get in, it is where he tries from.
func placeOf(s *model.Step) string {
	switch {
	case s.Host != "":
		return "on " + short(s.Host)
	case purposeOf(s) == "entry" && s.From != "":
		return "from " + s.From
	case s.User != "":
		return "as " + s.User
	}
	return ""
}

// purposeOf is what a step serves; guessing passwords is a way in.
func purposeOf(s *model.Step) string {
	if strings.HasPrefix(s.Technique, "T1110") {
		return "entry"
	}
	return purposes[s.Tactic]
}

// chapters, given the events that the story tells before them, cuts the steps, which are in order of time, into few runs by where they
// happened, what they served and how long it was quiet between them: neighbours
// that differ least are joined until those left differ enough.
func chapters(steps []model.Step, told []string) []model.Chapter {
	parts := make([]part, len(steps))
	for i := range steps {
		s := &steps[i]
		parts[i] = part{from: i, to: i + 1, end: s.End}
		parts[i].places.add(placeOf(s), 1)
		if p := purposeOf(s); p != "" {
			parts[i].purposes.add(p, grave(s))
		}
	}
	most := maxChapters
	if latest(parts[0].end, parts[len(parts)-1].end).Sub(steps[0].Time) < fleeting {
		most = fewChapters
	}
	for len(parts) > 1 {
		best, least := 0, math.Inf(1)
		for i := range parts[1:] {
			if c := parts[i].differs(&parts[i+1], steps); c < least {
				best, least = i, c
			}
		}
		if least >= mergeCost && len(parts) <= most {
			break
		}
		parts[best].take(&parts[best+1])
		parts = slices.Delete(parts, best+1, best+2)
	}
	out := make([]model.Chapter, len(parts))
	for i := range parts {
		out[i] = parts[i].chapter(i+1, steps, told)
	}
	return out
}

// differs is how much there is between a part and the next, in no unit: another
// purpose 1; another place 1, half of it where the same is done at once and twice
// where something else is, or much later; a pause by its logarithm. It takes more to
// give up two long parts than to let a short one join.
func (p *part) differs(next *part, steps []model.Step) float64 {
	pause := max(steps[next.from].Time.Sub(p.end), 0)
	purpose, place := p.purposes.apart(&next.purposes), p.places.apart(&next.places)
	switch {
	case pause > chapterGap || purpose > 0.5:
		place *= 2
	case pause < time.Minute: // one act on many machines
		place /= 2
	}
	return purpose + place + 0.5*math.Log2(1+pause.Minutes()/10) + 0.3*math.Log2(float64(min(p.to-p.from, next.to-next.from)))
}

func (p *part) take(next *part) {
	p.to, p.end = next.to, latest(p.end, next.end)
	for i, name := range next.places.names {
		p.places.add(name, next.places.weights[i])
	}
	for i, name := range next.purposes.names {
		p.purposes.add(name, next.purposes.weights[i])
	}
}

func (p *part) chapter(n int, steps []model.Step, told []string) model.Chapter {
	run := steps[p.from:p.to]
	c := model.Chapter{N: n, Time: run[0].Time, End: p.end, From: run[0].N, To: run[len(run)-1].N, Hosts: []string{}, Cites: []string{}}
	for i := range run {
		if h := run[i].Host; h != "" && !slices.Contains(c.Hosts, h) {
			c.Hosts = append(c.Hosts, h)
		}
	}
	c.Title = line(p.title(run, c.Hosts), maxTitle)
	var texts []string
	for _, i := range leads(run, told) {
		texts = append(texts, strings.TrimSuffix(run[i].Summary, "."))
		for _, id := range slices.Concat(run[i].Alerts, run[i].Events) {
			c.Cites = appendCapped(c.Cites, id)
		}
	}
	c.Text = line(strings.Join(texts, "; then ")+".", maxSentence)
	return c
}

// title names the two gravest things that were done, in the order they were first
// done, and where.
func (p *part) title(run []model.Step, hosts []string) string {
	type done struct {
		what  string
		grave float64
		first int
	}
	var all []done
	for i := range run {
		what, g := deedOf(&run[i]), grave(&run[i])
		if j := slices.IndexFunc(all, func(d done) bool { return d.what == what }); j >= 0 {
			all[j].grave = max(all[j].grave, g)
		} else {
			all = append(all, done{what, g, i})
		}
	}
	slices.SortStableFunc(all, func(a, b done) int { return cmp.Compare(b.grave, a.grave) })
	all = all[:min(len(all), 2)]
	slices.SortFunc(all, func(a, b done) int { return cmp.Compare(a.first, b.first) })
	s := strings.ToUpper(all[0].what[:1]) + all[0].what[1:]
	if len(all) > 1 {
		s += " and " + all[1].what
	}
	on := " on "
	if strings.HasSuffix(s, "moved on") || s == "Moved on" {
		on = " to "
	}
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return p.places.of("on "+short(h)) < littlePlace })
	names := make([]string, 0, 3)
	for _, h := range hosts[:min(len(hosts), 3)] {
		names = append(names, short(h))
	}
	switch more := len(hosts) - len(names); {
	case more > 0:
		s += fmt.Sprintf("%s%s and %d more", on, strings.Join(names, ", "), more)
	case len(names) > 0:
		s += on + listed(names)
	case p.places.names[0] != "":
		s += " " + p.places.names[0]
		if n := len(p.places.names) - 1; n > 0 {
			s += fmt.Sprintf(" and %d more", n)
		}
	}
	return s
}

// leads picks the steps that a chapter's text tells: the gravest, each technique
// once, those of told events left out where there are others, and those without an
// alert where enough have one. They come back in order.
func leads(run []model.Step, told []string) []int {
	var order []int
	alerted := 0
	for i := range run {
		if !slices.ContainsFunc(run[i].Events, func(id string) bool { return slices.Contains(told, id) }) {
			order = append(order, i)
			alerted += min(len(run[i].Alerts), 1)
		}
	}
	if len(order) == 0 {
		order = append(order, 0)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(grave(&run[b]), grave(&run[a])) })
	var out []int
	for _, i := range order {
		same := slices.ContainsFunc(out, func(j int) bool { return run[j].Technique == run[i].Technique && run[j].Tactic == run[i].Tactic })
		if !same && len(out) < maxLeads && (len(run[i].Alerts) > 0 || alerted < 2) {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out
}

// listed joins names as a sentence does.
func listed(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
