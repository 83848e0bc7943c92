package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// EventsOptions say how Events works; zero values are the usual.
type EventsOptions struct {
	// Now is the wall clock, by which events are sealed, forgotten and searches end.
	Now func() time.Time
	// Log hears of what goes wrong in the background; nil for nobody.
	Log *slog.Logger
	// A log is sealed into a segment when it has so many rows (500,000) or bytes of
	// them (64 MiB), or by Maintain when its first row is so old (6 hours).
	SealRows  int
	SealBytes int64
	SealAge   time.Duration
}

// maxWaiting is how many full logs wait to be sealed before Append waits for them.
const maxWaiting = 4

// maxLogFrames bounds what is kept in memory of a log.
const maxLogFrames = 50_000

// Events are one tenant's raw events: a folder of Parquet segments, and behind them a
// write-ahead log with what is in no segment yet. They are safe for use by many
// goroutines; one process uses a folder.
type Events struct {
	dir   string
	opt   EventsOptions
	zip   *zstd.Encoder
	unzip *zstd.Decoder
	lock  *sql.DB

	appending   sync.Mutex // held by who writes to the log
	maintaining sync.Mutex // held by Maintain

	opened []*segment // that have files open, the last used last; see use
	files  sync.Mutex // of opened

	mu       sync.Mutex
	segments []*segment // by number
	waiting  []*log     // full, the oldest first
	head     *log       // that is written to
	closed   bool
	sealing  bool
	sealed   chan struct{} // closed when a seal ends, well or not
	lastErr  error         // of the background
	damage   []string      // what was found damaged
	wg       sync.WaitGroup
}

// OpenEvents opens the events in a folder, making it when missing. What was appended and
// acknowledged before is there, whatever ended the process that wrote it.
func OpenEvents(dir string, o EventsOptions) (*Events, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SealRows <= 0 {
		o.SealRows = 500_000
	}
	if o.SealBytes <= 0 {
		o.SealBytes = 64 << 20 // all of it is in memory while it is sealed
	}
	if o.SealAge <= 0 {
		o.SealAge = 6 * time.Hour
	}
	e := &Events{dir: dir, opt: o, sealed: make(chan struct{})}
	if err := e.open(); err != nil {
		_ = e.Close() // why it could not be opened tells more
		return nil, explain("open", dir, err)
	}
	return e, nil
}

func (e *Events) open() (err error) {
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return err
	}
	if err := e.hold(); err != nil {
		return err
	}
	if e.zip, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
		return err
	}
	if e.unzip, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(readers), zstd.WithDecoderMaxMemory(frameMost)); err != nil {
		return err
	}
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		return err
	}
	var logs []string
	words := map[string]bool{}
	for _, x := range entries {
		path := filepath.Join(e.dir, x.Name())
		switch {
		case strings.HasSuffix(path, tmpSuffix):
			if err := os.Remove(path); err != nil { // was being written
				return err
			}
		case strings.HasSuffix(path, logSuffix):
			logs = append(logs, path)
		case strings.HasSuffix(path, wordsSuffix):
			words[path] = true
		default:
			if s, ok := parseSegment(x.Name()); ok {
				s.path = path
				if err := s.measure(); err != nil {
					return err
				}
				e.segments = append(e.segments, s)
			}
		}
	}
	if err := e.settleSegments(words); err != nil {
		return err
	}
	return e.settleLogs(logs)
}

// hold makes sure that no other process uses the folder: SQLite locks files on every
// system, and lets go when the process ends in whatever way.
func (e *Events) hold() error {
	path, err := filepath.Abs(filepath.Join(e.dir, "lock"))
	if err != nil {
		return err
	}
	if e.lock, err = sql.Open("sqlite", dsn(path, "_pragma=locking_mode(EXCLUSIVE)&_pragma=journal_mode(OFF)&_pragma=busy_timeout(1000)")); err != nil {
		return err
	}
	e.lock.SetMaxOpenConns(1)
	_, err = e.lock.Exec("CREATE TABLE IF NOT EXISTS held (n INTEGER); DELETE FROM held")
	return err
}

// settleSegments drops segments that are part of a larger one, as after a crash between
// merging and deleting, and words of no segment.
func (e *Events) settleSegments(words map[string]bool) error {
	slices.SortFunc(e.segments, func(a, b *segment) int {
		if a.from != b.from {
			return int(max(-1, min(1, a.from-b.from)))
		}
		return int(max(-1, min(1, b.to-a.to))) // the larger first
	})
	kept := e.segments[:0]
	for _, s := range e.segments {
		if n := len(kept); n > 0 && s.to <= kept[n-1].to {
			if err := removeFiles(s.path); err != nil {
				return err
			}
			delete(words, wordsPath(s.path))
			continue
		}
		delete(words, wordsPath(s.path))
		kept = append(kept, s)
	}
	e.segments = kept
	for path := range words {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// settleLogs reads the logs, drops those that are sealed, and goes on with the last.
func (e *Events) settleLogs(paths []string) error {
	slices.Sort(paths)
	next, pos := int64(1), uint64(0)
	if n := len(e.segments); n > 0 {
		next = e.segments[n-1].to + 1
	}
	for i, path := range paths {
		l, damaged, torn, err := openLog(path)
		last := i == len(paths)-1
		switch {
		case errors.Is(err, ErrDamaged):
			// A file without a whole header was being made, or is lost.
			e.report("a log of events was left aside", err)
			if err := os.Rename(path, path+".damaged"); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if damaged != nil && (!last || !torn) {
			aside, err := l.setAside()
			if err != nil {
				return errors.Join(err, l.f.Close())
			}
			e.report("a part of a log of events was left aside in "+aside, damaged)
		}
		if err := l.f.Truncate(l.size); err != nil {
			return errors.Join(err, l.f.Close())
		}
		pos = max(pos, l.pos)
		if l.rows > 0 && l.next() <= next || l.rows == 0 && !last {
			if err := errors.Join(l.f.Close(), os.Remove(path)); err != nil {
				return err
			}
			continue
		}
		next = max(next, l.next())
		if last {
			e.head = l
		} else {
			e.waiting = append(e.waiting, l)
		}
	}
	if e.head != nil && (e.head.rows > 0 || e.head.base == next) {
		return nil
	}
	if e.head != nil { // it is empty and its numbers are not the next
		if err := errors.Join(e.head.f.Close(), os.Remove(e.head.path)); err != nil {
			return err
		}
	}
	var err error
	e.head, err = createLog(e.dir, next, pos)
	return err
}

// report notes damage that was found, for Stats and the log.
func (e *Events) report(what string, err error) {
	e.damage = append(e.damage, err.Error())
	e.opt.Log.Error(what, "cause", err)
}

// Close seals nothing: the log is as durable as a segment. It waits for what is being
// sealed.
func (e *Events) Close() error {
	e.appending.Lock()
	defer e.appending.Unlock()
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	for _, l := range append(e.waiting, e.head) {
		if l != nil {
			err = errors.Join(err, l.f.Close())
		}
	}
	for _, s := range e.segments {
		err = errors.Join(err, s.shut())
	}
	e.waiting, e.head, e.segments = nil, nil, nil
	if e.lock != nil {
		err = errors.Join(err, e.lock.Close())
	}
	if e.unzip != nil {
		e.unzip.Close()
	}
	return explain("close", e.dir, err)
}

// Position returns the position in the stream up to which events are here.
func (e *Events) Position() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.head == nil {
		return 0
	}
	return e.head.pos
}

// Append adds rows and moves the position, both durably or, with an error, neither. At or
// below the position it does nothing, and applied is false. Seq of the rows is set, and
// Position and Received of those that have none. Times are kept to the microsecond; a record of more
// than 16 MiB is cut.
func (e *Events) Append(ctx context.Context, position uint64, rows []Row) (applied bool, err error) {
	e.appending.Lock()
	defer e.appending.Unlock()
	for {
		e.mu.Lock()
		l, waiting, sealed, closed := e.head, len(e.waiting), e.sealed, e.closed
		e.mu.Unlock()
		switch {
		case closed:
			return false, explain("append to", e.dir, ErrClosed)
		case position <= l.pos:
			return false, nil
		case l.broken || l.rows > 0 && (l.rows >= e.opt.SealRows || l.raw >= e.opt.SealBytes || len(l.frames) >= maxLogFrames):
			if waiting < maxWaiting {
				if err := e.rotate(); err != nil {
					return false, explain("append to", e.dir, err)
				}
				continue
			}
			e.sealNext()
			select {
			case <-sealed:
			case <-ctx.Done():
				return false, explain("append to", e.dir, ctx.Err())
			}
			e.mu.Lock()
			err, waiting = e.lastErr, len(e.waiting)
			e.mu.Unlock()
			if err != nil && waiting >= maxWaiting {
				return false, explain("append to", e.dir, err)
			}
			continue
		}
		for i := range rows {
			if rows[i].Received.IsZero() {
				rows[i].Received = e.opt.Now() // by which it is forgotten one day
			}
		}
		first := l.next()
		batch, end, err := l.write(e.zip, position, rows)
		if err != nil {
			return false, explain("append to", e.dir, err)
		}
		for i := range rows {
			rows[i].Seq = first + int64(i)
		}
		e.mu.Lock() // from here on searches see it
		l.add(batch, end)
		e.mu.Unlock()
		return true, nil
	}
}

// rotate puts the log that is written to among those that wait to be sealed, and begins a
// new one. Who calls it holds appending.
func (e *Events) rotate() error {
	old := e.head
	l, err := createLog(e.dir, old.next(), old.pos)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.head = l
	if old.rows > 0 {
		e.waiting = append(e.waiting, old)
	}
	e.mu.Unlock()
	if old.rows == 0 {
		err = old.drop()
	}
	e.sealNext()
	return err
}

// sealNext seals what waits, in the background, unless that is going on.
func (e *Events) sealNext() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sealing || e.closed || len(e.waiting) == 0 {
		return
	}
	e.sealing = true
	e.wg.Go(func() {
		for e.sealOne() {
		}
	})
}

// sealOne makes a segment of the oldest log that waits, and says whether to go on.
func (e *Events) sealOne() bool {
	e.mu.Lock()
	l := e.waiting[0]
	e.mu.Unlock()
	s, err := seal(e.dir, l, e.unzip)
	e.mu.Lock()
	if err == nil {
		e.segments = append(e.segments, s)
		e.waiting = slices.Clone(e.waiting[1:]) // searches may hold the old list
	}
	e.lastErr = err
	more := err == nil && len(e.waiting) > 0 && !e.closed
	e.sealing = more
	close(e.sealed)
	e.sealed = make(chan struct{})
	e.mu.Unlock()
	if err == nil {
		err = l.drop()
	}
	if err != nil {
		e.opt.Log.Error("events stay in the log: they could not be sealed into a segment; this is tried again", "log", l.path, "cause", typed(err))
	}
	return more
}

// Seal makes segments of all that was appended, and waits for it.
func (e *Events) Seal(ctx context.Context) error {
	e.appending.Lock()
	err := e.rotateIf(func(l *log) bool { return l.rows > 0 })
	e.appending.Unlock()
	if err != nil {
		return explain("seal", e.dir, err)
	}
	for {
		e.mu.Lock()
		n, sealing, sealed, err := len(e.waiting), e.sealing, e.sealed, e.lastErr
		closed := e.closed
		e.mu.Unlock()
		switch {
		case n == 0 && !sealing:
			return nil
		case closed:
			return explain("seal", e.dir, ErrClosed)
		case !sealing && err != nil:
			return explain("seal", e.dir, err)
		}
		e.sealNext()
		select {
		case <-sealed:
		case <-ctx.Done():
			return explain("seal", e.dir, ctx.Err())
		}
	}
}

func (e *Events) rotateIf(due func(*log) bool) error {
	e.mu.Lock()
	l, closed := e.head, e.closed
	e.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if !due(l) {
		return nil
	}
	return e.rotate()
}

// Retention says how long events are kept; zero values keep for ever.
type Retention struct {
	// Age is since when events were received at the latest: what they say of their own
	// time, which their sender chose, neither keeps nor drops them.
	Age time.Duration
	// Bytes is how much room all files may take. What is not sealed yet stays.
	Bytes int64
}

// Kept says what Maintain did.
type Kept struct {
	Dropped int   // segments
	Rows    int64 // of them
	Bytes   int64 // of them
	Merged  int   // segments that became part of a larger one
}

// Maintain does what time asks for: seals what is old, forgets by the retention, oldest
// first and whole segments only, and merges small segments. To be called every minute or so.
func (e *Events) Maintain(ctx context.Context, keep Retention) (k Kept, err error) {
	e.maintaining.Lock()
	defer e.maintaining.Unlock()
	now := e.opt.Now()
	e.appending.Lock()
	err = e.rotateIf(func(l *log) bool {
		return l.rows > 0 && now.Sub(time.UnixMicro(l.first)) >= e.opt.SealAge
	})
	e.appending.Unlock()
	if err != nil {
		return k, explain("maintain", e.dir, err)
	}
	e.sealNext()
	e.mu.Lock()
	total := e.bytes()
	n := 0
	for _, s := range e.segments {
		old := keep.Age > 0 && now.Sub(time.UnixMicro(s.received)) > keep.Age
		if !old && (keep.Bytes <= 0 || total <= keep.Bytes) {
			break
		}
		total -= s.size
		k.Dropped++
		k.Rows += s.to - s.from + 1
		k.Bytes += s.size
		n++
	}
	dropped := e.segments[:n]
	e.segments = slices.Clone(e.segments[n:])
	e.mu.Unlock()
	for _, s := range dropped {
		err = errors.Join(err, s.drop())
	}
	if err != nil {
		return k, explain("forget segments of", e.dir, err)
	}
	k.Merged, err = e.merge(ctx)
	return k, explain("merge segments of", e.dir, err)
}

// maxOpen is how many segments have their files open when no search needs them.
const maxOpen = 64

// use opens a segment and, if many are open, closes those that were used longest ago. done
// of the segment is called when it is no longer needed.
func (e *Events) use(s *segment) (*openSegment, error) {
	o, err := s.use()
	if err != nil {
		return nil, err
	}
	e.files.Lock()
	defer e.files.Unlock()
	if i := slices.Index(e.opened, s); i >= 0 {
		e.opened = slices.Delete(e.opened, i, i+1)
	}
	e.opened = append(e.opened, s)
	for len(e.opened) > maxOpen && err == nil {
		err = e.opened[0].shut() // does nothing while it is used; then the next search does
		e.opened = slices.Delete(e.opened, 0, 1)
	}
	if err != nil {
		s.done()
		return nil, err
	}
	return o, nil
}

func (e *Events) bytes() int64 {
	n := int64(0)
	for _, s := range e.segments {
		n += s.size
	}
	for _, l := range e.waiting {
		n += l.size
	}
	if e.head != nil {
		n += e.head.size
	}
	return n
}

// EventsStats say how events stand.
type EventsStats struct {
	Rows     int64     `json:"rows"`
	Unsealed int64     `json:"unsealed"` // of the rows, those in no segment yet
	Segments int       `json:"segments"`
	Bytes    int64     `json:"bytes"`          // on disk
	First    time.Time `json:"first,omitzero"` // the earliest time of an event
	Last     time.Time `json:"last,omitzero"`
	Received time.Time `json:"received,omitzero"` // when the last of the oldest segment was
	Position uint64    `json:"position"`
	Failing  string    `json:"failing,omitempty"` // why sealing does not work
	Damage   []string  `json:"damage,omitempty"`  // what was found damaged when it was opened
}

// Stats says how events stand.
func (e *Events) Stats() EventsStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := EventsStats{Segments: len(e.segments), Bytes: e.bytes(), Damage: slices.Clone(e.damage)}
	lo, hi := noPlace().time, -noPlace().time
	for _, s := range e.segments {
		out.Rows += s.to - s.from + 1
		lo, hi = min(lo, s.min), max(hi, s.max)
	}
	if len(e.segments) > 0 {
		out.Received = time.UnixMicro(e.segments[0].received).UTC()
	}
	for _, l := range append(slices.Clone(e.waiting), e.head) {
		if l == nil {
			continue
		}
		out.Rows += int64(l.rows)
		out.Unsealed += int64(l.rows)
		out.Position = l.pos
		for i := range l.frames {
			lo, hi = min(lo, l.frames[i].min), max(hi, l.frames[i].max)
		}
	}
	if lo <= hi {
		out.First, out.Last = time.UnixMicro(lo).UTC(), time.UnixMicro(hi).UTC()
	}
	if e.lastErr != nil {
		out.Failing = e.lastErr.Error()
	}
	return out
}
