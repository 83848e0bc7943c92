package story

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of what is told of other incidents.
const (
	maxRelated    = 3
	maxShared     = 3 // things named of each
	relatedWithin = 14 * 24 * time.Hour
	everybodys    = 4 // a thing that so many incidents have says nothing of two of them
)

// Relate tells of incidents that have a thing of the attacker in common and that nothing
// joined: an account or key under his control in both, or an address or name on the
// internet. They may be one attack, with days between its parts; whether
// they are is for an analyst to say, who may merge them. Two that he took apart are left so.
func Relate(all []*model.Incident) {
	having := map[string][]int{}
	for i, in := range all {
		for _, k := range hold(in) {
			having[k] = append(having[k], i)
		}
	}
	for i, in := range all {
		in.Related = nil
		shared := map[int][]string{}
		for _, k := range hold(in) {
			for _, j := range having[k] {
				if j != i && len(having[k]) < everybodys {
					shared[j] = append(shared[j], k)
				}
			}
		}
		for j, things := range shared { // sorted below
			o := all[j]
			if apart(in, o) > relatedWithin || in.SplitFrom == o.ID || o.SplitFrom == in.ID {
				continue
			}
			in.Related = append(in.Related, model.Related{Incident: o.ID, Title: o.Title, Severity: o.Severity, FirstSeen: o.FirstSeen, LastSeen: o.LastSeen, Shared: things})
		}
		slices.SortFunc(in.Related, func(a, b model.Related) int {
			return cmp.Or(cmp.Compare(len(b.Shared), len(a.Shared)), a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.Incident, b.Incident))
		})
		in.Related = in.Related[:min(len(in.Related), maxRelated)]
		for k := range in.Related {
			r := &in.Related[k]
			r.Shared = r.Shared[:min(len(r.Shared), maxShared)]
			in.Summary = append(in.Summary, model.Sentence{Text: line(relatedText(in, r), maxSentence), Cites: []string{}})
		}
	}
}

// hold are the things by which another incident may be of the same attacker.
func hold(in *model.Incident) []string {
	var out []string
	for _, k := range in.Impact.Compromised {
		if !strings.HasPrefix(k, string(model.Host)+":") && !systemAccount(k[strings.IndexByte(k, ':')+1:]) {
			out = append(out, k)
		}
	}
	for _, e := range in.Entities {
		switch e.Type {
		case model.Domain:
		case model.IP:
			if a, err := netip.ParseAddr(e.Value); err != nil || !a.IsGlobalUnicast() || a.IsPrivate() {
				continue
			}
		default:
			continue
		}
		out = append(out, string(e.Type)+":"+e.Value)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// apart is the time between two incidents, negative where they overlap.
func apart(a, b *model.Incident) time.Duration {
	if b.FirstSeen.Before(a.FirstSeen) {
		a, b = b, a
	}
	return b.FirstSeen.Sub(a.LastSeen)
}

func relatedText(in *model.Incident, r *model.Related) string {
	var things []string
	for _, k := range keysOf(r.Shared) {
		things = append(things, thing(k))
	}
	when := "at the same time"
	switch {
	case r.LastSeen.Before(in.FirstSeen):
		when = lasted(in.FirstSeen.Sub(r.LastSeen)) + " before this one"
	case in.LastSeen.Before(r.FirstSeen):
		when = lasted(r.FirstSeen.Sub(in.LastSeen)) + " after this one"
	}
	return fmt.Sprintf("Incident %s (%s), %s, has %s too; too little else joins them to say that they are one attack.", r.Incident, r.Severity, when, strings.Join(things, " and "))
}
