package app

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
	"github.com/catena-sec/catena/internal/store"
)

// memStream is a stream in memory. It keeps what is purged, but gives none of it again.
type memStream struct {
	mu     sync.Mutex
	list   []StreamMessage
	purged uint64
	grown  chan struct{}
	keep   bool // lets go of nothing
}

func newMemStream() *memStream { return &memStream{grown: make(chan struct{})} }

func (s *memStream) put(m StreamMessage) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Pos = uint64(len(s.list) + 1)
	s.list = append(s.list, m)
	close(s.grown)
	s.grown = make(chan struct{})
	return m.Pos
}

func (s *memStream) PublishBatch(_ context.Context, b model.Batch) (uint64, error) {
	return s.put(StreamMessage{Kind: StreamBatch, Time: b.Received, Batch: func() (model.Batch, error) {
		b.Head, b.Data = bytes.Clone(b.Head), bytes.Clone(b.Data)
		return b, nil
	}}), nil
}

func (s *memStream) Publish(_ context.Context, k StreamKind, at time.Time, body []byte) (uint64, error) {
	return s.put(StreamMessage{Kind: k, Time: at, Body: body}), nil
}

func (s *memStream) Purge(_ context.Context, pos uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keep {
		s.purged = max(s.purged, pos)
	}
	return nil
}

func (s *memStream) Consume(ctx context.Context, after uint64, each func(StreamMessage) error) error {
	for {
		s.mu.Lock()
		if after < s.purged {
			s.mu.Unlock()
			return errors.New("what is purged was asked for")
		}
		list, grown := s.list[after:], s.grown
		s.mu.Unlock()
		for _, m := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := each(m); err != nil {
				return err
			}
			after = m.Pos
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

func (s *memStream) len() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.list))
}

// memCases is a projection in memory. step is called ahead of each commit and may fail.
type memCases struct {
	mu        sync.Mutex
	step      func() error
	offset    uint64
	commits   int
	incidents map[string]*store.Written
	alerts    map[string]*model.Alert
	merged    map[string]string
	changes   []model.Change
	versions  map[string]int
}

func newMemCases() *memCases {
	return &memCases{incidents: map[string]*store.Written{}, alerts: map[string]*model.Alert{}, merged: map[string]string{}, versions: map[string]int{}}
}

func (c *memCases) Applied(context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, nil
}

func (c *memCases) Commit(_ context.Context, in store.Commit) (bool, []model.Change, error) {
	if c.step != nil {
		if err := c.step(); err != nil {
			return false, nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if in.Offset <= c.offset {
		return false, nil, nil
	}
	c.offset = in.Offset
	c.commits++
	b, err := json.Marshal(in) // a copy: the engine goes on with its own
	if err != nil {
		return false, nil, err
	}
	var own store.Commit
	if err := json.Unmarshal(b, &own); err != nil {
		return false, nil, err
	}
	for i := range own.Incidents {
		w := &own.Incidents[i]
		c.incidents[w.Incident.ID] = w
		c.versions[w.Incident.ID]++
	}
	for i := range own.Alerts {
		c.alerts[own.Alerts[i].ID] = &own.Alerts[i]
	}
	for _, m := range own.Merged {
		delete(c.incidents, m.From)
		c.merged[m.From] = m.To
	}
	for _, id := range own.Withdrawn {
		delete(c.incidents, id)
	}
	c.changes = append(c.changes, own.Changes...)
	return true, in.Changes, nil
}

// dump is the whole projection as JSON, its offset aside.
func (c *memCases) dump(t testing.TB) []byte {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := json.MarshalIndent(map[string]any{"incidents": c.incidents, "alerts": c.alerts, "merged": c.merged, "changes": c.changes, "versions": c.versions}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// memEvents counts rows, and knows which came twice.
type memEvents struct {
	mu    sync.Mutex
	step  func() error
	pos   uint64
	rows  int
	twice int
	seen  map[string]bool
}

func newMemEvents() *memEvents { return &memEvents{seen: map[string]bool{}} }

func (e *memEvents) Position() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pos
}

func (e *memEvents) Append(_ context.Context, pos uint64, rows []EventRow) error {
	if e.step != nil {
		if err := e.step(); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if pos <= e.pos {
		return errors.New("rows of a position that was kept already")
	}
	e.pos = pos
	e.rows += len(rows)
	for _, r := range rows {
		if e.seen[r.ID+r.Input] {
			e.twice++
		}
		e.seen[r.ID+r.Input] = true
	}
	return nil
}

// A piece is a part of a file, as a receiver would have sent it.
type piece struct {
	at    time.Time // of its last record
	batch model.Batch
}

// pieces cuts the files of a folder into batches, each of the records of some time, and
// gives them in the order in which they would have come: off is by how much the clocks of
// files are wrong.
func pieces(tb testing.TB, a *App, root string, off map[string]time.Duration, span func() time.Duration) []piece {
	tb.Helper()
	var out []piece
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		whole := false
		if strings.HasSuffix(path, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				return err
			}
			if b, err = io.ReadAll(z); err != nil {
				return err
			}
			whole = true
		}
		out = append(out, cutPieces(a, filepath.ToSlash(rel), b, whole, off[path], span)...)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	slices.SortStableFunc(out, func(x, y piece) int { return cmp.Or(x.at.Compare(y.at), strings.Compare(x.batch.Peer, y.batch.Peer)) })
	return out
}

func cutPieces(a *App, name string, b []byte, whole bool, off time.Duration, span func() time.Duration) []piece {
	d := a.registry.Detect(b[:min(len(b), decode.SniffLen)])
	if d == nil {
		return nil
	}
	type record struct {
		offset int64
		at     time.Time
	}
	var records []record
	var head []byte
	_ = d.Frame(bytes.NewReader(b), func(c decode.Chunk) error {
		var x decode.Batch
		d.Decode(c, &x)
		for i := range x.Events {
			records = append(records, record{x.Events[i].Ref.Offset, x.Events[i].Time.Add(off)})
		}
		for i := range x.Alerts {
			records = append(records, record{c.Offset, x.Alerts[i].Time})
		}
		return nil
	}, func(model.InputError) {})
	if len(records) == 0 {
		return nil
	}
	slices.SortStableFunc(records, func(x, y record) int { return cmp.Compare(x.offset, y.offset) })
	if d.Name() == "zeek-tsv" || d.Name() == "zeek" {
		head = b[:records[0].offset]
	}
	out := []piece{}
	from, begin := 0, records[0].at
	last, length := begin, span()
	flush := func(to int) {
		start, end := int64(0), int64(len(b))
		if from > 0 {
			start = records[from].offset
		}
		if to < len(records) {
			end = records[to].offset
		}
		p := piece{at: last, batch: model.Batch{Source: strings.Split(name, "/")[0], Peer: name, Received: last.Add(2 * time.Second), Data: b[start:end]}}
		if from > 0 && len(head) > 0 {
			p.batch.Head = head
		}
		out = append(out, p)
	}
	for i := 1; i < len(records); i++ {
		r := records[i]
		if !whole && r.offset > records[i-1].offset && r.at.Sub(begin) > length {
			flush(i)
			from, begin, length = i, r.at, span()
			last = r.at
		}
		if r.at.After(last) {
			last = r.at
		}
	}
	flush(len(records))
	return out
}

// feed publishes pieces with a tick after every so many seconds of their time.
func feed(tb testing.TB, s Stream, ps []piece, tick time.Duration) {
	tb.Helper()
	ctx := context.Background()
	var next time.Time
	for _, p := range ps {
		if next.IsZero() {
			next = p.batch.Received.Add(tick)
		}
		for p.batch.Received.After(next) {
			if _, err := s.Publish(ctx, StreamTick, next, nil); err != nil {
				tb.Fatal(err)
			}
			next = next.Add(tick)
			if p.batch.Received.Sub(next) > tick {
				next = p.batch.Received.Add(-tick / 2)
			}
		}
		if _, err := s.PublishBatch(ctx, p.batch); err != nil {
			tb.Fatal(err)
		}
	}
	for range joinerTicks + 1 {
		if _, err := s.Publish(ctx, StreamTick, next, nil); err != nil {
			tb.Fatal(err)
		}
		next = next.Add(tick)
	}
}

// runTo runs l until the whole stream is folded and its rows are kept.
func runTo(tb testing.TB, l *Live, end uint64, events *memEvents) error {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(2 * time.Millisecond):
			if l.Health().Position >= end && (events == nil || events.Position() > 0) {
				cancel()
				return <-done
			}
		}
	}
}

// simulated is the day that the simulator makes of a seed.
func simulated(tb testing.TB, o simulate.Options) string {
	tb.Helper()
	dir := tb.TempDir()
	if _, err := simulate.Write(dir, o); err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(dir, "evidence")
}

func spans(seed uint64, least, most time.Duration) func() time.Duration {
	r := rand.New(rand.NewPCG(seed, seed))
	return func() time.Duration { return least + time.Duration(r.Int64N(int64(most-least)+1)) }
}

// keyOf names an alert by what it is about and not by where its records stood.
func keyOf(a *model.Alert) string {
	key := a.Rule.ID + " " + a.Time.UTC().Format(time.RFC3339Nano)
	for _, e := range a.Entities {
		if e.Type == model.Host {
			return key + " " + e.Value
		}
	}
	return key
}
