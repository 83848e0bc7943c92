package simulate

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// A record is one thing that a sensor wrote down, not yet rendered.
type record struct {
	at   time.Time // true time
	body any       // what the file's format renders
	mark mark
}

// A mark says which attack a record belongs to; the zero mark is background.
type mark struct {
	campaign *campaign
	step     int       // 0: of the campaign, but of no one step
	activity *activity // what is done on purpose and is no attack
	act      string    // names an act that several records tell of
}

// A logFile is one file of evidence.
type logFile struct {
	path    string // below evidence/, with slashes
	format  format
	records []record
}

// A format renders records in their order and returns the number that each has
// for its decoder: a line's number for logs of lines, else the record's.
type format interface {
	render(b *bufio.Writer, rs []record) []int64
}

// A world is the estate, its clock, and what its sensors have written so far.
type world struct {
	seed   uint64
	day    time.Time // midnight of the day that is simulated, UTC
	estate *estate

	files      []*logFile
	byPath     map[string]*logFile
	mark       mark // of what happens now
	campaigns  []*campaign
	records    []truthRecord
	watch      *watch // nil where nobody watches
	benign     []*activity
	conditions []condition // what is wrong with sources
	added      []place     // what the step that happens now has recorded so far
}

// newWorld builds the estate on a working day of March 2026.
func newWorld(seed uint64) *world {
	w := &world{seed: seed, byPath: map[string]*logFile{}}
	r := w.rng("day")
	first := time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC) // a Monday
	w.day = first.AddDate(0, 0, 7*r.IntN(4)+r.IntN(5))
	w.estate = newEstate(w)
	return w
}

// rng is a source of chance of its own for each purpose, so that what one part
// of the simulation draws does not change another.
func (w *world) rng(purpose string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(purpose))                 // a hash takes everything
	return rand.New(rand.NewPCG(w.seed, h.Sum64())) //nolint:gosec // repeatable on purpose
}

// clock is the time of the day given as hours and minutes.
func (w *world) clock(hour, minute int) time.Time {
	return w.day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
}

// file returns the file of that path, making it first if need be.
func (w *world) file(path string, f format) *logFile {
	if l := w.byPath[path]; l != nil {
		return l
	}
	l := &logFile{path: path, format: f}
	w.byPath[path] = l
	w.files = append(w.files, l)
	return l
}

// add writes a record down, as a part of what happens now.
func (w *world) add(f *logFile, at time.Time, body any) {
	if w.watch != nil && w.mark.campaign != nil {
		w.added = append(w.added, place{f, len(f.records)})
	}
	f.records = append(f.records, record{at, body, w.mark})
}

// between draws a duration, to the millisecond.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64((to-from)/time.Millisecond)+1))*time.Millisecond
}

// pick draws one of several.
func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// hexOf draws n hex digits.
func hexOf(r *rand.Rand, n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[r.IntN(16)]
	}
	return string(b)
}

// letters draws n of the characters that cloud keys are made of.
func letters(r *rand.Rand, n int) string {
	const set = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, n)
	for i := range b {
		b[i] = set[r.IntN(len(set))]
	}
	return string(b)
}

// uuid draws a random UUID.
func uuid(r *rand.Rand) string {
	s := hexOf(r, 32)
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", s[:8], s[8:12], s[13:16], s[17:20], s[20:])
}

// digest is a stable stand-in for the hash of a file, as long as n hex digits.
func digest(of string, n int) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(of))
	return hexOf(rand.New(rand.NewPCG(h.Sum64(), 7)), n) //nolint:gosec // repeatable on purpose
}
