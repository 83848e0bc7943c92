package graph

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const (
	testAgent    = "1a2b3c4d5e6f70819a2b3c4d5e6f7081"
	testInstance = "i-0a1b2c3d4e5f60718"
	testVM       = "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/shop/providers/microsoft.compute/virtualmachines/web01"
)

func hostAs(name string, ids string) model.Entity {
	return model.Entity{Type: model.Host, Value: name, Role: model.Subject, Alt: ids}
}

// resolved is what an entity is called at a time after the beginning.
func resolved(m *Memory, t model.EntityType, value string, after time.Duration) string {
	return m.Resolve(model.Entity{Type: t, Value: value}, "", realmAt.Add(after)).String()
}

// An id that a record states beside a name leads to it, whichever of a machine's ids
// it is and before as after the record.
func TestAnIDLeadsToItsHost(t *testing.T) {
	for _, c := range []struct {
		name, stated string
		typ          model.EntityType
		asked        string
	}{
		{"an agent", testAgent, model.Host, testAgent},
		{"an agent in capitals", "1A2B3C4D-5E6F-7081-9A2B-3C4D5E6F7081", model.Host, "1a2b3c4d-5e6f-7081-9a2b-3c4d5e6f7081"},
		{"an instance", testInstance, model.Resource, testInstance},
		{"an instance by its ARN", testInstance, model.Resource, "arn:aws:ec2:eu-west-1:111122223333:instance/" + testInstance},
		{"a virtual machine", testVM, model.Resource, testVM + "/extensions/agent"},
		{"a member of a scale set", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/set/virtualMachines/3", model.Resource,
			"/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachinescalesets/set/virtualmachines/3"},
		{"a virtual machine's number", "9f1c2b3a-0000-4abc-9def-0123456789ab", model.Resource, "9f1c2b3a-0000-4abc-9def-0123456789ab"},
		{"an instance of Google's", "//compute.googleapis.com/projects/p/zones/z/instances/web", model.Resource, "projects/p/zones/z/instances/web"},
		{"one of several", testAgent + " " + testInstance, model.Resource, testInstance},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(Options{})
			said(m, time.Hour, model.ActProcessStart, "ws1", hostAs("ws1", c.stated))
			said(m, 2*time.Hour, model.ActProcessStart, "ws1.corp.example", hostAs("ws1.corp.example", ""))
			for _, after := range []time.Duration{0, time.Hour, 100 * time.Hour} {
				if got := resolved(m, c.typ, c.asked, after); got != "host:ws1.corp.example" {
					t.Errorf("after %s it is %s", after, got)
				}
			}
		})
	}
}

// What is said against an id: two names at a time, too many, a name that a template
// gave to many machines. A rename is none.
func TestAnIDThatContradictsItselfLeadsNowhere(t *testing.T) {
	state := func(m *Memory, after time.Duration, name, id string) {
		said(m, after, model.ActProcessStart, name, hostAs(name, id))
	}
	t.Run("a clone", func(t *testing.T) {
		m := New(Options{})
		for i := range 6 {
			state(m, time.Duration(i)*time.Minute, fmt.Sprint("ws", i%2), testAgent)
		}
		if got := resolved(m, model.Host, testAgent, 3*time.Minute); got != "host:"+testAgent {
			t.Errorf("the agent of two machines is %s", got)
		}
	})
	t.Run("a rename", func(t *testing.T) {
		m := New(Options{})
		state(m, 0, "win-template", testAgent)
		state(m, time.Hour, "win-template", testAgent)
		state(m, 2*time.Hour, "ws7", testAgent)
		if a, b := resolved(m, model.Host, testAgent, time.Minute), resolved(m, model.Host, testAgent, 3*time.Hour); a != "host:win-template" || b != "host:ws7" {
			t.Errorf("it was %s and is %s", a, b)
		}
		if got := resolved(m, model.Host, "win-template", 3*time.Hour); got != "host:win-template" {
			t.Errorf("a name became another: %s", got)
		}
	})
	t.Run("many names in turn", func(t *testing.T) {
		m := New(Options{})
		for i := range maxClaims + 1 {
			state(m, time.Duration(i)*time.Hour, fmt.Sprint("ws", i), testAgent)
		}
		if got := resolved(m, model.Host, testAgent, 0); got != "host:"+testAgent {
			t.Errorf("the agent of many machines is %s", got)
		}
	})
	t.Run("a template's name", func(t *testing.T) {
		m := New(Options{})
		for i := range maxIDs + 8 {
			state(m, time.Duration(i)*time.Minute, "golden", fmt.Sprintf("%032x", 0x1234567890abcdef+i))
		}
		id := fmt.Sprintf("%032x", 0x1234567890abcdef)
		if got := resolved(m, model.Host, id, time.Hour); got != "host:"+id {
			t.Errorf("one of many machines of a name is %s", got)
		}
	})
	t.Run("the order of the records does not matter", func(t *testing.T) {
		m := New(Options{})
		m.names.ids.claim(testAgent, "b", realmAt.Add(time.Hour))
		m.names.ids.claim(testAgent, "a", realmAt.Add(2*time.Hour))
		m.names.ids.claim(testAgent, "a", realmAt)
		if got := m.names.machine(testAgent, realmAt); got != "" {
			t.Errorf("between two claims of one came another, and it is %q", got)
		}
	})
}

// Values that any machine may have are neither ids nor names, and no id can take the
// name of a machine away.
func TestDefaultsBridgeNothing(t *testing.T) {
	for _, id := range []string{"", "-", "localhost", "ws1", "web-server-01", "0.0.0.0", "10.0.0.1", "00000000-0000-0000-0000-000000000000", "ffffffffffffffffffffffffffffffff",
		"03000200-0400-0500-0006-000700080009", "0123456789abcdef", "unknown", "i-", "i-12", "001", "none", "mail.corp.example"} {
		if opaque(id) {
			t.Errorf("%q identifies a machine", id)
		}
	}
	m := New(Options{})
	for _, name := range []string{"localhost", "localhost.localdomain", "unknown", "-", "(none)"} {
		said(m, 0, model.ActProcessStart, name, hostAs(name, testAgent))
		if got := resolved(m, model.Host, testAgent, 0); got != "host:"+testAgent {
			t.Errorf("an agent on %q is %s", name, got)
		}
	}
	said(m, 0, model.ActProcessStart, "evil", hostAs("evil", "dc01 dc01.corp.example 10.0.0.1"))
	if got := resolved(m, model.Host, "dc01", 0); got != "host:dc01" {
		t.Errorf("a record made dc01 %s", got)
	}
	said(m, 0, model.ActProcessStart, "localhost.localdomain", hostAs("localhost.localdomain", ""))
	if got := resolved(m, model.Host, "localhost", 0); got != "host:localhost" {
		t.Errorf("localhost is %s", got)
	}
}

// A short name that two domains have is the one whose id stands beside it.
func TestAnIDTellsShortNamesApart(t *testing.T) {
	m := New(Options{})
	said(m, 0, model.ActProcessStart, "ws1.a.example", hostAs("ws1.a.example", testAgent))
	said(m, 0, model.ActProcessStart, "ws1.b.example", hostAs("ws1.b.example", ""))
	if got := m.Resolve(hostAs("ws1", testAgent), "", realmAt); got.Value != "ws1.a.example" {
		t.Errorf("with its id it is %s", got)
	}
	if got := m.Resolve(hostAs("ws1", ""), "", realmAt); got.Value != "ws1" {
		t.Errorf("without it is %s", got)
	}
}

// An address of EC2 is a machine's from when it is given until it is taken, under
// whichever id the cloud speaks of it.
func TestCloudAddressesEnd(t *testing.T) {
	const ip, alloc, assoc, eni, other = "198.51.100.7", "eipalloc-0a1b2c3d", "eipassoc-0a1b2c3d", "eni-0a1b2c3d", "i-0a1b2c3d"
	m := New(Options{})
	call := func(after time.Duration, value, alt string) {
		said(m, after, model.ActAPICall, "", model.Entity{Type: model.Resource, Value: value, Role: model.Target, Alt: alt})
	}
	said(m, 0, model.ActIdentify, "web01", hostAs("web01", testInstance))
	said(m, 0, model.ActIdentify, "web02", hostAs("web02", other))
	call(0, testInstance, "10.0.0.5 "+eni)
	call(0, alloc, ip)
	call(1*time.Hour, testInstance, alloc+" "+assoc)
	call(3*time.Hour, assoc, model.Ended)
	call(5*time.Hour, eni, alloc)
	call(7*time.Hour, testInstance, model.Ended)
	call(9*time.Hour, other, "10.0.0.5")
	call(11*time.Hour, other, model.Ended)
	for _, c := range []struct {
		ip    string
		after time.Duration
		want  string
	}{
		{ip, 30 * time.Minute, ""}, {ip, 2 * time.Hour, "web01"}, {ip, 4 * time.Hour, ""}, {ip, 6 * time.Hour, "web01"},
		{"10.0.0.5", time.Hour, "web01"}, {"10.0.0.5", 8 * time.Hour, ""}, {"10.0.0.5", 10 * time.Hour, "web02"}, {"10.0.0.5", 300 * 24 * time.Hour, ""},
	} {
		if got := m.Owner(c.ip, realmAt.Add(c.after)); got != c.want {
			t.Errorf("after %s %s is of %q, want %q", c.after, c.ip, got, c.want)
		}
	}
}

// An address that speaks for many machines is none's.
func TestAGatewayIsNoHost(t *testing.T) {
	own := model.Entity{Type: model.IP, Value: "198.51.100.1", Role: model.Subject}
	for name, hosts := range map[string][]string{"by turns": {"ws1", "ws2", "ws1"}, "many": {"ws1", "ws2", "ws3", "ws4"}} {
		m := New(Options{})
		for i, h := range hosts {
			said(m, time.Duration(i)*10*time.Minute, model.ActProcessStart, h, hostAs(h, ""), own)
		}
		if got := m.Owner(own.Value, realmAt.Add(25*time.Minute)); got != "" {
			t.Errorf("%s: the gateway is %q", name, got)
		}
	}
	m := New(Options{})
	said(m, 0, model.ActProcessStart, "ws1", hostAs("ws1", ""), hostAs("ws2", ""), own)
	if got := m.Owner(own.Value, realmAt); got != "" {
		t.Errorf("of two hosts the address is %q's", got)
	}
}

// The names of one user in several realms, and what does not make two users one.
func TestAUserOfSeveralRealms(t *testing.T) {
	const sid, oid, upn = "S-1-5-21-1-2-3-1105", "9f1c2b3a-1111-4abc-9def-0123456789ab", "bob.smith@contoso.example"
	user := func(value, alt string) model.Entity {
		return model.Entity{Type: model.User, Value: value, Role: model.Actor, Alt: alt}
	}
	m := New(Options{})
	said(m, 0, model.ActProcessStart, "ws1", user(`corp\bsmith`, sid))
	said(m, 0, model.ActProcessStart, "ws1", user(upn, oid))
	said(m, 0, model.ActProcessStart, "ws1", user(`corp\bsmith`, sid+" "+upn))
	for _, name := range []string{sid, oid, upn, `CORP\bsmith`} {
		if got := resolved(m, model.User, name, 0); got != `user:corp\bsmith` {
			t.Errorf("%s is %s", name, got)
		}
	}
	said(m, 0, model.ActProcessStart, "ws1", user(`corp\eve`, upn)) // two accounts of one principal name
	if got := resolved(m, model.User, upn, 0); got != `user:contoso\bob.smith` {
		t.Errorf("the name of two users is %s", got)
	}
	said(m, 0, model.ActProcessStart, "ws1", user(`ws1\system`, "shared@contoso.example"), user("root", "root@contoso.example"))
	for _, name := range []string{"shared", "root"} {
		if got := resolved(m, model.User, name+"@contoso.example", 0); got != `user:contoso\`+name {
			t.Errorf("%s is %s, which every machine has", name, got)
		}
	}
	for i := range 2 * maxAliases {
		said(m, 0, model.ActProcessStart, "ws1", user(`corp\admin`, fmt.Sprintf("u%d@contoso.example", i)))
	}
	if got := resolved(m, model.User, fmt.Sprintf("u%d@contoso.example", 2*maxAliases-1), 0); got == `user:corp\admin` {
		t.Error("one user has names without end")
	}
	const arn = "arn:aws:iam::111122223333:user/bob"
	said(m, 0, model.ActAPICall, "", user(arn, "AIDAEXAMPLEEXAMPLE123"))
	if got := resolved(m, model.User, "AIDAEXAMPLEEXAMPLE123", 0); got != "user:"+arn {
		t.Errorf("IAM's own id is %s", got)
	}
}

// A container is in a pod and a pod on a node, at a time; an alert that names only the
// one is told the others.
func TestAnAlertIsLocated(t *testing.T) {
	const container = "0123456789ab"
	at := func(typ model.EntityType, v string) model.Entity {
		return model.Entity{Type: typ, Value: v, Role: model.Subject}
	}
	m := New(Options{})
	said(m, 0, model.ActProcessStart, "node1", at(model.Host, "node1"), at(model.Pod, "shop/web-0"), at(model.Container, container))
	said(m, 2*time.Hour, model.ActIdentify, "", at(model.Host, "node2"), at(model.Pod, "shop/web-0"))
	locate := func(after time.Duration, es ...model.Entity) *model.Alert {
		a := &model.Alert{ID: "a-1", Time: realmAt.Add(after), Entities: es}
		m.Locate(a)
		return a
	}
	for _, c := range []struct {
		after time.Duration
		node  string
	}{{time.Hour, "node1"}, {3 * time.Hour, "node2"}} {
		a := locate(c.after, at(model.Container, container))
		if pod, _ := a.Find(model.Pod, model.Subject); pod.Value != "shop/web-0" {
			t.Errorf("the container's pod is %q", pod.Value)
		}
		if h, _ := a.Find(model.Host, model.Subject); h.Value != c.node {
			t.Errorf("after %s it is on %q, want %s", c.after, h.Value, c.node)
		}
	}
	if a := locate(0, at(model.Host, "else"), at(model.Pod, "shop/web-0")); len(a.Entities) != 2 {
		t.Errorf("an alert that names its host was told %v", a.Entities)
	}
	if a := locate(0, at(model.Pod, "shop/other")); len(a.Entities) != 1 {
		t.Errorf("an unknown pod is at %v", a.Entities)
	}
	said(m, 150*time.Minute, model.ActIdentify, "", at(model.Host, "node1"), at(model.Pod, "shop/web-0")) // of two clusters, by their names
	if a := locate(time.Hour, at(model.Pod, "shop/web-0")); len(a.Entities) != 1 {
		t.Errorf("a pod on two nodes at a time is at %v", a.Entities)
	}
	said(m, 0, model.ActIdentify, "web01", hostAs("web01", testInstance))
	if h, _ := locate(time.Hour, at(model.Resource, testInstance)).Find(model.Host, model.Subject); h.Value != "web01" {
		t.Errorf("the instance is %q", h.Value)
	}
}

// Alerts say names before the first act, and acts are kept under them.
func TestAlertsIntroduceNames(t *testing.T) {
	m := New(Options{})
	m.Introduce([]*model.Alert{{ID: "a-1", Time: realmAt, Host: "ws1.corp.example", Entities: []model.Entity{hostAs("ws1.corp.example", testAgent)}}})
	said(m, 0, model.ActProcessStart, "ws1", hostAs("ws1", ""))
	for _, name := range []string{"ws1", testAgent, "ws1.corp.example"} {
		if got := resolved(m, model.Host, name, 0); got != "host:ws1.corp.example" {
			t.Errorf("%s is %s", name, got)
		}
	}
	if m.Kinds(model.Host) != 1 {
		t.Errorf("%d hosts are kept", m.Kinds(model.Host))
	}
}

// However much is claimed, the tables end.
func TestBridgesAreBounded(t *testing.T) {
	d := newIdentifiers(maxIDs)
	for i := range maxNames + 1000 {
		d.claim(fmt.Sprintf("%032x", i), fmt.Sprint("h", i%(maxNames/8)), realmAt)
	}
	if len(d.of) != maxNames {
		t.Errorf("%d ids are kept, the bound is %d", len(d.of), maxNames)
	}
	a := newAccounts()
	for i := range maxNames + 1000 {
		a.same(fmt.Sprintf("u%d@corp.example", i), fmt.Sprintf(`corp\u%d`, i/maxAliases))
	}
	if len(a.to) != maxNames {
		t.Errorf("%d accounts are kept, the bound is %d", len(a.to), maxNames)
	}
	n := newNames()
	for i := range maxHeld * 4 {
		n.learnMachine(&model.Entity{Type: model.Resource, Value: testInstance, Alt: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)}, realmAt)
	}
	if len(n.held[testInstance]) != maxHeld {
		t.Errorf("%d addresses of one machine are kept", len(n.held[testInstance]))
	}
	n.learnMachine(&model.Entity{Type: model.Host, Value: "ws1", Alt: fmt.Sprintf("%01000000d", 1)}, realmAt)
	if len(n.ids.of) != 0 {
		t.Error("an id without end is kept")
	}
}

// BenchmarkIdentify measures what a bridge from an id to a name costs: bytes/op is the
// room it takes, the texts included.
func BenchmarkIdentify(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := newIdentifiers(maxIDs)
	n := 0
	for b.Loop() {
		if n < maxNames {
			d.claim(fmt.Sprintf("%032x", n), fmt.Sprint("host", n), realmAt)
			n++
		}
		d.nameOf("00000000000000000000000000000001", realmAt, same)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/bridge")
	runtime.KeepAlive(d)
}

func FuzzIdentify(f *testing.F) {
	f.Add("ws1", testAgent+" "+testInstance, int64(0))
	f.Add("ws1.corp.example", testVM, int64(3600))
	f.Add("i-0a1b2c3d", "10.0.0.5 eni-0a1b2c3d eipassoc-0a1b2c3d -", int64(-5))
	f.Add("projects/p/zones/z/instances/9", "1234567890123456789", int64(1)<<40)
	f.Add(`corp\bob`, "S-1-5-21-1-2-3-4 bob@corp.example", int64(7))
	f.Fuzz(func(t *testing.T, value, alt string, sec int64) {
		m := New(Options{})
		for i, typ := range []model.EntityType{model.Host, model.Resource, model.User, model.IP, model.Pod} {
			e := model.Entity{Type: typ, Value: value, Role: model.Subject, Alt: alt}
			m.Observe(&model.Observation{Event: "e", Time: time.Unix(sec%(1<<33)+int64(i), 0).UTC(), Act: model.ActIdentify, Host: value, Entities: []model.Entity{e}})
			k := m.Resolve(e, "", realmAt)
			if again := m.Resolve(e, "", realmAt); again != k {
				t.Fatalf("%v, and then %v", k, again)
			}
		}
		for _, id := range stated(&model.Entity{Alt: alt}) {
			m.Owner(id, realmAt)
			if name := m.names.machine(id, realmAt); generic(name) && name != "" {
				t.Fatalf("%q leads to %q", id, name)
			}
		}
	})
}
