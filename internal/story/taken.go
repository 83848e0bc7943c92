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

// Bounds of the list of what was taken, and of what the story tells of it.
const (
	maxTaken     = 20
	maxToldTaken = 3
	packing      = time.Hour // for which a program of the attack goes on after its last act that is told
	muchSent     = 1_000_000 // bytes below which a connection or an archive is not told as taking something out
)

// taken says how much the identities of the attack read and packed while it went on,
// and how much its connections carried out. An alert tells of one act; this counts all
// of the same identity, from the same address. Of connections only those to addresses
// that the attack's own acts name count: a process that was injected into goes on
// with its own work too. So it is with reads on a host, as of the tables of a database:
// what alerts name counts.
func taken(ds []*deed, first, last time.Time, mem Memory, x *graph.Transfers) []model.Taken {
	if x == nil {
		return nil
	}
	type doer struct {
		who   model.EntityKey
		src   string
		cloud bool
	}
	var doers []doer
	known, to := map[doer]bool{}, map[string]bool{}
	read := map[[2]model.EntityKey]bool{} // who and what, of the reads that alerts tell of
	add := func(w doer) {
		if !known[w] {
			known[w] = true
			doers = append(doers, w)
		}
	}
	for _, d := range ds {
		if d.back && len(d.alerts) == 0 {
			continue // what led to the attack is not yet the attacker's
		}
		if who, src, ok := graph.Doer(d.act, d.host, d.entities); ok {
			w := doer{mem.Resolve(who, d.host, d.time), src, d.host == ""}
			add(w)
			if len(d.alerts) > 0 && (d.act == model.ActObjectRead || d.act == model.ActMailAccess) {
				for _, e := range d.entities[:min(len(d.entities), maxTried)] {
					if e.Role == model.Target {
						read[[2]model.EntityKey{w.who, mem.Resolve(e, d.host, d.time)}] = true
					}
				}
			}
		}
		if len(d.alerts) > 0 && d.procKey.Value != "" {
			add(doer{who: d.procKey})
		}
		for _, e := range d.entities {
			if e.Type == model.IP && (e.Role == model.Dst || e.Role == model.Target) {
				to[e.Value] = true
			}
		}
	}
	type group struct {
		how      string
		by, what model.EntityKey
	}
	by := map[group]*model.Taken{}
	objects := map[group]map[model.EntityKey]bool{}
	counted := map[string]bool{} // transfers, by what identifies one
	var order []group
	for _, w := range doers {
		for _, t := range x.By(w.who, first, last.Add(packing)) {
			if t.First.After(last) && t.Act != model.ActFileWrite {
				continue
			}
			if t.Act == model.ActConnect && !to[t.To.Value] {
				continue
			}
			// Whose session on a host was taken over goes on reading his mail himself: only
			// who was seen in the cloud, and from where he was seen there.
			told := read[[2]model.EntityKey{t.Who, t.To}] && (t.Items > 0 || t.Bytes > 0) // that it was read is told as a step
			if gives(t.Act) && (!w.cloud || t.Src != w.src) && !told {
				continue
			}
			id := fmt.Sprint(t.Who, t.To, t.Src, t.Act, t.First.UnixNano())
			if counted[id] {
				continue
			}
			counted[id] = true
			g := group{"read", t.Who, store(t.To)}
			switch t.Act {
			case model.ActConnect:
				g.how = "sent"
			case model.ActFileWrite:
				g.how = "packed"
			}
			k := by[g]
			if k == nil {
				k = &model.Taken{What: g.what.String(), How: g.how, By: g.by.String(), First: t.First, Last: t.Last, Cites: []string{}}
				by[g], objects[g] = k, map[model.EntityKey]bool{}
				order = append(order, g)
			}
			if t.To != g.what {
				objects[g][t.To] = true
			}
			k.Acts += t.Count
			k.Items += min(t.Items, 1<<60-k.Items)
			if t.Act == model.ActFileWrite { // the same file, an hour later
				k.Bytes = max(k.Bytes, t.Bytes)
			} else {
				k.Bytes += min(t.Bytes, 1<<60-k.Bytes)
			}
			k.Told += t.Told
			k.Cites = appendCapped(k.Cites, t.Event)
			if t.First.Before(k.First) {
				k.First = t.First
			}
			if t.Last.After(k.Last) {
				k.Last = t.Last
			}
		}
	}
	out := make([]model.Taken, 0, len(order))
	for _, g := range order {
		by[g].Objects = len(objects[g])
		out = append(out, *by[g])
	}
	slices.SortFunc(out, func(a, b model.Taken) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Items, a.Items), cmp.Compare(b.Acts, a.Acts), cmp.Compare(a.What, b.What), cmp.Compare(a.By, b.By), cmp.Compare(a.How, b.How))
	})
	return out[:min(len(out), maxTaken)]
}

// gives says whether an act reads what lies in a store.
func gives(a model.Act) bool { return a == model.ActObjectRead || a == model.ActMailAccess }

// store is what an object lies in; the thing itself where that is not known.
func store(k model.EntityKey) model.EntityKey {
	if k.Type != model.Resource {
		return k
	}
	if rest, ok := strings.CutPrefix(k.Value, "arn:aws:s3:::"); ok {
		if i := strings.IndexByte(rest, '/'); i > 0 {
			k.Value = "arn:aws:s3:::" + rest[:i]
		}
	} else if i := strings.Index(k.Value, "/objects/"); i > 0 && strings.Contains(k.Value[:i], "buckets/") {
		k.Value = k.Value[:i]
	}
	return k
}

// worthTelling are the amounts that the story tells.
func worthTelling(list []model.Taken) []model.Taken {
	var out []model.Taken
	for _, t := range list {
		if len(out) < maxToldTaken && (t.How == "read" || t.Bytes >= muchSent) {
			out = append(out, t)
		}
	}
	return out
}

// takenText tells one amount.
func takenText(t *model.Taken) string {
	k := keysOf([]string{t.What, t.By})
	if len(k) != 2 {
		return ""
	}
	var amount string
	switch {
	case t.How == "sent":
		amount = size(t.Bytes) + " sent to"
	case t.How == "packed":
		amount = size(t.Bytes) + " packed into"
	case t.Objects > 0:
		amount = times(t.Objects, "1 object read", "%d objects read")
	default:
		amount = times(t.Acts, "1 read", "%d reads")
	}
	if t.How == "read" {
		if t.Items > 0 {
			amount += ", " + items(t)
		}
		if t.Bytes > 0 {
			amount += ", " + size(t.Bytes)
			if t.Told < t.Acts {
				amount += fmt.Sprintf(" told of %d of %d reads", t.Told, t.Acts)
			}
		}
		amount += " of"
	}
	return fmt.Sprintf("%s %s by %s, %s", amount, thing(k[0]), thing(k[1]), during(t.First, t.Last))
}

// items says how many things the reads gave out.
func items(t *model.Taken) string {
	what := "row"
	if strings.HasPrefix(t.What, string(model.Mailbox)+":") {
		what = "message"
	}
	if t.Items == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", t.Items, what)
}

// size writes bytes as people say them, in powers of a thousand.
func size(n int64) string {
	if n < 1000 {
		return times(int(n), "1 byte", "%d bytes")
	}
	v, i := float64(n)/1000, 0
	for ; v >= 999.5 && i < 5; i++ {
		v /= 1000
	}
	return fmt.Sprintf("%.3g %cB", v, "kMGTPE"[i])
}
