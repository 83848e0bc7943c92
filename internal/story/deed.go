package story

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// A deed is one act of the attack: one or more alerts about the same event, or an
// act that only memory knows of. Steps are made of deeds.
type deed struct {
	time, end time.Time
	host      string
	user      string // label
	process   model.Entity
	parent    model.Entity
	procKey   model.EntityKey
	parentKey model.EntityKey
	reading
	intent   model.Intent
	stage    model.Stage
	step     model.CloudStep
	act      model.Act
	entities []model.Entity
	text     string
	title    string   // of its most serious alert
	tellers  []string // the products that told of it, if there are several; ours is "Catena"
	alerts   []string
	events   []string
	gain     float64
	why      string
	severity int
	back     bool // found by walking back from the members
}

// collect gathers the deeds of a case in order of time: its core alerts, those
// about one event told once, and what memory adds before and after them.
func collect(c Case, mem Memory) []*deed {
	var ds []*deed
	byEvent := map[string]*deed{}
	byAct := map[actKey]*deed{}
	byTeller := map[string]*deed{}  // by the first alert about an act
	weighed := map[[2]string]bool{} // rules told of a host
	alerts := slices.Clone(c.Core)  // patterns last: the acts that they are made of are told first
	slices.SortStableFunc(alerts, func(a, b *model.Alert) int { return cmp.Compare(patternRank(a), patternRank(b)) })
	for _, a := range alerts {
		gain := c.Gain[a.ID]
		if k := [2]string{a.Rule.ID, a.Host}; !weighed[k] {
			weighed[k] = true
			gain = max(gain, levelWeight(a))
		}
		if a.Pattern {
			if d := lastTold(a, byEvent); d != nil {
				d.alerts = appendCapped(d.alerts, a.ID) // its weight is nobody's in particular
				continue
			}
		}
		d := byEvent[a.Evidence[0].ID]
		act := cmp.Or(c.Same[a.ID], a.ID)
		if same := byTeller[act]; same != nil {
			d = same
			d.join(a, gain)
			d.adopt(a, c.Observed[a.Evidence[0].ID], mem)
		} else if d == nil || d.host != a.Host {
			d = fromAlert(a, gain, mem)
			if a.Pattern { // none of its acts is told: it is known when the last was done
				d.time = a.End
			}
			if o := c.Observed[a.Evidence[0].ID]; o != nil {
				d.fill(o, mem)
			}
			if same := d.told(byAct); same != nil {
				d = same
				d.join(a, gain)
			} else {
				ds = append(ds, d)
			}
		} else {
			d.join(a, gain)
		}
		byTeller[act] = d
		d.tell(a)
		for _, e := range a.Evidence {
			if byEvent[e.ID] == nil {
				byEvent[e.ID] = d
			}
		}
	}
	from := addresses(c)
	for _, h := range walk(c, mem) {
		o := h.Observation
		if o == nil {
			continue
		}
		if d := byEvent[o.Event]; d != nil {
			d.fill(o, mem)
			continue
		}
		r, ok := read(o)
		if !ok || !from.own(o) || h.ordinary(o) {
			continue
		}
		d := fromObservation(o, r, h, mem)
		if same := d.told(byAct); same != nil {
			same.events = appendCapped(same.events, o.Event)
			same.fill(o, mem)
			byEvent[o.Event] = same
			continue
		}
		byEvent[o.Event] = d
		ds = append(ds, d)
	}
	slices.SortStableFunc(ds, func(a, b *deed) int {
		return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.key(), b.key()))
	})
	return ds
}

func patternRank(a *model.Alert) int {
	if a.Pattern {
		return 1
	}
	return 0
}

// lastTold returns the deed of the last of an alert's events that has one.
func lastTold(a *model.Alert, byEvent map[string]*deed) *deed {
	for _, e := range slices.Backward(a.Evidence) {
		if d := byEvent[e.ID]; d != nil {
			return d
		}
	}
	return nil
}

// adopt makes the telemetry's telling of an act that of the deed, where a product
// only claimed that there was one.
func (d *deed) adopt(a *model.Alert, o *model.Observation, mem Memory) {
	if d.act == model.ActNone && a.Act != model.ActNone {
		d.act, d.host, d.entities, d.user = a.Act, cmp.Or(a.Host, d.host), a.Entities, ""
		d.process, d.parent, d.procKey, d.parentKey = model.Entity{}, model.Entity{}, model.EntityKey{}, model.EntityKey{}
		d.identify(a.Entities, a.Host, a.Time, mem)
	}
	if o != nil && a.Act == d.act {
		d.fill(o, mem)
	}
}

// tell notes who told of the deed.
func (d *deed) tell(a *model.Alert) {
	who := "Catena"
	if a.Rule.Source == a.Product {
		who = a.Product
	}
	if !slices.Contains(d.tellers, who) && len(d.tellers) < maxTellers {
		d.tellers = append(d.tellers, who)
	}
}

// maxTellers bounds the products named as having told of one deed.
const maxTellers = 8

// addresses are those that the core alerts' cloud calls came from.
func addresses(c Case) addressSet {
	set := addressSet{}
	for _, a := range c.Core {
		if ip, ok := a.Find(model.IP, model.Src); ok && a.Host == "" {
			set[ip.Value] = true
		}
	}
	return set
}

type addressSet map[string]bool

// own says whether a call that memory adds is the attacker's: stolen credentials
// go on being used by their owner, from where he always did. An act on a host, and
// any when the alerts name no address, passes.
func (s addressSet) own(o *model.Observation) bool {
	ip, ok := o.Find(model.IP, model.Src)
	return !ok || o.Host != "" || len(s) == 0 || s[ip.Value]
}

// levelWeight is what the first alert of a rule on a host is worth at least, in
// bits: the alert that an incident began with brings no link and so no gain.
func levelWeight(a *model.Alert) float64 { return 0.5 * float64(1+a.Severity.Rank()) }

// actKey is what two sources that report one act agree on.
type actKey struct {
	act     model.Act
	host    string
	process model.EntityKey
	what    string
}

// told returns the deed that already tells of this act, reported by another
// source at about the same time, and remembers d if there is none.
func (d *deed) told(byAct map[actKey]*deed) *deed {
	k := actKey{d.act, d.host, d.procKey, ""}
	switch d.act {
	case model.ActNone:
		return nil
	case model.ActServiceInstall, model.ActTaskCreate: // not every log says who did it
		k.process, k.what = model.EntityKey{}, strings.ToLower(d.to())
		if k.what == "" {
			return nil
		}
	case model.ActProcessStart: // a process starts once
	default:
		k.what = strings.ToLower(d.to())
	}
	if k.process.Value == "" && d.act != model.ActServiceInstall && d.act != model.ActTaskCreate {
		return nil
	}
	if o := byAct[k]; o != nil && d.time.Sub(o.time).Abs() <= together {
		return o
	}
	byAct[k] = d
	return nil
}

// key orders deeds of the same time.
func (d *deed) key() string {
	if len(d.events) > 0 {
		return d.events[0]
	}
	return ""
}

// hop is a graph.Hop with the direction it was found in.
type hop struct {
	graph.Hop
	back bool
}

// walk asks memory for the acts before and after the core alerts. It starts from
// what identifies an attacker's own things (processes, sessions, keys, files),
// never from hosts and users, which others use too.
func walk(c Case, mem Memory) []hop {
	type since struct {
		key model.EntityKey
		at  time.Time
	}
	var own []model.EntityKey
	var sessions []since
	seen := map[model.EntityKey]bool{}
	var hops []hop
	told := map[string]bool{}
	take := func(hs []graph.Hop, back bool) {
		for _, h := range hs {
			if h.Event != "" && !told[h.Event] {
				told[h.Event] = true
				hops = append(hops, hop{h, back})
			}
		}
	}
	for _, a := range c.Core {
		var keys []model.EntityKey
		for _, e := range a.Entities {
			if !walkable(e) {
				continue
			}
			k := mem.Resolve(e, a.Host, a.Time)
			keys = append(keys, k)
			if seen[k] || e.Role == model.Parent || e.Role == model.Target {
				continue
			}
			seen[k] = true
			if e.Type == model.Session { // its owner may have had it long before
				sessions = append(sessions, since{k, a.Time})
			} else {
				own = append(own, k)
			}
		}
		take(mem.Back(keys, a.Time, graph.Limits{Hops: maxBack}), true)
	}
	before := len(hops)
	take(mem.Forward(own, c.Core[0].Time, graph.Limits{Hops: maxForward}), false)
	for _, s := range sessions[:min(len(sessions), maxSessions)] {
		if room := maxForward - len(hops) + before; room > 0 {
			take(mem.Forward([]model.EntityKey{s.key}, s.at, graph.Limits{Hops: room, Since: s.at}), false)
		}
	}
	return hops
}

// maxSessions bounds the sessions that a walk forward follows, each from when an
// alert first named it.
const maxSessions = 64

// browsing are the programs that speak with the whole internet all day: what one
// does in a session that an attacker used as well is its owner's.
var browsing = []string{"chrome", "msedge", "msedgewebview2", "firefox", "brave", "opera", "iexplore", "outlook", "olk", "thunderbird", "teams", "ms-teams", "onedrive"}

// ordinary says whether an act that the walk forward found is one that the owner
// of the session does all day.
func (h hop) ordinary(o *model.Observation) bool {
	if h.back || o.Act != model.ActConnect && o.Act != model.ActProcessStart && o.Act != model.ActFileWrite {
		return false
	}
	for _, r := range []model.Role{model.Subject, model.Actor} {
		if p, ok := o.Find(model.Process, r); ok {
			return slices.Contains(browsing, program(p.Name))
		}
	}
	return false
}

func walkable(e model.Entity) bool {
	switch e.Type {
	case model.Process, model.Session, model.AccessKey, model.File:
		return e.Role != model.Sensor && e.Role != model.Target
	}
	return false
}

func fromAlert(a *model.Alert, gain float64, mem Memory) *deed {
	d := &deed{time: a.Time, end: a.End, host: a.Host, act: a.Act, entities: a.Entities, severity: -1}
	d.identify(a.Entities, a.Host, a.Time, mem)
	d.join(a, gain)
	return d
}

// join adds an alert about the same event.
func (d *deed) join(a *model.Alert, gain float64) {
	if a.End.After(d.end) {
		d.end = a.End
	}
	d.gain += gain
	d.alerts = appendCapped(d.alerts, a.ID)
	for _, e := range a.Evidence {
		d.events = appendCapped(d.events, e.ID)
	}
	// The most serious alert says what the act is; among equals the one that names
	// a technique most exactly.
	rank := 2 * a.Severity.Rank()
	if len(a.Techniques) > 0 {
		rank++
	}
	if rank <= d.severity {
		return
	}
	d.severity = rank
	d.title = a.Rule.Title
	d.why = a.Intent.Why
	d.intent, d.stage, d.step = a.Intent.Primary, a.Stage, a.CloudStep
	d.reading = reading{}
	if len(a.Tactics) > 0 {
		d.tactic = a.Tactics[0]
	}
	if len(a.Techniques) > 0 {
		d.technique = a.Techniques[0]
	}
}

func fromObservation(o *model.Observation, r reading, h hop, mem Memory) *deed {
	d := &deed{time: o.Time, end: o.Time, host: o.Host, act: o.Act, entities: o.Entities, reading: r, text: o.Text,
		events: []string{o.Event}, severity: -1, back: h.back}
	d.intent = knowledge.IntentOf(r.tactic)
	d.stage = knowledge.StageOf(r.tactic)
	d.step = knowledge.StepOf(r.tactic, false)
	if h.back {
		d.why = "found by walking back from the alerts: " + reasonWords(h.Reason)
	} else {
		d.why = "found by following what the attacker's own things did: " + reasonWords(h.Reason)
	}
	d.identify(o.Entities, o.Host, o.Time, mem)
	return d
}

// fill adds what the observation of an alert's event knows besides.
func (d *deed) fill(o *model.Observation, mem Memory) {
	d.text = cmp.Or(d.text, o.Text)
	if d.process.Value == "" {
		d.identify(o.Entities, o.Host, o.Time, mem)
	}
}

// identify finds the process and the user of a deed.
func (d *deed) identify(es []model.Entity, host string, at time.Time, mem Memory) {
	for _, role := range []model.Role{model.Subject, model.Actor, model.Object} {
		if p, ok := findIn(es, model.Process, role); ok {
			d.process = p
			d.procKey = mem.Resolve(p, host, at)
			break
		}
	}
	if p, ok := findIn(es, model.Process, model.Parent); ok {
		d.parent, d.parentKey = p, mem.Resolve(p, host, at)
	}
	for _, role := range []model.Role{model.Actor, model.Subject, model.Target} {
		if u, ok := findIn(es, model.User, role); ok {
			d.user = u.Label()
			return
		}
	}
	for _, t := range []model.EntityType{model.IAMRole, model.Session, model.AccessKey, model.App} {
		if u, ok := findIn(es, t, model.Actor); ok {
			d.user = u.Label()
			return
		}
	}
}

func findIn(es []model.Entity, t model.EntityType, r model.Role) (model.Entity, bool) {
	for _, e := range es {
		if e.Type == t && e.Role == r {
			return e, true
		}
	}
	return model.Entity{}, false
}

func appendCapped(s []string, v string) []string {
	if len(s) >= maxCites || slices.Contains(s, v) {
		return s
	}
	return append(s, v)
}

func reasonWords(r model.Reason) string { return strings.ReplaceAll(string(r), "_", " ") }

// label returns the first entity of the wanted types and roles, as people call it.
func (d *deed) label(r model.Role, types ...model.EntityType) string {
	for _, t := range types {
		if e, ok := findIn(d.entities, t, r); ok {
			return e.Label()
		}
	}
	return ""
}

// from is where an act came from, to what it was done to; empty where it has no
// such side.
func (d *deed) from() string {
	if s := d.label(model.Src, model.Host, model.IP, model.Domain); s != "" {
		return s
	}
	if d.act == model.ActProcessStart {
		return image(d.parent)
	}
	p, _ := findIn(d.entities, model.Process, model.Actor)
	return image(p)
}

func (d *deed) to() string {
	if s := d.label(model.Dst, model.Host, model.IP, model.Domain); s != "" {
		return s
	}
	if s := d.label(model.Target, model.Process); s != "" {
		return base(s)
	}
	if s := d.label(model.Target, model.Resource, model.Mailbox, model.App, model.AccessKey, model.IAMRole, model.User); s != "" {
		return s
	}
	return base(plain(d.label(model.Object, model.File, model.Domain, model.App, model.URL), d.host))
}
