package story

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// marks are the things by which two deeds are known to be one hand's: the process, key
// or session that they go back to, and a file, digest, name, address or key that is not
// everybody's. A host and its user are none: the user's own work is of both too.
func (d *deed) marks(from model.EntityKey) []model.EntityKey {
	var out []model.EntityKey
	switch from.Type {
	case model.Process, model.AccessKey, model.Session:
		out = append(out, from)
	}
	ordinary := false // its program is part of the system or installed
	if f, ok := findIn(d.entities, model.File, model.Object); ok {
		ordinary = installed(f.Value)
	}
	for _, e := range d.entities[:min(len(d.entities), maxTried)] {
		switch e.Type {
		case model.File, model.Hash:
			if ordinary || e.Type == model.File && installed(e.Value) {
				continue
			}
		case model.IP:
			if a, err := netip.ParseAddr(e.Value); err != nil || !a.IsGlobalUnicast() || a.IsPrivate() {
				continue
			}
		case model.Domain, model.URL, model.AccessKey, model.App, model.Container:
		default:
			continue
		}
		if e.Role != model.Sensor {
			out = append(out, e.Key())
		}
	}
	return out
}

// installed says whether a file lies where an installation puts it.
func installed(path string) bool {
	s := strings.ToLower(path)
	for _, d := range []string{`\windows\system32\`, `\windows\syswow64\`, `\windows\explorer.exe`, `\program files`, ":/usr/", ":/bin/", ":/sbin/", ":/lib"} {
		if strings.Contains(s, d) {
			return true
		}
	}
	return false
}

// begin leaves out the deeds before the first one that has to do with what followed in
// the thread: those that share no mark with a good part of it, are no way in, and lie
// well apart. Things of the same person and machine that a rule took for an attack days
// before one, or every day, are not where it began.
func (t *thread) begin() {
	parent := make([]int, len(t.deeds))
	weight := slices.Clone(t.worth)
	var find func(i int) int
	find = func(i int) int {
		if parent[i] != i {
			parent[i] = find(parent[i])
		}
		return parent[i]
	}
	join := func(i, j int) {
		if i, j = find(i), find(j); i != j {
			parent[max(i, j)] = min(i, j)
			weight[min(i, j)] += weight[max(i, j)]
		}
	}
	by := map[model.EntityKey]int{}
	for i, d := range t.deeds {
		parent[i] = i
		for _, k := range d.marks(t.from[i]) {
			if j, ok := by[k]; ok {
				join(i, j)
			} else {
				by[k] = i
			}
		}
		if i > 0 && d.time.Sub(t.deeds[i-1].time) <= nearBy {
			join(i, i-1)
		}
	}
	for i, d := range t.deeds {
		if d.wayIn() || weight[find(i)] >= rootShare*t.gain {
			t.first, t.deeds, t.from = d, t.deeds[i:], t.from[i:]
			return
		}
	}
}

// wayIn says whether a deed is of somebody getting in, or on to another machine, or
// trying to.
func (d *deed) wayIn() bool {
	return d.tactic == knowledge.InitialAccess || d.tactic == knowledge.LateralMovement || d.guess() || d.logon()
}

// guess says whether a deed is a try to get in that failed, as far as is known: a
// product that claims a series of them says so by its technique alone.
func (d *deed) guess() bool {
	return d.act == model.ActLogonFailed || d.act == model.ActNone && strings.HasPrefix(d.technique, "T1110")
}

// logon says whether by a deed somebody got in with an account.
func (d *deed) logon() bool {
	return d.act == model.ActLogon || d.act == model.ActNone && d.tactic == knowledge.InitialAccess && strings.HasPrefix(d.technique, "T1078")
}
