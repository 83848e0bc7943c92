package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Kind says what a message's Body is.
type Kind uint8

// The kinds of messages. A consumer meets only these unless a newer version wrote
// to the stream.
const (
	KindBatch    Kind = iota + 1 // evidence: a model.Batch as Codec writes it
	KindTick                     // a time: the end of a round
	KindDecision                 // what an analyst decided: a model.Decision as JSON
	KindControl                  // a change that the engine makes at this place of the stream
)

// A Message is what is published.
type Message struct {
	Kind Kind
	// ID is the same for the same content however often it is published, empty if the
	// publisher knows none. At most MaxID bytes, of which the first is not 0.
	ID   string
	Time time.Time
	Body []byte // at most MaxBody bytes
}

// Bounds of a message and of a frame.
const (
	MaxID   = 128
	MaxBody = 9 << 20 // a batch of receivers is at most 8 MiB before it is compressed

	maxFrame           = MaxBody + 1<<20
	frameBytes         = 1 << 20 // at which a frame takes no further message
	frameMessages      = 1024    // likewise; also bounds the ids of the window
	frameVersion       = 1
	frameHead          = 2
	messageHead        = 1 + binary.MaxVarintLen64*3
	indexBits          = 16
	indexMask          = 1<<indexBits - 1
	zeroTime           = -1 << 63
	madeIDMark    byte = 0
)

// A frame is what is written to the stream:
//
//	0xCA, version, then of each message:
//	kind byte, time varint (ns since 1970), length of id uvarint, id, length of body uvarint, body
//
// appendMessage adds one to a frame.
func appendMessage(frame []byte, m *Message, id string) []byte {
	if len(frame) == 0 {
		frame = append(frame, 0xCA, frameVersion)
	}
	frame = append(frame, byte(m.Kind))
	when := int64(zeroTime)
	if !m.Time.IsZero() {
		when = m.Time.UnixNano()
	}
	frame = binary.AppendVarint(frame, when)
	frame = binary.AppendUvarint(frame, uint64(len(id)))
	frame = append(frame, id...)
	frame = binary.AppendUvarint(frame, uint64(len(m.Body)))
	return append(frame, m.Body...)
}

// readFrame returns the messages of a frame; their bodies share its memory.
func readFrame(frame []byte) ([]Message, error) {
	if len(frame) < frameHead || frame[0] != 0xCA {
		return nil, errors.New("not a frame of catena")
	}
	if frame[1] != frameVersion {
		return nil, fmt.Errorf("frame of version %d, this program reads %d: a newer one wrote it", frame[1], frameVersion)
	}
	var ms []Message
	for b := frame[frameHead:]; len(b) > 0; {
		if len(ms) == frameMessages {
			return nil, fmt.Errorf("frame of more than %d messages", frameMessages)
		}
		m := Message{Kind: Kind(b[0])}
		when, n := binary.Varint(b[1:])
		if n <= 0 {
			return nil, fmt.Errorf("message %d of the frame: damaged time", len(ms))
		}
		if when != zeroTime {
			m.Time = time.Unix(0, when).UTC()
		}
		id, rest, ok := readBytes(b[1+n:], MaxID)
		if !ok || len(id) == 0 {
			return nil, fmt.Errorf("message %d of the frame: damaged id", len(ms))
		}
		m.ID = string(id)
		if m.Body, rest, ok = readBytes(rest, MaxBody); !ok {
			return nil, fmt.Errorf("message %d of the frame: damaged body", len(ms))
		}
		ms = append(ms, m)
		b = rest
	}
	if len(ms) == 0 {
		return nil, errors.New("frame without messages")
	}
	return ms, nil
}

// readBytes reads a length and so many bytes, at most limit.
func readBytes(b []byte, limit int) (field, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(limit) || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	end := k + int(n)
	return b[k:end:end], b[end:], true
}

// position names message i of the count of the frame with sequence seq. The last one
// of each frame ends in indexMask, so that the position after it is in the next frame:
// who has read a whole frame does not ask for it again.
func position(seq uint64, i, count int) uint64 {
	return seq<<indexBits | uint64(indexMask-(count-1-i))
}

// frameStart is at or below all positions of a frame, and above those of frames before.
func frameStart(seq uint64) uint64 { return seq << indexBits }

// frameEnd is the position of the last message of a frame.
func frameEnd(seq uint64) uint64 { return seq<<indexBits | indexMask }

// Frame returns the sequence of the frame that a position lies in.
func Frame(position uint64) uint64 { return position >> indexBits }
