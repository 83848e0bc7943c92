package rules_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// hits decodes one input and counts its events and the matches of each rule.
func (p pack) hits(t *testing.T, input string, data []byte) (found map[int]int, events int) {
	t.Helper()
	o := decode.Options{Names: model.NewNames()}
	reg := decode.NewRegistry(decode.EVTX(o), decode.WindowsXML(o), decode.JSON(o), decode.ZeekTSV(o), decode.Syslog(o), decode.Auditd(o))
	d := reg.Detect(data[:min(len(data), decode.SniffLen)])
	if d == nil {
		return nil, 0
	}
	m := p.set.NewMatcher()
	found = map[int]int{}
	err := d.Frame(bytes.NewReader(data), func(c decode.Chunk) error {
		var b decode.Batch
		c.Input = input
		d.Decode(c, &b)
		events += len(b.Events)
		for i := range b.Events {
			e := &b.Events[i]
			m.Reset()
			for _, s := range e.Slots {
				slot, known := p.slots[o.Names.Name(s.Field)]
				if !known {
					slot = -1
				}
				m.Add(slot, sigma.Kind(s.Kind), s.Text)
			}
			for _, rule := range m.Match(sigma.LogSource(e.Source)) {
				found[rule]++
			}
		}
		return nil
	}, func(model.InputError) {})
	if err != nil {
		t.Errorf("%s: %v", input, err)
	}
	return found, events
}

// mediumEvery is how many benign events there must be for one match of level
// medium: such a match is worth a look tomorrow, and may not fill the day.
const mediumEvery = 1000

// TestBenignEvidenceKeepsQuiet runs the pack over evidence in which no attack is
// known: nothing of level high or above may match, and hardly anything of medium.
func TestBenignEvidenceKeepsQuiet(t *testing.T) {
	data := os.Getenv("CATENA_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "shared", "data")
	}
	paths, err := filepath.Glob(filepath.Join(data, "benign", "*"))
	if err != nil || len(paths) == 0 {
		t.Skipf("no benign evidence: %s is absent; set CATENA_DATA", filepath.Join(data, "benign"))
	}
	p := load(t)
	total, medium := 0, 0
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found, events := p.hits(t, filepath.Base(path), src)
		total += events
		for rule, n := range found {
			switch r := p.set.Rules()[rule]; r.Level {
			case "high", "critical":
				t.Errorf("%s: %s (%s) matches %d times", filepath.Base(path), r.File, r.Level, n)
			case "medium":
				t.Logf("%s: %s (medium) matches %d times", filepath.Base(path), r.File, n)
				medium += n
			}
		}
	}
	if total == 0 {
		t.Fatal("no event of the benign evidence was decoded")
	}
	if medium > total/mediumEvery {
		t.Errorf("%d matches of level medium in %d benign events, want at most one in %d", medium, total, mediumEvery)
	}
}
