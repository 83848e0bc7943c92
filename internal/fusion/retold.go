package fusion

import (
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// The score is told of acts by bursts (see tellers). A story is told by alerts: of
// the alerts of one burst each may be of another act, and who is nearest in time is
// known only once all have spoken. So the alerts of a campaign are held against each
// other once more, one by one.

const (
	// actInstant is how far apart two tellers that both stamp the act itself may be:
	// some keep whole seconds, and the event's time and the record's differ a little.
	actInstant = 2 * time.Second
	// maxCastKeys bounds the things by which an alert is looked up.
	maxCastKeys = 16
)

// A telling is an alert with what it is known again by.
type telling struct {
	alert  *model.Alert
	cast   cast
	act    *act
	teller string
}

// An act is what one or more tellers told of.
type act struct {
	first *model.Alert
	by    []*telling
}

// room says whether t may be one more teller: each tells an act once, our rules once
// for each that matched its record, or another log's record of the same process.
func (a *act) room(t *telling) bool {
	for _, o := range a.by {
		if o.teller == t.teller && (t.teller != "" || !t.beside(o)) {
			return false
		}
	}
	return true
}

// beside says whether two alerts of ours rest on one record or on two logs' records
// of what one process did at one moment.
func (t *telling) beside(o *telling) bool {
	return o.alert.Evidence[0].ID == t.alert.Evidence[0].ID ||
		t.alert.Time.Sub(o.alert.Time).Abs() < time.Second && t.alert.Act == o.alert.Act && overlap(t.cast.one[model.Process], o.cast.one[model.Process])
}

// retold returns, for each alert of c that tells of an act told before, the id of the
// alert that told of it first; nil if one teller speaks alone.
func (e *Engine) retold(c *candidate) map[string]string {
	var all []*model.Alert
	several := false
	for _, m := range c.metas {
		for _, a := range m.alerts {
			if !a.Pattern && len(a.Evidence) > 0 {
				all = append(all, a)
				several = several || teller(a) != teller(all[0])
			}
		}
	}
	if !several {
		return nil
	}
	slices.SortFunc(all, func(a, b *model.Alert) int {
		switch {
		case before(a, b):
			return -1
		case before(b, a):
			return 1
		}
		return 0
	})
	out := map[string]string{}
	recent := map[model.EntityKey][]*telling{}
	for _, a := range all {
		t := &telling{alert: a, cast: e.castOf(a), teller: teller(a)}
		keys := t.cast.keys()
		if o := t.nearest(keys, recent); o != nil {
			t.act = o.act
			out[a.ID] = o.act.first.ID
		} else {
			t.act = &act{first: a}
		}
		t.act.by = append(t.act.by, t)
		for _, k := range keys {
			l := recent[k]
			if len(l) >= sameActBack {
				l = slices.Delete(l, 0, 1)
			}
			recent[k] = append(l, t)
		}
	}
	return out
}

// keys are what a cast is looked up by: all that it may have in common with another
// of the same act.
func (c *cast) keys() []model.EntityKey {
	var out []model.EntityKey
	for _, l := range [][]model.EntityKey{c.narrow, c.common, c.half} {
		for _, k := range l {
			if len(out) < maxCastKeys && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// nearest returns who told of the act of t before, of several the one nearest in
// time; nil if nobody did.
func (t *telling) nearest(keys []model.EntityKey, recent map[model.EntityKey][]*telling) *telling {
	var best *telling
	var least time.Duration
	for _, k := range keys {
		for _, o := range slices.Backward(recent[k]) {
			gap := t.alert.Time.Sub(o.alert.Time)
			if best != nil && (gap > least || gap == least && !before(o.alert, best.alert)) {
				continue
			}
			if gap <= sameActGap && t.teller != o.teller && o.act.room(t) && t.sameAct(o, gap) {
				best, least = o, gap
			}
		}
	}
	return best
}

// sameAct says whether t and o are of one act. Minutes apart they must claim the same
// and have something narrow in common. At one instant less will do: the program that
// both name, be it one that every machine has, or the account; and if they name one
// process, whatever each of them makes of it.
func (t *telling) sameAct(o *telling, gap time.Duration) bool {
	if t.cast.differs(o.cast) {
		return false
	}
	kind := sameKind(t.alert, o.alert)
	if gap <= actInstant && t.cast.host.Value != "" && t.cast.host == o.cast.host {
		if kind && (overlap(t.cast.common, o.cast.common) || overlap(t.cast.half, o.cast.half)) {
			return true
		}
		if gap < time.Second && overlap(t.cast.one[model.Process], o.cast.one[model.Process]) {
			return true
		}
	}
	return kind && t.cast.same(o.cast)
}
