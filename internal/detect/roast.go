package detect

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const (
	roastSpan     = 5 * time.Minute
	roastServices = 4 // services one account asks tickets for, machine accounts aside
)

// roast finds Kerberoasting by its pattern: one account asks for tickets of many
// service accounts at once, to crack their passwords offline.
type roast struct {
	def  Definition
	seen *windows
}

// NewRoast finds one account that asks for tickets of many service accounts.
func NewRoast() Detector {
	return &roast{seen: newWindows(roastSpan, askedService), def: Definition{
		Rule: model.RuleInfo{ID: "5b7f0f57-98a2-4f57-8d6c-2a6f0c1f7e04", Title: "Kerberoasting: tickets asked for many service accounts at once", Level: model.High, Source: "builtin"},
		Tags: []string{"attack.credential-access", "attack.t1558.003"}}}
}

func (r *roast) Definition() Definition { return r.def }

func (r *roast) Observe(o *model.Observation) []*model.Alert {
	if o.Act != model.ActTicket {
		return nil
	}
	user, ok := o.Find(model.User, model.Actor)
	svc, okSvc := o.Find(model.App, model.Target)
	if !ok || !okSvc || !roastable(svc.Value) || strings.Contains(user.Value, "$") {
		return nil
	}
	w := r.seen.add(user.Value, o)
	if len(w.labels) < roastServices || w.quiet(o.Time, roastSpan) {
		return nil
	}
	w.told = o.Time
	return []*model.Alert{Finish(r.def, o, fromMany(w.items, o))}
}

// askedService is the service that a ticket was asked for.
func askedService(o *model.Observation) string {
	s, _ := o.Find(model.App, model.Target)
	return s.Value
}

// roastable tells accounts with a password that people chose from machine
// accounts and the ticket service itself, whose passwords nobody cracks.
func roastable(service string) bool {
	name := accountName(service)
	if _, after, ok := strings.Cut(name, ":"); ok {
		name = after
	}
	return name != "" && !strings.HasSuffix(name, "$") && !strings.HasPrefix(name, "krbtgt")
}
