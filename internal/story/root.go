package story

import (
	"fmt"
	"math"
	"strings"

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

// rootShare is the share of the evidence that the things which grew out of one
// process, session or key must carry for it to be the start of the attack.
const rootShare = 0.3

// findRoot names where the attack started. Each core deed is walked back to the
// furthest thing that explains it; the start is the thing that explains the most
// evidence. Kill-chain order plays no part in it but to break ties: attacks go
// backwards too often.
func findRoot(c Case, ds []*deed, mem Memory) origin {
	type claim struct {
		first *deed
		gain  float64
		n     int
	}
	claims := map[model.EntityKey]*claim{}
	var order []model.EntityKey
	total := 0.0
	for _, d := range ds {
		if len(d.alerts) == 0 {
			continue
		}
		total += d.gain
		k := furthest(d, mem)
		cl := claims[k]
		if cl == nil {
			cl = &claim{first: d}
			claims[k] = cl
			order = append(order, k)
		}
		cl.gain += d.gain
		cl.n++
	}
	best := order[0]
	score := func(k model.EntityKey) float64 {
		cl := claims[k]
		// Bits of evidence explained; a start is earlier than what follows, and some
		// tactics start attacks more often than others.
		late := cl.first.time.Sub(ds[0].time).Hours()
		return cl.gain + 0.5*float64(cl.n) - 2*math.Log2(1+late) + knowledge.RootBits(cl.first.tactic)
	}
	for _, k := range order[1:] {
		if score(k) > score(best) {
			best = k
		}
	}
	cl := claims[best]
	// An earlier claim that carries real weight of its own goes first: the attack
	// moved on from there.
	for _, k := range order {
		o := claims[k]
		if o.first.time.Before(cl.first.time) && o.gain >= rootShare*total {
			best, cl = k, o
			break
		}
	}
	o := origin{deed: cl.first}
	// The act that started the thing itself, if memory has it, is the root.
	for _, d := range ds {
		if d.act == model.ActProcessStart && d.procKey == best && best.Type == model.Process {
			o.deed, o.seen = d, true
			break
		}
	}
	share := cl.gain / math.Max(total, 1e-9)
	o.entry = entry(o.deed, ds)
	if o.entry != nil {
		o.seen = true
	}
	d := o.deed
	conf := 0.35 + 0.5*share
	if o.seen {
		conf += 0.15
	}
	o.Root = model.Root{
		Time: d.time, Host: d.host, User: d.user, Process: d.process.Label(), Technique: d.technique,
		Entity: rootEntity(best, d), Confidence: math.Round(100*math.Min(conf, 0.99)) / 100,
	}
	if len(d.alerts) > 0 {
		o.Alert = d.alerts[0]
	}
	if len(d.events) > 0 {
		o.Event = d.events[0]
	}
	if o.act() == model.ActProcessStart && userStarted(d) && userWritable(d.process.Name) {
		o.Technique = "T1204.002"
	}
	o.Why = o.why(cl.n, share)
	return o
}

func (o *origin) act() model.Act { return o.deed.act }

// why puts the ground of a root in one sentence.
func (o *origin) why(n int, share float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of the alerts (%.0f %% of the evidence) go back to it", n, 100*share)
	switch {
	case o.entry != nil:
		fmt.Fprintf(&b, "; before it, %s", lowerFirst(phrase(o.entry)))
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

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
