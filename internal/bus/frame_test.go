package bus

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/catena-sec/catena/internal/model"
)

func TestFrameReadsWhatWasWritten(t *testing.T) {
	want := []Message{
		{Kind: KindTick, ID: "a", Time: time.Unix(0, -5).UTC()},
		{Kind: KindBatch, ID: "\x00made", Time: time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC), Body: []byte("body")},
		{Kind: 200, ID: string(bytes.Repeat([]byte("i"), MaxID)), Body: bytes.Repeat([]byte{7}, 100_000)},
	}
	var f []byte
	for i := range want {
		f = appendMessage(f, &want[i], want[i].ID)
	}
	got, err := readFrame(f)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	for n := range f[:200] {
		if ms, err := readFrame(f[:n]); err == nil && len(ms) >= len(want) {
			t.Errorf("the first %d bytes of %d read as whole", n, len(f))
		}
	}
}

// FuzzFrame: what is read can be written again and then reads the same.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xCA, 1})
	f.Add([]byte{0xCA, 2, 1})
	f.Add(appendMessage(nil, &Message{Kind: KindTick, Time: time.Unix(1, 0)}, "x"))
	f.Add(appendMessage(appendMessage(nil, &Message{Kind: KindBatch, Body: []byte("b")}, "x"), &Message{}, "y"))
	f.Add([]byte{0xCA, 1, 1, 0, 1, 'x', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		ms, err := readFrame(data)
		if err != nil {
			return
		}
		var again []byte
		for i := range ms {
			again = appendMessage(again, &ms[i], ms[i].ID)
		}
		ms2, err := readFrame(again)
		if err != nil || !cmp.Equal(ms, ms2, cmpopts.EquateEmpty()) {
			t.Fatalf("%+v read again as %+v, %v", ms, ms2, err)
		}
	})
}

func newCodec(t testing.TB) *Codec {
	t.Helper()
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBatchReadsWhatWasWritten(t *testing.T) {
	c := newCodec(t)
	for _, want := range []model.Batch{
		{},
		{
			Tenant: "acme", ID: "web/12/345", Source: "syslog", Peer: "192.0.2.7:514", Format: "syslog",
			Received: time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC), Head: []byte("#fields\ta\tb"), Data: []byte("one\ntwo\n"),
		},
		{Data: noise(MaxEvidence - 10), Head: make([]byte, 10)},
	} {
		body, err := c.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) > MaxBody {
			t.Errorf("a batch within its bounds takes %d bytes, a message has at most %d", len(body), MaxBody)
		}
		got, err := c.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want.Data, got.Data) || !bytes.Equal(want.Head, got.Head) {
			t.Error("evidence is not as it was")
		}
		want.Data, got.Data, want.Head, got.Head = nil, nil, nil, nil
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		for _, cut := range []int{0, 1, 2, len(body) / 2, len(body) - 1} {
			if _, err := c.Decode(body[:cut]); err == nil {
				t.Errorf("the first %d of %d bytes read as a batch", cut, len(body))
			}
		}
	}
	for _, b := range []model.Batch{
		{Data: make([]byte, MaxEvidence+1)},
		{Tenant: string(make([]byte, maxName+1))},
		{Peer: string(make([]byte, maxPeerName+1))},
		{ID: string(make([]byte, MaxID+1))},
	} {
		if _, err := c.Encode(b); err == nil {
			t.Error("a batch beyond its bounds was written")
		}
	}
}

func TestBatchThatUnpacksToTooMuch(t *testing.T) {
	c := newCodec(t)
	bomb := c.enc.EncodeAll(make([]byte, 100<<20), []byte{batchVersion})
	if len(bomb) > 1<<20 {
		t.Fatalf("100 MiB of zeros take %d bytes", len(bomb))
	}
	if _, err := c.Decode(bomb); err == nil {
		t.Error("100 MiB were unpacked")
	}
}

// FuzzBatch: a batch that reads is within its bounds and can be written again. The
// input is the plain form, because fuzzing finds no way through the compression.
func FuzzBatch(f *testing.F) {
	c := newCodec(f)
	f.Add([]byte{}, false)
	f.Add([]byte{0, 1, 'a', 0, 0, 0, 0, 0, 1, 'x'}, true)
	f.Add([]byte{2, 4, 'a', 'c', 'm', 'e', 1, 'i', 1, 's', 1, 'p', 1, 'f', 2, 'h', 'h', 3, 'd', 'd', 'd'}, true)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, true)
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		body := slices.Concat([]byte{batchVersion}, data)
		if compress {
			body = c.enc.EncodeAll(data, []byte{batchVersion})
		}
		b, err := c.Decode(body)
		if err != nil {
			return
		}
		again, err := c.Encode(b)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", b, err)
		}
		b2, err := c.Decode(again)
		if err != nil || !cmp.Equal(b, b2) {
			t.Fatalf("%+v read again as %+v, %v", b, b2, err)
		}
	})
}
