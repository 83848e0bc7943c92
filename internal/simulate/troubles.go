package simulate

import (
	"slices"
	"time"
)

// trouble is what happens to lines on their way from where they are written to
// where they are kept. Nothing is lost and no stamp changes: lines come late, twice,
// or all at once after an outage.
func (w *world) trouble() []condition {
	r := w.rng("troubles")
	var lines []*logFile
	for _, f := range w.files {
		switch f.format.(type) {
		case lineFormat, winlogbeatFormat:
			if len(f.records) > 0 {
				lines = append(lines, f)
			}
		}
	}
	slices.SortFunc(lines, func(a, b *logFile) int { return len(b.records) - len(a.records) })
	var out []condition
	tell := func(f *logFile, kind, what string, from, to time.Time) {
		out = append(out, condition{Source: f.path, Kind: kind, What: what, From: from, To: to})
	}
	big := lines[:min(len(lines), 8)] // the sources that matter
	down, again := pick(r, big), pick(r, big)
	from := w.clock(8+r.IntN(6), 0)
	to := from.Add(6 * time.Hour)
	tell(down, "outage", "nothing arrives; the backlog arrives afterwards", from, to)
	hour := w.clock(9+r.IntN(8), 0)
	tell(again, "re-sent", "the lines of this hour are sent a second time in the evening", hour, hour.Add(time.Hour))
	for _, f := range lines {
		slices.SortStableFunc(f.records, func(a, b record) int { return a.at.Compare(b.at) })
		if _, ok := f.format.(winlogbeatFormat); ok {
			numberEvents(f.records)
		}
		for i := range f.records {
			rec := &f.records[i]
			at := rec.at
			if f == down && !at.Before(from) && at.Before(to) {
				rec.at = to.Add(at.Sub(from) / 20)
			} else if r.IntN(200) == 0 {
				rec.at = at.Add(between(r, time.Minute, 5*time.Hour))
			}
			switch {
			case f == again && !at.Before(hour) && at.Before(hour.Add(time.Hour)):
				f.records = append(f.records, record{at.Add(8 * time.Hour), rec.body, rec.mark})
			case r.IntN(200) == 0:
				f.records = append(f.records, record{rec.at.Add(between(r, 0, 10*time.Minute)), rec.body, rec.mark})
			}
		}
	}
	return out
}

// numberEvents gives events the numbers that they have where they were written,
// whenever they arrive.
func numberEvents(rs []record) {
	ids := recordIDs{}
	for i := range rs {
		e := rs[i].body.(*winEvent)
		e.number = ids.next(e)
	}
}
