package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A batch that was used before gives what a new one gives, and holds nothing of
// before; its blocks are used again, but not without bound.
func TestBatchReset(t *testing.T) {
	d := JSON(Options{Names: model.NewNames()})
	chunk := func(n int, text string) Chunk {
		one := `{"time":"2024-03-01T10:00:00Z","a":"` + text + `\n","b":["x","y"]}` + "\n"
		return Chunk{Input: "in", Data: []byte(strings.Repeat(one, n))}
	}
	say := func(b *Batch) string {
		var s strings.Builder
		for _, e := range b.Events {
			s.WriteString(e.Time.String())
			for _, f := range e.Slots {
				s.WriteString("|" + f.Text)
			}
		}
		return s.String()
	}
	var again Batch
	for _, c := range []struct {
		n    int
		text string
	}{{3, "one"}, {3000, "many"}, {2, strings.Repeat("long ", 100_000)}, {1, "x"}} {
		var fresh Batch
		d.Decode(chunk(c.n, c.text), &fresh)
		d.Decode(chunk(c.n, c.text), &again)
		want := say(&fresh)
		if got := say(&again); got != want || len(again.Events) != c.n {
			t.Errorf("%d events, another text than a new batch's %d", len(again.Events), len(fresh.Events))
		}
		events, slots := again.Events, again.Events[0].Slots
		again.Reset()
		if len(again.Events)+len(again.Alerts)+len(again.Errors)+int(again.Records+again.Skipped) != 0 {
			t.Errorf("%+v", again)
		}
		if events[0].Slots != nil || slots[0].Text != "" {
			t.Errorf("holds %+v, %+v", events[0], slots[0])
		}
	}

	var a arena[byte]
	for range 3 * arenaKept {
		a.block(10)
	}
	first := &a.blocks[0][:1][0]
	a.reset()
	if len(a.blocks) != arenaKept || &a.block(10)[:1][0] != first || cap(a.block(1000)) < 1000 {
		t.Errorf("%d blocks", len(a.blocks))
	}
}
