package decode

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A framer whose chunks are given back cuts as one whose chunks are kept, and what
// was not given back stays as it is.
func TestRelease(t *testing.T) {
	var text strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&text, `{"time":"2024-03-01T10:00:00Z","n":%d,"text":"%s"}`+"\n", i, strings.Repeat("x", i%200))
	}
	var w evtxWriter
	for range 40 {
		for range 100 {
			w.event(4624, logonEvent("somebody"))
		}
		w.close()
	}
	o := Options{Names: model.NewNames()}
	for _, c := range []struct {
		d    Decoder
		data []byte
	}{{JSON(o), []byte(text.String())}, {EVTX(o), w.bytes()}} {
		frame := func(give bool) (chunks []Chunk, all []byte) {
			n := 0
			err := c.d.Frame(bytes.NewReader(c.data), func(ch Chunk) error {
				all = append(all, ch.Data...)
				if n++; give && n%2 == 0 {
					clear(ch.Data)
					ch.Release()
					if ch.Data != nil {
						t.Error("a chunk still has what it gave back")
					}
				} else {
					chunks = append(chunks, ch)
				}
				return nil
			}, func(e model.InputError) { t.Error(e) })
			if err != nil {
				t.Fatal(err)
			}
			return chunks, all
		}
		kept, want := frame(false)
		for range 3 {
			some, got := frame(true)
			if !bytes.Equal(got, want) || len(kept) < 4 {
				t.Errorf("%s: %d chunks, other bytes", c.d.Name(), len(kept))
			}
			for i, ch := range some {
				if !bytes.Equal(ch.Data, kept[2*i].Data) || ch.Offset != kept[2*i].Offset || ch.Record != kept[2*i].Record {
					t.Errorf("%s: chunk %d was changed", c.d.Name(), 2*i)
				}
			}
		}
	}

	b := newBuffers()
	for range 2 * buffersKept {
		b.put(make([]byte, 10))
	}
	b.put(make([]byte, 2*ChunkTarget+1))
	if len(b) != buffersKept || cap(b.get(5)) != 10 || cap(b.get(100)) < 100 {
		t.Errorf("%d buffers kept", len(b))
	}
}
