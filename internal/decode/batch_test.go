package decode

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A record with too many fields keeps the first of them, says so, and does not
// touch the next one.
func TestTooWide(t *testing.T) {
	var b Batch
	for i := range MaxFields + 5 {
		b.Slot(model.FieldID(i+1), model.String, "x")
	}
	b.Emit(model.Event{Ref: model.Ref{Record: 7, Offset: 99}})
	b.Slot(1, model.String, "y")
	b.Emit(model.Event{})
	if len(b.Events[0].Slots) != MaxFields || len(b.Events[1].Slots) != 1 {
		t.Errorf("%d and %d slots", len(b.Events[0].Slots), len(b.Events[1].Slots))
	}
	if len(b.Errors) != 1 || b.Errors[0].Record != 7 || b.Errors[0].Offset != 99 || b.Errors[0].Count != 1 || b.Skipped != 0 {
		t.Errorf("errors %+v, %d skipped", b.Errors, b.Skipped)
	}
}

func TestTooWideJSON(t *testing.T) {
	var s strings.Builder
	s.WriteString(`{"EventID":1,"Channel":"Security","Hostname":"pc1","EventTime":"2024-01-01 00:00:00"`)
	for i := range 2 * MaxFields {
		fmt.Fprintf(&s, `,"f%d":%d`, i, i)
	}
	s.WriteString("}\n" + `{"EventID":1,"Channel":"Security","Hostname":"pc1","EventTime":"2024-01-01 00:00:01"}`)
	d := JSON(Options{Names: model.NewNames()})
	var b Batch
	d.Decode(Chunk{Data: []byte(s.String())}, &b)
	if len(b.Events) != 2 || len(b.Errors) != 1 || b.Errors[0].Record != 1 || !strings.Contains(b.Errors[0].Cause, "more than 4096 fields") {
		t.Errorf("%d events, errors %+v", len(b.Events), b.Errors)
	}
}

func TestUTF8(t *testing.T) {
	const want = "Mar  1 10:00:00 h sshd[1]: jérôme 𝄞\n"
	for name, mark := range map[string]string{"UTF-16, little end first": "\xff\xfe", "UTF-16, big end first": "\xfe\xff", "UTF-8": "\xef\xbb\xbf"} {
		src := []byte(mark)
		switch name {
		case "UTF-8":
			src = append(src, want...)
		default:
			for _, r := range want {
				units := []uint16{uint16(r)}
				if r > 0xFFFF {
					r -= 0x10000
					units = []uint16{0xD800 + uint16(r>>10), 0xDC00 + uint16(r&0x3FF)}
				}
				for _, u := range units {
					if mark[0] == 0xff {
						src = append(src, byte(u), byte(u>>8))
					} else {
						src = append(src, byte(u>>8), byte(u))
					}
				}
			}
		}
		if !Marked(src) {
			t.Errorf("%s: mark not seen", name)
		}
		got, err := io.ReadAll(UTF8(bytes.NewReader(src)))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if Marked([]byte("plain")) || Marked(nil) {
		t.Error("a mark where there is none")
	}
}
