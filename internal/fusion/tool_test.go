package fusion

import (
	"fmt"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// Two attacks of one morning, on other machines by other people, that use one file:
// everybody's archiver says nothing of who they are, a program of its own does.
func TestToolOfEverybodyJoinsNothing(t *testing.T) {
	for file, want := range map[string]bool{`c:\programdata\7z.exe`: false, `c:\windows\system32\wsmprovhost.exe`: false, `c:\programdata\zq81.exe`: true} {
		w := newWorld()
		for i := range 40 { // an estate at work, so that all this is rare
			h := fmt.Sprintf("pc%02d.corp.example", i)
			w.alert(float64(i)*200, "odd-macro", model.Medium, "execution", h, ent(model.Host, model.Subject, h), ent(model.User, model.Actor, fmt.Sprintf(`corp\user%02d`, i)))
		}
		for i, h := range []string{"pc71.corp.example", "pc72.corp.example"} {
			es := []model.Entity{ent(model.Host, model.Subject, h), ent(model.User, model.Actor, []string{`corp\alice`, `corp\bob`}[i])}
			s := 3000 + float64(i)*600
			w.start(s, h, h+"-evil", `c:\users\a\evil.exe`, h+"-explorer", `c:\windows\explorer.exe`, es[1].Value)
			es = append(es, proc(model.Subject, h+"-evil", ""))
			used := []model.Entity{ent(model.File, model.Object, h+":"+file), ent(model.Hash, model.Indicator, "00ff17")}
			w.alert(s, "archive-made", model.High, "collection", h, append(used, es...)...)
			w.alert(s+60, "log-cleared", model.High, "defense-impairment", h, es...)
			w.alert(s+120, "sent-away", model.High, "exfiltration", h, es...)
		}
		e := New(Options{})
		joined := false
		rs := e.Run(w.alerts, w.mem) // raised or nearly
		for _, r := range rs {
			hosts := map[string]bool{}
			for _, m := range r.Members {
				hosts[m.Alert.Host] = true
			}
			joined = joined || hosts["pc71.corp.example"] && hosts["pc72.corp.example"]
		}
		if len(rs) == 0 || joined != want {
			dump(t, e, rs)
			t.Errorf("%s: %d incidents, joined %v, want %v", file, len(rs), joined, want)
		}
	}
}

func TestEverybodysTool(t *testing.T) {
	for path, want := range map[string]bool{`h:c:\users\a\Rclone.EXE`: true, "/tmp/rclone": true, "7z": true, "": false, `c:\a\`: false, `c:\7z\evil.exe`: false, "scan9d1.exe": false} {
		if got := everybodysTool(path); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}
