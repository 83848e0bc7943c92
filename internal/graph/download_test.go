package graph

import (
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// TestADownloadGoesBackToItsConnection: a browser fetches with one process and
// writes with another; the walk from the file finds the fetch and not the chatter
// beside it.
func TestADownloadGoesBackToItsConnection(t *testing.T) {
	begin := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	const browser = `C:\Program Files\Microsoft\Edge\Application\msedge.exe`
	m := New(Options{})
	n := 0
	see := func(after time.Duration, act model.Act, text, process string, e model.Entity) string {
		n++
		id := "e-" + string(rune('a'+n))
		m.Observe(&model.Observation{Event: id, Time: begin.Add(after), Act: act, Host: "pc1", Text: text, Entities: []model.Entity{
			{Type: model.Host, Value: "pc1", Role: model.Subject}, {Type: model.Process, Value: process, Name: browser, Role: model.Actor}, e}})
		return id
	}
	ip := func(s string) model.Entity { return model.Entity{Type: model.IP, Value: s, Role: model.Dst} }
	see(0, model.ActConnect, "198.51.100.5:443", "network", ip("198.51.100.5"))
	fetch := see(10*time.Second, model.ActConnect, "203.0.113.9:8080", "network", ip("203.0.113.9"))
	see(11*time.Second, model.ActConnect, "224.0.0.251:5353", "main", ip("224.0.0.251"))
	see(11*time.Second, model.ActConnect, "192.0.2.1:53", "network", ip("192.0.2.1"))
	file := model.Entity{Type: model.File, Value: `pc1:c:\users\ann\downloads\a.exe`, Role: model.Object}
	write := see(12*time.Second, model.ActFileWrite, "", "main", file)

	var got []string
	for _, h := range m.Back([]model.EntityKey{file.Key()}, begin.Add(time.Minute), Limits{}) {
		got = append(got, h.Event)
	}
	if len(got) != 2 || got[0] != fetch || got[1] != write {
		t.Errorf("walked %v, want the fetch %s and the write %s", got, fetch, write)
	}
}
