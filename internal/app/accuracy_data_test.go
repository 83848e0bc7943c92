package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/eval"
	"github.com/catena-sec/catena/internal/model"
)

// dataFolder is where public captures with ground truth stand; the tests that
// measure on them skip where it is absent.
func dataFolder(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("CATENA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "truth")); err != nil {
		tb.Skipf("no captures at %s (set CATENA_DATA): accuracy is not measured", dir)
	}
	return dir
}

// campaigns are the labelled multi-step captures, by their id in the truth file.
var campaigns = []struct{ id, path string }{
	{"LSASS_campaign_01", "otrf_compound/LSASS_campaign_01"},
	{"LSASS_campaign_02", "otrf_compound/LSASS_campaign_02"},
	{"LSASS_campaign_04", "otrf_compound/LSASS_campaign_04"},
	{"purplesharp_ad_playbook_I", "otrf_atomic/windows/lateral_movement/host/purplesharp_ad_playbook_I.zip"},
	{"aws_ec2_proxy_s3_exfiltration", "otrf_atomic/aws/collection/ec2_proxy_s3_exfiltration.zip"},
	{"GoldenSAMLADFSMailAccess", "otrf_compound/GoldenSAMLADFSMailAccess"},
	{"Log4Shell_linux", "otrf_compound/Log4Shell_linux"},
}

func analyzeData(t *testing.T, a *App, path string) *model.Report {
	t.Helper()
	r, err := a.Analyze(context.Background(), []string{path})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAccuracyOnCampaigns is the scoreboard of docs/accuracy.md: -v prints its
// table. What it demands is a little below what is reached, so that it fails when
// something breaks and not when a rule is reworded.
func TestAccuracyOnCampaigns(t *testing.T) {
	dir := dataFolder(t)
	src, err := os.ReadFile(filepath.Join(dir, "truth", "otrf_compound.json"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := eval.ParseTruth(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []struct {
		name  string
		rules []string
		roots int
	}{{"our rules", nil, 6}, {"ours and SigmaHQ's", []string{filepath.Join(dir, "sigma_rules")}, 6}} {
		a, err := New(Options{RuleDirs: set.rules})
		if err != nil {
			t.Fatal(err)
		}
		var table strings.Builder
		roots := 0
		for _, c := range campaigns {
			one, err := key.Only(c.id)
			if err != nil {
				t.Fatal(err)
			}
			res := eval.Score(analyzeData(t, a, filepath.Join(dir, c.path)), one)
			s := res.Campaigns[0]
			if s.Root.Right {
				roots++
			}
			fmt.Fprintf(&table, "| %s | %d | %s | %d of %d | %s | %s (%s) | %d |\n", c.id, s.Fragments, yes(s.Root.Right), s.StepsFound, s.StepsVisible, percent(s.Precision), percent(s.Recall), percent(s.RecallContext), len(res.FalseIncidents))
			if !s.Found || s.Fragments != 1 {
				t.Errorf("%s, %s: found %v, in %d incidents, want one", set.name, c.id, s.Found, s.Fragments)
			}
			if s.StepShare != nil && *s.StepShare < 0.7 {
				t.Errorf("%s, %s: %d of %d visible steps", set.name, c.id, s.StepsFound, s.StepsVisible)
			}
			if n := len(res.FalseIncidents); n > 0 {
				t.Errorf("%s, %s: %d false incidents", set.name, c.id, n)
			}
		}
		if roots < set.roots {
			t.Errorf("%s: %d roots of %d right", set.name, roots, len(campaigns))
		}
		t.Logf("%s (%d rules)\n| campaign | incidents | root right | visible steps | members that belong | of all its alerts (with context) | false incidents |\n|---|---|---|---|---|---|---|\n%s",
			set.name, a.Rules(), table.String())
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func percent(f *float64) string {
	if f == nil {
		return "n/a"
	}
	return fmt.Sprintf("%.0f %%", 100**f)
}

// TestBenignEvidenceRaisesNothing: quiet evidence gives no incident of medium or
// above, whatever rules are used.
func TestBenignEvidenceRaisesNothing(t *testing.T) {
	dir := dataFolder(t)
	for _, rules := range [][]string{nil, {filepath.Join(dir, "sigma_rules")}} {
		a, err := New(Options{RuleDirs: rules})
		if err != nil {
			t.Fatal(err)
		}
		r := analyzeData(t, a, filepath.Join(dir, "benign"))
		if r.Totals.Events < 5000 {
			t.Fatalf("only %d events read", r.Totals.Events)
		}
		for _, in := range r.Incidents {
			if in.Severity.Rank() >= model.Medium.Rank() {
				t.Errorf("%d rules: %s incident %q", a.Rules(), in.Severity, in.Title)
			}
		}
	}
}
