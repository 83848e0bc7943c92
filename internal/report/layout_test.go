package report

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// worm makes an incident of a program that spreads over hosts, starting children
// of different names on each.
func worm(hosts, children int) (*model.Incident, map[string]*model.Alert) {
	inc := &model.Incident{ID: "inc-worm"}
	alerts := make(map[string]*model.Alert)
	at := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	for h := range hosts {
		host := fmt.Sprintf("ws%03d.corp.example", h)
		var ids []string
		for c := range children {
			at = at.Add(time.Second)
			a := &model.Alert{ID: fmt.Sprintf("a-%d-%d", h, c), Time: at, Severity: model.High, Entities: []model.Entity{
				ent(model.Host, model.Subject, host), proc(model.Parent, fmt.Sprint(host, ":p"), `C:\worm.exe`),
				proc(model.Subject, fmt.Sprint(host, ":", c), fmt.Sprintf(`C:\tool%d.exe`, c)), ent(model.IP, model.Dst, fmt.Sprintf("10.0.%d.%d", h, c))}}
			alerts[a.ID] = a
			ids = append(ids, a.ID)
		}
		s := model.Step{N: h + 1, Time: at, Host: host, Alerts: ids, Summary: "spread"}
		if h > 0 {
			s.From, s.To, s.CausedBy = inc.Steps[h-1].Host, host, []int{h}
		}
		inc.Steps = append(inc.Steps, s)
		inc.Alerts = append(inc.Alerts, ids...)
	}
	inc.Root = model.Root{Entity: "process:ws000.corp.example:p", Host: "ws000.corp.example"}
	return inc, alerts
}

func checkGraph(t *testing.T, g Graph) {
	t.Helper()
	if len(g.Nodes) > maxNodes || len(g.Edges) > maxEdges || len(g.Lanes) > maxLanes+5 {
		t.Fatalf("too much: %d nodes, %d edges, %d lanes", len(g.Nodes), len(g.Edges), len(g.Lanes))
	}
	at := make(map[[2]int]string)
	for _, n := range g.Nodes {
		if n.X < laneHead || n.X+nodeWidth > g.Width || n.Y < 0 || n.Y+nodeHeight > g.Height {
			t.Errorf("%s is outside the picture", n.Key)
		}
		if l := g.Lanes[n.Lane]; n.Y < l.Y || n.Y+nodeHeight > l.Y+l.Height {
			t.Errorf("%s is outside its lane %s", n.Key, l.Label)
		}
		if other, ok := at[[2]int{n.X, n.Y}]; ok {
			t.Errorf("%s covers %s", n.Key, other)
		}
		at[[2]int{n.X, n.Y}] = n.Key
	}
	for _, e := range g.Edges {
		if e.From == e.To || e.From < 0 || e.To < 0 || e.From >= len(g.Nodes) || e.To >= len(g.Nodes) {
			t.Errorf("edge %d to %d", e.From, e.To)
		}
	}
}

func TestLayoutSizes(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {3, 3}, {10, 3}, {60, 9}, {400, 3}} {
		inc, alerts := worm(size[0], size[1])
		g := LayoutGraph(inc, alerts)
		checkGraph(t, g)
		if !reflect.DeepEqual(g, LayoutGraph(inc, alerts)) {
			t.Errorf("%v: two layouts of one incident differ", size)
		}
		roots := 0
		for _, n := range g.Nodes {
			if n.Root {
				roots++
			}
		}
		if roots != 1 {
			t.Errorf("%v: %d roots", size, roots)
		}
		if size[0] == 400 && g.Hidden == 0 {
			t.Errorf("%v: nothing hidden with %d nodes", size, len(g.Nodes))
		}
	}
}

// TestLayoutCampaign holds the picture to what the story says: the chain from
// document to ransomware is connected, in order, and shows repeats once.
func TestLayoutCampaign(t *testing.T) {
	r := sample()
	g := LayoutGraph(&r.Incidents[0], alertsByID(r))
	checkGraph(t, g)
	find := func(label string) int {
		found := -1
		for i, n := range g.Nodes {
			if n.Label == label {
				if found >= 0 {
					t.Errorf("%s stands twice", label)
				}
				found = i
			}
		}
		if found < 0 {
			t.Fatalf("no node %s", label)
		}
		return found
	}
	has := func(from, to string) *Edge {
		f, to1 := find(from), find(to)
		for i := range g.Edges {
			if g.Edges[i].From == f && g.Edges[i].To == to1 {
				return &g.Edges[i]
			}
		}
		t.Fatalf("no edge from %s to %s", from, to)
		return nil
	}
	has("OUTLOOK.EXE", "invoice.docm")
	has("WINWORD.EXE", "powershell.exe")
	has("powershell.exe", "procdump64.exe")
	has("procdump64.exe", "lsass.exe")
	if !has("procdump64.exe", "dc01.corp.example").Move || !has("PSEXESVC.exe", "cmd.exe").Move {
		t.Error("ways from host to host are not marked as such")
	}
	if n := g.Nodes[find("lock.exe")]; n.Count != 3 || n.Severity != model.Critical {
		t.Errorf("lock.exe: count %d, severity %s; want 3, critical", n.Count, n.Severity)
	}
	order := []string{"OUTLOOK.EXE", "powershell.exe", "procdump64.exe", "services.exe", "PSEXESVC.exe", "cmd.exe", "lock.exe"}
	for i := 1; i < len(order); i++ {
		if a, b := g.Nodes[find(order[i-1])], g.Nodes[find(order[i])]; a.X >= b.X {
			t.Errorf("%s is not left of %s", a.Label, b.Label)
		}
	}
	if !g.Nodes[find("OUTLOOK.EXE")].Root {
		t.Error("the root is not marked")
	}
}

func TestLayoutTimeline(t *testing.T) {
	inc, _ := worm(300, 1)
	inc.Steps[9].Time = inc.Steps[9].Time.Add(-time.Hour) // out of order, as evidence can be
	tl := LayoutTimeline(inc)
	if len(tl.Marks) != maxMarksShown || tl.Hidden != 100 || len(tl.Lanes) != maxLanes {
		t.Errorf("%d marks, %d hidden, %d lanes", len(tl.Marks), tl.Hidden, len(tl.Lanes))
	}
	for i := 1; i < len(tl.Marks); i++ {
		if tl.Marks[i].X-tl.Marks[i-1].X < 2*markRadius {
			t.Fatalf("marks %d and %d overlap", i, i+1)
		}
	}
	if last := tl.Marks[len(tl.Marks)-1]; last.X > tl.Width || last.Y > tl.Height {
		t.Error("the last mark is outside the picture")
	}
	r := sample()
	pauses := 0
	for _, k := range LayoutTimeline(&r.Incidents[0]).Ticks {
		if k.Pause {
			pauses++
		}
	}
	if pauses != 2 {
		t.Errorf("%d pauses of half an hour or more, want 2", pauses)
	}
}

// TestLayoutJoinsSources shows one process once, whichever source names it.
func TestLayoutJoinsSources(t *testing.T) {
	guid := model.Entity{Type: model.Process, Role: model.Subject, Value: "guid-1", Alt: "ws1:77", Name: `C:\a\tool.exe`}
	pid := model.Entity{Type: model.Process, Role: model.Subject, Value: "ws1:77", Name: `C:\A\TOOL.EXE`}
	reused := model.Entity{Type: model.Process, Role: model.Subject, Value: "ws1:77", Name: `C:\other.exe`}
	for _, c := range []struct {
		first, second model.Entity
		nodes         int
	}{{guid, pid, 1}, {pid, guid, 1}, {guid, reused, 2}, {reused, guid, 2}} {
		inc := &model.Incident{Alerts: []string{"a", "b"}}
		g := LayoutGraph(inc, map[string]*model.Alert{
			"a": {ID: "a", Entities: []model.Entity{c.first}}, "b": {ID: "b", Entities: []model.Entity{c.second}}})
		if len(g.Nodes) != c.nodes {
			t.Errorf("%s then %s: %d nodes, want %d", c.first.Name, c.second.Name, len(g.Nodes), c.nodes)
		}
	}
}
