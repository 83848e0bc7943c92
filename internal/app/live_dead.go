package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A DeadLetter is a batch of which nothing could be used. It can be sent again, when what
// it needs (a mapping, a newer version) is there.
type DeadLetter struct {
	Pos      uint64    `json:"pos"` // in the stream; its name
	Cause    string    `json:"cause"`
	Source   string    `json:"source"`
	Peer     string    `json:"peer"`
	Format   string    `json:"format"`
	Received time.Time `json:"received"`
	Bytes    int       `json:"bytes"`
	Head     []byte    `json:"head,omitempty"`
	Data     []byte    `json:"data,omitempty"`
}

// Bounds of the folder of dead letters; beyond them the oldest go.
const (
	maxDead      = 1000
	maxDeadBytes = 256 << 20
)

// deadLetters is the folder of what could not be used, with at most most of it.
type deadLetters struct {
	dir  string
	most int
}

func (d deadLetters) name(pos uint64) string {
	return filepath.Join(d.dir, fmt.Sprintf("%020d.json", pos))
}

// put keeps a batch. To put it twice is the same as once.
func (d deadLetters) put(l DeadLetter) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(d.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.name(l.Pos))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return d.trim()
}

// files lists the letters, oldest first.
func (d deadLetters) files() ([]fs.DirEntry, error) {
	all, err := os.ReadDir(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	all = slices.DeleteFunc(all, func(e fs.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".json") })
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return all, err
}

func (d deadLetters) trim() error {
	all, err := d.files()
	if err != nil {
		return err
	}
	n, size := 0, int64(0)
	for _, e := range slices.Backward(all) {
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		n++
		if size += info.Size(); n > d.most || size > maxDeadBytes && n > 1 {
			if err := os.Remove(filepath.Join(d.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// list returns the letters without their data, newest first, at most most of them.
func (d deadLetters) list(most int) ([]DeadLetter, error) {
	all, err := d.files()
	if err != nil {
		return nil, err
	}
	var out []DeadLetter
	for _, e := range slices.Backward(all) {
		if len(out) >= most {
			break
		}
		pos, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ".json"), 10, 64)
		if err != nil {
			continue
		}
		l, err := d.get(pos)
		if err != nil {
			continue
		}
		l.Head, l.Data = nil, nil
		out = append(out, l)
	}
	return out, nil
}

func (d deadLetters) get(pos uint64) (DeadLetter, error) {
	var l DeadLetter
	b, err := os.ReadFile(d.name(pos))
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("dead letter %d: %w", pos, err)
	}
	return l, nil
}

func (d deadLetters) remove(pos uint64) error { return os.Remove(d.name(pos)) }

func deadLetterOf(x *digested) DeadLetter {
	b := &x.batch
	return DeadLetter{Pos: x.msg.Pos, Cause: clipped(x.poison, 500), Source: clipped(b.Source, maxSourceName), Peer: clipped(b.Peer, maxPeerName), Format: b.Format,
		Received: b.Received, Bytes: len(b.Head) + len(b.Data), Head: b.Head, Data: b.Data}
}

// batch is the evidence again, received now.
func (l *DeadLetter) batch(tenant string, now time.Time) model.Batch {
	return model.Batch{Tenant: tenant, Source: l.Source, Peer: l.Peer, Format: l.Format, Received: now, Head: l.Head, Data: l.Data}
}
