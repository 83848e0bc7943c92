package sigma

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A slotted event is one whose field names are resolved, as an engine has them.
type slotted struct {
	src    LogSource
	slots  []int
	fields []Field
}

func resolve(set *Set, src LogSource, event []Field) slotted {
	s := slotted{src: src, fields: event}
	for _, f := range event {
		slot := -1
		for i, name := range set.Fields() {
			if name == f.Name {
				slot = i
			}
		}
		s.slots = append(s.slots, slot)
	}
	return s
}

func benchMatch(b *testing.B, set *Set, events []slotted) {
	b.Helper()
	m := set.NewMatcher()
	matches := 0
	round := func(e *slotted) {
		m.Reset()
		for i, f := range e.fields {
			m.Add(e.slots[i], f.Kind, f.Text)
		}
		matches += len(m.Match(e.src))
	}
	for i := range events {
		round(&events[i]) // every buffer has its size
	}
	matches = 0
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		round(&events[n%len(events)])
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(matches)/float64(n), "matches/event")
	b.ReportMetric(float64(len(set.Rules())), "rules")
}

// madeRules are process rules of the usual form, made here.
func madeRules(tb testing.TB, n int) *Set {
	tb.Helper()
	var rules []*Rule
	for i := range n {
		src := fmt.Sprintf(`title: Made %d
logsource: {product: windows, category: process_creation}
detection:
  img:
    - Image|endswith: '\tool%d.exe'
    - OriginalFileName: 'TOOL%d.EXE'
  cli:
    CommandLine|contains|windash: ' -opt%d'
  path:
    CommandLine|contains|all: ['\dir%d\', 'http']
  filter:
    ParentImage|startswith: 'C:\Program Files\vendor%d\'
  condition: img and 1 of (cli) and not filter
`, i, i, i, i, i%50, i%20)
		src = strings.Replace(src, "1 of (cli)", "(cli or path)", 1)
		rs, err := Parse("made.yml", []byte(src))
		if err != nil {
			tb.Fatal(err)
		}
		rules = append(rules, rs...)
	}
	set, err := Compile(rules)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func madeEvents(set *Set) []slotted {
	var out []slotted
	for i := range 500 {
		event := []Field{
			{"EventID", Number, "1"},
			{"Image", String, fmt.Sprintf(`C:\Windows\System32\tool%d.exe`, i*7)},
			{"OriginalFileName", String, fmt.Sprintf("Tool%d.exe", i*7)},
			{"CommandLine", String, fmt.Sprintf(`"C:\Windows\System32\tool%d.exe" /opt%d --out C:\Users\someone\AppData\Local\Temp\dir%d\file.dat http://example.com/a/b/c?d=%d`, i*7, i*7+i%3, i, i)},
			{"ParentImage", String, `C:\Windows\explorer.exe`},
			{"User", String, `CORP\someone`},
			{"Hashes", String, "SHA256=9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"},
		}
		out = append(out, resolve(set, LogSource{"windows", "process_creation", "sysmon"}, event))
	}
	return out
}

func BenchmarkMatchMade(b *testing.B) {
	set := madeRules(b, 2000)
	benchMatch(b, set, madeEvents(set))
}

func BenchmarkMatchCampaign(b *testing.B) {
	events, sources := campaignEvents(b)
	_, rules, _ := parseAll(b, dataDir(b, "sigma_rules"))
	set, _ := Compile(rules)
	var all, process []slotted
	for i, e := range events {
		s := resolve(set, sources[i], e)
		all = append(all, s)
		if s.src.Category == "process_creation" {
			process = append(process, s)
		}
	}
	b.Run("sysmon", func(b *testing.B) { benchMatch(b, set, all) })
	b.Run("process", func(b *testing.B) { benchMatch(b, set, process) })
}

// BenchmarkRules matches a campaign with a tenth of the public rules and with all
// of them, by turns, and says what ten times the rules cost. Events come as from a
// decoder: in batches, their texts just written.
func BenchmarkRules(b *testing.B) {
	events, sources := campaignEvents(b)
	_, rules, _ := parseAll(b, dataDir(b, "sigma_rules"))
	all, _ := Compile(rules)
	var some []*Rule
	for i := 0; i < len(rules); i += 10 {
		some = append(some, rules[i])
	}
	tenth, _ := Compile(some)
	type side struct {
		set    *Set
		events []slotted
		m      *Matcher
		took   time.Duration
	}
	sides := []*side{{set: tenth}, {set: all}}
	for _, s := range sides {
		s.m = s.set.NewMatcher()
		for i, e := range events {
			s.events = append(s.events, resolve(s.set, sources[i], e))
		}
	}
	const batch = 64
	n, at := 0, 0
	var texts [batch][]string
	b.ReportAllocs()
	for b.Loop() {
		if at+batch > len(events) {
			at = 0
		}
		var arena strings.Builder
		arena.Grow(1 << 18)
		for i := range batch {
			texts[i] = texts[i][:0]
			for _, f := range events[at+i] {
				start := arena.Len()
				arena.WriteString(f.Text)
				texts[i] = append(texts[i], arena.String()[start:])
			}
		}
		for _, s := range sides {
			begin := time.Now()
			for i, e := range s.events[at : at+batch] {
				s.m.Reset()
				for k, f := range e.fields {
					s.m.Add(e.slots[k], f.Kind, texts[i][k])
				}
				s.m.Match(e.src)
			}
			s.took += time.Since(begin)
		}
		n, at = n+batch, at+batch
	}
	for _, s := range sides {
		b.ReportMetric(float64(s.took.Nanoseconds())/float64(n), fmt.Sprintf("ns/event:%d-rules", len(s.set.Rules())))
	}
	b.ReportMetric(float64(sides[1].took)/float64(sides[0].took), "ratio")
}

// BenchmarkHostile matches what an attacker may send against all public rules: the
// time for a byte must not grow with the size of a value or the number of fields.
func BenchmarkHostile(b *testing.B) {
	_, rules, _ := parseAll(b, dataDir(b, "sigma_rules"))
	set, _ := Compile(rules)
	src := LogSource{"windows", "process_creation", "sysmon"}
	one := func(text string) []Field { return []Field{{"CommandLine", String, text}} }
	var many []Field
	for i := range 4096 {
		many = append(many, Field{set.Fields()[i%len(set.Fields())], String, fmt.Sprintf(`C:\Windows\System32\%d.exe -enc http`, i)})
	}
	for _, c := range []struct {
		name  string
		event []Field
	}{
		{"ascii-64K", one(strings.Repeat("powershell -enc ", 1<<12))},
		{"ascii-1M", one(strings.Repeat("powershell -enc ", 1<<16))},
		{"greek-1M", one(strings.Repeat("Κρυπτό", 1<<20/12))},
		{"emoji-1M", one(strings.Repeat("👨‍🏭", 1<<20/11))},
		{"regex-1M", one(strings.Repeat("net  config echo clip && i`nvoke -k ", 1<<20/36))},
		{"fields-4096", many},
	} {
		b.Run(c.name, func(b *testing.B) {
			bytes := 0
			for _, f := range c.event {
				bytes += len(f.Text)
			}
			b.SetBytes(int64(bytes))
			benchMatch(b, set, []slotted{resolve(set, src, c.event)})
		})
	}
}

func BenchmarkParse(b *testing.B) {
	dir := dataDir(b, "sigma_rules")
	src, err := os.ReadFile(filepath.Join(dir, "rules", "windows", "process_creation", "proc_creation_win_susp_image_missing.yml"))
	if err != nil {
		b.Skip(err)
	}
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("x.yml", src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	_, rules, _ := parseAll(b, dataDir(b, "sigma_rules"))
	b.ReportAllocs()
	for b.Loop() {
		if set, _ := Compile(rules); len(set.Rules()) == 0 {
			b.Fatal("nothing compiled")
		}
	}
	b.ReportMetric(float64(len(rules)), "rules")
}

// The steady state allocates nothing.
func TestMatchDoesNotAllocate(t *testing.T) {
	set := madeRules(t, 50)
	events := madeEvents(set)
	m := set.NewMatcher()
	all := func() {
		for i := range events {
			e := &events[i]
			m.Reset()
			for k, f := range e.fields {
				m.Add(e.slots[k], f.Kind, f.Text)
			}
			m.Match(e.src)
		}
	}
	all()
	if n := testing.AllocsPerRun(5, all); n != 0 {
		t.Errorf("%v allocations for %d events", n, len(events))
	}
}

// BenchmarkLoad is what a program pays before it can match: all public rules
// read, parsed on all cores and compiled.
func BenchmarkLoad(b *testing.B) {
	dir := dataDir(b, "sigma_rules")
	var files []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".yml") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		parsed := make([][]*Rule, len(files))
		var wg sync.WaitGroup
		var next atomic.Int64
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for i := next.Add(1) - 1; int(i) < len(files); i = next.Add(1) - 1 {
					if src, err := os.ReadFile(files[i]); err == nil {
						parsed[i], _ = Parse(files[i], src)
					}
				}
			})
		}
		wg.Wait()
		if set, _ := Compile(slices.Concat(parsed...)); len(set.Rules()) == 0 {
			b.Fatal("nothing compiled")
		}
	}
	b.ReportMetric(float64(len(files)), "files")
}
