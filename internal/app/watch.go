package app

import (
	"cmp"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/model"
)

// watch tells the detectors that ask for it of every alert: those that the stream
// raised, as it raises them, and those of other products when the stream comes to
// their time.
type watch struct {
	watchers []detect.AlertWatcher
	others   []*model.Alert // of other products, not told yet, by time
}

func newWatch(ds []detect.Detector, others []*model.Alert) *watch {
	w := &watch{}
	for _, d := range ds {
		if x, ok := d.(detect.AlertWatcher); ok {
			w.watchers = append(w.watchers, x)
		}
	}
	w.expect(others)
	return w
}

// expect takes in further alerts of other products.
func (w *watch) expect(others []*model.Alert) {
	w.others = slices.Concat(w.others, others)
	slices.SortStableFunc(w.others, func(x, y *model.Alert) int {
		return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.ID, y.ID))
	})
}

// until tells of the other products' alerts up to t.
func (w *watch) until(t time.Time) {
	n := 0
	for n < len(w.others) && !w.others[n].Time.After(t) {
		n++
	}
	w.tell(w.others[:n])
	w.others = w.others[n:]
}

// rest tells of all that are left, though the stream has not come to their time.
func (w *watch) rest() {
	w.tell(w.others)
	w.others = nil
}

// tell tells of alerts that were just raised.
func (w *watch) tell(alerts []*model.Alert) {
	for _, a := range alerts {
		for _, x := range w.watchers {
			x.Alerted(a)
		}
	}
}
