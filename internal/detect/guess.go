package detect

import (
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Password guessing has two shapes: many guesses at few accounts (brute force),
// and few guesses at many accounts (spraying). What makes either one serious is
// the log-on that succeeds after it.
const (
	guessSpan    = 15 * time.Minute
	guessFails   = 6 // refusals from one source at one account
	sprayUsers   = 5 // accounts refused to one source
	successSpan  = time.Hour
	maxGuessedBy = 32 // accounts listed in one alert
)

// guess finds brute force and spraying, one alert a source and quarter of an hour.
type guess struct {
	spray bool
	def   Definition
	seen  *windows
}

// NewSpray finds one source that is refused at many accounts. Every door to the
// internet is tried all day, so it is no more than medium; what matters is who
// gets in, see NewGuessed.
func NewSpray() Detector {
	return &guess{spray: true, seen: newWindows(guessSpan, triedUser), def: Definition{
		Rule: model.RuleInfo{ID: "3d0a5f0e-7c35-4a0c-9b39-6f1f5e0b7a11", Title: "Password spraying: one source refused at many accounts", Level: model.Medium, Source: "builtin"},
		Tags: []string{"attack.credential-access", "attack.t1110.003"}}}
}

// NewBruteForce finds one source that is refused again and again at one account.
func NewBruteForce() Detector {
	return &guess{seen: newWindows(guessSpan, nil), def: Definition{
		Rule: model.RuleInfo{ID: "8f3e3a52-63a5-4b0f-8a52-8c1d6d7b9e02", Title: "Brute force: one source refused again and again", Level: model.Medium, Source: "builtin"},
		Tags: []string{"attack.credential-access", "attack.t1110.001"}}}
}

func (g *guess) Definition() Definition { return g.def }

func (g *guess) Observe(o *model.Observation) []*model.Alert {
	if o.Act != model.ActLogonFailed {
		return nil
	}
	src, ok := origin(o)
	user, okUser := o.Find(model.User, model.Target)
	if !ok || !okUser {
		return nil
	}
	key := src.Key().String()
	if !g.spray {
		key += "\x00" + user.Value + "\x00" + o.Host
	}
	if g.seen.get(key).has(o) {
		return nil
	}
	w := g.seen.add(key, o)
	enough := len(w.items) >= guessFails
	if g.spray {
		enough = len(w.labels) >= sprayUsers
	}
	if !enough || w.quiet(o.Time, guessSpan) {
		return nil
	}
	w.told = o.Time
	return []*model.Alert{Finish(g.def, o, fromMany(w.items, o))}
}

// sameAttempt is how close two reports of one attempt by different logs lie: a
// service, its authentication module and the audit log each tell of it.
const sameAttempt = 2 * time.Second

// has says whether the window holds a report of the attempt that o tells of,
// made by another log.
func (g *window) has(o *model.Observation) bool {
	if g == nil {
		return false
	}
	for i := len(g.items) - 1; i >= 0; i-- {
		it := g.items[i]
		if o.Time.Sub(it.Time) > sameAttempt {
			return false
		}
		if (it.Format != o.Format || it.Code != o.Code) && it.Host == o.Host && triedUser(it) == triedUser(o) {
			return true
		}
	}
	return false
}

// origin is where an attempt came from: an address, else a machine, else the
// process that tried (a log-on asked for on the host itself).
func origin(o *model.Observation) (model.Entity, bool) {
	for _, t := range []model.EntityType{model.IP, model.Host} {
		if e, ok := o.Find(t, model.Src); ok {
			return e, true
		}
	}
	return o.Find(model.Process, model.Actor)
}

// triedUser is the account that an attempt was at.
func triedUser(o *model.Observation) string {
	u, _ := o.Find(model.User, model.Target)
	return u.Value
}

// usersOf lists the distinct accounts tried, in order of first sight.
func usersOf(items []*model.Observation) []model.Entity {
	var out []model.Entity
	seen := map[string]bool{}
	for _, it := range items {
		if u, ok := it.Find(model.User, model.Target); ok && !seen[u.Value] {
			seen[u.Value] = true
			out = append(out, u)
		}
	}
	return out
}

// fromMany is an alert that stands for all of items, with last completing it: it
// carries the entities of last and the accounts and actors of the others.
func fromMany(items []*model.Observation, last *model.Observation) *model.Alert {
	a := &model.Alert{Time: items[0].Time, End: last.Time, Count: len(items), Entities: slices.Clone(last.Entities)}
	have := map[model.Entity]bool{}
	for _, e := range a.Entities {
		have[model.Entity{Type: e.Type, Value: e.Value, Role: e.Role}] = true
	}
	for _, it := range items {
		if it.Time.Before(a.Time) {
			a.Time = it.Time
		}
		// However many there are, the one that completed it is among them.
		if len(a.Evidence) < maxGuessedBy-1 || it == last && len(a.Evidence) < maxGuessedBy {
			a.Evidence = append(a.Evidence, model.Evidence{Input: it.Ref.Input, Record: it.Ref.Record, ID: it.Event})
		}
		for _, e := range it.Entities {
			k := model.Entity{Type: e.Type, Value: e.Value, Role: e.Role}
			if len(have) < 2*maxGuessedBy && !have[k] {
				have[k] = true
				a.Entities = append(a.Entities, e)
			}
		}
	}
	return a
}

// guessed finds the log-on that succeeds after guessing: from the same source,
// for an account it was refused at, or any account after spraying.
type guessed struct {
	def      Definition
	refusals int // before the success
	fails    *windows
}

// NewGuessed finds a log-on that succeeds after its source was refused often.
func NewGuessed() Detector {
	return &guessed{refusals: guessFails, fails: newWindows(successSpan, nil), def: Definition{
		Rule: model.RuleInfo{ID: "c1f5c0b9-0f0b-4c57-8d38-5f1f8e6d1b03", Title: "Log-on succeeded after many refusals from the same source", Level: model.High, Source: "builtin"},
		Tags: []string{"attack.initial-access", "attack.credential-access", "attack.t1110", "attack.t1078"}}}
}

// machineFails is how many refusals no person who forgot his password causes, nor
// an office behind one address in an hour.
const machineFails = 20

// NewTakenOver finds a log-on that succeeds after refusals that only a program can
// have caused.
func NewTakenOver() Detector {
	return &guessed{refusals: machineFails, fails: newWindows(successSpan, nil), def: Definition{
		Rule: model.RuleInfo{ID: "9d2f7c55-4e0f-4f0b-9a67-0b5c1f3a6e06", Title: "Account taken over by automated password guessing", Level: model.Critical, Source: "builtin"},
		Tags: []string{"attack.initial-access", "attack.credential-access", "attack.t1110", "attack.t1078"}}}
}

func (g *guessed) Definition() Definition { return g.def }

func (g *guessed) Observe(o *model.Observation) []*model.Alert {
	if o.Act != model.ActLogon && o.Act != model.ActLogonFailed {
		return nil
	}
	src, ok := origin(o)
	if !ok || src.Type == model.Process {
		return nil
	}
	key := src.Key().String()
	if o.Act == model.ActLogonFailed {
		if !g.fails.get(key).has(o) {
			g.fails.add(key, o)
		}
		return nil
	}
	w := g.fails.get(key)
	if w == nil || o.Time.Sub(w.last) > successSpan || len(w.items) < g.refusals {
		return nil
	}
	user, ok := o.Find(model.User, model.Target)
	if !ok || strings.HasSuffix(user.Value, "$") {
		return nil
	}
	if w.quiet(o.Time, successSpan) {
		return nil
	}
	tried := usersOf(w.items)
	if !slices.ContainsFunc(tried, func(u model.Entity) bool { return sameAccount(u.Value, user.Value) }) {
		return nil
	}
	w.told = o.Time
	a := fromMany([]*model.Observation{o}, o)
	for _, it := range w.items[max(0, len(w.items)-4):] { // the last refusals, as its ground
		a.Evidence = append(a.Evidence, model.Evidence{Input: it.Ref.Input, Record: it.Ref.Record, ID: it.Event})
	}
	return []*model.Alert{Finish(g.def, o, a)}
}

// sameAccount compares account names without their domain: a refusal often names
// the domain otherwise than the success.
func sameAccount(a, b string) bool { return accountName(a) == accountName(b) }

func accountName(s string) string {
	if i := strings.LastIndexByte(s, '\\'); i >= 0 {
		s = s[i+1:]
	}
	name, _, _ := strings.Cut(s, "@")
	return name
}
