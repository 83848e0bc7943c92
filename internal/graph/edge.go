package graph

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// An edge is one act, or a run of the same act between the same two entities. A
// memory holds a million of them, so an edge keeps of its act what links are decided
// by; the act itself is asked for when a walk comes to it.
type edge struct {
	from, to *node
	kept     int64              // number of the act for Options.Recall
	obs      *model.Observation // the act itself, only when nobody else keeps it
	at, last moment             // of the first act, and of the last of the run
	text     textPrint
	n        int32 // acts in the run
	reason   uint8 // see Memory.reasons
	act      model.Act
	cause    bool
	fetch    bool // something may have been fetched over it, see fetching
}

// edge returns a new edge for act o.
func (m *Memory) edge(from, to *node, o *model.Observation) *edge {
	t := momentOf(o.Time)
	e := &edge{from: from, to: to, kept: o.Kept, at: t, last: t, n: 1, act: o.Act, fetch: o.Act == model.ActConnect && fetching(o, to.key.Value)}
	if o.Kept == 0 || m.opt.Recall == nil {
		e.obs = o
	}
	return e
}

// reason returns the number by which edges name a reason: there are a dozen.
func (m *Memory) reason(r model.Reason) uint8 {
	i := slices.Index(m.reasons, r)
	if i < 0 {
		i = len(m.reasons)
		m.reasons = append(m.reasons, r)
	}
	return uint8(i)
}

// observation returns the act of e, never nil.
func (m *Memory) observation(e *edge) *model.Observation {
	if e.obs != nil {
		return e.obs
	}
	if o := m.opt.Recall(e.kept); o != nil {
		return o
	}
	return &model.Observation{Act: e.act, Time: e.at.time()}
}

// of says whether e is of act o.
func (e *edge) of(o *model.Observation) bool {
	if e.obs != nil {
		return e.obs == o
	}
	return e.kept == o.Kept
}

// A moment is a time in a third of the room: nanoseconds since 1970. Times too far
// away to be counted so are the first or last moment.
type moment int64

// farthest is how many seconds from 1970 a moment can be, with room for windows.
const farthest = 9_200_000_000

func momentOf(t time.Time) moment {
	switch s := t.Unix(); {
	case s > farthest:
		return farthest * moment(time.Second)
	case s < -farthest:
		return -farthest * moment(time.Second)
	}
	return moment(t.UnixNano())
}

func (m moment) time() time.Time { return time.Unix(0, int64(m)).UTC() }

// until returns the time from m to t.
func (m moment) until(t time.Time) time.Duration { return time.Duration(momentOf(t) - m) }

// after says whether m lies after t by more than stamps of one act may differ.
func (m moment) after(t time.Time) bool { return m > momentOf(t)+moment(slack) }

// A textPrint stands for a text: the text itself if it fits, else a hash that
// nobody can find a second text for. Its last byte is the length, or 255.
type textPrint [16]byte

func printOf(text string) (p textPrint) {
	const own = len(p) - 1
	if len(text) <= own {
		copy(p[:], text)
		p[own] = byte(len(text))
		return p
	}
	sum := sha256.Sum256([]byte(text))
	copy(p[:], sum[:own])
	p[own] = 255
	return p
}
