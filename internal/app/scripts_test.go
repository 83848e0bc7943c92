package app

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/decode"
)

// part is a part of a script as NXLog writes it.
func part(second int, id string, number, total int, text string) string {
	quoted, _ := json.Marshal(text) //nolint:errcheck,errchkjson // a text
	return fmt.Sprintf(`{"EventTime":"2024-03-03 10:00:%02d","Hostname":"pc1","EventID":4104,"Channel":"Microsoft-Windows-PowerShell/Operational","MessageNumber":%d,"MessageTotal":%d,"ScriptBlockText":%s,"ScriptBlockId":%q}`+"\n",
		second, number, total, quoted, id)
}

// filler is more than one chunk of events that no rule is about.
func filler(chunks int) string {
	line := `{"EventTime":"2024-03-03 10:00:30","Hostname":"pc1","EventID":1,"Channel":"Application","Message":"` + strings.Repeat("x", 4000) + `"}` + "\n"
	return strings.Repeat(line, chunks*decode.ChunkTarget/len(line)+1)
}

// A pattern that stands across parts of a script is found wherever chunks end, once,
// on the last event that holds a part; and parts that never come keep back nothing.
func TestScriptsAcrossChunks(t *testing.T) {
	rule := filepath.Join(t.TempDir(), "r.yml")
	write(t, rule, "title: Split script\nid: 6b0c6a0e-3f0e-4c5e-9d58-0e5f3a1c7b12\nlogsource: {product: windows, category: ps_script}\ndetection: {a: {'ScriptBlockText|contains': AmsiScanBuffer}, condition: a}\nlevel: high\n")
	for _, c := range []struct {
		name, text string
		records    []int64 // that alert, in one input
	}{
		{"one chunk", part(1, "s", 1, 2, "$a='AmsiSc") + part(2, "s", 2, 2, "anBuffer'"), []int64{2}},
		{"two chunks", part(1, "s", 1, 2, "$a='AmsiSc") + filler(2) + part(2, "s", 2, 2, "anBuffer'"), []int64{-1}},
		{"three, backwards", part(1, "s", 3, 3, "er'") + filler(2) + part(2, "s", 2, 3, "iScanBuff") + filler(2) + part(3, "s", 1, 3, "$a='Ams"), []int64{-1}},
		{"one never comes", part(1, "s", 1, 4, "x") + part(2, "s", 2, 4, "$a='AmsiSc") + filler(2) + part(3, "s", 3, 4, "anBuffer'") + filler(1), []int64{0}},
		{"all others never come", part(1, "s", 2, 9, "$a='AmsiScanBuffer'") + filler(2), []int64{1}},
		{"another script", part(1, "s", 1, 2, "$a='AmsiSc") + filler(2) + part(2, "r", 2, 2, "anBuffer'"), nil},
		{"another total", part(1, "s", 1, 2, "$a='AmsiSc") + filler(2) + part(2, "s", 2, 3, "anBuffer'"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder(t, file{"a.json", c.text}, file{"b.json", part(1, "s", 2, 2, "anBuffer'")})
			var first any
			for _, workers := range []int{1, 4} {
				r := analyze(t, Options{Workers: workers, RuleDirs: []string{rule}, NoBuiltin: true, AllAlerts: true}, ".")
				if got := errorsOf(r); len(got) > 0 {
					t.Fatal(got)
				}
				if len(r.Alerts) != len(c.records) {
					t.Fatalf("%d workers: %d alerts, want %d", workers, len(r.Alerts), len(c.records))
				}
				for i, want := range c.records {
					switch e := r.Alerts[i].Evidence[0]; {
					case r.Alerts[i].Count != 1 || e.Input != "a.json":
						t.Errorf("alert %+v", r.Alerts[i])
					case want > 0 && e.Record != want, want < 0 && e.Record != int64(strings.Count(c.text, "\n")):
						t.Errorf("record %d, want %d", e.Record, want)
					}
				}
				if first == nil {
					first = r
				} else if !reflect.DeepEqual(first, any(r)) {
					t.Error("one worker and four tell different things")
				}
			}
		})
	}
}

// What waits for further parts is bounded, and nothing of it is lost.
func TestScriptsHeldAreBounded(t *testing.T) {
	a, err := New(Options{NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	sc := &scanner{registry: a.registry, engine: a.engine, names: a.names, tells: a.tells}
	count := 0
	j := newScriptJoiner(sc, func(_ *inputState, p acted) { count += p.count })
	in := &inputState{}
	j.begin(in)
	w := newWorker(sc)
	const scripts = 3 * maxHeldScripts
	handed := 0
	for i := range scripts {
		var b decode.Batch
		a.registry.Named("json").Decode(decode.Chunk{Data: []byte(part(1, fmt.Sprint("s", i), 1, 2, strings.Repeat("x", 60<<10)))}, &b)
		held, at := w.hold(&b)
		if len(held) != 1 || len(at) != 1 {
			t.Fatalf("%d events are held", len(held))
		}
		handed += len(held)
		j.add(held)
		if j.bytes > maxHeldBytes || len(j.open) > maxHeldScripts || len(j.open) != len(j.order) {
			t.Fatalf("%d bytes of %d scripts are held", j.bytes, len(j.open))
		}
	}
	j.begin(nil)
	if j.bytes != 0 || len(j.order) != 0 || count != handed {
		t.Errorf("%d of %d events came out; %d bytes are left", count, handed, j.bytes)
	}
}
