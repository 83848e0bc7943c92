package graph

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"pgregory.net/rapid"
)

type feed struct {
	m  *Memory
	n  int
	t0 time.Time
}

func newFeed(o Options) *feed {
	return &feed{m: New(o), t0: time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)}
}

func (f *feed) at(s float64) time.Time { return f.t0.Add(time.Duration(s * float64(time.Second))) }

func (f *feed) see(s float64, act model.Act, host string, es ...model.Entity) string {
	f.n++
	id := fmt.Sprintf("e-%04d", f.n)
	f.m.Observe(&model.Observation{Event: id, Time: f.at(s), Act: act, Host: host, Entities: es})
	return id
}

func ent(t model.EntityType, r model.Role, v string) model.Entity {
	return model.Entity{Type: t, Role: r, Value: v}
}

func proc(r model.Role, v, name, alt string) model.Entity {
	return model.Entity{Type: model.Process, Role: r, Value: v, Name: name, Alt: alt}
}

func key(t model.EntityType, v string) model.EntityKey { return model.EntityKey{Type: t, Value: v} }

const h = "ws1.corp.example"

func TestOneProcessUnderTwoNames(t *testing.T) {
	f := newFeed(Options{})
	img := `c:\x\a.exe`
	// The system's own log names the number, the sensor the GUID; the first comes first.
	f.see(0, model.ActProcessStart, h, proc(model.Subject, h+":100", img, ""))
	f.see(.2, model.ActProcessStart, h, proc(model.Subject, "guid-1", img, h+":100"))
	f.see(50, model.ActProcessEnd, h, proc(model.Subject, "guid-1", img, h+":100"))
	f.see(60, model.ActProcessStart, h, proc(model.Subject, h+":100", `c:\x\b.exe`, ""))
	byPID := proc("", h+":100", "", "")
	if k := f.m.Resolve(byPID, h, f.at(10)); k.Value != "guid-1" {
		t.Errorf("at 10 s number 100 is %s", k)
	}
	if k := f.m.Resolve(proc("", "100", "", ""), h, f.at(10)); k.Value != "guid-1" {
		t.Errorf("a bare number is %s", k)
	}
	second := f.m.Resolve(byPID, h, f.at(70))
	if second.Value == "guid-1" || f.m.Name(second, f.at(70)) != `c:\x\b.exe` {
		t.Errorf("at 70 s number 100 is %s", second)
	}
}

func TestNamesOfHostsAndUsers(t *testing.T) {
	f := newFeed(Options{})
	sid := "S-1-5-21-1-2-3-1104"
	f.see(0, model.ActScript, h, model.Entity{Type: model.User, Role: model.Actor, Value: `corp\alice`, Alt: sid})
	f.see(1, model.ActAPICall, "", ent(model.User, model.Actor, "alice@corp.example"))
	f.see(2, model.ActScript, "a.one.example")
	f.see(3, model.ActScript, "a.two.example")
	want := key(model.User, `corp\alice`)
	for _, v := range []string{`CORP\Alice`, "alice@corp.example", "alice@corp.onmicrosoft.com", `corp.example\alice`, sid} {
		if k := f.m.Resolve(ent(model.User, "", v), "", f.at(5)); k != want {
			t.Errorf("%s is %s", v, k)
		}
	}
	if k := f.m.Resolve(ent(model.Host, "", "ws1"), "", f.at(5)); k.Value != h {
		t.Errorf("ws1 is %s", k)
	}
	if k := f.m.Resolve(ent(model.Host, "", "a"), "", f.at(5)); k.Value != "a" {
		t.Errorf("a could be two hosts, and is %s", k)
	}
	arn := "arn:aws:sts::1:assumed-role/r/alice@corp.example"
	if k := f.m.Resolve(ent(model.User, "", arn), "", f.at(5)); k.Value != arn {
		t.Errorf("an ARN became %s", k)
	}
}

func TestTreeEndsBelowWhatStartsEverything(t *testing.T) {
	f := newFeed(Options{})
	exp := proc(model.Parent, "explorer", `C:\Windows\explorer.exe`, "")
	f.see(0, model.ActProcessStart, h, proc(model.Subject, "evil", `c:\users\a\evil.exe`, ""), exp)
	f.see(1, model.ActProcessStart, h, proc(model.Subject, "cmd", `c:\windows\system32\cmd.exe`, ""), proc(model.Parent, "evil", "", ""))
	f.see(2, model.ActProcessStart, h, proc(model.Subject, "other", `c:\tools\editor.exe`, ""), exp)
	f.see(5, model.ActInject, h, proc(model.Actor, "cmd", "", ""), proc(model.Target, "svc", `c:\windows\system32\svchost.exe`, ""))
	f.see(6, model.ActProcessStart, h, proc(model.Subject, "child", `c:\windows\system32\net.exe`, ""), proc(model.Parent, "svc", "", ""))
	// A program that only calls itself explorer.exe is no place to stop.
	f.see(7, model.ActProcessStart, h, proc(model.Subject, "fake", `c:\users\a\temp\explorer.exe`, ""), proc(model.Parent, "evil", "", ""))
	f.see(8, model.ActProcessStart, h, proc(model.Subject, "fakechild", `c:\windows\system32\whoami.exe`, ""), proc(model.Parent, "fake", "", ""))
	for k, want := range map[string]string{"cmd": "evil", "other": "other", "svc": "evil", "child": "evil", "fakechild": "evil"} {
		if root, _, ok := f.m.Tree(key(model.Process, k), f.at(9)); !ok || root.Value != want {
			t.Errorf("tree of %s is %s, want %s", k, root.Value, want)
		}
	}
	if root, _, _ := f.m.Tree(key(model.Process, "svc"), f.at(1)); root.Value != "svc" {
		t.Errorf("before the injection the service belongs to %s", root.Value)
	}
}

// A browser saves a file, the user runs it, it injects, and the injected process
// reads what it wants: back from there is the download.
func TestBackToTheDownload(t *testing.T) {
	f := newFeed(Options{})
	edge := proc(model.Actor, "edge", `c:\program files\edge\msedge.exe`, "")
	dir := h + `:c:\users\a\downloads\`
	conn := f.see(0, model.ActConnect, h, edge, ent(model.IP, model.Src, "10.0.0.4"), ent(model.IP, model.Dst, "203.0.113.5"))
	save := f.see(2, model.ActFileWrite, h, edge, ent(model.File, model.Object, dir+"1f3c.tmp"))
	run := f.see(30, model.ActProcessStart, h, proc(model.Subject, "evil", `c:\users\a\downloads\evil.exe`, ""),
		proc(model.Parent, "explorer", `c:\windows\explorer.exe`, ""), ent(model.File, model.Object, dir+"evil.exe"))
	inject := f.see(40, model.ActInject, h, proc(model.Actor, "evil", "", ""), proc(model.Target, "svc", `c:\windows\system32\svchost.exe`, ""))
	f.see(41, model.ActProcessStart, h, proc(model.Subject, "unrelated", `c:\a.exe`, ""), proc(model.Parent, "explorer", "", ""))
	got := map[string]bool{}
	hops := f.m.Back([]model.EntityKey{key(model.Process, "svc")}, f.at(60), Limits{})
	for i, x := range hops {
		got[x.Event] = true
		if i > 0 && x.Time.Before(hops[i-1].Time) {
			t.Error("hops are out of order")
		}
	}
	for name, id := range map[string]string{"connection": conn, "write": save, "start": run, "injection": inject} {
		if !got[id] {
			t.Errorf("the %s was not found: %v", name, hops)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d acts explain it, want 4", len(got))
	}
	if hops := f.m.Back([]model.EntityKey{key(model.Process, "svc")}, f.at(35), Limits{}); len(hops) != 0 {
		t.Errorf("before the injection %v explained the service", hops)
	}
}

func TestForwardThroughChildrenAndCredentials(t *testing.T) {
	f := newFeed(Options{})
	f.see(0, model.ActProcessStart, h, proc(model.Subject, "evil", `c:\evil.exe`, ""))
	f.see(1, model.ActProcessStart, h, proc(model.Subject, "cmd", `c:\cmd.exe`, ""), proc(model.Parent, "evil", "", ""))
	f.see(2, model.ActConnect, h, proc(model.Actor, "cmd", "", ""), ent(model.IP, model.Dst, "203.0.113.5"))
	hops := f.m.Forward([]model.EntityKey{key(model.Process, "evil")}, f.at(0), Limits{})
	if len(hops) != 2 || hops[1].Act != model.ActConnect {
		t.Errorf("hops %v", hops)
	}
	f.see(10, model.ActAssumeRole, "", ent(model.AccessKey, model.Actor, "AKIA1"), ent(model.AccessKey, model.Target, "ASIA2"))
	f.see(11, model.ActObjectRead, "", ent(model.AccessKey, model.Actor, "ASIA2"), ent(model.Resource, model.Target, "bucket"))
	hops = f.m.Forward([]model.EntityKey{key(model.AccessKey, "AKIA1")}, f.at(0), Limits{})
	if len(hops) != 2 || hops[1].To.Value != "bucket" {
		t.Errorf("hops %v", hops)
	}
	b := f.m.Bridges(key(model.AccessKey, "ASIA2"), f.at(12))
	if len(b) == 0 || b[0].To.Value != "AKIA1" || b[0].Reason != model.SameRoleChain {
		t.Errorf("bridges %v", b)
	}
	if l := f.m.Lineage(key(model.AccessKey, "ASIA2"), f.at(12)); len(l) != 1 || l[0].To.Value != "AKIA1" {
		t.Errorf("lineage %v", l)
	}
}

// A program connects to another host, a session opens there from its address, and
// the remote shell starts something.
func TestRemoteExecutionLeadsToItsSource(t *testing.T) {
	f := newFeed(Options{})
	srv := "srv1.corp.example"
	for i := 0; i < 4; i++ {
		f.see(float64(i), model.ActConnect, h, proc(model.Actor, "a", `c:\windows\system32\svchost.exe`, ""), ent(model.IP, model.Src, "10.0.0.4"), ent(model.IP, model.Dst, "10.0.0.9"))
		f.see(float64(i), model.ActConnect, srv, proc(model.Actor, "b", `c:\windows\system32\svchost.exe`, ""), ent(model.IP, model.Src, "10.0.0.7"), ent(model.IP, model.Dst, "10.0.0.9"))
	}
	f.see(10, model.ActProcessStart, h, proc(model.Subject, "tool", `c:\tool.exe`, ""))
	f.see(11, model.ActConnect, h, proc(model.Actor, "tool", "", ""), ent(model.IP, model.Src, "10.0.0.4"), ent(model.IP, model.Dst, "10.0.0.7"))
	f.see(12, model.ActLogon, srv, ent(model.User, model.Target, `corp\bob`), ent(model.Session, model.Target, srv+":0x1"), ent(model.IP, model.Src, "10.0.0.4"))
	f.see(13, model.ActProcessStart, srv, proc(model.Subject, "wsm", `c:\windows\system32\wsmprovhost.exe`, ""), proc(model.Parent, "b", "", ""), ent(model.User, model.Actor, `corp\bob`))
	f.see(14, model.ActProcessStart, srv, proc(model.Subject, "payload", `c:\payload.exe`, ""), proc(model.Parent, "wsm", "", ""), ent(model.User, model.Actor, `corp\bob`))
	if o := f.m.Owner("10.0.0.7", time.Time{}); o != srv {
		t.Errorf("10.0.0.7 belongs to %q", o)
	}
	found := false
	for _, b := range f.m.Lineage(key(model.Process, "payload"), f.at(15)) {
		found = found || b.To.Value == "tool"
	}
	if !found {
		t.Errorf("behind the payload stand %v", f.m.Lineage(key(model.Process, "payload"), f.at(15)))
	}
	found = false
	for _, x := range f.m.Back([]model.EntityKey{key(model.Process, "payload")}, f.at(15), Limits{}) {
		found = found || x.From.Value == "tool"
	}
	if !found {
		t.Error("the walk back does not reach the source")
	}
}

func TestServiceProgram(t *testing.T) {
	f := newFeed(Options{})
	bin := ent(model.File, model.Object, h+`:c:\windows\temp\s.exe`)
	f.see(0, model.ActServiceInstall, h, proc(model.Actor, "installer", `c:\i.exe`, ""), ent(model.App, model.Object, h+":svc"), bin)
	f.see(5, model.ActProcessStart, h, proc(model.Subject, "s", `c:\windows\temp\s.exe`, ""), proc(model.Parent, "services", `c:\windows\system32\services.exe`, ""), bin)
	hops := f.m.Back([]model.EntityKey{key(model.Process, "s")}, f.at(6), Limits{})
	for _, x := range hops {
		if x.From.Value == "installer" {
			return
		}
	}
	t.Errorf("who made the service was not found: %v", hops)
}

func TestBounds(t *testing.T) {
	f := newFeed(Options{MaxNodes: 1000, MaxNodesPerHost: 600, MaxEdges: 2000, MaxEffects: 50})
	for i := 0; i < 20000; i++ {
		g := fmt.Sprintf("p-%d", i)
		f.see(float64(i), model.ActProcessStart, h, proc(model.Subject, g, `c:\a.exe`, fmt.Sprintf("%s:%d", h, i%5000)), proc(model.Parent, "root", `c:\r.exe`, ""))
		f.see(float64(i), model.ActFileWrite, h, proc(model.Actor, g, "", ""), ent(model.File, model.Object, fmt.Sprintf("%s:c:\\f%d.tmp", h, i)))
		if i%2 == 0 {
			f.see(float64(i), model.ActProcessEnd, h, proc(model.Subject, g, "", ""))
		}
	}
	s := f.m.Stats()
	if s.Nodes > 1000 || s.Edges > 2000 || s.EvictedNodes == 0 || s.DroppedEdges == 0 {
		t.Errorf("stats %+v", s)
	}
	if len(f.m.nodes) > 2000 || len(f.m.pids) > 1001 || len(f.m.drops) > 100 {
		t.Errorf("%d keys, %d numbers, %d folders", len(f.m.nodes), len(f.m.pids), len(f.m.drops))
	}
	edges := 0
	done := map[*node]bool{}
	for _, n := range f.m.nodes {
		if done[n] {
			continue
		}
		done[n] = true
		for _, e := range n.out {
			if e.to.gone {
				t.Fatal("an edge leads to a forgotten node")
			}
		}
		edges += len(n.out)
	}
	if edges != s.Edges {
		t.Errorf("%d edges held, %d counted", edges, s.Edges)
	}
	if f.m.Name(key(model.Process, "p-19999"), f.at(20000)) == "" {
		t.Error("the youngest process was forgotten")
	}
}

// Whatever is observed, memory neither panics nor answers twice differently, and
// walks keep within their limits and their time.
func TestAnyEvidence(t *testing.T) {
	types := []model.EntityType{model.Process, model.User, model.Host, model.File, model.IP, model.Session, model.AccessKey, model.App, model.Resource, model.IAMRole}
	roles := []model.Role{model.Subject, model.Actor, model.Parent, model.Src, model.Dst, model.Target, model.Object, model.Sensor}
	values := []string{"", "a", `a\b`, "a@b.c", "a.b.c", "a:1", "a:1", ":", "10.0.0.1", "::1", "g1", "g2", `h:c:\x.tmp`, `h:c:\y.exe`, "h", "h.corp"}
	rapid.Check(t, func(t *rapid.T) {
		build := func(obs []*model.Observation) *Memory {
			m := New(Options{MaxNodes: 30, MaxEdges: 40})
			for _, o := range obs {
				m.Observe(o)
			}
			return m
		}
		var obs []*model.Observation
		t0 := time.Unix(0, 0).UTC()
		for i := rapid.IntRange(0, 60).Draw(t, "n"); i > 0; i-- {
			o := &model.Observation{Event: fmt.Sprint(i), Time: t0.Add(time.Duration(rapid.IntRange(-100, 1000).Draw(t, "t")) * time.Second),
				Act: model.Act(rapid.IntRange(0, 40).Draw(t, "act")), Host: rapid.SampledFrom(values).Draw(t, "host")}
			for j := rapid.IntRange(0, 5).Draw(t, "k"); j > 0; j-- {
				o.Entities = append(o.Entities, model.Entity{Type: rapid.SampledFrom(types).Draw(t, "type"), Role: rapid.SampledFrom(roles).Draw(t, "role"),
					Value: rapid.SampledFrom(values).Draw(t, "v"), Name: rapid.SampledFrom([]string{"", `c:\windows\explorer.exe`, "x"}).Draw(t, "name"), Alt: rapid.SampledFrom([]string{"", "h:1", "S-1-5-21-1-2-3-4"}).Draw(t, "alt")})
			}
			obs = append(obs, o)
		}
		a, b := build(obs), build(obs)
		at := t0.Add(500 * time.Second)
		for _, ty := range types {
			for _, v := range values {
				k := a.Resolve(model.Entity{Type: ty, Value: v}, "h", at)
				if k != b.Resolve(model.Entity{Type: ty, Value: v}, "h", at) {
					t.Fatal("resolves differently")
				}
				back := a.Back([]model.EntityKey{k}, at, Limits{Hops: 7})
				if !reflect.DeepEqual(back, b.Back([]model.EntityKey{k}, at, Limits{Hops: 7})) || len(back) > 8 {
					t.Fatalf("walks differently: %v", back)
				}
				for _, x := range back {
					if x.Time.After(at.Add(slack)) && x.Act != model.ActConnect {
						t.Fatal("an act of the future explains the past")
					}
				}
				forward := a.Forward([]model.EntityKey{k}, at, Limits{Hops: 7})
				if !reflect.DeepEqual(forward, b.Forward([]model.EntityKey{k}, at, Limits{Hops: 7})) || len(forward) > 7 {
					t.Fatalf("walks differently: %v", forward)
				}
				a.Bridges(k, at)
				a.Lineage(k, at)
				a.Tree(k, at)
			}
		}
	})
}
