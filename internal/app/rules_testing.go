package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/rules"
	"github.com/catena-sec/catena/sigma"
)

// TestStatus is how a test came out.
type TestStatus string

// The statuses of a case, of a file, and of all of them. What is broken could not
// be tested: a test file that cannot be read, evidence that is not there, a rule
// that cannot be used.
const (
	TestPassed  TestStatus = "pass"
	TestFailed  TestStatus = "fail"
	TestBroken  TestStatus = "broken"
	TestMissing TestStatus = "missing" // the rule has no test
)

// RuleTests is how the tests of rules came out.
type RuleTests struct {
	Rules   int                `json:"rules"` // files of rules
	Cases   int                `json:"cases"`
	Summary map[TestStatus]int `json:"summary"` // of files
	Results []RuleTest         `json:"results"` // in the order of the files
}

// RuleTest is how the tests of one file of rules came out.
type RuleTest struct {
	File   string       `json:"file"` // of the rules
	Test   string       `json:"test"` // the test file, empty if there is none
	Title  string       `json:"title,omitempty"`
	Status TestStatus   `json:"status"`
	Reason string       `json:"reason,omitempty"` // of all but pass and fail
	Cases  []CaseResult `json:"cases,omitempty"`
}

// CaseResult is how one case came out.
type CaseResult struct {
	Name   string     `json:"name"`
	Line   int        `json:"line,omitempty"`
	Status TestStatus `json:"status"`
	Reason string     `json:"reason,omitempty"`
	Note   string     `json:"note,omitempty"` // what the case does not show, or did besides
	Why    *Told      `json:"why,omitempty"`  // how the event that decided came out
}

// Failed reports whether anything failed or is broken or, if tests are required,
// missing.
func (t *RuleTests) Failed(require bool) bool {
	return t.Summary[TestFailed]+t.Summary[TestBroken] > 0 || require && t.Summary[TestMissing] > 0
}

// testSuffixes end the names of test files; what stands before is that of the
// rule's file.
var testSuffixes = []string{".test.yml", ".test.yaml"}

// testedFile is one file of rules, and its test if it has one.
type testedFile struct {
	rule, test string
	readRule   func() ([]byte, error)
	readTest   func() ([]byte, error)
	builtin    bool
}

// maxRefusedReasons bounds what is told of a file of rules that cannot be used.
const maxRefusedReasons = 5

// TestRules runs the tests of the rules at paths, or of our own if there are no
// paths: of every file of rules the test file beside it, <rule>.test.yml, and the
// regression tests that its rules name. With paths, o.RuleDirs are rules that the
// tested ones may refer to.
func TestRules(ctx context.Context, o Options, paths []string) (*RuleTests, error) {
	var files []testedFile
	if len(paths) == 0 {
		own, err := ownTests()
		if err != nil {
			return nil, err
		}
		files = own
		o.NoBuiltin = false
	}
	var dirs []string
	for _, p := range paths {
		if r, ok := ruleOfTest(p); ok {
			p = r
		}
		more, err := testsAt(p)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
		if !slices.Contains(dirs, p) {
			dirs = append(dirs, p)
		}
	}
	o.RuleDirs = slices.Concat(o.RuleDirs, dirs) // of two rules with one id the later is used
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	a.refused = append(a.refused, a.packs.Replaced()...)
	out := &RuleTests{Summary: map[TestStatus]int{}, Results: make([]RuleTest, len(files))}
	next := make(chan int)
	var wg sync.WaitGroup
	for range a.opt.Workers {
		wg.Go(func() {
			t := &ruleTester{a: a, matcher: a.engine.NewMatcher()}
			for i := range next {
				out.Results[i] = t.file(ctx, &files[i])
			}
		})
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for i := range out.Results {
		r := &out.Results[i]
		out.Summary[r.Status]++
		out.Cases += len(r.Cases)
		out.Rules++
	}
	return out, nil
}

// ownTests lists our own rules with their tests.
func ownTests() ([]testedFile, error) {
	own, err := rules.Files()
	if err != nil {
		return nil, err
	}
	tests, err := rules.Tests()
	if err != nil {
		return nil, err
	}
	byRule := map[string]rules.File{}
	for _, t := range tests {
		r, _ := ruleOfTest(t.Path)
		byRule[r] = t
	}
	var out []testedFile
	for _, f := range own {
		tf := testedFile{rule: "rules/" + f.Path, builtin: true, readRule: func() ([]byte, error) { return f.Source, nil }}
		if t, ok := byRule[f.Path]; ok {
			tf.test, tf.readTest = "rules/"+t.Path, func() ([]byte, error) { return t.Source, nil }
			delete(byRule, f.Path)
		}
		out = append(out, tf)
	}
	for _, t := range tests {
		if r, _ := ruleOfTest(t.Path); byRule[r].Path != "" {
			out = append(out, testedFile{rule: "rules/" + r, test: "rules/" + t.Path, builtin: true})
		}
	}
	return out, nil
}

// ruleOfTest returns the file of rules that a test file is for.
func ruleOfTest(path string) (string, bool) {
	for _, s := range testSuffixes {
		if len(path) > len(s) && strings.EqualFold(path[len(path)-len(s):], s) {
			return path[:len(path)-len(s)] + s[len(".test"):], true
		}
	}
	return path, false
}

// testsAt lists the files of rules at a path, each with its test, and the tests
// whose rule is not there.
func testsAt(path string) ([]testedFile, error) {
	p, err := pack.Open(path)
	if err != nil {
		return nil, err
	}
	byName := map[string]pack.File{}
	for _, f := range p.YAML() {
		byName[f.Name] = f
	}
	single := false // a file of rules, whose test is not part of what was named
	if info, err := os.Stat(path); err == nil {
		single = len(p.YAML()) == 1 && p.YAML()[0].Name == path && !info.IsDir()
	}
	var out []testedFile
	known := map[string]bool{}
	for _, f := range p.Rules() {
		if isRegressionInfo(f) {
			continue
		}
		tf := testedFile{rule: f.Name, readRule: f.Read}
		ext := filepath.Ext(f.Name)
		for _, e := range []string{ext, ".yml", ".yaml"} {
			test := strings.TrimSuffix(f.Name, ext) + ".test" + e
			if beside, ok := byName[test]; ok {
				tf.test, tf.readTest = test, beside.Read
			} else if info, err := os.Stat(test); single && err == nil && info.Mode().IsRegular() {
				tf.test, tf.readTest = test, func() ([]byte, error) { return readSmall(test) }
			} else {
				continue
			}
			known[test] = true
			break
		}
		out = append(out, tf)
	}
	for _, f := range p.YAML() {
		if rule, ok := ruleOfTest(f.Name); ok && !known[f.Name] {
			out = append(out, testedFile{rule: rule, test: f.Name})
		}
	}
	slices.SortStableFunc(out, func(x, y testedFile) int { return cmp.Compare(x.rule, y.rule) })
	return out, nil
}

// A ruleTester runs tests on one goroutine.
type ruleTester struct {
	a       *App
	matcher *detect.Matcher
	tested  *testedFile // the one at work on
}

// file runs all tests of one file of rules.
func (t *ruleTester) file(ctx context.Context, f *testedFile) RuleTest {
	out := RuleTest{File: f.rule, Test: f.test}
	broken := func(err error) RuleTest {
		out.Status, out.Reason, out.Cases = TestBroken, err.Error(), nil
		return out
	}
	if f.readRule == nil {
		return broken(fmt.Errorf("%s: there is no rule file %s beside this test", f.test, f.rule))
	}
	var reasons []string
	for _, r := range t.a.refused {
		if r.File == f.rule && len(reasons) < maxRefusedReasons {
			reasons = append(reasons, r.String())
		}
	}
	if len(reasons) > 0 {
		return broken(fmt.Errorf("the rule cannot be used: %s", strings.Join(reasons, "; ")))
	}
	subjects := t.subjects(f)
	if len(subjects) == 1 {
		out.Title = t.a.rules[subjects[0]].Title
	}
	t.tested = f
	var cases []ruleCase
	ruleRef := ""
	if f.test != "" {
		src, err := f.readTest()
		if err != nil {
			return broken(err)
		}
		parsed, err := parseRuleTest(f.test, src)
		if err != nil {
			return broken(err)
		}
		cases, ruleRef = parsed.cases, parsed.rule
	}
	for i := range cases {
		c := &cases[i]
		res := t.one(ctx, c, cmp.Or(c.rule, ruleRef), subjects)
		res.Name, res.Line = c.name, c.line
		out.Cases = append(out.Cases, res)
	}
	if !f.builtin {
		out.Cases = append(out.Cases, t.regressions(ctx, f)...)
	}
	out.Status = TestPassed
	for _, c := range out.Cases {
		if c.Status == TestBroken || c.Status == TestFailed && out.Status == TestPassed {
			out.Status = c.Status
		}
	}
	if f.test == "" && len(out.Cases) == 0 {
		out.Status, out.Reason = TestMissing, "there is no test: "+strings.TrimSuffix(f.rule, filepath.Ext(f.rule))+testSuffixes[0]
	}
	return out
}

// subjects returns the rules that a file's tests may be about: those of the file
// or, of a file with filters only, those that these name.
func (t *ruleTester) subjects(f *testedFile) []int {
	var out []int
	for i, r := range t.a.rules {
		if r.File == f.rule {
			out = append(out, i)
		}
	}
	if len(out) > 0 {
		return out
	}
	src, err := f.readRule()
	if err != nil {
		return nil
	}
	parsed, _ := sigma.Parse(f.rule, src) // what is refused was told of already
	for _, r := range parsed {
		if r.Filter == nil {
			continue
		}
		for _, ref := range r.Filter.Rules {
			for _, i := range t.a.findRules(ref) {
				if !slices.Contains(out, i) {
					out = append(out, i)
				}
			}
		}
	}
	return out
}

// subject returns the rule that a case is about: the one it names, the only one,
// or of several the only correlation, which is what the others are there for.
func (t *ruleTester) subject(ref string, subjects []int) (int, error) {
	if ref != "" {
		return t.a.ruleCalled(ref)
	}
	if len(subjects) == 1 {
		return subjects[0], nil
	}
	found := -1
	for _, i := range subjects {
		if t.a.rules[i].Correlation == nil {
			continue
		}
		if found >= 0 {
			found = -1
			break
		}
		found = i
	}
	switch {
	case found >= 0:
		return found, nil
	case len(subjects) == 0:
		return 0, errors.New(`the file has no rule of its own that could match: say "rule: <id or title>"`)
	}
	return 0, fmt.Errorf(`the file has %d rules: say "rule: <id or title>" which one is meant`, len(subjects))
}

// A played is what the events of a case came to.
type played struct {
	events  int
	applied int         // events that the tested rule looks at
	matches map[int]int // by rule: events matched, or times that a correlation began to hold
	hits    []ruleHit   // of rules that correlations look at, as they came
	begun   []sigma.Match
	told    *CorrelationTold // of the tested rule if it is a correlation
	forms   map[string]bool  // log sources, for a rule that looks at none of them
}

// maxTestHits bounds the matches that one case keeps for correlations.
const maxTestHits = 1 << 20

// one runs one case.
func (t *ruleTester) one(ctx context.Context, c *ruleCase, ref string, subjects []int) CaseResult {
	rule, err := t.subject(ref, subjects)
	if err != nil {
		return CaseResult{Status: TestBroken, Reason: err.Error()}
	}
	p, err := t.play(ctx, c, rule, nil)
	if err != nil {
		return CaseResult{Status: TestBroken, Reason: err.Error()}
	}
	if c.stream && p.events == 0 {
		return CaseResult{Status: TestBroken, Reason: "there are no events"}
	}
	out := t.judge(c, rule, p)
	if out.Status == TestPassed && len(p.hits) > 0 && t.a.rules[rule].Correlation != nil {
		var bad string
		out.Note, bad = t.inAnyOrder(rule, p)
		if bad != "" {
			out.Status, out.Reason = TestFailed, bad
		}
	}
	if out.Status == TestFailed {
		out.Why = t.why(ctx, c, rule, p)
	}
	return out
}

// play runs the events of a case through matching and correlation, in the order
// of time. see, unless nil, is called with every event and the rules it matches.
func (t *ruleTester) play(ctx context.Context, c *ruleCase, rule int, see func(*model.Event, []int)) (*played, error) {
	p := &played{matches: map[int]int{}, forms: map[string]bool{}}
	now := testDay
	for i := range c.events {
		e := &c.events[i]
		if e.at.set {
			if e.at.relative {
				now = now.Add(e.at.offset)
			} else {
				now = e.at.time
			}
		} else if i > 0 && c.stream {
			now = now.Add(time.Second)
		}
		forced := -1
		if e.rule != "" {
			r, err := t.a.ruleCalled(e.rule)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", e.line, err)
			}
			forced = r
		}
		n := 0
		for k := range e.repeat {
			if k > 0 {
				now = now.Add(e.every)
			}
			n = 0
			err := t.eventsFrom(ctx, e, rule, forced, func(ev *model.Event) error {
				n++
				if c.stream && e.evidence == "" && (e.at.set || e.record == "" || ev.Time.IsZero()) {
					ev.Time = now
				}
				id := ""
				if c.stream && e.evidence == "" { // equal events are not one
					id = fmt.Sprintf("event %d.%d.%d", i+1, k+1, n)
				}
				return t.take(p, ev, id, rule, forced, see)
			})
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", e.line, err)
			}
		}
		if n == 0 {
			return nil, fmt.Errorf("line %d: there is no event in it", e.line)
		}
	}
	var watch *correlationWatch
	var step func(sigma.Step)
	if t.a.rules[rule].Correlation != nil {
		watch = newCorrelationWatch(rule)
		step = watch.step
	}
	p.begun = correlate(t.a.set, byTime(p.hits), step)
	for _, m := range p.begun {
		p.matches[m.Rule]++
	}
	if watch != nil {
		p.told = watch.result(t.a, p.matches)
	}
	return p, nil
}

// take matches one event.
func (t *ruleTester) take(p *played, ev *model.Event, id string, rule, forced int, see func(*model.Event, []int)) error {
	p.events++
	src := sigma.LogSource(ev.Source)
	if t.a.set.Applies(rule, src) {
		p.applied++
	} else if len(p.forms) < 4 {
		p.forms[ruleSourceName(src)] = true
	}
	matched := []int{forced}
	if forced < 0 {
		matched = t.matcher.Match(ev)
	}
	var fields map[string][]string
	for _, r := range matched {
		p.matches[r]++
		if !t.a.set.Correlated(r) {
			continue
		}
		if len(p.hits) >= maxTestHits {
			return fmt.Errorf("more than %d matches that correlations look at", maxTestHits)
		}
		if fields == nil {
			fields = t.a.valuesOf(ev)
			id = cmp.Or(id, ev.ID())
		}
		p.hits = append(p.hits, ruleHit{r, ev.Time, id, fields})
	}
	if see != nil {
		see(ev, matched)
	}
	return nil
}

// eventsFrom calls visit with the events that e stands for.
func (t *ruleTester) eventsFrom(ctx context.Context, e *testEvent, rule, forced int, visit func(*model.Event) error) error {
	switch {
	case e.record != "":
		return t.a.eventsOf(t.place(e), e.record, e.format, visit)
	case e.path != "":
		return t.a.eventsAt(ctx, e.path, visit)
	case e.evidence != "":
		path, err := t.evidencePath(e.evidence)
		if err != nil {
			return err
		}
		return t.a.eventsAt(ctx, path, visit)
	}
	src, err := t.source(e, rule, forced)
	if err != nil {
		return err
	}
	ev := &model.Event{Source: model.LogSource(src), Format: "test", Time: testDay, Ref: model.Ref{Input: t.place(e)}}
	for _, f := range e.fields {
		id := t.a.names.ID(f.Name)
		text := f.Text
		if id == model.Unnamed {
			text = f.Name + "\x00" + text
		}
		ev.Slots = append(ev.Slots, model.Slot{Field: id, Kind: model.Kind(f.Kind), Text: text})
	}
	return visit(ev)
}

// place says where an event is written.
func (t *ruleTester) place(e *testEvent) string { return fmt.Sprintf("%s:%d", t.tested.test, e.line) }

// source is the log source of an event that is written as fields: what it says,
// else that of the rule it is for, else what the rules of a correlation share.
func (t *ruleTester) source(e *testEvent, rule, forced int) (sigma.LogSource, error) {
	if e.source != nil {
		return *e.source, nil
	}
	if forced >= 0 {
		return t.a.rules[forced].LogSource, nil
	}
	seen := map[int]bool{}
	var shared []sigma.LogSource
	var look func(int)
	look = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		r := t.a.rules[i]
		if r.Correlation == nil {
			if !slices.Contains(shared, r.LogSource) {
				shared = append(shared, r.LogSource)
			}
			return
		}
		for _, ref := range r.Correlation.Rules {
			for _, k := range t.a.findRules(ref) {
				look(k)
			}
		}
	}
	look(rule)
	if len(shared) != 1 {
		return sigma.LogSource{}, errors.New(`the rules of the correlation look at different log sources: say "source" or "rule" with the event`)
	}
	return shared[0], nil
}

// evidencePath is where a file stands that a test names, relative to the test.
func (t *ruleTester) evidencePath(name string) (string, error) {
	if t.tested.builtin {
		return "", errors.New("our own tests hold no files: write the record into the test")
	}
	return relativeFile(filepath.Dir(cmp.Or(t.tested.test, t.tested.rule)), name)
}

// relativeFile joins a folder and the name of a file that a test gives: a test may
// come from anyone, and names neither devices nor places of one machine.
func relativeFile(dir, name string) (string, error) {
	name = filepath.FromSlash(strings.ReplaceAll(name, `\`, "/"))
	if filepath.IsAbs(name) || filepath.VolumeName(name) != "" {
		return "", fmt.Errorf("%s: want a path relative to the test file", name)
	}
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", path)
	}
	return path, nil
}

// eventsAt is eachEvent over one file, all of which must be readable.
func (a *App) eventsAt(ctx context.Context, path string, visit func(*model.Event) error) error {
	from, err := a.once([]string{path})
	if err != nil {
		return err
	}
	inputs, err := a.eachEvent(ctx, from, visit)
	if err != nil {
		return err
	}
	return readError(inputs)
}

// judge compares what came out with what was expected.
func (t *ruleTester) judge(c *ruleCase, rule int, p *played) CaseResult {
	got := p.matches[rule]
	fail := func(format string, args ...any) CaseResult {
		return CaseResult{Status: TestFailed, Reason: fmt.Sprintf(format, args...)}
	}
	unseen := ""
	if p.applied == 0 && t.a.rules[rule].Correlation == nil {
		unseen = fmt.Sprintf("the rule looks at %s, and there is only %s", ruleSourceName(t.a.rules[rule].LogSource), strings.Join(sortedKeys(p.forms), "; "))
	}
	switch c.want.kind {
	case expectCount:
		if got != *c.want.count {
			return fail("%s, want %s%s", matchWords(got), matchWords(*c.want.count), because(unseen))
		}
	case expectCounts:
		for _, w := range c.want.counts {
			i, err := t.a.ruleCalled(w.rule)
			if err != nil {
				return CaseResult{Status: TestBroken, Reason: fmt.Sprintf("expect: %v", err)}
			}
			if p.matches[i] != w.n {
				return fail("%s of %q, want %s", matchWords(p.matches[i]), t.a.rules[i].Title, matchWords(w.n))
			}
		}
	case expectAlerts:
		return t.judgeAlerts(c, rule, p)
	case expectDefault:
		switch {
		case c.quiet && got > 0:
			return fail("%s, want none", matchWords(got))
		case c.quiet && unseen != "":
			return fail("shows nothing: %s", unseen)
		case !c.quiet && got == 0:
			return fail("did not match%s", because(unseen))
		}
	}
	return CaseResult{Status: TestPassed}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func matchWords(n int) string {
	switch n {
	case 0:
		return "no match"
	case 1:
		return "1 match"
	}
	return fmt.Sprintf("%d matches", n)
}

func sortedKeys(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// judgeAlerts compares the times that correlations began to hold.
func (t *ruleTester) judgeAlerts(c *ruleCase, rule int, p *played) CaseResult {
	wanted := map[int]bool{rule: true}
	which := make([]int, len(c.want.alerts))
	for i, w := range c.want.alerts {
		which[i] = rule
		if w.rule != "" {
			r, err := t.a.ruleCalled(w.rule)
			if err != nil {
				return CaseResult{Status: TestBroken, Reason: fmt.Sprintf("line %d: %v", w.line, err)}
			}
			which[i] = r
		}
		if t.a.rules[which[i]].Correlation == nil {
			return CaseResult{Status: TestBroken, Reason: fmt.Sprintf("line %d: a list of alerts is for correlations, and %q is none: expect a number", w.line, t.a.rules[which[i]].Title)}
		}
		wanted[which[i]] = true
	}
	var got []sigma.Match
	for _, m := range p.begun {
		if wanted[m.Rule] {
			got = append(got, m)
		}
	}
	for i, w := range c.want.alerts {
		if i >= len(got) {
			break
		}
		if diff := t.differs(w, which[i], &got[i]); diff != "" {
			return CaseResult{Status: TestFailed, Reason: fmt.Sprintf("line %d: alert %d: %s", w.line, i+1, diff)}
		}
	}
	if len(got) != len(c.want.alerts) {
		var list []string
		for i := range got[:min(len(got), 5)] {
			list = append(list, t.alertWords(&got[i]))
		}
		reason := fmt.Sprintf("%d alerts, want %d", len(got), len(c.want.alerts))
		if len(list) > 0 {
			reason += ": " + strings.Join(list, "; ")
		}
		return CaseResult{Status: TestFailed, Reason: reason}
	}
	return CaseResult{Status: TestPassed}
}

// differs says where an alert is not as expected, empty if it is.
func (t *ruleTester) differs(w wantAlert, rule int, m *sigma.Match) string {
	if m.Rule != rule {
		return fmt.Sprintf("is of %q, want %q", t.a.rules[m.Rule].Title, t.a.rules[rule].Title)
	}
	for _, g := range w.group {
		i := slices.IndexFunc(m.Group, func(h sigma.GroupValue) bool { return h.Field == g.Field })
		switch {
		case i < 0:
			return fmt.Sprintf("is not grouped by %s", g.Field)
		case !strings.EqualFold(m.Group[i].Value, g.Value):
			return fmt.Sprintf("%s is %q, want %q", g.Field, m.Group[i].Value, g.Value)
		}
	}
	if w.at.set && !m.Time.Equal(w.at.time) {
		return fmt.Sprintf("is at %s, want %s", testClock(m.Time), testClock(w.at.time))
	}
	if w.value != nil && math.Abs(m.Value-*w.value) > 1e-9*max(1, math.Abs(*w.value)) {
		return fmt.Sprintf("has the value %s, want %s", formatNumber(m.Value), formatNumber(*w.value))
	}
	return ""
}

// alertWords tells of a correlation that began to hold.
func (t *ruleTester) alertWords(m *sigma.Match) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q at %s", t.a.rules[m.Rule].Title, testClock(m.Time))
	for _, g := range m.Group {
		fmt.Fprintf(&b, ", %s %s", g.Field, g.Value)
	}
	fmt.Fprintf(&b, ", value %s", formatNumber(m.Value))
	return b.String()
}

// testClock writes a time as a test would: the day only if it says one.
func testClock(at time.Time) string {
	at = at.UTC()
	if at.Truncate(24 * time.Hour).Equal(testDay) {
		return at.Format("15:04:05.999999")
	}
	return at.Format(time.RFC3339Nano)
}

// why finds out what decided a case that failed: of a detection rule the event
// that matched though none should, or the one that came closest; of a correlation
// its windows.
func (t *ruleTester) why(ctx context.Context, c *ruleCase, rule int, p *played) *Told {
	if p.told != nil {
		return &Told{Rule: t.a.ruleTold(rule), Correlation: p.told}
	}
	var best *EventTold
	_, err := t.play(ctx, c, rule, func(ev *model.Event, matched []int) {
		hit := slices.Contains(matched, rule)
		switch {
		case best != nil && best.Matched, p.matches[rule] > 0 && !hit:
			return // the first match is what is to be told of
		case best != nil && !hit && !t.closer(ev, rule, best):
			return
		}
		e := t.a.eventTold(ev, rule, hit)
		best = &e
	})
	if err != nil || best == nil {
		return nil
	}
	return &Told{Rule: t.a.ruleTold(rule), Events: []EventTold{*best}}
}

// closer reports whether an event comes closer to a rule than the best so far.
func (t *ruleTester) closer(ev *model.Event, rule int, best *EventTold) bool {
	applies := t.a.set.Applies(rule, sigma.LogSource(ev.Source))
	if applies != best.Applies {
		return applies
	}
	return t.a.set.Near(rule, t.a.fieldsOf(ev)) > best.Verdict.Near
}

// inAnyOrder plays the matches of a correlation again in other orders. Sorted by
// time they must come to the same alerts, in whatever order they arrived and
// however often; and a correlation that only gains by further events must hold for
// the same groups without sorting, as long as none of them is late by more than
// its timespan. It returns what it did, or what came out otherwise.
func (t *ruleTester) inAnyOrder(rule int, p *played) (note, bad string) {
	if len(p.hits) > maxShuffled {
		return fmt.Sprintf("with %d matches, only the order of time was tested", len(p.hits)), ""
	}
	set := t.a.set
	want := t.signature(rule, p.begun, true)
	orders := arrivals(p.hits)
	for _, o := range orders {
		if got := t.signature(rule, correlate(set, byTime(o.hits), nil), true); got != want {
			return "", fmt.Sprintf("depends on the order in which events of one time arrive: %s, %s", o.name, orNothing(got))
		}
	}
	first, last := p.hits[0].time, p.hits[0].time
	for _, h := range p.hits {
		if h.time.Before(first) {
			first = h.time
		}
		if h.time.After(last) {
			last = h.time
		}
	}
	if !monotone(set, rule, t.a.findRules) || last.Sub(first) > t.a.rules[rule].Correlation.Timespan {
		return fmt.Sprintf("same in %d orders of arrival", len(orders)), ""
	}
	want = t.signature(rule, p.begun, false)
	for _, o := range orders {
		if got := t.signature(rule, correlate(set, o.hits, nil), false); got != want {
			return "", fmt.Sprintf("comes out otherwise if events come late (%s): %s", o.name, orNothing(got))
		}
	}
	return fmt.Sprintf("same in %d orders of arrival, late ones too", len(orders)), ""
}

func orNothing(s string) string {
	if s == "" {
		return "it does not hold"
	}
	return "it holds for " + s
}

// signature writes the alerts of a rule as text to compare: all of each, or only
// for which groups there are any.
func (t *ruleTester) signature(rule int, begun []sigma.Match, exact bool) string {
	var parts []string
	for i := range begun {
		m := &begun[i]
		if m.Rule != rule {
			continue
		}
		var s string
		if exact {
			s = t.alertWords(m)
		} else {
			for _, g := range m.Group {
				s += g.Field + " " + strings.ToLower(g.Value) + " "
			}
			s = cmp.Or(strings.TrimSpace(s), "all events")
		}
		parts = append(parts, s)
	}
	if !exact {
		slices.Sort(parts)
		parts = slices.Compact(parts)
	}
	return strings.Join(parts, "; ")
}

// maxShuffled bounds the matches that are played in every order.
const maxShuffled = 20_000

// An arrival is matches in one order of arrival.
type arrival struct {
	name string
	hits []ruleHit
}

// arrivals returns orders in which matches may arrive, the same every time.
func arrivals(hits []ruleHit) []arrival {
	reversed := slices.Clone(hits)
	slices.Reverse(reversed)
	half := len(hits) / 2
	out := []arrival{
		{"reversed", reversed},
		{"the second half first", slices.Concat(hits[half:], hits[:half])},
		{"every other event late", interleave(hits)},
		{"neighbours swapped", swapped(hits)},
		{"every event twice", twice(hits)},
	}
	for seed := range uint64(3) {
		out = append(out, arrival{fmt.Sprintf("shuffled, %d", seed+1), shuffled(hits, seed+1)})
	}
	return out
}

func interleave(hits []ruleHit) []ruleHit {
	var early, late []ruleHit
	for i, h := range hits {
		if i%2 == 0 {
			early = append(early, h)
		} else {
			late = append(late, h)
		}
	}
	return append(early, late...)
}

func swapped(hits []ruleHit) []ruleHit {
	out := slices.Clone(hits)
	for i := 0; i+1 < len(out); i += 2 {
		out[i], out[i+1] = out[i+1], out[i]
	}
	return out
}

func twice(hits []ruleHit) []ruleHit {
	var out []ruleHit
	for _, h := range hits {
		out = append(out, h, h)
	}
	return out
}

// shuffled is hits in an order that a seed decides (Fisher and Yates, with a linear
// congruential generator whose high bits are used).
func shuffled(hits []ruleHit, seed uint64) []ruleHit {
	out := slices.Clone(hits)
	for i := len(out) - 1; i > 0; i-- {
		seed = seed*6364136223846793005 + 1442695040888963407
		k := int((seed >> 33) % uint64(i+1))
		out[i], out[k] = out[k], out[i]
	}
	return out
}
