package detect

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// How much is too much: what one hour brings is compared with the hours before in
// which there was anything, by their median and median absolute deviation, which
// for values of a normal distribution is its standard deviation over 1.4826. Days
// of people are far from normal, so it must be far above the largest as well.
const (
	volumeHours  = 8   // hours of history needed
	volumeKept   = 72  // hours remembered
	volumeMADs   = 8.0 // deviations above the median
	volumeTimes  = 3.0 // times the largest hour before
	volumeAgain  = 24 * time.Hour
	volumeBytes  = 100 << 20 // bytes in an hour below which nothing is said
	volumeReads  = 200       // objects read in an hour below which nothing is said
	volumeMarks  = 8         // records kept as evidence of an hour
	maxVolumeKey = 1 << 14   // hosts, identities and stores remembered
	madToSigma   = 1.4826
)

// volume finds much more leaving than ever before: by a host's connections to the
// internet, or out of stores of objects and mail.
type volume struct {
	def    Definition
	reads  bool
	series *table[hours]
}

// hours is how much left in the hours of the past, and in this one.
type hours struct {
	past  []float64
	hour  int64
	sum   float64
	marks []part
	told  time.Time
}

// A part is a record and what it brought.
type part struct {
	mark
	n float64
}

// NewVolumeOut finds a host that sends far more to the internet in an hour than in
// its hours before.
func NewVolumeOut() Detector {
	return &volume{series: newTable[hours](maxVolumeKey), def: Definition{
		Rule: model.RuleInfo{ID: "6c0e9a47-8b3d-4e52-b1f7-5d2a4c9e3f17", Title: "Host sends far more to the internet than it ever did", Level: model.Low, Source: "builtin"},
		Tags: []string{"attack.exfiltration", "attack.t1048"}}}
}

// NewVolumeRead finds an identity that reads far more, or a store of objects or
// mail of which far more is read, in an hour than in the hours before.
func NewVolumeRead() Detector {
	return &volume{reads: true, series: newTable[hours](maxVolumeKey), def: Definition{
		Rule: model.RuleInfo{ID: "e9d1c5f3-7a26-4b98-8c4e-1f6b0d3a7e18", Title: "Far more read from stores of data than ever before", Level: model.Low, Source: "builtin"},
		Tags: []string{"attack.collection", "attack.t1530"}}}
}

func (v *volume) Definition() Definition { return v.def }

func (v *volume) Observe(o *model.Observation) []*model.Alert {
	if !v.reads {
		host, ok := sender(o)
		if !ok || !v.series.at(host, o.Time).add(o, float64(o.Bytes), volumeBytes) {
			return nil
		}
		return v.tell(host, o)
	}
	if o.Act != model.ActObjectRead && o.Act != model.ActMailAccess || o.Host != "" {
		return nil
	}
	var above []string
	for _, k := range readKeys(o) {
		if v.series.at("n"+k, o.Time).add(o, 1, volumeReads) {
			above = append(above, "n"+k)
		}
		if o.Bytes > 0 && v.series.at("b"+k, o.Time).add(o, float64(o.Bytes), volumeBytes) {
			above = append(above, "b"+k)
		}
	}
	for i, k := range above { // one alert tells of all
		if i > 0 {
			v.series.at(k, o.Time).told = o.Time
		}
	}
	if len(above) == 0 {
		return nil
	}
	return v.tell(above[0], o)
}

func (v *volume) tell(key string, o *model.Observation) []*model.Alert {
	h := v.series.at(key, o.Time)
	h.told = o.Time
	return []*model.Alert{alertOf(v.def, o, h.main()...)}
}

// add counts n into the hour of o and reports whether that takes it above all that
// its past lets expect, for the first time in a day.
func (h *hours) add(o *model.Observation, n, floor float64) bool {
	hour := o.Time.Unix() / 3600
	switch {
	case hour > h.hour:
		if h.sum > 0 {
			if len(h.past) >= volumeKept {
				h.past = append(h.past[:0], h.past[1:]...)
			}
			h.past = append(h.past, h.sum)
		}
		h.hour, h.sum, h.marks = hour, 0, h.marks[:0]
	case hour < h.hour:
		return false // too late to be compared with anything
	}
	h.sum += n
	if n*2*volumeMarks >= h.sum || len(h.marks) == 0 { // the larger ones, and the first
		if len(h.marks) >= volumeMarks {
			h.marks = append(h.marks[:0], h.marks[1:]...)
		}
		h.marks = append(h.marks, part{markOf(o), n})
	}
	if h.sum < floor || len(h.past) < volumeHours || !h.told.IsZero() && o.Time.Sub(h.told) < volumeAgain {
		return false
	}
	past := append([]float64(nil), h.past...)
	middle, deviation := mad(past)
	return h.sum > middle+volumeMADs*madToSigma*deviation && h.sum > volumeTimes*past[len(past)-1]
}

// main are the records that brought most of the hour: what is small beside the
// largest was there before.
func (h *hours) main() []mark {
	largest := 0.0
	for _, p := range h.marks {
		largest = max(largest, p.n)
	}
	var out []mark
	for _, p := range h.marks {
		if p.n*2*volumeMarks >= largest {
			out = append(out, p.mark)
		}
	}
	return out
}

// sender is the host whose bytes a connection takes to the internet.
func sender(o *model.Observation) (string, bool) {
	if o.Act != model.ActConnect || o.Bytes <= 0 {
		return "", false
	}
	dst, ok := o.Find(model.IP, model.Dst)
	if !ok {
		return "", false
	}
	if _, ok := outside(dst.Value); !ok {
		return "", false
	}
	// The same flow is told of by the host and on the wire, under two names: each is
	// a series of its own.
	if o.Host != "" {
		return "host:" + o.Host, true
	}
	src, ok := o.Find(model.IP, model.Src)
	if !ok {
		return "", false
	}
	if _, far := outside(src.Value); far {
		return "", false // passing through
	}
	return "ip:" + src.Value, true
}

// readKeys are whose reading and the reading of what is counted.
func readKeys(o *model.Observation) []string {
	var keys []string
	for _, t := range [...]model.EntityType{model.IAMRole, model.User, model.App} {
		if who, ok := o.Find(t, model.Actor); ok {
			keys = append(keys, who.Key().String())
			break
		}
	}
	if m, ok := o.Find(model.Mailbox, model.Target); ok {
		keys = append(keys, m.Key().String())
	} else if r, ok := o.Find(model.Resource, model.Target); ok {
		store, _, _ := strings.Cut(r.Value, "/") // an object's bucket
		keys = append(keys, "store:"+store)
	}
	return keys
}
