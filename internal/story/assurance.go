package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/model"
)

// assure says of each critical asset how it stands towards the incident, the worst
// first. What cannot be seen is said to be unknown, never to be safe: an asset is
// called not reachable only while records of its own cover the attack.
func assure(in *model.Incident, ds []*deed, mem Memory, e Estate) []model.AssetState {
	a := e.Assets
	if a.Len() == 0 {
		return nil
	}
	acts := touching(a, ds, mem, e)
	held := keysOf(in.Impact.Compromised, in.Impact.Exposed)
	var paths map[int][]graph.Way
	if e.Ways != nil && len(held) > 0 {
		paths = e.Ways.Paths(held, a.Len(), a.of)
	}
	out := make([]model.AssetState, a.Len())
	for i := range a.list {
		x := &a.list[i]
		s := model.AssetState{Name: x.Name, Kind: x.Kind, Values: x.Values, Why: x.Why, Owner: x.Owner, Criticality: x.Criticality}
		switch {
		case len(acts[i]) > 0:
			s.State = model.AssetTouched
			s.Ground, s.Cites = touchedGround(a, i, acts[i], in)
		case paths[i] != nil:
			s.State = model.AssetReachable
			s.Ground, s.Cites = pathGround(paths[i], in)
			if a.seen[i].own == 0 {
				s.Ground += " No record of its own is in the evidence, so whether that was done cannot be said."
			}
		default:
			s.State, s.Ground = coverGround(x, &a.seen[i], in, len(held) > 0, e.Ways != nil && e.Ways.Dropped() > 0)
		}
		s.Ground = line(s.Ground, maxSummary)
		s.Cites = orEmpty(s.Cites)
		out[i] = s
	}
	slices.SortStableFunc(out, func(x, y model.AssetState) int {
		return cmp.Or(cmp.Compare(stateRank(x.State), stateRank(y.State)), cmp.Compare(model.Severity(y.Criticality).Rank(), model.Severity(x.Criticality).Rank()))
	})
	return out
}

func stateRank(s model.Assurance) int {
	return slices.Index([]model.Assurance{model.AssetTouched, model.AssetReachable, model.AssetNoTelemetry, model.AssetNotReachable}, s)
}

// touching returns for each asset the deeds that happened on it, as it or to it.
func touching(a *Assets, ds []*deed, mem Memory, e Estate) map[int][]*deed {
	out := map[int][]*deed{}
	for _, d := range ds {
		hit := map[int]bool{}
		add := func(k model.EntityKey) {
			for _, i := range a.of(k) {
				if !hit[i] {
					hit[i] = true
					out[i] = append(out[i], d)
				}
			}
		}
		if d.host != "" {
			add(model.EntityKey{Type: model.Host, Value: d.host})
		}
		for _, x := range d.entities {
			switch x.Type {
			case model.Process, model.File, model.Hash, model.Domain, model.URL:
				continue
			}
			if x.Role == model.Sensor {
				continue
			}
			add(x.Key())
			k := mem.Resolve(x, d.host, d.time)
			if e.Ways != nil {
				k = e.Ways.Now(k, d.time)
			}
			add(k)
		}
	}
	return out
}

// touchedGround tells the gravest act on an asset; of a host, one that happened on it
// before one that only names it.
func touchedGround(a *Assets, i int, ds []*deed, in *model.Incident) (string, []string) {
	on := func(d *deed) bool {
		return d.host != "" && slices.Contains(a.of(model.EntityKey{Type: model.Host, Value: d.host}), i)
	}
	lead := ds[0]
	for _, d := range ds {
		if on(d) != on(lead) && on(d) || on(d) == on(lead) && d.severity > lead.severity {
			lead = d
		}
	}
	how := "The attack reached for it"
	for _, k := range keysOf(in.Impact.Compromised) {
		if slices.Contains(a.of(k), i) {
			how = "It is under the attacker's control"
			break
		}
	}
	text := fmt.Sprintf("%s: %s, %s", how, clockTime(lead.time), phrase(lead))
	if n := len(ds) - 1; n == 1 {
		text += "; 1 more act"
	} else if n > 1 {
		text += fmt.Sprintf("; %d more acts", n)
	}
	var cites []string
	for _, d := range append([]*deed{lead}, ds...) {
		for _, id := range slices.Concat(d.alerts, d.events) {
			cites = appendCapped(cites, id)
		}
	}
	return text + ".", cites
}

// pathGround tells a path link by link.
func pathGround(path []graph.Way, in *model.Incident) (string, []string) {
	var links, cites []string
	for _, w := range path {
		links = append(links, wayText(w))
		cites = appendCapped(cites, w.Event)
	}
	start := path[0].From
	has := "which the attacker holds"
	if !slices.Contains(in.Impact.Compromised, start.String()) {
		has = "whose credentials lay where the attacker read them"
	}
	text := fmt.Sprintf("From %s, %s: %s.", thing(start), has, strings.Join(links, "; "))
	if path[len(path)-1].Kind == graph.WayTalks {
		text += " That is a connection only: no credential for it was seen in use there."
	}
	return text, cites
}

func wayText(w graph.Way) string {
	from, to := thing(w.From), thing(w.To)
	how := "%s was used on %s"
	switch w.Kind {
	case graph.WayLogsOn:
		how = "%s was logged on to %s"
	case graph.WayRuns:
		from, to = to, from
		how = "%s was at work on %s"
	case graph.WayAssumes:
		how = "%s got %s"
	case graph.WayOwns:
		how = "%s acts for %s"
	case graph.WayTalks:
		how = "%s connected to %s"
	}
	text := fmt.Sprintf(how, from, to)
	if w.Count > 1 {
		return text + fmt.Sprintf(" (%d times, last %s)", w.Count, clockTime(w.Last))
	}
	return text + fmt.Sprintf(" (%s)", clockTime(w.First))
}

// thing is how a sentence names an entity.
func thing(k model.EntityKey) string {
	v := line(k.Value, maxQuoted)
	switch k.Type {
	case model.Host:
		return short(v)
	case model.User, model.IP, model.Resource:
		return v
	case model.AccessKey:
		return "the key " + v
	}
	return "the " + strings.ReplaceAll(string(k.Type), "_", " ") + " " + v
}

// coverGround says of an asset that nothing leads to whether that means anything.
func coverGround(x *Asset, c *coverage, in *model.Incident, holds, dropped bool) (model.Assurance, string) {
	period := func() string {
		return fmt.Sprintf("%s, %s to %s", strings.Join(c.formats, ", "), clockTime(c.first), clockTime(c.last))
	}
	with, of := c.during(in.FirstSeen, in.LastSeen)
	switch {
	case c.own == 0 && x.Kind == "host" && c.named > 0:
		return model.AssetNoTelemetry, fmt.Sprintf("None of its own records are in the evidence (%s by others), so what happened on it cannot be said.", times(c.named, "it is named once", "it is named %d times"))
	case c.own == 0:
		return model.AssetNoTelemetry, "No record in the evidence is of it, so what happened to it cannot be said."
	case with == 0:
		return model.AssetNoTelemetry, fmt.Sprintf("Its records (%s) leave out the time of the attack, %s to %s.", period(), clockTime(in.FirstSeen), clockTime(in.LastSeen))
	case x.storesData() && !c.reads:
		return model.AssetNoTelemetry, fmt.Sprintf("%s (%s), none of which is of a read or change of its content: such reads would not be seen.", times(c.own, "1 record is of it", "%d records are of it"), period())
	}
	when := "in every hour of the attack"
	if with < of {
		when = fmt.Sprintf("in %d of the %d hours of the attack", with, of)
	}
	text := fmt.Sprintf("%s (%s), %s. None belongs to it", times(c.own, "1 record is of it", "%d records are of it"), period(), when)
	if holds {
		text += ", and no log-on, role, key or connection that was seen leads to it from what the attacker holds"
	} else {
		text += ", and nothing is shown to be under the attacker's control"
	}
	text += "."
	if dropped {
		text += " Not all that was seen could be kept, so a way may be missing."
	}
	return model.AssetNotReachable, text
}

func times(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}

// keysOf reads lists of "type:value".
func keysOf(lists ...[]string) []model.EntityKey {
	var out []model.EntityKey
	for _, l := range lists {
		for _, s := range l {
			if t, v, ok := strings.Cut(s, ":"); ok {
				out = append(out, model.EntityKey{Type: model.EntityType(t), Value: v})
			}
		}
	}
	return out
}

// assetSentence sums up the critical assets in one sentence.
func assetSentence(list []model.AssetState) (string, []string) {
	var parts, cites []string
	for _, g := range []struct {
		state model.Assurance
		what  string
	}{{model.AssetTouched, "touched"}, {model.AssetReachable, "reachable with what the attacker holds"},
		{model.AssetNoTelemetry, "without telemetry, so nothing can be said"}, {model.AssetNotReachable, "not reachable as far as seen"}} {
		var names []string
		n := 0
		for _, s := range list {
			if s.State != g.state {
				continue
			}
			if n++; n <= maxNamed {
				names = append(names, s.Name)
			}
			for _, id := range s.Cites {
				cites = appendCapped(cites, id)
			}
		}
		if n > maxNamed {
			names = append(names, fmt.Sprintf("%d more", n-maxNamed))
		}
		if n > 0 {
			parts = append(parts, g.what+": "+strings.Join(names, ", "))
		}
	}
	if len(parts) == 0 {
		return "", nil
	}
	return "Critical assets " + strings.Join(parts, "; ") + ".", cites
}

// maxNamed bounds the names in one list of a sentence.
const maxNamed = 5

// unseen lists the hosts that the attack touched and that no record is of: what was
// done there besides cannot be said. Evidence of alerts alone says nothing about
// what records there are.
func unseen(in *model.Incident, e Estate) []string {
	if len(e.Hosts) == 0 {
		return nil
	}
	has := map[string]bool{}
	for _, h := range e.Hosts {
		has[short(h)] = true
	}
	var out set
	for _, k := range keysOf(in.Impact.Compromised, in.Impact.Touched) {
		if k.Type == model.Host && !has[short(k.Value)] {
			out.add(k.Value)
		}
	}
	slices.Sort(out.items)
	return out.items
}

// hostNames names a few hosts and counts the others.
func hostNames(hosts []string) string {
	names := make([]string, 0, maxNamed)
	for _, h := range hosts[:min(maxNamed, len(hosts))] {
		names = append(names, short(h))
	}
	text := strings.Join(names, ", ")
	if n := len(hosts) - maxNamed; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// during tells from when to when something was done.
func during(first, last time.Time) string {
	if last.Sub(first) < time.Second {
		return "at " + clockTime(first)
	}
	return clockTime(first) + " to " + clockTime(last)
}
