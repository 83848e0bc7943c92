package story

import (
	"fmt"
	"slices"
	"strings"
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

// An attacker who fans out from a server came to it from a workstation: one rule's
// alerts on many machines are one thing he did, and the address that the server was
// reached from leads to where his program ran first.
func TestRootIsNotTheServerOfTheFanOut(t *testing.T) {
	w := &tale{}
	carla, admin := ent(model.User, model.Actor, `corp\carla`), ent(model.User, model.Actor, `corp\admin`)
	desk := ent(model.IP, model.Subject, "10.0.0.5")
	w.see(0, model.ActConnect, ws, "198.51.100.7:443", proc(model.Actor, "edge", `C:\Edge\msedge.exe`), carla, ent(model.IP, model.Src, "10.0.0.5"), desk, ent(model.IP, model.Dst, "198.51.100.7"))
	ran := w.alert(w.see(100, model.ActNone, ws, "", carla, proc(model.Actor, ws+":77", ""), ent(model.File, model.Object, ws+`:c:\users\carla\offer.exe`)),
		"Program run from a download folder", model.High, "attack.execution", "attack.t1204.002")
	core := []*model.Alert{ran}
	hop := w.alert(w.see(900, model.ActNone, "srv", "", admin, ent(model.IP, model.Src, "10.0.0.5")), "Service installed from another machine", model.High, "attack.lateral-movement", "attack.t1021.002")
	core = append(core, hop)
	for i, title := range []string{"Memory of LSASS read", "Shadow copies deleted", "Protection switched off", "Log cleared", "Share listed", "Archive made"} {
		core = append(core, w.alert(w.see(1000+float64(i), model.ActNone, "srv", "", admin), title, model.Critical, "attack.impact", "attack.t1486"))
	}
	for i := range 20 {
		core = append(core, w.alert(w.see(2000+float64(i), model.ActNone, fmt.Sprintf("pc%d", i), "", admin), "Files encrypted", model.Critical, "attack.impact", "attack.t1486"))
	}
	root := w.tell(core...).Root
	if root.Alert != ran.ID || root.Host != ws || root.User != `corp\carla` || !strings.HasSuffix(root.Process, `\offer.exe`) || root.Entity != "process:"+ws+":77" {
		t.Errorf("root %+v", root)
	}
	if root.Alert == ran.ID && !strings.Contains(root.Why, "go back to it") {
		t.Errorf("why: %s", root.Why)
	}

	// Without the address nothing leads there, and the server stays.
	core[1] = w.alert(w.see(900, model.ActNone, "srv", "", admin), "Service installed from another machine", model.High, "attack.lateral-movement", "attack.t1021.002")
	if root := w.tell(core...).Root; root.Alert != core[1].ID || root.Entity != `user:corp\admin` || root.User != `corp\admin` {
		t.Errorf("without an address: %+v", root)
	}

	// The digest of the program leads there as well, but not that of a part of the system.
	for file, want := range map[string]string{`c:\windows\svc1.exe`: ran.ID, `c:\windows\system32\cmd.exe`: core[1].ID} {
		for i, a := range []*model.Alert{ran, core[1]} {
			place := ws + `:c:\users\carla\offer.exe`
			if i == 1 {
				place = "srv:" + file
			}
			a.Entities = append(slices.DeleteFunc(slices.Clone(a.Entities), func(e model.Entity) bool { return e.Type == model.File || e.Type == model.Hash }),
				ent(model.File, model.Object, place), ent(model.Hash, model.Indicator, "aa"))
		}
		if root := w.tell(core...).Root; root.Alert != want {
			t.Errorf("with the same digest of %s: %+v", file, root)
		}
	}
}

// A message that brought the attack has no machine: the root is what first ran where
// it was read, and the message is told as how it came.
func TestRootAfterAMessage(t *testing.T) {
	w := &tale{}
	carla := ent(model.User, model.Actor, `corp\carla`)
	mail := w.alert(w.see(0, model.ActNone, "", "", carla, ent(model.URL, model.Indicator, "https://x.example/")), "Message with a harmful link", model.High, "attack.initial-access", "attack.t1566.002")
	core := []*model.Alert{mail}
	for i, title := range []string{"Program run from a download folder", "Memory of LSASS read", "Control of accounts passed by"} {
		core = append(core, w.alert(w.see(100*float64(i+1), model.ActNone, ws, "", carla, proc(model.Actor, ws+":77", ""), ent(model.File, model.Object, ws+`:c:\users\carla\offer.exe`)),
			title, model.High, "attack.execution", "attack.t1204.002"))
	}
	root := w.tell(core...).Root
	if root.Alert != core[1].ID || root.Host != ws || root.User != `corp\carla` || root.Entity != "process:"+ws+":77" || !strings.Contains(root.Why, "before it, Message with a harmful link") {
		t.Errorf("root %+v", root)
	}
}

// Of the accounts that passwords were tried on the root names, as thing and as
// person, the one that fell.
func TestRootAgrees(t *testing.T) {
	w := &tale{}
	target := func(name string) model.Entity { return ent(model.User, model.Target, `corp\`+name) }
	core := []*model.Alert{w.alert(w.see(0, model.ActLogonFailed, "", "", ent(model.IP, model.Src, "203.0.113.9"), target("leo"), target("ines")), "Passwords sprayed", model.High, "attack.credential-access", "attack.t1110.003")}
	for i, title := range []string{"Account taken over", "Consent", "Mailbox read", "Rule made"} {
		core = append(core, w.alert(w.see(1000+float64(i), model.ActMailAccess, "", "", ent(model.User, model.Actor, `corp\ines`), ent(model.IP, model.Src, "203.0.113.9")), title, model.Critical, "attack.collection", "attack.t1114.002"))
	}
	root := w.tell(core...).Root
	if root.Alert != core[0].ID && root.Alert != core[1].ID || root.Entity != `user:corp\ines` || root.User != `corp\ines` {
		t.Errorf("root %+v", root)
	}
}

// Where nobody is known to have the address that a server was reached from, what a sensor
// on the wire saw come to that address leads on, although it told of the first machine's
// traffic before anybody told of what ran there.
func TestRootOverAnAddressThatIsNobodys(t *testing.T) {
	w := &tale{}
	carla, admin := ent(model.User, model.Actor, `corp\carla`), ent(model.User, model.Actor, `corp\admin`)
	desk := ent(model.IP, model.Subject, "10.0.0.5")
	w.see(0, model.ActConnect, ws, "198.51.100.7:443", proc(model.Actor, "edge", `C:\Edge\msedge.exe`), carla, ent(model.IP, model.Src, "10.0.0.5"), desk, ent(model.IP, model.Dst, "198.51.100.7"))
	core := []*model.Alert{
		w.alert(w.see(90, model.ActNone, "", "", ent(model.IP, model.Src, "10.0.0.5"), ent(model.IP, model.Dst, "203.0.113.9")), "Beacon", model.Medium, "attack.command-and-control", "attack.t1071.001"),
		w.alert(w.see(100, model.ActNone, ws, "", carla, proc(model.Actor, ws+":77", ""), ent(model.File, model.Object, ws+`:c:\users\carla\offer.exe`)), "Program run from a download folder", model.High, "attack.execution", "attack.t1204.002"),
		w.alert(w.see(900, model.ActNone, "", "", ent(model.IP, model.Src, "10.0.0.5"), ent(model.IP, model.Dst, "10.0.0.9")), "Program sent to a share", model.Medium, "attack.lateral-movement", "attack.t1021.002"),
		w.alert(w.see(1000, model.ActNone, "dc", "", admin, ent(model.IP, model.Src, "10.0.0.9")), "Remote shell", model.High, "attack.lateral-movement", "attack.t1021.006"),
	}
	for i, title := range []string{"Secrets of the directory read", "Shadow copies deleted", "Protection switched off", "Log cleared", "Archive made"} {
		core = append(core, w.alert(w.see(2000+float64(i), model.ActNone, "dc", "", admin), title, model.Critical, "attack.impact", "attack.t1486"))
	}
	if root := w.tell(core...).Root; root.Alert != core[1].ID || root.Host != ws {
		t.Errorf("root %+v", root)
	}
	core = slices.Delete(core, 2, 3) // nothing leads from the one address to the other
	if root := w.tell(core...).Root; root.Host != "dc" {
		t.Errorf("root %+v", root)
	}
}
