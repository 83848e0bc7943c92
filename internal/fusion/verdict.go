package fusion

import "github.com/catena-sec/catena/internal/model"

// Verdicts teach an engine that runs on. What people found to be an attack is never
// background, however often it comes. What they found harmless is how things are: it
// is counted at once, and the same actor must do a good deal more to be told of again.
// An incident that was judged stays one, and one found harmless ends there: what comes
// later is a matter of its own, so that nobody can hide in it.

// verdict is what people said of m: of one of its alerts, or of the incident it is in.
func (e *Engine) verdict(m *meta) string {
	b := e.opt.Decisions
	if b == nil {
		return ""
	}
	for _, a := range m.alerts {
		if v := b.Verdict(a.ID); v != "" {
			return v
		}
	}
	if c := m.cand.top(); c != nil {
		return e.verdictOn(c)
	}
	return ""
}

// verdictOn is what people said of the incident that c is.
func (e *Engine) verdictOn(c *candidate) string {
	if e.opt.Decisions == nil || !e.live {
		return ""
	}
	return e.opt.Decisions.VerdictOn(c.seed.alerts[0].ID)
}

func harmless(verdict string) bool {
	return verdict == model.BenignWork || verdict == model.FalsePositive
}

// teaches says whether m is to be counted as background by now.
func (e *Engine) teaches(m *meta) bool {
	switch v := e.verdict(m); {
	case m.late, m.torn, v == model.TruePositive:
		return false
	case harmless(v):
		return true
	}
	// What is held back from the first day on never becomes known, and what is
	// not known draws in more of its kind: nothing is held back before a day.
	return m.first.Sub(e.begin) < quarantineFrom || !quarantined(m)
}
