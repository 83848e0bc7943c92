package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

func fitOf(t *testing.T, o Options, paths ...string) *Fit {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := a.Fit(context.Background(), paths)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sysmonLine is a process start as nxlog ships it.
func sysmonLine(n int, fields string) string {
	return fmt.Sprintf(`{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"pc1","EventTime":"2024-03-01 11:%02d:00","UtcTime":"2024-03-01 11:%02d:00.000"%s}`+"\n", n, n, fields)
}

const fitRule = `title: %[1]s
id: %08[2]d-1111-4111-8111-111111111111
name: %[1]s
logsource: {%[3]s}
detection:
  sel: {%[4]s}
  condition: sel
`

func TestFitStatuses(t *testing.T) {
	const sysmon = "product: windows, service: sysmon"
	var log strings.Builder
	for i := range 3 {
		log.WriteString(sysmonLine(i, `,"Image":"C:\\x.exe","User":"bob"`))
	}
	rules := []struct{ title, source, sel, want string }{
		{"fires", sysmon, "Image: 'C:\\x.exe'", "fired 3"},
		{"could", sysmon, "Image: 'C:\\y.exe', EventID: 1", "can_fire 0"},
		{"field", sysmon, "EventID: 1, ParentImage: x", "lacks_fields 0 [[ParentImage]]"},
		{"event", sysmon, "EventID: [3, 5], ParentImage: x", "lacks_events 0 EventID 3, 5"},
		{"channel", "product: windows", "Channel: Security, EventID: 1", "lacks_events 0 Channel security"},
		{"source", "product: linux", "a: b", "lacks_log_source 0"},
	}
	var files []file
	for i, r := range rules {
		files = append(files, file{"rules/" + r.title + ".yml", fmt.Sprintf(fitRule, r.title, i, r.source, r.sel)})
	}
	correlation := "title: %s\nid: %08d-2222-4111-8111-111111111111\ncorrelation: {type: %s, rules: [%s], timespan: 1h%s}\n"
	files = append(files, file{"log.json", log.String()},
		file{"rules/c1.yml", fmt.Sprintf(correlation, "thrice", 1, "event_count", "fires", ", condition: {gte: 3}")},
		file{"rules/c2.yml", fmt.Sprintf(correlation, "often", 2, "event_count", "fires", ", condition: {gte: 9}")},
		file{"rules/c3.yml", fmt.Sprintf(correlation, "both", 3, "temporal", "fires, event", "")},
		file{"rules/c4.yml", fmt.Sprintf(correlation, "either", 4, "event_count", "could, event", ", condition: {gte: 2}")})
	folder(t, files...)
	f := fitOf(t, Options{RuleDirs: []string{"rules"}, NoBuiltin: true}, "log.json")
	got := map[string]string{}
	for _, r := range f.Results {
		got[r.Title] = fmt.Sprintf("%s %d", r.Status, r.Matches)
		if len(r.Fields) > 0 {
			got[r.Title] += fmt.Sprintf(" %v", r.Fields)
		}
		for _, w := range r.Wants {
			got[r.Title] += " " + w.Field + " " + strings.Join(w.Values, ", ")
		}
	}
	for _, r := range rules {
		if got[r.title] != r.want {
			t.Errorf("%s: %q, want %q", r.title, got[r.title], r.want)
		}
	}
	for title, want := range map[string]string{"thrice": "fired 1", "often": "can_fire 0", "both": "lacks_rules 0", "either": "can_fire 0"} {
		if got[title] != want {
			t.Errorf("%s: %q, want %q", title, got[title], want)
		}
	}
	if f.Events != 3 || f.Rules != 10 || f.LogSources[0] != (LogSourceFit{"product=linux", 1, 0}) || len(f.Unread) != 0 {
		t.Errorf("%d events, %d rules, %+v, %+v", f.Events, f.Rules, f.LogSources, f.Unread)
	}
	if !slices.IsSortedFunc(f.Results, func(x, y RuleFit) int {
		return slices.Index(FitStatuses, x.Status) - slices.Index(FitStatuses, y.Status)
	}) {
		t.Error("the results do not stand worst first")
	}
}

// The answer is the same whatever the workers, the order of the inputs aside.
func TestFitIsDeterministic(t *testing.T) {
	var log strings.Builder
	for i := range 60 {
		log.WriteString(sysmonLine(i, fmt.Sprintf(`,"Image":"C:\\x%d.exe","F%d":"v"`, i%7, i%13)))
	}
	folder(t, file{"a.json", log.String()}, file{"b.json", dumping()})
	var first []byte
	for _, n := range []int{1, 2, 5} {
		b, err := json.Marshal(fitOf(t, Options{Workers: n}, "a.json", "b.json"))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Errorf("%d workers say something else", n)
		}
	}
}

// What an attacker writes into kinds and log sources does not grow without bound,
// and a rule is rather said to be able to fire than not.
func TestFitBounds(t *testing.T) {
	folder(t, file{"rules/a.yml", fmt.Sprintf(fitRule, "late", 1, "product: p", "EventID: 123456789")})
	a, err := New(Options{RuleDirs: []string{"rules"}, NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	f := &fitter{a: a, ids: map[string]model.FieldID{"EventID": model.FEventID}, total: newShapes(a.Rules())}
	w := &fitWorker{worker: worker{strings: map[string]string{}}, read: []bool{model.FEventID: true}}
	see := func(product, id string) {
		c := newShapes(a.Rules())
		w.count(&c, &model.Event{Source: model.LogSource{Product: product}, Slots: []model.Slot{{Field: model.FEventID, Text: id}}})
		c.hits = []fitHit{{time: time.Unix(1, 0), id: id}}
		f.add(&c)
	}
	for i := range maxShapes + 10 {
		see("p", fmt.Sprint(i))
	}
	for i := range maxLogSources + 10 {
		see(fmt.Sprint("q", i), "1")
	}
	if n := len(f.total.list); n > maxShapes+maxLogSources {
		t.Errorf("%d shapes", n)
	}
	if n := len(f.total.order); n != maxLogSources {
		t.Errorf("%d log sources", n)
	}
	out := f.result()
	if out.Results[0].Status != CanFire || len(out.Notes) != 2 {
		t.Errorf("%+v, %q", out.Results, out.Notes)
	}
}

func TestNearNames(t *testing.T) {
	have := []string{"CommandLine", "process.command_line", "Imag", "Image", "TargetFilename", "error.code"}
	for field, want := range map[string]string{
		"commandline": "CommandLine process.command_line", "command_line": "CommandLine process.command_line", "CommandLin": "CommandLine", "TargetFileName": "TargetFilename",
		"TargetFilenaem": "TargetFilename", "image": "Image", "Xommandline": "", "ErrorCode": "error.code", "": "", "Nonesuch": "",
	} {
		if got := strings.Join(nearNames(field, have), " "); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}

// Every public rule with placeholders is used once they have values, through a
// pipeline as well as by itself.
func TestPlaceholdersOfPublicRules(t *testing.T) {
	dir := dataFolder(t) + "/sigma_rules"
	bare, err := CheckRules(Options{RuleDirs: []string{dir}, NoBuiltin: true}, nil)
	if err != nil {
		t.Skipf("no public rules at %s: %v", dir, err)
	}
	vars := map[string][]string{}
	for _, r := range bare.Refused {
		_, list, ok := strings.Cut(r.Reason, "placeholder %")
		if !ok {
			t.Errorf("refused for another reason: %s", r)
			continue
		}
		list, _, _ = strings.Cut(list, "% is not resolved")
		for _, name := range strings.Split(list, "%, %") {
			vars[name] = []string{"10.0.0.0/8", "a*"}
		}
	}
	if len(vars) == 0 || bare.Loaded+len(bare.Refused) != bare.Files {
		t.Errorf("%d of %d files, %d variables", bare.Loaded, bare.Files, len(vars))
	}
	with, err := CheckRules(Options{RuleDirs: []string{dir}, NoBuiltin: true, Adapt: Adapt{Vars: vars}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files; %d rules without variables, %d with %d of them", bare.Files, bare.Loaded, with.Loaded, len(vars))
	if with.Loaded != with.Files || len(with.Refused) != 0 {
		t.Errorf("%d of %d files: %v", with.Loaded, with.Files, with.Refused)
	}
}
