package story

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// held is an incident with what its attacker holds, from one day to another.
func held(id string, from, to int, compromised []string, es ...model.EntityView) *model.Incident {
	return &model.Incident{ID: id, Title: "Title of " + id, Severity: model.High, FirstSeen: dawn.AddDate(0, 0, from), LastSeen: dawn.AddDate(0, 0, to), Impact: model.Impact{Compromised: compromised}, Entities: es}
}

func TestRelate(t *testing.T) {
	address := model.EntityView{Type: model.IP, Value: "203.0.113.9"}
	inside := model.EntityView{Type: model.IP, Value: "10.0.0.9"}
	all := []*model.Incident{
		held("a", 0, 1, []string{`user:corp\adm`, "host:ws1", `user:corp\everybody`}, address, inside),
		held("b", 3, 4, []string{`user:corp\adm`, `user:corp\everybody`}, address),
		held("c", 30, 31, []string{`user:corp\adm`, `user:corp\everybody`}), // too late
		held("d", 3, 4, []string{"host:ws1", `user:corp\everybody`, `user:ws1\system`}, inside),
		held("e", 3, 5, []string{`user:ws1\system`}),
	}
	Relate(all)
	got := map[string]string{}
	for _, in := range all {
		for _, r := range in.Related {
			got[in.ID] += r.Incident + fmt.Sprint(r.Shared)
		}
	}
	if want := map[string]string{"a": `b[ip:203.0.113.9 user:corp\adm]`, "b": `a[ip:203.0.113.9 user:corp\adm]`}; len(got) != 2 || got["a"] != want["a"] || got["b"] != want["b"] {
		t.Errorf("%v, want %v", got, want)
	}
	for i, want := range []string{`Incident b (high), 2 days after this one, has 203.0.113.9 and corp\adm too`, `Incident a (high), 2 days before this one, has`} {
		if n := len(all[i].Summary); n != 1 || !strings.HasPrefix(all[i].Summary[0].Text, want) {
			t.Errorf("%+v, want %s", all[i].Summary, want)
		}
	}

	// What an analyst took apart stays so.
	all[1].SplitFrom = "a"
	Relate(all)
	if len(all[0].Related)+len(all[1].Related) != 0 {
		t.Errorf("%+v", all[0].Related)
	}
}

// However many there are, a few are told of, the same ones whatever their order in a map.
func TestRelateIsBounded(t *testing.T) {
	var all []*model.Incident
	const n = 2000
	for i := range n {
		in := held(fmt.Sprintf("i%04d", i), 0, 1, nil)
		for _, j := range []int{i, (i + 1) % n, (i + 7) % n} {
			in.Impact.Compromised = append(in.Impact.Compromised, fmt.Sprintf(`user:corp\u%d`, j))
		}
		all = append(all, in)
	}
	begin := time.Now()
	Relate(all)
	first := fmt.Sprint(all[5].Related)
	if len(all[5].Related) != maxRelated {
		t.Errorf("%d related", len(all[5].Related))
	}
	for range 5 {
		for _, in := range all {
			in.Summary = nil
		}
		if Relate(all); fmt.Sprint(all[5].Related) != first {
			t.Fatal("another run tells of others")
		}
	}
	t.Logf("six times %d incidents: %v", n, time.Since(begin))
}
