package graph

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A Transfer is what one identity took from one place, sent to one or packed into one
// file within an hour: reads of objects, tables and mail, what connections to the
// internet carried out, and archives written.
type Transfer struct {
	Who         model.EntityKey
	Src         string // address that it came from, of calls to a cloud
	To          model.EntityKey
	Act         model.Act // ActObjectRead, ActMailAccess, ActConnect or ActFileWrite
	First, Last time.Time
	Count       int
	Bytes       int64  // of the records that say so; of an archive the most that one says
	Told        int    // how many do
	Items       int64  // rows or messages, of the reads that say so
	Event       string // id of the first
}

// maxTransfers bounds the memory of transfers: some 250 bytes each.
const maxTransfers = 200_000

type transferKey struct {
	who, to model.EntityKey
	src     string
	act     model.Act
	hour    int64
}

// Transfers is the bounded memory of how much was read and sent, by whom and when.
// Edges fold equal acts and keep the first; amounts need all of them. It is not
// safe for concurrent use.
type Transfers struct {
	m       *Memory
	of      map[transferKey]*Transfer
	by      map[model.EntityKey][]*Transfer
	dropped int
}

// NewTransfers returns empty Transfers that take names from m. They observe each
// act after m did.
func NewTransfers(m *Memory) *Transfers {
	return &Transfers{m: m, of: map[transferKey]*Transfer{}, by: map[model.EntityKey][]*Transfer{}}
}

// Dropped returns how many acts were left out to bound memory.
func (x *Transfers) Dropped() int { return x.dropped }

// Observe counts one act.
func (x *Transfers) Observe(o *model.Observation) {
	var to model.Entity
	var ok bool
	switch o.Act {
	case model.ActObjectRead:
		to, ok = o.Find(model.Resource, model.Target)
	case model.ActMailAccess:
		to, ok = o.Find(model.Mailbox, model.Target)
	case model.ActConnect:
		to, ok = o.Find(model.IP, model.Dst)
		ok = ok && o.Bytes > 0 && internet(to.Value)
	case model.ActFileWrite:
		to, ok = o.Find(model.File, model.Object)
		ok = ok && o.Bytes > 0 && archive(to.Value)
	}
	if !ok {
		return
	}
	who, src, ok := Doer(o.Act, o.Host, o.Entities)
	if !ok {
		return
	}
	k := transferKey{x.m.Resolve(who, o.Host, o.Time), x.m.names.key(to, o.Time), src, o.Act, o.Time.Unix() / 3600}
	t := x.of[k]
	if t == nil {
		if len(x.of) >= maxTransfers {
			x.dropped++
			return
		}
		t = &Transfer{Who: k.who, Src: src, To: k.to, Act: o.Act, First: o.Time, Last: o.Time, Event: o.Event}
		x.of[k] = t
		x.by[k.who] = append(x.by[k.who], t)
	}
	t.Count++
	if o.Time.After(t.Last) {
		t.Last = o.Time
	}
	if o.Items > 0 && t.Items < maxSum {
		t.Items += o.Items
	}
	switch {
	case o.Bytes <= 0 || t.Bytes >= maxSum:
		return
	case o.Act == model.ActFileWrite: // it grows: each record says how large it is by then
		t.Bytes = max(t.Bytes, o.Bytes)
	default:
		t.Bytes += o.Bytes
	}
	t.Told++
}

// archives are the endings of files that many are packed into, to be taken along.
var archives = [...]string{".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".cab", ".bak", ".dmp", ".sql"}

// archive says whether a file's name is that of an archive, or of a copy of a database
// or memory.
func archive(path string) bool {
	for _, end := range archives {
		if len(path) > len(end) && strings.EqualFold(path[len(path)-len(end):], end) {
			return true
		}
	}
	return false
}

// maxSum keeps sums of what records claim within what numbers can say.
const maxSum = 1 << 60

// internet says whether an address is outside of any private network.
func internet(ip string) bool {
	a, err := netip.ParseAddr(ip)
	return err == nil && a.IsGlobalUnicast() && !a.IsPrivate()
}

// Doer returns who did an act, in the narrowest identity that its entities name,
// and for calls to a cloud the address that it came from: a stolen key goes on
// being used by its owner, from elsewhere.
func Doer(act model.Act, host string, es []model.Entity) (who model.Entity, src string, ok bool) {
	first := func(r model.Role, types ...model.EntityType) (model.Entity, bool) {
		for _, t := range types {
			for _, e := range es {
				if e.Type == t && e.Role == r && e.Value != "" {
					return e, true
				}
			}
		}
		return model.Entity{}, false
	}
	ip, came := first(model.Src, model.IP)
	if act == model.ActConnect || act == model.ActFileWrite {
		if who, ok = first(model.Actor, model.Process); ok {
			return who, "", true
		}
		return ip, "", came
	}
	if host == "" && came {
		src = ip.Value
	}
	if who, ok = first(model.Actor, model.AccessKey, model.Session, model.IAMRole, model.User, model.App, model.Process); ok {
		return who, src, true
	}
	return ip, src, came
}

// By returns what an identity took or sent in hours that touch the time from first
// to last, in the order of time.
func (x *Transfers) By(who model.EntityKey, first, last time.Time) []Transfer {
	var out []Transfer
	for _, t := range x.by[who] {
		if !t.Last.Before(first) && !t.First.After(last) {
			out = append(out, *t)
		}
	}
	slices.SortFunc(out, func(a, b Transfer) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Act, b.Act), cmp.Compare(a.To.Type, b.To.Type), cmp.Compare(a.To.Value, b.To.Value), cmp.Compare(a.Src, b.Src))
	})
	return out
}
