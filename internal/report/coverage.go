package report

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Coverage is what a set of rules is for. A rule with an alert of its own counts
// once in the matrix, in the stage that its alerts get by its tags and the
// subsystem that its log source is about, and once for every tactic and technique
// that it names.
type Coverage struct {
	AttackVersion string                         `json:"attack_version"`
	Rules         int                            `json:"rules"`
	Unstaged      int                            `json:"unstaged"` // rules that nothing tells the stage of; not in the matrix
	Untagged      int                            `json:"untagged"` // rules that name no technique
	Stages        []model.Stage                  `json:"stages"`
	Subsystems    []string                       `json:"subsystems"` // the last is AnySubsystem
	Matrix        map[model.Stage]map[string]int `json:"matrix"`     // every stage and subsystem is there
	Empty         []CoverageCell                 `json:"empty"`      // cells without a rule, AnySubsystem left out
	Tactics       []TacticCoverage               `json:"tactics"`    // all, in the order of ATT&CK
}

// AnySubsystem is the column of rules whose log source is of several subsystems,
// and of stateful detectors.
const AnySubsystem = "any"

// CoverageCell names a cell of the matrix.
type CoverageCell struct {
	Stage     model.Stage `json:"stage"`
	Subsystem string      `json:"subsystem"`
}

// TacticCoverage is one tactic.
type TacticCoverage struct {
	ID         string              `json:"id"`
	Tactic     string              `json:"tactic"` // short name
	Name       string              `json:"name"`
	Rules      int                 `json:"rules"` // that name it, or only a technique of it
	Covered    int                 `json:"covered"`
	Techniques []TechniqueCoverage `json:"techniques"` // all of the tactic that are in use, by id
}

// TechniqueCoverage is one technique or sub-technique.
type TechniqueCoverage struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Rules int    `json:"rules"`
}

// subsystemHeads are the columns of the text, short enough for 80.
var subsystemHeads = map[string]string{"compute": "comp", "windows": "win", "linux": "linx", "identity": "iden", "network": "netw", "storage": "stor", "database": "data", "kubernetes": "kube",
	"application": "appl", "email": "mail", "secrets": "secr", "management": "mgmt", AnySubsystem: "any"}

// CoverageText writes coverage for people. all lists every technique of a tactic
// that has rules.
func CoverageText(w io.Writer, c *Coverage, all bool) error {
	buf := bufio.NewWriter(w)
	fmt.Fprintf(buf, "%s rules and detectors; %d name no technique, of %d nothing tells the stage\n\n%-22s", thousands(int64(c.Rules)), c.Untagged, c.Unstaged, "")
	for _, s := range c.Subsystems {
		fmt.Fprintf(buf, "%5s", subsystemHeads[s])
	}
	fmt.Fprintln(buf)
	for _, st := range c.Stages {
		fmt.Fprintf(buf, "%-22s", strings.ReplaceAll(string(st), "_", " "))
		for _, s := range c.Subsystems {
			n := strconv.Itoa(c.Matrix[st][s])
			if n == "0" {
				n = "·"
			}
			fmt.Fprintf(buf, "%*s", 5, n)
		}
		fmt.Fprintln(buf)
	}
	fmt.Fprintf(buf, "\n%s without a rule (·)\n\n%-22s%7s%12s\n", plural(int64(len(c.Empty)), "cell"), "tactic", "rules", "techniques")
	for _, t := range c.Tactics {
		fmt.Fprintf(buf, "%-22s%7d%6d of %3d\n", t.Tactic, t.Rules, t.Covered, len(t.Techniques))
		for _, x := range t.Techniques {
			if all && x.Rules > 0 {
				fmt.Fprintf(buf, "  %-10s %6d  %s\n", x.ID, x.Rules, Clean(x.Name))
			}
		}
	}
	return buf.Flush()
}

// CoverageNavigator writes a layer for the ATT&CK Navigator: every technique that
// rules name, scored with how many do.
func CoverageNavigator(w io.Writer, c *Coverage) error {
	major, _, _ := strings.Cut(c.AttackVersion, ".")
	l := layer{
		Name:        "Catena: techniques that rules name",
		Versions:    layerVersions{major, navigatorVersion, layerVersion},
		Domain:      "enterprise-attack",
		Description: plural(int64(c.Rules), "rule") + ". Score: how many rules name the technique.",
		Sorting:     3,
		Techniques:  []layerTechnique{},
		Legend:      []layerLegend{{"one rule", "#dbe7f6"}, {"most rules", "#1d3557"}},
		Expand:      "annotated",
	}
	seen := map[string]bool{}
	most := 1
	for _, t := range c.Tactics {
		for _, x := range t.Techniques {
			if x.Rules == 0 || seen[x.ID] {
				continue
			}
			seen[x.ID] = true
			score := x.Rules
			most = max(most, score)
			l.Techniques = append(l.Techniques, layerTechnique{ID: x.ID, Score: &score, Comment: plural(int64(score), "rule"), Enabled: true,
				Metadata: []layerMeta{{"rules", strconv.Itoa(score)}}})
		}
	}
	slices.SortFunc(l.Techniques, func(a, b layerTechnique) int { return strings.Compare(a.ID, b.ID) })
	l.Gradient = layerGradient{[]string{"#dbe7f6", "#1d3557"}, 0, most}
	b, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return fmt.Errorf("write navigator layer: %w", err)
	}
	_, err = w.Write(append(escapeHidden(b), '\n'))
	return err
}

//go:embed web/coverage.gohtml web/coverage.css
var coverageFiles embed.FS

// CoverageHTML writes coverage as one page that needs no network and no script,
// in the look of report.html.
func CoverageHTML(w io.Writer, c *Coverage) error {
	base, err := webFiles.ReadFile("web/report.css")
	if err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	own, err := coverageFiles.ReadFile("web/coverage.css")
	if err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	css := slices.Concat(base, own)
	most := 1
	for _, row := range c.Matrix {
		for _, n := range row {
			most = max(most, n)
		}
	}
	tmpl, err := template.New("coverage.gohtml").Funcs(template.FuncMap{
		"heat":    func(n int) int { return heat(n, most) },
		"share":   func(part, of int) string { return percent(float64(part) / float64(max(of, 1))) },
		"words":   func(s any) string { return strings.ReplaceAll(fmt.Sprint(s), "_", " ") },
		"techURL": techniqueURL,
	}).ParseFS(coverageFiles, "web/coverage.gohtml")
	if err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	var buf bytes.Buffer
	err = tmpl.Execute(&buf, struct {
		*Coverage
		Policy string
		CSS    template.CSS
	}{c, "default-src 'none'; base-uri 'none'; form-action 'none'; style-src '" + hashSource(css) + "'", template.CSS(css)}) //nolint:gosec // our own files
	if err == nil {
		_, err = buf.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	return nil
}

// heat puts a count on a scale of 0 to 5 by its order of magnitude, as a few log
// sources have most of the rules.
func heat(n, most int) int {
	if n <= 0 {
		return 0
	}
	step := 1
	for limit := most; limit > n && step < 5; limit /= 3 {
		step++
	}
	return 6 - step
}
