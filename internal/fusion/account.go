package fusion

import (
	"math"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Products of identities and clouds tell of accounts, not of machines: what goes on
// with one is how things are with it, and says nothing of the others that the same
// product watches. So the place of such a finding is its account.

// account returns the account that a finding without a machine is about: who people
// are, before what they were lent, and the resource if it names no one. It is empty
// if none is named.
func account(lists ...[]model.EntityKey) model.EntityKey {
	for _, l := range lists {
		if len(l) > 0 {
			return l[0]
		}
	}
	return model.EntityKey{}
}

// ofAccount says whether m is a product's finding about an account.
func (m *meta) ofAccount() bool {
	switch m.subject.Type {
	case model.User, model.IAMRole, model.AccessKey:
		return !m.fan
	}
	return false
}

const (
	// accountShare is how much less than on a machine harmless work goes on with an
	// account: a product tells of one a few times a month, of a machine's work all day.
	accountShare = .25
	// accountDay is how long such work goes on.
	accountDay = 8 * time.Hour
	// maxStrays bounds how many tactics count: beyond it nothing is left to tell.
	maxStrays = 4
)

// strays is how much rarer than on a machine harmless work of an account goes on
// with m, dt after the last of it. A journey or a new phone raises much of one kind
// within a day; each further tactic of an attack that it would have to look like
// makes it half as likely.
func strays(m *meta, c *candidate, dt time.Duration) float64 {
	if !m.ofAccount() {
		return 1
	}
	tactics := len(c.tactics)
	if slices.ContainsFunc(m.alerts[0].Tactics, func(t string) bool { return !slices.Contains(c.tactics, t) }) {
		tactics++
	}
	return accountShare * math.Exp(-dt.Hours()/accountDay.Hours()) * math.Exp2(-float64(min(max(tactics-1, 0), maxStrays)))
}

// accounts are what is counted of accounts everywhere. A product watches all of them
// for as long as it speaks of any: of most it has nothing to say for weeks.
type accounts struct {
	all, many [5]int // kinds and occurrences by level
	number    int
	last      time.Time
	spokenFor time.Duration
}

// accountGap is the longest silence that counts as time in which accounts were watched.
const accountGap = 24 * time.Hour

func (a *accounts) heard(m *meta) {
	if !a.last.IsZero() {
		a.spokenFor += min(max(m.last.Sub(a.last), 0), accountGap)
	}
	if m.last.After(a.last) {
		a.last = m.last
	}
}

// hours is how long all accounts together were watched.
func (a *accounts) hours() float64 { return a.spokenFor.Hours() * float64(a.number) }
