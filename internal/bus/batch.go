package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of a batch, in bytes.
const (
	maxName     = 256     // tenant, source and format, each
	maxPeerName = 4 << 10 // peers are paths, too
	MaxEvidence = 8 << 20 // head and data together
)

// A Codec writes and reads batches as bodies of messages. Its methods may be called
// by many goroutines: batches are compressed where they are taken and unpacked where
// they are decoded, on all cores.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewCodec makes a codec.
func NewCodec() (*Codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxEvidence+64<<10), zstd.WithDecodeAllCapLimit(false))
	if err != nil {
		return nil, err
	}
	return &Codec{enc, dec}, nil
}

// The body of a batch is a version, and compressed by zstd: received (varint, ns since
// 1970), tenant, id, source, peer, format, head, data, each a length (uvarint) and bytes.
const batchVersion = 1

// Encode returns b as the body of a message.
func (c *Codec) Encode(b model.Batch) ([]byte, error) {
	for _, f := range []struct {
		name  string
		n     int
		limit int
	}{
		{"tenant", len(b.Tenant), maxName}, {"source", len(b.Source), maxName}, {"format", len(b.Format), maxName},
		{"id", len(b.ID), MaxID}, {"peer", len(b.Peer), maxPeerName}, {"evidence", len(b.Head) + len(b.Data), MaxEvidence},
	} {
		if f.n > f.limit {
			return nil, fmt.Errorf("batch of source %.80q: %s of %d bytes, at most %d: %w", b.Source, f.name, f.n, f.limit, ErrTooLarge)
		}
	}
	plain := make([]byte, 0, 80+len(b.Tenant)+len(b.ID)+len(b.Source)+len(b.Peer)+len(b.Format)+len(b.Head)+len(b.Data))
	when := int64(zeroTime)
	if !b.Received.IsZero() {
		when = b.Received.UnixNano()
	}
	plain = binary.AppendVarint(plain, when)
	for _, s := range []string{b.Tenant, b.ID, b.Source, b.Peer, b.Format} {
		plain = append(binary.AppendUvarint(plain, uint64(len(s))), s...)
	}
	for _, s := range [][]byte{b.Head, b.Data} {
		plain = append(binary.AppendUvarint(plain, uint64(len(s))), s...)
	}
	return c.enc.EncodeAll(plain, append(make([]byte, 0, 64+len(plain)/4), batchVersion)), nil
}

// Decode reads what Encode wrote. What is damaged gives an error that says what.
func (c *Codec) Decode(body []byte) (model.Batch, error) {
	var b model.Batch
	if len(body) == 0 || body[0] != batchVersion {
		return b, fmt.Errorf("batch: not of version %d: a newer program wrote it, or it is damaged", batchVersion)
	}
	p, err := c.dec.DecodeAll(body[1:], nil)
	if err != nil {
		return b, fmt.Errorf("batch: %w", err)
	}
	when, n := binary.Varint(p)
	if n <= 0 {
		return b, errors.New("batch: damaged time")
	}
	if when != zeroTime {
		b.Received = time.Unix(0, when).UTC()
	}
	p = p[n:]
	for _, f := range []struct {
		to    *string
		limit int
		name  string
	}{{&b.Tenant, maxName, "tenant"}, {&b.ID, MaxID, "id"}, {&b.Source, maxName, "source"}, {&b.Peer, maxPeerName, "peer"}, {&b.Format, maxName, "format"}} {
		s, rest, ok := readBytes(p, f.limit)
		if !ok {
			return model.Batch{}, fmt.Errorf("batch: damaged %s", f.name)
		}
		*f.to, p = string(s), rest
	}
	var ok bool
	if b.Head, p, ok = readBytes(p, MaxEvidence); !ok {
		return model.Batch{}, errors.New("batch: damaged head")
	}
	if b.Data, p, ok = readBytes(p, MaxEvidence); !ok || len(p) > 0 {
		return model.Batch{}, errors.New("batch: damaged data")
	}
	return b, nil
}
