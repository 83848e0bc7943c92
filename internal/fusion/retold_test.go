package fusion

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// Alert by alert, who tells of which act: within a burst each of its own, at one
// instant by less than minutes apart.
func TestRetold(t *testing.T) {
	h := ent(model.Host, model.Subject, ws1)
	user := ent(model.User, model.Actor, `corp\alice`)
	shell := ent(model.File, model.Object, ws1+`:c:\windows\system32\cmd.exe`)
	p, q := proc(model.Subject, "p", ""), proc(model.Subject, "q", "")
	key := ent(model.AccessKey, model.Actor, "ASIAEXAMPLE")
	other := ent(model.Host, model.Subject, "ws2")
	type say struct {
		at              float64
		by, tech, title string
		es              []model.Entity
	}
	es := func(l ...model.Entity) []model.Entity { return l }
	for _, c := range []struct {
		name string
		says []say
		want []int // of each alert, which it tells again; -1 if none
	}{
		{"a program of every machine, at one instant", []say{{0, "EDR", "T1490", "x", es(h, shell)}, {1.5, "", "T1490", "y", es(h, p, shell)}}, []int{-1, 0}},
		{"a program of every machine, a minute apart", []say{{0, "EDR", "T1490", "x", es(h, shell)}, {60, "", "T1490", "y", es(h, p, shell)}}, []int{-1, -1}},
		{"a program of every machine, on two", []say{{0, "EDR", "T1490", "x", es(h, shell)}, {0, "", "T1490", "y", es(other, shell)}}, []int{-1, -1}},
		{"an account at its machine, at one instant", []say{{0, "IDP", "T1003.006", "x", es(h, user)}, {.1, "", "T1003.006", "y", es(h, user)}}, []int{-1, 0}},
		{"one process, one instant, another word for it", []say{{0, "EDR", "T1087.002", "x", es(h, p)}, {.5, "", "T1033", "y", es(h, p)}}, []int{-1, 0}},
		{"one process, another word, a little later", []say{{0, "EDR", "T1087.002", "x", es(h, p)}, {1.5, "", "T1033", "y", es(h, p)}}, []int{-1, -1}},
		{"two processes at one instant", []say{{0, "EDR", "T1490", "x", es(h, p, shell)}, {0, "", "T1490", "y", es(h, q, shell)}}, []int{-1, -1}},
		{"the nearest, not the first", []say{{0, "", "T1087.004", "y", es(key)}, {100, "", "T1087.004", "y", es(key)}, {101, "Cloud", "T1087", "x", es(key)}}, []int{-1, -1, 1}},
		{"a burst of a product, each of its own act", []say{
			{0, "EDR", "T1490", "x", es(h, p)}, {.1, "", "T1490", "y", es(h, p)},
			{90, "EDR", "T1490", "x", es(h, q)}, {90.1, "", "T1490", "y", es(h, q)}}, []int{-1, 0, -1, 2}},
		{"two logs of ours", []say{{0, "EDR", "T1490", "x", es(h, p)}, {.1, "", "T1490", "y", es(h, p)}, {.2, "", "T1490", "z", es(h, p)}}, []int{-1, 0, 0}},
		{"only ours", []say{{0, "", "T1490", "x", es(h, p)}, {.1, "", "T1490", "y", es(h, p)}}, []int{-1, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			for _, s := range c.says {
				host := ""
				if s.es[0].Type == model.Host {
					host = s.es[0].Value
				}
				if s.by == "" {
					w.ours(s.at, s.title, model.High, s.tech, host, s.es...)
				} else {
					w.finding(s.at, s.by, s.title, model.High, s.tech, host, s.es...)
				}
			}
			e := New(Options{Memory: w.mem})
			got := e.retold(&candidate{metas: []*meta{{alerts: w.alerts}}})
			for i, a := range w.alerts {
				want := ""
				if c.want[i] >= 0 {
					want = w.alerts[c.want[i]].ID
				}
				if got[a.ID] != want {
					t.Errorf("alert %d tells again of %q, want %q", i, got[a.ID], want)
				}
			}
		})
	}
}

// However many alerts share one thing, each is held against few.
func TestRetoldIsBounded(t *testing.T) {
	w := newWorld()
	key := ent(model.AccessKey, model.Actor, "ASIAEXAMPLE")
	for i := range 20_000 {
		if i%2 == 0 {
			w.finding(float64(i)/100, "P", "x", model.Low, "T1087.004", "", key)
		} else {
			w.ours(float64(i)/100, "y", model.Low, "T1087.004", "", key)
		}
	}
	e := New(Options{Memory: w.mem})
	if got := e.retold(&candidate{metas: []*meta{{alerts: w.alerts}}}); len(got) == 0 || len(got) > 10_000 {
		t.Errorf("%d of 20,000 alerts tell again", len(got))
	}
}
