package graph

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

func wayTime(min int) time.Time {
	return time.Date(2024, 5, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(min) * time.Minute)
}

// learn returns the ways of acts that memory was fed before.
func learnWays(os ...*model.Observation) *Ways {
	m := New(Options{})
	w := NewWays(m)
	for i, o := range os {
		o.Event = fmt.Sprintf("e-%d", i)
		m.Observe(o)
		w.Observe(o)
	}
	return w
}

func wayEnt(t model.EntityType, r model.Role, v string) model.Entity {
	return model.Entity{Type: t, Role: r, Value: v}
}

func wayAct(min int, act model.Act, host string, es ...model.Entity) *model.Observation {
	return &model.Observation{Time: wayTime(min), Act: act, Host: host, Entities: es}
}

// to finds the path from what is held to one host or thing.
func (w *Ways) to(t model.EntityType, v string, held ...model.EntityKey) []Way {
	want := model.EntityKey{Type: t, Value: v}
	return w.Paths(held, 1, func(k model.EntityKey) []int {
		if k == want {
			return []int{0}
		}
		return nil
	})[0]
}

func kinds(p []Way) (out []WayKind) {
	for _, w := range p {
		out = append(out, w.Kind)
	}
	return out
}

// estateActs: alice works on ws1; the administrator was at work on ws1 and is logged
// on to the domain controller; bob only opens a share of files1, where the operator
// works, who is logged on to the vault.
func estateActs() []*model.Observation {
	user := func(r model.Role, v string) model.Entity { return wayEnt(model.User, r, v) }
	return []*model.Observation{
		wayAct(0, model.ActProcessStart, "ws1", wayEnt(model.Process, model.Subject, "p1"), user(model.Actor, `corp\alice`)),
		wayAct(1, model.ActProcessStart, "ws1", wayEnt(model.Process, model.Subject, "p2"), user(model.Actor, `corp\admin`)),
		wayAct(2, model.ActLogon, "dc1", user(model.Target, `corp\admin`), wayEnt(model.Session, model.Target, "dc1:0x1")),
		wayAct(3, model.ActLogon, "files1", user(model.Target, `corp\bob`), wayEnt(model.Session, model.Target, "files1:0x1")),
		wayAct(4, model.ActProcessStart, "files1", wayEnt(model.Process, model.Subject, "p3"), user(model.Actor, `corp\oper`)),
		wayAct(5, model.ActLogon, "vault1", user(model.Target, `corp\oper`), wayEnt(model.Session, model.Target, "vault1:0x1")),
		wayAct(6, model.ActProcessStart, "ws1", wayEnt(model.Process, model.Subject, "p4"), user(model.Actor, `ws1\system`)),
		wayAct(7, model.ActLogon, "dc1", user(model.Target, `ws1\system`)),
		wayAct(8, model.ActAssumeRole, "", user(model.Actor, "arn:aws:iam::1:user/ci"), wayEnt(model.IAMRole, model.Target, "arn:aws:iam::1:role/deploy"), wayEnt(model.AccessKey, model.Target, "ASIA1")),
		wayAct(9, model.ActObjectRead, "", wayEnt(model.AccessKey, model.Actor, "ASIA1"), wayEnt(model.IAMRole, model.Actor, "arn:aws:iam::1:role/deploy"), wayEnt(model.Resource, model.Target, "arn:aws:s3:::pay")),
		wayAct(10, model.ActConnect, "ws2", wayEnt(model.Process, model.Actor, "p5"), wayEnt(model.Host, model.Dst, "dc1")),
		wayAct(11, model.ActConnect, "dc1", wayEnt(model.Process, model.Actor, "p6"), wayEnt(model.Host, model.Dst, "vault1")),
	}
}

func TestPaths(t *testing.T) {
	w := learnWays(estateActs()...)
	key := func(t model.EntityType, v string) model.EntityKey { return model.EntityKey{Type: t, Value: v} }
	for _, c := range []struct {
		name string
		held model.EntityKey
		t    model.EntityType
		to   string
		want []WayKind
	}{
		{"credentials that lie on a host", key(model.Host, "ws1"), model.Host, "dc1", []WayKind{WayRuns, WayLogsOn}},
		{"the account itself", key(model.User, `corp\admin`), model.Host, "dc1", []WayKind{WayLogsOn}},
		{"an account goes on from where it works", key(model.User, `corp\oper`), model.Host, "vault1", []WayKind{WayLogsOn}},
		{"a share gives no credentials of its server", key(model.User, `corp\bob`), model.Host, "vault1", nil},
		{"but the server itself is reached", key(model.User, `corp\bob`), model.Host, "files1", []WayKind{WayLogsOn}},
		{"nobody else's", key(model.User, `corp\alice`), model.Host, "dc1", nil},
		{"a role leads to what its keys read", key(model.User, "arn:aws:iam::1:user/ci"), model.Resource, "arn:aws:s3:::pay", []WayKind{WayAssumes, WayUses}},
		{"a connection, where there is nothing better", key(model.Host, "ws2"), model.Host, "dc1", []WayKind{WayTalks}},
		{"and not two", key(model.Host, "ws2"), model.Host, "vault1", nil},
	} {
		p := w.to(c.t, c.to, c.held)
		if !reflect.DeepEqual(kinds(p), c.want) {
			t.Errorf("%s: %v", c.name, p)
		}
		for i := range p {
			if p[i].Event == "" || p[i].Count < 1 || p[i].First.IsZero() || i > 0 && p[i].From != p[i-1].To {
				t.Errorf("%s: link %d is %+v", c.name, i, p[i])
			}
		}
	}
}

// An account of the machine itself opens no other one.
func TestBuiltinAccountsLeadNowhere(t *testing.T) {
	w := learnWays(estateActs()...)
	for k := range w.of {
		for _, v := range []string{k.from.Value, k.to.Value} {
			if builtin(v) {
				t.Errorf("%+v", k)
			}
		}
	}
	for _, v := range []string{`corp\ws1$`, `nt authority\anonymous logon`, "-", `ws1\local service`, `window manager\dwm-1`} {
		if !builtin(v) {
			t.Errorf("%s leads somewhere", v)
		}
	}
}

// The order in which equal facts come changes no path.
func TestPathsDoNotDependOnOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	held := []model.EntityKey{{Type: model.Host, Value: "ws1"}, {Type: model.User, Value: `corp\bob`}, {Type: model.User, Value: "arn:aws:iam::1:user/ci"}}
	strip := func(p []Way) (out []string) {
		for _, w := range p {
			out = append(out, fmt.Sprint(w.From, w.To, w.Kind, w.Count))
		}
		return out
	}
	want := strip(learnWays(estateActs()...).to(model.Host, "dc1", held...))
	for range 20 {
		acts := estateActs()
		r.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
		r.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		if got := strip(learnWays(acts...).to(model.Host, "dc1", held...)); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, then %v", want, got)
		}
	}
}

func TestWaysAreBounded(t *testing.T) {
	w := NewWays(New(Options{}))
	for i := range maxWays + 10 {
		w.Observe(wayAct(0, model.ActLogon, fmt.Sprintf("h%d", i), wayEnt(model.User, model.Target, "mallory")))
	}
	if len(w.of) != maxWays || w.Dropped() != 10 {
		t.Errorf("%d ways, %d dropped", len(w.of), w.Dropped())
	}
}
