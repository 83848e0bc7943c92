package store

import (
	"cmp"
	"context"
	"slices"
)

// Segments that are sealed by age are small where little comes in. Maintain merges them:
// a folder of a year has hundreds of segments then, and not thousands.
const (
	mergeSegments = 8       // small ones in a row become one
	mergeBytes    = 8 << 20 // of all of them together, at most; their rows are all in memory
)

// merge makes one segment of the first run of small ones, and returns how many it was made
// of.
func (e *Events) merge(ctx context.Context) (int, error) {
	e.mu.Lock()
	run := e.smallRun()
	for _, s := range run {
		s.acquire()
	}
	e.mu.Unlock()
	if len(run) == 0 {
		return 0, nil
	}
	whole, err := mergeOf(ctx, e.dir, run)
	e.mu.Lock()
	if err == nil {
		// A seal may have added segments meanwhile; nothing else takes any away while
		// Maintain runs.
		i := slices.Index(e.segments, run[0])
		e.segments = slices.Concat(e.segments[:i], []*segment{whole}, e.segments[i+len(run):])
	}
	e.mu.Unlock()
	for _, s := range run {
		err = cmp.Or(err, s.release())
	}
	if err != nil {
		return 0, err
	}
	for _, s := range run {
		err = cmp.Or(err, s.drop())
	}
	return len(run), err
}

// smallRun finds segments that stand in a row and are worth merging.
func (e *Events) smallRun() []*segment {
	start, bytes, rows := 0, int64(0), int64(0)
	for i, s := range e.segments {
		n := s.to - s.from + 1
		if s.size > mergeBytes/mergeSegments || rows+n > int64(e.opt.SealRows) {
			start, bytes, rows = i+1, 0, 0
			continue
		}
		bytes += s.size
		rows += n
		if i+1-start == mergeSegments {
			return slices.Clone(e.segments[start : i+1])
		}
	}
	return nil
}

func mergeOf(ctx context.Context, dir string, run []*segment) (*segment, error) {
	var rows []Row
	for _, s := range run {
		o, err := s.use()
		if err != nil {
			return nil, err
		}
		for g := range o.groups {
			all := make([]int, o.groups[g].NumRows())
			for i := range all {
				all[i] = i
			}
			l, err := o.load(g, all)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				s.done()
				return nil, err
			}
			rows = append(rows, l...)
		}
		s.done()
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Time.UnixMicro(), b.Time.UnixMicro()), cmp.Compare(a.Seq, b.Seq))
	})
	w, err := newSegmentWriter(dir)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if err := w.add(&rows[i]); err != nil {
			w.abort()
			return nil, err
		}
	}
	whole, err := w.finish()
	if err != nil {
		return nil, err
	}
	return whole, nil
}
