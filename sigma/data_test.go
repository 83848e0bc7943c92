package sigma

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dataDir returns a folder of the data pack, and skips the test if it is absent.
func dataDir(tb testing.TB, sub string) string {
	tb.Helper()
	root := os.Getenv("CATENA_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "data")
	}
	dir := filepath.Join(root, sub)
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("the data pack's %s is not here: set CATENA_DATA to its folder", sub)
	}
	return dir
}

// parseAll parses every rule file below a folder.
func parseAll(tb testing.TB, dir string) (files int, rules []*Rule, refused []*Error) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".yml") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		rel, err := filepath.Rel(dir, path)
		rs, bad := Parse(filepath.ToSlash(rel), src)
		rules, refused = append(rules, rs...), append(refused, Errors(bad)...)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files, rules, refused
}

// Every public rule loads, or is refused because it says it needs values that
// only a pipeline can give.
func TestPublicRules(t *testing.T) {
	dir := dataDir(t, "sigma_rules")
	files, rules, refused := parseAll(t, dir)
	for _, e := range refused {
		t.Errorf("refused while parsing: %v", e)
	}
	set, err := Compile(rules)
	unresolved := Errors(err)
	for _, e := range unresolved {
		src, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(e.File)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(e.Reason, "placeholder %") || !bytes.Contains(src, []byte("|expand")) {
			t.Errorf("refused for another reason than placeholders: %v", e)
		}
	}
	if len(set.Rules())+len(unresolved)+len(refused) != files {
		t.Errorf("%d files gave %d rules and %d refusals", files, len(set.Rules()), len(unresolved)+len(refused))
	}
	for _, r := range set.Rules() {
		if r.ID == "" || r.Title == "" || r.Level == "" || len(r.Tags) == 0 && len(r.References) == 0 || r.Line != 1 {
			t.Errorf("%s: metadata is missing: %+v", r.File, r)
		}
	}
	t.Logf("%d files, %d rules compiled, %d refused for placeholders", files, len(set.Rules()), len(unresolved))
}

// flatten turns a record in evtx_dump's shape into fields with Sigma's names.
func flatten(tb testing.TB, record map[string]any) []Field {
	tb.Helper()
	event, _ := record["Event"].(map[string]any)
	system, _ := event["System"].(map[string]any)
	if system == nil {
		tb.Fatal("record has no System")
	}
	attrs := func(v any) map[string]any {
		m, _ := v.(map[string]any)
		a, _ := m["#attributes"].(map[string]any)
		return a
	}
	fields := []Field{fieldOf("EventID", system["EventID"]), fieldOf("Channel", system["Channel"]),
		fieldOf("Computer", system["Computer"]), fieldOf("Provider_Name", attrs(system["Provider"])["Name"])}
	data, _ := event["EventData"].(map[string]any)
	for name, v := range data {
		// Defender's names have blanks ("Threat Name"), which Sigma's leave out.
		fields = append(fields, fieldOf(strings.ReplaceAll(name, " ", ""), v))
	}
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

func fieldOf(name string, v any) Field {
	switch v := v.(type) {
	case string:
		return Field{name, String, v}
	case json.Number:
		return Field{name, Number, v.String()}
	case bool:
		text, _ := json.Marshal(v)
		return Field{name, Bool, string(text)}
	case map[string]any:
		return fieldOf(name, v["#text"])
	}
	return Field{Name: name, Kind: Null}
}

// readRecords reads JSON documents one after another.
func readRecords(tb testing.TB, r io.Reader) []map[string]any {
	tb.Helper()
	dec := json.NewDecoder(r)
	dec.UseNumber()
	var out []map[string]any
	for {
		var rec map[string]any
		err := dec.Decode(&rec)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, rec)
	}
}

// regressionRecords returns the records that come with a public rule.
func regressionRecords(tb testing.TB, evtx string) []map[string]any {
	tb.Helper()
	src, err := os.ReadFile(strings.TrimSuffix(evtx, ".evtx") + ".json")
	if err != nil {
		tb.Fatal(err)
	}
	return readRecords(tb, bytes.NewReader(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))))
}

type regressionCase struct {
	file, rule string
	count      int // of matches; 0 if the truth does not say
}

func regressionCases(tb testing.TB) []regressionCase {
	tb.Helper()
	f, err := os.Open(filepath.Join(dataDir(tb, "truth"), "sigma_regression.csv"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	col := func(name string) int { return slices.Index(rows[0], name) }
	var out []regressionCase
	for _, r := range rows[1:] {
		count, _ := strconv.Atoi(r[col("match_count")])
		out = append(out, regressionCase{r[col("file")], r[col("rule_id")], count})
	}
	return out
}

// Each public rule with a recorded event matches it at least as often as its
// authors say, and the plan of all rules agrees with plain evaluation on those events.
func TestRegressionEvents(t *testing.T) {
	dir := dataDir(t, "sigma_regression")
	_, rules, refused := parseAll(t, filepath.Join(dir, "_rules"))
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	_, public, _ := parseAll(t, dataDir(t, "sigma_rules"))
	all, _ := Compile(public)
	m, mAll := set.NewMatcher(), all.NewMatcher()
	tested, events, noRule := 0, 0, 0
	for _, c := range regressionCases(t) {
		rule := slices.IndexFunc(set.Rules(), func(r *Rule) bool { return r.ID == c.rule })
		if rule < 0 {
			noRule++
			t.Logf("%s: rule %s is not in the data pack", filepath.Base(c.file), c.rule)
			continue
		}
		matches := 0
		for _, rec := range regressionRecords(t, filepath.Join(filepath.Dir(dir), filepath.FromSlash(c.file))) {
			event := flatten(t, rec)
			events++
			load(m, event)
			if m.MatchRule(rule) {
				matches++
			}
			src := set.Rules()[rule].LogSource
			if events%4 != 0 {
				continue // plain evaluation of all rules is slow
			}
			load(mAll, event)
			if got, want := mAll.Match(src), all.matchSlow(src, event); !slices.Equal(got, want) {
				t.Errorf("%s: plan of all rules %v, plain evaluation %v", c.file, got, want)
			}
		}
		tested++
		// The authors counted what they looked for; more of the recording may match.
		want := max(1, c.count)
		if matches < want {
			t.Errorf("%s: %s matches %d events, want %d", c.file, set.Rules()[rule].File, matches, want)
		}
	}
	if tested < 90 {
		t.Errorf("only %d files tested", tested)
	}
	t.Logf("%d files, %d events, %d files without a rule", tested, events, noRule)
}

// sysmonCategory is Sigma's category for a Sysmon event.
var sysmonCategory = map[string]string{
	"1": "process_creation", "3": "network_connection", "6": "driver_load", "7": "image_load", "8": "create_remote_thread", "10": "process_access",
	"11": "file_event", "12": "registry_event", "13": "registry_set", "15": "create_stream_hash", "17": "pipe_created", "18": "pipe_created", "22": "dns_query", "23": "file_delete",
}

// campaignEvents returns the Sysmon events of a recorded campaign.
func campaignEvents(tb testing.TB) (events [][]Field, sources []LogSource) {
	tb.Helper()
	dir := dataDir(tb, "otrf_compound")
	paths, err := filepath.Glob(filepath.Join(dir, "LSASS_campaign_01", "*.zip"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range paths {
		z, err := zip.OpenReader(p)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range z.File {
			if !strings.HasSuffix(f.Name, ".json") || strings.Contains(f.Name, "__MACOSX") {
				continue
			}
			r, err := f.Open()
			if err != nil {
				tb.Fatal(err)
			}
			lines := bufio.NewScanner(r)
			lines.Buffer(nil, 8<<20)
			for lines.Scan() {
				dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
				dec.UseNumber()
				var rec map[string]any
				if dec.Decode(&rec) != nil {
					continue
				}
				if ch, _ := rec["Channel"].(string); !strings.Contains(ch, "Sysmon") {
					continue
				}
				var event []Field
				for name, v := range rec {
					if name != "Message" {
						event = append(event, fieldOf(name, v))
					}
				}
				slices.SortFunc(event, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
				i := slices.IndexFunc(event, func(f Field) bool { return f.Name == "EventID" })
				if i < 0 || sysmonCategory[event[i].Text] == "" {
					continue
				}
				events = append(events, event)
				sources = append(sources, LogSource{Product: "windows", Category: sysmonCategory[event[i].Text], Service: "sysmon"})
			}
			r.Close()
		}
		z.Close()
	}
	if len(events) == 0 {
		tb.Skip("the data pack has no LSASS_campaign_01 with Sysmon events here")
	}
	return events, sources
}

// The plan of all public rules finds in a whole campaign what plain evaluation
// finds; plain evaluation being slow, in a sample of the events.
func TestCampaignAgainstPlainMeaning(t *testing.T) {
	events, sources := campaignEvents(t)
	_, rules, _ := parseAll(t, dataDir(t, "sigma_rules"))
	set, _ := Compile(rules)
	m := set.NewMatcher()
	found, checked := 0, 0
	for i, e := range events {
		load(m, e)
		got := m.Match(sources[i])
		found += len(got)
		if (len(got) == 0 || found%4 != 0) && i%997 != 0 {
			continue
		}
		checked++
		if want := set.matchSlow(sources[i], e); !slices.Equal(got, want) {
			t.Fatalf("event %d: plan %v, plain evaluation %v: %q", i, got, want, e)
		}
	}
	t.Logf("%d events, %d matches, %d events checked", len(events), found, checked)
	if found == 0 {
		t.Error("nothing was found in a campaign of attacks")
	}
}
