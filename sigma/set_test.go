package sigma

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		rule, event string // product/category/service
		want        bool
	}{
		{"windows/process_creation/", "windows/process_creation/sysmon", true},
		{"Windows/Process_Creation/", "windows/process_creation/security", true},
		{"windows//sysmon", "windows/process_creation/sysmon", true},
		{"windows//", "windows/process_creation/security", true},
		{"windows//security", "windows/process_creation/sysmon", false},
		{"linux/process_creation/", "windows/process_creation/", false},
		{"/webserver/", "nginx/webserver/access", true},
		{"/webserver/", "//", false},
		{"windows/process_creation/", "//", false},
		{"windows/registry_event/", "windows/registry_set/sysmon", true},
		{"windows/registry_event/", "windows/registry_delete/", true},
		{"windows/registry_set/", "windows/registry_event/", false},
		{"windows/registry_event/", "windows/file_event/", false},
		{"linux//auth", "linux//sshd", true},
		{"linux//syslog", "linux//cron", true},
		{"linux//auth", "linux//cron", false},
		{"linux//sshd", "linux//auth", false},
		{"windows//auth", "windows//sshd", false},
	} {
		src := func(s string) LogSource {
			p := strings.Split(s, "/")
			return LogSource{p[0], p[1], p[2]}
		}
		if got := covers(src(c.rule).fold(), src(c.event).fold()); got != c.want {
			t.Errorf("rule %s, event %s: %v", c.rule, c.event, got)
		}
	}
}

// oneField makes a set of one rule a value, over field F.
func oneField(tb testing.TB, items ...string) *Set {
	tb.Helper()
	var rules []*Rule
	for _, item := range items {
		rs, err := Parse("f.yml", []byte(head+"detection: {s: {"+item+"}, condition: s}\n"))
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

// A refused rule leaves the others in their order.
func TestCompileRefusesOne(t *testing.T) {
	var rules []*Rule
	for _, v := range []string{"a", "'%x%'", "b"} {
		rs, err := Parse("f.yml", []byte(head+"detection: {s: {F|expand: "+v+"}, condition: s}\n"))
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, rs...)
	}
	set, err := Compile(append(rules, &Rule{Title: "made by hand"}))
	if n := len(Errors(err)); n != 2 || len(set.Rules()) != 2 {
		t.Fatalf("%d rules, %v", len(set.Rules()), err)
	}
	m := set.NewMatcher()
	load(m, []Field{{"F", String, "b"}})
	if got := m.Match(LogSource{Category: "c"}); !slices.Equal(got, []int{1}) {
		t.Errorf("matches %v", got)
	}
}

// Predicates' stamps survive the wrap of the epoch.
func TestEpochWraps(t *testing.T) {
	set := oneField(t, "F|contains: a", "F: null", "F|re: 'b+'")
	m := set.NewMatcher()
	src := LogSource{Category: "c"}
	load(m, []Field{{"F", String, "abb"}})
	m.Match(src)
	m.states[0].epoch = 1<<31 - 2
	for range 4 {
		load(m, []Field{{"F", String, "abb"}})
		if got := m.Match(src); !slices.Equal(got, []int{0, 2}) {
			t.Fatalf("epoch %d: %v", m.states[0].epoch, got)
		}
		load(m, nil)
		if got := m.Match(src); !slices.Equal(got, []int{1}) {
			t.Fatalf("epoch %d: %v", m.states[0].epoch, got)
		}
	}
}

// A hostile stream of log sources does not grow a Matcher without bound.
func TestRoutesAreBounded(t *testing.T) {
	m := oneField(t, "F: a").NewMatcher()
	for i := range 5 * maxRoutes {
		m.Match(LogSource{Product: fmt.Sprint(i)})
	}
	if len(m.routes) > maxRoutes {
		t.Errorf("%d routes remembered", len(m.routes))
	}
}

func TestMatchersShareASet(t *testing.T) {
	set := oneField(t, "F|contains: a", "F|endswith: b", "F: null")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			m := set.NewMatcher()
			for i := range 200 {
				text := strings.Repeat("a", (i+w)%2) + "b"
				load(m, []Field{{"F", String, text}})
				want := []int{1}
				if len(text) == 2 {
					want = []int{0, 1}
				}
				if got := m.Match(LogSource{Category: "C"}); !slices.Equal(got, want) {
					t.Errorf("%q: %v", text, got)
				}
			}
		})
	}
	wg.Wait()
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "7": "7", "007": "7", "-0": "0", "+5": "5", "1.0": "1", "1.50": "1.5", "1e3": "1000", "0x10": "16", "0XfF": "255",
		"999999999999999999": "999999999999999999", "9223372036854775808": "9223372036854775808", "0xffffffffffffffff": "18446744073709551615",
		"": "", "x": "", "0x": "", "1.2.3": "", "inf": "", "NaN": "", "1_000": "", "1e": "", "--1": "", "1-1": "", "e5": "", " 1": "", "1e999": "",
	} {
		got, ok := appendNumber(nil, text)
		if ok != (want != "") || ok && string(got) != want {
			t.Errorf("%q: %q %v, want %q", text, got, ok, want)
		}
	}
}
