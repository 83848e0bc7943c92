package story

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// origin is the root of a story with what the sentences need to tell of it.
type origin struct {
	model.Root
	deed  *deed // the first act of the attack
	seen  bool  // whether the evidence shows how it began, or only the earliest sign
	entry *deed // how it was brought in, if the evidence shows that: a download, a log-on
}

// told are the events that the sentences about the root tell of.
func (o *origin) told() []string {
	out := slices.Clone(o.deed.events)
	if o.entry != nil {
		out = append(out, o.entry.events...)
	}
	return out
}

// rootShare is the share of the evidence that an earlier thread must carry to be
// the start of the attack, and not a chance companion of what followed.
const rootShare = 0.25

// entryShare is the same for a thread that shows an entry from outside: a break-in
// leaves less behind than what it led to.
const entryShare = 0.05

// A thread is what one actor did: deeds that grew out of the same process,
// session or key, or were done as the same person.
type thread struct {
	first *deed
	deeds []*deed
	worth []float64                   // what each weighs: of a fan-out only the first
	from  []model.EntityKey           // what each goes back to
	gain  float64                     // the sum
	count int                         // its deeds, a fan-out once
	tops  map[model.EntityKey]float64 // where its deeds go back to, with their bits
	fans  map[string]string           // the host on which each rule was first met
}

// take adds a deed. What one actor does to many hosts by one rule's measure is one
// thing he does, however many they are: it says nothing of where he came from.
func (t *thread) take(d *deed, top model.EntityKey) (gain float64) {
	t.deeds, t.from = append(t.deeds, d), append(t.from, top)
	first, met := t.fans[d.title]
	if !met {
		t.fans[d.title] = d.host
	}
	if met && first != d.host {
		t.worth = append(t.worth, 0)
		return 0
	}
	t.worth = append(t.worth, d.gain)
	t.gain += d.gain
	t.count++
	t.tops[top] += d.gain
	return d.gain
}

// threads groups the deeds that rules saw by who did them, in order of their first.
func threads(ds []*deed, mem Memory) (all []*thread, total float64) {
	parent := map[model.EntityKey]model.EntityKey{}
	var find func(model.EntityKey) model.EntityKey
	find = func(k model.EntityKey) model.EntityKey {
		if p, ok := parent[k]; ok && p != k {
			p = find(p)
			parent[k] = p
			return p
		}
		return k
	}
	tops := make([]model.EntityKey, len(ds))
	for i, d := range ds {
		if len(d.alerts) == 0 {
			continue
		}
		tops[i] = furthest(d, mem)
		join := func(k model.EntityKey) {
			if a, b := find(tops[i]), find(k); a != b {
				parent[b] = a
			}
		}
		if u, ok := person(d, mem); ok {
			join(u)
		}
		if ip, ok := outsider(d); ok {
			join(ip)
		}
	}
	by := map[model.EntityKey]*thread{}
	for i, d := range ds {
		if len(d.alerts) == 0 {
			continue
		}
		k := find(tops[i])
		t := by[k]
		if t == nil {
			t = &thread{first: d, tops: map[model.EntityKey]float64{}, fans: map[string]string{}}
			by[k] = t
			all = append(all, t)
		}
		total += t.take(d, tops[i])
	}
	for _, t := range all {
		t.begin()
	}
	return all, total
}

// person is the account a deed was done as, unless it is one that the system
// itself works under.
func person(d *deed, mem Memory) (model.EntityKey, bool) {
	roles := []model.Role{model.Actor, model.Subject}
	if d.act == model.ActLogon { // who logs on acts from then on as that account
		roles = []model.Role{model.Target}
	}
	for _, r := range roles {
		if u, ok := findIn(d.entities, model.User, r); ok && !systemAccount(u.Value) {
			return mem.Resolve(u, d.host, d.time), true
		}
	}
	return model.EntityKey{}, false
}

// oneOf is the account k among those that a deed names: of many that passwords were
// tried on, the one that fell.
func oneOf(d *deed, k model.EntityKey, mem Memory) (model.Entity, bool) {
	for _, e := range d.entities[:min(len(d.entities), maxTried)] {
		if e.Type == model.User && mem.Resolve(e, d.host, d.time) == k {
			return e, true
		}
	}
	return model.Entity{}, false
}

// maxTried bounds the entities of a deed that are looked at, and the addresses by which
// the way back from a thread is sought: whoever writes evidence decides how many there are.
const maxTried = 256

// outsider is the address on the internet that a log-on was tried from, or that a
// product says an attack came from: its guesses and what it did once inside are one
// thread.
func outsider(d *deed) (model.EntityKey, bool) {
	if !d.guess() && !d.logon() && (d.act != model.ActNone || d.host != "") { // on a host it may be whom a program called
		return model.EntityKey{}, false
	}
	ip, ok := findIn(d.entities, model.IP, model.Src)
	if !ok {
		return model.EntityKey{}, false
	}
	a, err := netip.ParseAddr(ip.Value)
	return ip.Key(), err == nil && a.IsGlobalUnicast() && !a.IsPrivate()
}

func systemAccount(user string) bool {
	name := user[strings.LastIndexByte(user, '\\')+1:]
	switch name {
	case "system", "local service", "network service", "anonymous logon", "root", "":
		return true
	}
	return strings.HasSuffix(name, "$") || strings.HasPrefix(name, "dwm-") || strings.HasPrefix(name, "umfd-")
}

// top is where most of a thread's evidence goes back to; a process before other
// things, since it says most about how the attack began, if it carries a good share
// of the thread: one shell of the account's owner is not where its thief came from.
func (t *thread) top() model.EntityKey {
	var best model.EntityKey
	ahead := func(k model.EntityKey) bool { return k.Type == model.Process && t.tops[k] >= rootShare*t.gain }
	for k, g := range t.tops {
		b := t.tops[best]
		is, was := ahead(k), ahead(best)
		if best.Value == "" || is && !was || is == was && (g > b || g == b && k.Less(best)) {
			best = k
		}
	}
	return best
}

// way is how a thread began: its first deed, or the log-on that got in when all
// before it was refused.
func (t *thread) way() *deed {
	for _, d := range t.deeds {
		if d.guess() {
			continue
		}
		if d.logon() {
			return d
		}
		break
	}
	return t.first
}

// findRoot names where the attack started: the thread that carries most of the
// evidence, or an earlier one that carries a good share of it, and in it the act
// that started the thing it grew out of. Kill-chain order plays no part but for a
// weak prior: attacks go backwards too often.
func findRoot(c Case, ds []*deed, mem Memory) origin {
	all, total := threads(ds, mem)
	var start time.Time // of what may have been the start: a stray sign days before makes nothing late
	for _, t := range all {
		if t.gain >= rootShare*total && (start.IsZero() || t.first.time.Before(start)) {
			start = t.first.time
		}
	}
	score := func(t *thread) float64 {
		late := 0.0
		if !start.IsZero() {
			late = max(0, t.first.time.Sub(start).Hours())
		}
		return t.gain + 0.5*float64(t.count) - 2*math.Log2(1+late) + knowledge.RootBits(t.first.tactic)
	}
	best := all[0]
	for _, t := range all[1:] {
		if score(t) > score(best) {
			best = t
		}
	}
	for _, t := range all {
		need := rootShare
		if _, ok := outsider(t.way()); ok && t.way().logon() {
			need = entryShare
		}
		if t.first.time.Before(best.first.time) && t.gain >= need*total {
			best = t
			break
		}
	}
	share, count := best.gain/math.Max(total, 1e-9), len(best.deeds)
	top := best.top()
	o := origin{deed: best.way()}
	var sent *deed // what came to the person before anything ran
	if from := source(best, all, mem); from != nil {
		o.deed, top = from, furthest(from, mem)
	} else if d := best.start(top, o.deed, mem); d != nil && o.deed.host == "" && strings.HasPrefix(o.deed.technique, "T1566") {
		sent = o.deed // a message has no machine; what it brought has, and ran there
		o.deed, top = d, furthest(d, mem)
	} else if u, ok := person(o.deed, mem); ok && top.Type == model.User {
		top = u // whose act it is, where others' of the thread weigh more
	}
	for _, d := range ds { // the act that started the thing itself, if anything tells of it
		if d.act == model.ActProcessStart && d.procKey == top && top.Type == model.Process {
			if d.host != o.deed.host && d.time.After(o.deed.time.Add(together)) { // what began later elsewhere is not where it came from
				top = furthest(o.deed, mem)
				break
			}
			o.deed, o.seen = d, true
			break
		}
	}
	if o.entry = entry(o.deed, ds); o.entry == nil {
		o.entry = sent
	}
	if o.entry != nil || o.deed.logon() {
		o.seen = true
	}
	conf := 0.35 + 0.5*share
	if o.seen {
		conf += 0.15
	}
	d := o.deed
	o.Root = model.Root{
		Time: d.time, Host: d.host, User: d.user, Process: programOf(d, mem), Technique: d.technique,
		Entity: rootEntity(top, d), Confidence: math.Round(100*math.Min(conf, 0.99)) / 100,
	}
	if d.act == model.ActLogon {
		if u, ok := findIn(d.entities, model.User, model.Target); ok {
			o.User = u.Label()
		}
	}
	if u, ok := oneOf(d, top, mem); ok && top.Type == model.User {
		o.User = u.Label()
	}
	if o.User == "" {
		o.User = userNear(d, c)
	}
	if len(d.alerts) > 0 {
		o.Alert = d.alerts[0]
	}
	if len(d.events) > 0 {
		o.Event = d.events[0]
	}
	if d.act == model.ActProcessStart && userStarted(d) && userWritable(d.process.Name) {
		o.Technique = "T1204.002"
	}
	o.Why = o.why(count, share)
	return o
}

// start is the first deed of a thread on the machine of a process that it goes back
// to, after a message that its reader got: where he ran what it brought, if he is known.
func (t *thread) start(k model.EntityKey, message *deed, mem Memory) *deed {
	if k.Type != model.Process {
		return nil
	}
	reader, known := person(message, mem)
	for _, d := range t.deeds {
		if who, ok := person(d, mem); known && ok && who == reader && d.host != "" && !d.time.Before(message.time) {
			return d
		}
	}
	i := slices.IndexFunc(t.deeds, func(d *deed) bool { return d.host != "" && furthest(d, mem) == k })
	if i < 0 {
		return nil
	}
	host := t.deeds[i].host
	return t.deeds[slices.IndexFunc(t.deeds, func(d *deed) bool { return d.host == host })]
}

// maxSources bounds the way back from host to host.
const maxSources = 8

// source follows a thread back to the host that it was reached from, and on from
// there, as long as an earlier thread began there with code run or a way in; nil if
// there is none. The server from which an attacker fanned out has most of the
// evidence, and yet he came to it from somewhere.
func source(t *thread, all []*thread, mem Memory) *deed {
	var from *deed
	seen := map[*thread]bool{t: true}
	for range maxSources {
		next, d := feeder(t, all, seen, mem)
		if next == nil {
			break
		}
		t, seen[next] = next, true
		if d != nil {
			from = d
		}
	}
	return from
}

// feeder returns the thread that t came from, and the first deed by which it took hold:
// that of the host from whose address t was first reached, else the earliest of those
// that have a mark in common with it. Of an address that nobody is known to have had, the
// thread that reached for it before is the way back, and the deed is nil.
func feeder(t *thread, all []*thread, seen map[*thread]bool, mem Memory) (*thread, *deed) {
	asked := map[[3]string]bool{}
	for _, d := range t.deeds {
		if len(asked) == maxTried {
			break
		}
		ip, ok := findIn(d.entities, model.IP, model.Src)
		if k := [3]string{ip.Value, d.host, d.title}; !ok || asked[k] {
			continue
		} else {
			asked[k] = true
		}
		owner := place(mem.Owner(ip.Value, d.time), d.time, mem)
		if owner == "" {
			for _, o := range all {
				if !seen[o] && o.reached(ip.Value, d.time) {
					return o, nil
				}
			}
		}
		if owner == "" || owner == place(d.host, d.time, mem) {
			continue
		}
		var best *thread
		var hold *deed
		for _, o := range all {
			before := t.first.time
			if t.first.host == "" { // a sensor on the wire may have told of it first
				before = d.time
			}
			if seen[o] || !o.first.time.Before(before) || best != nil && o.gain <= best.gain {
				continue
			}
			if h := o.foothold(owner, d, mem); h != nil {
				best, hold = o, h
			}
		}
		if best != nil {
			return best, hold
		}
	}
	own := map[model.EntityKey]bool{}
	for i, d := range t.deeds {
		for _, k := range d.marks(t.from[i]) {
			own[k] = true
		}
	}
	for _, o := range all { // in order of their first
		if seen[o] || !o.first.time.Before(t.first.time) {
			continue
		}
		shared := false
		for i, d := range o.deeds {
			shared = shared || slices.ContainsFunc(d.marks(o.from[i]), func(k model.EntityKey) bool { return own[k] })
		}
		if hold := o.foothold("", t.first, mem); shared && hold != nil {
			return o, hold
		}
	}
	return nil, nil
}

// reached says whether a deed of a thread came to an address from another one before.
func (t *thread) reached(addr string, before time.Time) bool {
	return slices.ContainsFunc(t.deeds, func(d *deed) bool {
		src, came := findIn(d.entities, model.IP, model.Src)
		dst, went := findIn(d.entities, model.IP, model.Dst)
		return came && went && dst.Value == addr && src.Value != addr && d.time.Before(before) && d.tactic == knowledge.LateralMovement
	})
}

// foothold is the first deed of a thread on a host (on any, if that is "") before another,
// if it is a way in or code run there.
func (t *thread) foothold(host string, before *deed, mem Memory) *deed {
	for _, d := range t.deeds {
		if !d.time.Before(before.time) {
			return nil
		}
		if (d.tactic == knowledge.InitialAccess || d.tactic == knowledge.Execution) && d.host != "" && (host == "" || place(d.host, d.time, mem) == host) {
			return d
		}
	}
	return nil
}

// place is a host by its one name.
func place(host string, at time.Time, mem Memory) string {
	if host == "" {
		return ""
	}
	return mem.Resolve(model.Entity{Type: model.Host, Value: host}, "", at).Value
}

// programOf is what the process of a deed runs. Products often name its number and,
// apart from it, its file.
func programOf(d *deed, mem Memory) string {
	if d.process.Value == "" || d.process.Name != "" {
		return d.process.Label()
	}
	if name := mem.Name(d.procKey, d.time); name != "" {
		return name
	}
	if f, ok := findIn(d.entities, model.File, model.Object); ok {
		return f.Label()
	}
	return d.process.Label()
}

// userNear is who acted on the host of d next, be it in an alert that is only
// context: many records name a process and not its account.
func userNear(d *deed, c Case) string {
	best, at := "", d.time.Add(chapterGap)
	for _, a := range slices.Concat(c.Core, c.Context) {
		if a.Host != d.host || a.Time.Before(d.time) || !a.Time.Before(at) {
			continue
		}
		if u, ok := findIn(a.Entities, model.User, model.Actor); ok && !systemAccount(u.Value) {
			best, at = u.Label(), a.Time
		}
	}
	return best
}

// why puts the ground of a root in one sentence.
func (o *origin) why(n int, share float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of the alerts (%.0f %% of the evidence) go back to it", n, 100*share)
	switch {
	case o.entry != nil:
		fmt.Fprintf(&b, "; before it, %s", phrase(o.entry))
	case !o.seen:
		b.WriteString("; what came before is not in the evidence, so this is the earliest sign and not proven to be the entry")
	}
	b.WriteString(".")
	return b.String()
}

// rootEntity is what the attack grew out of, as "type:value".
func rootEntity(k model.EntityKey, d *deed) string {
	if k.Value != "" {
		return k.String()
	}
	if d.host != "" {
		return model.EntityKey{Type: model.Host, Value: d.host}.String()
	}
	if len(d.entities) > 0 {
		return d.entities[0].Key().String()
	}
	return ""
}

// furthest walks d back to the first thing of the attacker that explains it: the
// top of its process tree below the user's shell, the session or key it used.
func furthest(d *deed, mem Memory) model.EntityKey {
	k := d.procKey
	at := d.time
	if k.Value == "" {
		for _, want := range []model.EntityType{model.AccessKey, model.Session, model.IAMRole, model.User, model.App, model.IP} {
			for _, role := range []model.Role{model.Actor, model.Subject, model.Src} {
				if e, ok := findIn(d.entities, want, role); ok && k.Value == "" {
					k = mem.Resolve(e, d.host, d.time)
				}
			}
		}
	}
	if k.Value == "" {
		return model.EntityKey{Type: model.Host, Value: d.host}
	}
	if top, _, ok := mem.Tree(k, at); ok {
		k = top
	}
	for _, b := range mem.Lineage(k, at) { // the nearest come first, so the last is the furthest
		switch b.To.Type {
		case model.Process, model.AccessKey:
			k = b.To
		}
	}
	return k
}

// entry finds how the first thing of the attack was brought in: the write of its
// file, the latest before its start.
func entry(root *deed, ds []*deed) *deed {
	var best *deed
	for _, d := range ds {
		if d == root || !d.time.Before(root.time) || d.host != root.host || !d.back {
			continue
		}
		if d.act == model.ActFileWrite || d.act == model.ActLogon || d.act == model.ActRemoteExec {
			best = d
		}
	}
	return best
}

// userStarted says whether a person's desktop started the process.
func userStarted(d *deed) bool {
	switch program(d.parent.Label()) {
	case "explorer", "userinit", "chrome", "msedge", "firefox", "outlook", "thunderbird", "winrar", "7zfm", "winzip64", "gnome-shell", "plasmashell":
		return true
	}
	return false
}
