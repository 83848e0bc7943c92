package story

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A shell that the owner of a stolen account opened at work is not where the theft
// began, and what his browser did in that session is not the thief's.
func TestRootIsNotTheOwnersShell(t *testing.T) {
	w := &tale{}
	carla, cloud := ent(model.User, model.Actor, `corp\carla`), ent(model.User, model.Actor, `corp\carla`)
	thief := ent(model.IP, model.Src, "203.0.113.9")
	session := ent(model.Session, model.Actor, ws+":0x77")
	cmd, edge := `C:\Windows\System32\cmd.exe`, `C:\Program Files\Edge\msedge.exe`
	in := w.alert(w.see(0, model.ActLogon, "", "", ent(model.User, model.Target, `corp\carla`), thief), "Account taken over", model.High, "attack.initial-access", "attack.t1110")
	grant := w.alert(w.see(1000, model.ActConfigChange, "", "Consent", cloud, thief, ent(model.App, model.Target, "archive")), "Rights granted to an application", model.High, "attack.persistence", "attack.t1098.003")
	mail := w.alert(w.see(2000, model.ActMailAccess, "", "MailItemsAccessed", cloud, thief, ent(model.Mailbox, model.Target, "carla@corp.example")), "Mailbox read", model.High, "attack.collection", "attack.t1114.002")
	w.see(3000, model.ActConnect, ws, "198.51.100.7:443", proc(model.Actor, "edge", edge), session, carla, ent(model.IP, model.Src, "10.0.0.5"), ent(model.IP, model.Dst, "198.51.100.7"))
	w.see(4000, model.ActProcessStart, ws, "cmd", proc(model.Subject, "cmd", cmd), proc(model.Parent, "explorer", `C:\Windows\explorer.exe`), carla, session)
	who := w.alert(w.see(4030, model.ActProcessStart, ws, "whoami", proc(model.Subject, "who", `C:\Windows\System32\whoami.exe`), proc(model.Parent, "cmd", cmd), carla, session),
		"Account discovery", model.Low, "attack.discovery", "attack.t1033")
	w.see(5000, model.ActConnect, ws, "198.51.100.8:443", proc(model.Actor, "edge", edge), session, carla, ent(model.IP, model.Src, "10.0.0.5"), ent(model.IP, model.Dst, "198.51.100.8"))
	told := w.tell(in, grant, mail, who)
	if told.Root.Alert != in.ID || told.Root.Process != "" || told.Root.User != `corp\carla` {
		t.Errorf("root %+v", told.Root)
	}
	for _, s := range told.Steps {
		if s.To == "198.51.100.7" || s.To == "198.51.100.8" {
			t.Errorf("the owner's browsing is told: %s", s.Summary)
		}
	}
	check(t, w, told)
}
