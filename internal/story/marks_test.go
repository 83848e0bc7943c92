package story

import (
	"fmt"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// What a rule took for an attack days before one, on the same machine and by the same
// person but by other programs, is not where the attack began; a guess from the same
// address, days before too, is.
func TestRootIsNotAStraySignBefore(t *testing.T) {
	const day = 86400
	carla := ent(model.User, model.Actor, `corp\carla`)
	own := func(pid int, image, digest string) []model.Entity {
		return []model.Entity{carla, proc(model.Actor, fmt.Sprintf("%s:%d", ws, pid), ""), ent(model.File, model.Object, ws+":"+image), ent(model.Hash, model.Indicator, digest)}
	}
	// attack is four alerts by one program, the second of an address it calls.
	attack := func(w *tale, at float64) []*model.Alert {
		var core []*model.Alert
		for i, title := range []string{"Program run from a download folder", "Repeated connections", "Memory of LSASS read", "Control of accounts passed by"} {
			es := own(100+i, `c:\users\carla\offer.exe`, "aa")
			if i == 1 {
				es = append(es, ent(model.IP, model.Src, "203.0.113.9"))
			}
			core = append(core, w.alert(w.see(at+600*float64(i), model.ActNone, ws, "", es...), title, model.High, "attack.execution", "attack.t1204.002"))
		}
		return core
	}
	for _, c := range []struct {
		name  string
		stray []model.Entity
		first bool // whether the earlier sign is the root
	}{
		{"another program", own(7, `c:\program files\planner\planner.exe`, "bb"), false},
		{"a program of the system", own(7, `c:\windows\system32\windowspowershell\v1.0\powershell.exe`, "cc"), false},
		{"the same program", own(7, `c:\users\carla\offer.exe`, "aa"), true},
		{"the same address", append(own(7, `c:\program files\planner\planner.exe`, "bb"), ent(model.IP, model.Src, "203.0.113.9")), true},
	} {
		w := &tale{}
		stray := w.alert(w.see(0, model.ActNone, ws, "", c.stray...), "Anomaly in a key that starts programs", model.Low, "attack.persistence", "attack.t1547.001")
		core := attack(w, 2*day)
		want := core[0].ID
		if c.first {
			want = stray.ID
		}
		in := w.tell(append(core, stray)...)
		if in.Root.Alert != want {
			t.Errorf("%s: root %+v, want %s", c.name, in.Root, want)
		}
		if text := said(in); strings.Contains(text, "Earlier, and perhaps no part of it: 2024-03-04 09:00:00Z") == c.first {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}

// A machine that scans all others every night starts nothing: what it did shares
// nothing with the attack that came a day later, which is not late for that.
func TestRootIsNotTheScannerOfTheNight(t *testing.T) {
	w := &tale{}
	scan := w.alert(w.see(0, model.ActNone, "", "", ent(model.IP, model.Src, "10.16.249.250"), ent(model.IP, model.Dst, "10.16.0.42")), "Attempt to run code in a web application", model.High, "attack.initial-access", "attack.t1190")
	core := []*model.Alert{scan}
	for i, title := range []string{"Program run", "Repeated connections", "Memory of LSASS read", "Control of accounts passed by", "Archive made"} {
		core = append(core, w.alert(w.see(100_000+600*float64(i), model.ActNone, ws, "", ent(model.User, model.Actor, `corp\carla`), proc(model.Actor, ws+":77", ""), ent(model.File, model.Object, ws+`:c:\users\carla\offer.exe`)),
			title, model.High, "attack.execution", "attack.t1204.002"))
	}
	if root := w.tell(core...).Root; root.Alert != core[1].ID || root.Host != ws {
		t.Errorf("root %+v", root)
	}
}

// Passwords guessed at a server and the log-in, as products claim them, and what its
// stolen role did later in the cloud from the same address are one thread: it began
// with the log-in.
func TestRootOfAStolenRoleIsTheServer(t *testing.T) {
	w := &tale{}
	thief, deploy := ent(model.IP, model.Src, "203.0.113.9"), ent(model.User, model.Actor, `lnx\deploy`)
	role := []model.Entity{ent(model.AccessKey, model.Actor, "ASIAX"), ent(model.IAMRole, model.Actor, "arn:aws:iam::1:role/lnx"), thief}
	core := []*model.Alert{
		w.alert(w.see(0, model.ActNone, "", "", thief, ent(model.IP, model.Subject, "10.32.0.71")), "SSHBruteForce", model.Medium, "attack.credential-access", "attack.t1110"),
		w.alert(w.see(300, model.ActNone, "lnx", "", thief, deploy), "Login after many failures", model.Medium, "attack.initial-access", "attack.t1078.003"),
	}
	for i, title := range []string{"Credentials of an instance used outside", "A second key", "Logging stopped", "Objects fetched"} {
		core = append(core, w.alert(w.see(100_000+9000*float64(i), model.ActNone, "", "", role...), title, model.High, "attack.collection", "attack.t1530"))
	}
	root := w.tell(core...).Root
	if root.Alert != core[1].ID || root.Host != "lnx" || root.User != `lnx\deploy` || !strings.Contains(root.Why, "100 %") {
		t.Errorf("root %+v", root)
	}
}

func TestInstalled(t *testing.T) {
	for path, want := range map[string]bool{
		`ws1:c:\windows\system32\cmd.exe`: true, `C:\Program Files (x86)\a\b.exe`: true, "lnx:/usr/bin/bash": true,
		`ws1:c:\windows\svc1.exe`: false, `ws1:c:\users\a\b.exe`: false, "lnx:/tmp/.x": false, "": false,
	} {
		if installed(path) != want {
			t.Errorf("installed(%q) = %v", path, !want)
		}
	}
}
