package fusion

import (
	"fmt"
	"time"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/model"
)

// A world builds evidence by hand: acts for memory and alerts about them.
type world struct {
	mem    *graph.Memory
	alerts []*model.Alert
	t0     time.Time
	n      int
}

func newWorld() *world {
	return &world{mem: graph.New(graph.Options{}), t0: time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)}
}

func (w *world) at(s float64) time.Time { return w.t0.Add(time.Duration(s * float64(time.Second))) }

func (w *world) event() string { w.n++; return fmt.Sprintf("e-%06d", w.n) }

func ent(t model.EntityType, r model.Role, v string) model.Entity {
	return model.Entity{Type: t, Role: r, Value: v}
}

func proc(r model.Role, guid, image string) model.Entity {
	return model.Entity{Type: model.Process, Role: r, Value: guid, Name: image}
}

func (w *world) observe(s float64, act model.Act, host string, es ...model.Entity) {
	w.mem.Observe(&model.Observation{Event: w.event(), Time: w.at(s), Act: act, Host: host, Entities: es})
}

// start starts a process; guids are unique per process.
func (w *world) start(s float64, host, guid, image, parent, parentImage, user string) {
	w.observe(s, model.ActProcessStart, host, proc(model.Subject, guid, image), proc(model.Parent, parent, parentImage), ent(model.User, model.Actor, user))
}

func (w *world) alert(s float64, rule string, lvl model.Severity, tactic, host string, es ...model.Entity) *model.Alert {
	w.n++
	a := &model.Alert{ID: model.AlertID(rule, fmt.Sprint(w.n)), Time: w.at(s), End: w.at(s), Count: 1, Rule: model.RuleInfo{ID: rule, Title: rule, Level: lvl},
		Severity: lvl, Host: host, Entities: es, Product: "test"}
	if tactic != "" {
		a.Tactics, a.Techniques = []string{tactic}, []string{"T0000"}
	}
	w.alerts = append(w.alerts, a)
	return a
}

const ws1 = "ws1.corp.example"

// background is a workstation at work: services and tools that mild rules fire on.
func (w *world) background(host string, trees int) {
	for i := 0; i < trees; i++ {
		s := float64(i) * 300 / float64(trees)
		g := fmt.Sprintf("%s-bg-%d", host, i)
		w.start(s, host, g, fmt.Sprintf(`c:\windows\system32\tool%d.exe`, i%7), host+"-svchost", `c:\windows\system32\svchost.exe`, `nt authority\system`)
		p := proc(model.Subject, g, "")
		w.alert(s+.1, fmt.Sprintf("noise-%d", i%5), model.Low, "discovery", host, ent(model.Host, model.Subject, host), p)
		if i%3 == 0 {
			w.alert(s+.2, fmt.Sprintf("medium-%d", i%4), model.Medium, "stealth", host, ent(model.Host, model.Subject, host), p)
		}
	}
}

// attack is a program that a user starts and what it does, in two trees joined by
// an injection.
func (w *world) attack(host string, s float64) []*model.Alert {
	return w.attackOn(host, `corp\alice`, s)
}

func (w *world) attackOn(host, user string, s float64) []*model.Alert {
	h := ent(model.Host, model.Subject, host)
	u := ent(model.User, model.Actor, user)
	w.start(s, host, host+"-evil", `c:\users\alice\downloads\evil.exe`, host+"-explorer", `c:\windows\explorer.exe`, user)
	w.start(s+20, host, host+"-cmd", `c:\windows\system32\cmd.exe`, host+"-evil", `c:\users\alice\downloads\evil.exe`, user)
	w.start(s+40, host, host+"-whoami", `c:\windows\system32\whoami.exe`, host+"-cmd", `c:\windows\system32\cmd.exe`, user)
	w.observe(s+60, model.ActInject, host, proc(model.Actor, host+"-evil", ""), proc(model.Target, host+"-svchost-1400", `c:\windows\system32\svchost.exe`))
	return []*model.Alert{
		w.alert(s, "run-from-downloads", model.Medium, "execution", host, h, u, proc(model.Subject, host+"-evil", "")),
		w.alert(s+20, "shell-of-odd-parent", model.Medium, "execution", host, h, u, proc(model.Subject, host+"-cmd", "")),
		w.alert(s+40, "whoami", model.Low, "discovery", host, h, u, proc(model.Subject, host+"-whoami", "")),
		w.alert(s+60, "remote-thread", model.High, "stealth", host, h, proc(model.Actor, host+"-evil", "")),
		w.alert(s+120, "lsass-read", model.High, "credential-access", host, h, proc(model.Actor, host+"-svchost-1400", ""), proc(model.Target, host+"-lsass", `c:\windows\system32\lsass.exe`)),
	}
}
