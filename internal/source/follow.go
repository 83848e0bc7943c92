package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// FollowOptions are those of a Follow.
type FollowOptions struct {
	Name, Tenant string
	// Paths are files, folders with all below them, and patterns of filepath.Match.
	Paths []string
	// Cursors is the file that says how far each was read.
	Cursors string
	// Tail leaves out what stands in the files that are found when there are no
	// cursors yet.
	Tail bool
	// FileFormat names the decoder of all the files; empty to find out for each.
	FileFormat string
	Format     Format // may be nil
	Limits     Limits
	// Poll is how often is looked for new files and bytes where the system does not
	// tell of them. Default 1 s.
	Poll time.Duration
	// Settle is how long a line waits for its end, a record that may go on for the
	// rest, and a compressed file for being complete. Default 5 s.
	Settle time.Duration
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: none
}

// Follow reads files as they grow: those that are there, and those that come. It
// goes on where it stopped, through restarts and kills, rotation by rename or by
// copying and truncation, and compression of what was rotated. What the sink took is
// not handed on again, or under the same Batch.ID: when a kill comes between the
// sink and the cursor, the same bytes make the same batch.
//
// Files whose column names stand at their top (CSV, Zeek, W3C) have them as
// Batch.Head. A compressed file, and one JSON document such as {"Records":[...]}, is
// read once it is complete. Of a Windows event log (EVTX) whole chunks of 64 KiB are
// handed on with the file's header: of one that is still open in Windows, the last
// chunk waits until the next is begun.
type Follow struct {
	Counters
	o       FollowOptions
	cursors *cursorFile
	files   []*followed
	first   bool // there were no cursors
	told    map[string]string
	mu      sync.Mutex // of told
}

// NewFollow returns a receiver of files.
func NewFollow(o FollowOptions) *Follow {
	o.Limits = o.Limits.WithDefaults()
	orDefault(&o.Poll, time.Second)
	orDefault(&o.Settle, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Follow{o: o, told: map[string]string{}}
}

// Name is the receiver's name in the configuration.
func (f *Follow) Name() string { return f.o.Name }

// How many files are read at once, kept open, and for how long without a change.
const (
	followReaders = 8
	followOpen    = 256
	followLinger  = time.Minute
)

// Run follows the files until ctx ends.
func (f *Follow) Run(ctx context.Context, sink Sink) error {
	cursors, err := openCursors(f.o.Cursors, f.o.Now)
	if err != nil {
		return fmt.Errorf("%s: cursors cannot be kept in %s: %w: the folder must be writable", f.o.Name, f.o.Cursors, err)
	}
	f.cursors = cursors
	for _, c := range cursors.list() {
		if c.Ended.IsZero() {
			f.files = append(f.files, &followed{cursor: c, unsure: c.Offset == 0 && c.Copy == 0})
		}
	}
	f.first = len(cursors.list()) == 0
	wake := newWatch(f.o.Log)
	defer wake.close()
	defer func() {
		for _, e := range f.files {
			e.close()
		}
	}()
	for {
		start := time.Now()
		found := f.list()
		wake.folders(found)
		f.match(found)
		f.first = false
		f.round(ctx, sink)
		if ctx.Err() != nil {
			return cursors.close()
		}
		// A busy folder is not scanned more than a fifth of the time.
		took := time.Since(start)
		select {
		case <-ctx.Done():
		case <-time.After(max(10*time.Millisecond, 4*took)):
		}
		timer := time.NewTimer(max(0, f.o.Poll-took))
		select {
		case <-ctx.Done():
		case <-wake.events:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// A found file is one that Paths name.
type found struct {
	path string
	info os.FileInfo
}

// list returns the regular files that Paths name, each path once, sorted.
func (f *Follow) list() []found {
	var all []found
	seen := map[string]bool{}
	own, _ := filepath.Abs(f.o.Cursors) // empty if the folder is gone: nothing is equal to it
	add := func(path string) {
		if seen[path] || len(all) >= maxFollowed {
			if len(all) >= maxFollowed {
				f.tell(f.o.Name, fmt.Errorf("more than %d files: the rest is not followed; name fewer", maxFollowed))
			}
			return
		}
		seen[path] = true
		if abs, err := filepath.Abs(path); err == nil && own != "" && strings.HasPrefix(abs, own) {
			return
		}
		info, err := os.Stat(path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				f.tell(path, err)
			}
			return
		}
		if info.Mode().IsRegular() {
			all = append(all, found{path, info})
		}
	}
	for _, pattern := range f.o.Paths {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.tell(pattern, err)
			continue
		}
		if info, err := os.Stat(pattern); err == nil && !slices.Contains(paths, pattern) {
			_ = info // a name with characters that a pattern would mean
			paths = append(paths, pattern)
		}
		for _, p := range paths {
			info, err := os.Stat(p)
			if err != nil || !info.IsDir() {
				add(p)
				continue
			}
			err = filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
				switch {
				case err != nil:
					f.tell(path, err)
				case len(all) >= maxFollowed:
					add(path) // tells
					return fs.SkipAll
				case !d.IsDir() && !isShadow(d.Name()):
					add(path)
				}
				return nil
			})
			if err != nil {
				f.tell(p, err)
			}
		}
	}
	slices.SortFunc(all, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return all
}

// match finds for each file what is known of it.
func (f *Follow) match(all []found) {
	byFile, byPath := map[string]*followed{}, map[string]*followed{}
	for _, e := range f.files {
		e.seen = false
		if e.File != "" {
			byFile[e.File] = e
		}
		byPath[e.Path] = e
	}
	for _, x := range all {
		id := fileID(x.info)
		e := byFile[id]
		if id == "" {
			e = byPath[x.path]
		}
		if e == nil {
			e = f.adopt(x, id)
			if e == nil {
				continue
			}
			f.files = append(f.files, e)
			byFile[id] = e
		}
		if e.seen {
			continue // a second name of the same file
		}
		e.seen, e.Path, e.gone, e.info = true, x.path, false, x.info
	}
	f.files = slices.DeleteFunc(f.files, func(e *followed) bool {
		if e.seen || e.gone && !e.finished(f.o.Settle) {
			return false
		}
		if !e.gone {
			// Renamed to where no path names it, or deleted: what is left of it is read.
			e.gone = true
			if e.f != nil || f.findMoved(e) {
				return false
			}
		}
		e.close()
		f.end(e)
		return true
	})
}

// end keeps the cursor of a file that is no more, for a copy of it to be known.
func (f *Follow) end(e *followed) {
	c := e.cursor
	c.Ended = f.o.Now()
	c.Gone = c.Offset == 0 && c.Pending == 0 // nothing of it was read: a copy is as good
	if err := f.cursors.put(c); err != nil {
		f.tell(e.Path, err)
	}
}

// round reads what is new in all files.
func (f *Follow) round(ctx context.Context, sink Sink) {
	var all sync.WaitGroup
	slots := make(chan struct{}, followReaders)
	for _, e := range f.files {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			err := f.read(ctx, e, sink)
			if err != nil && ctx.Err() == nil {
				f.tell(e.Path, err)
			}
		})
	}
	all.Wait()
	open := 0
	for _, e := range f.files {
		if e.f != nil {
			open++
		}
	}
	for _, e := range f.files {
		idle := time.Since(e.changed)
		if e.f != nil && !e.gone && e.Offset == e.size && (idle > followLinger || open > followOpen) {
			e.close()
			e.rest = true
			open--
		}
	}
}

// tell logs and counts what is wrong with a file, once while it stays the same.
func (f *Follow) tell(path string, err error) {
	text := cause(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told[path] == text {
		return
	}
	if len(f.told) >= maxFollowed {
		clear(f.told)
	}
	f.told[path] = text
	f.Refused(1, fmt.Errorf("%s: %s", clean(path), text))
	f.o.Log.Warn("file not read", "receiver", f.o.Name, "path", clean(path), "error", text)
}

// A watch wakes the follower when something happens in the folders of its files.
// Where the system cannot tell, or not of so many, the poll finds it.
type watch struct {
	w      *fsnotify.Watcher
	events chan struct{} // holds one
	done   chan struct{}
	added  map[string]bool
}

// maxWatched bounds the folders that are watched.
const maxWatched = 1024

func newWatch(log *slog.Logger) *watch {
	x := &watch{events: make(chan struct{}, 1), done: make(chan struct{}), added: map[string]bool{}}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Info("files are polled, since the system tells of no changes", "error", err)
		close(x.done)
		return x
	}
	x.w = w
	go func() {
		defer close(x.done)
		for {
			select {
			case _, ok := <-w.Events:
				if !ok {
					return
				}
			case _, ok := <-w.Errors: // too many events at once: look
				if !ok {
					return
				}
			}
			select {
			case x.events <- struct{}{}:
			default:
			}
		}
	}()
	return x
}

// folders watches the folders of files.
func (x *watch) folders(files []found) {
	if x.w == nil {
		return
	}
	for _, one := range files {
		dir := filepath.Dir(one.path)
		if x.added[dir] || len(x.added) >= maxWatched {
			continue
		}
		x.added[dir] = true
		_ = x.w.Add(dir) // or the poll finds what happens there
	}
}

func (x *watch) close() {
	if x.w != nil {
		_ = x.w.Close() // nothing is lost
	}
	<-x.done
}
