// Command gen writes the tables that package knowledge embeds, from the facts of
// ATT&CK (attack/techniques.json) and of Microsoft's list of Defender for Cloud
// alerts (truth/defender_for_cloud_alert_types.csv). It reads them in the folder
// that CATENA_DATA names, or in shared/data beside the repository, and writes
// into the current folder. Run it with "go generate ./internal/knowledge".
package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	mitreNotice = "# (c) 2026 The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE Corporation.\n" +
		"# ATT&CK Enterprise v%s, facts only. Made by \"go generate ./internal/knowledge\"; do not edit.\n"
	microsoftNotice = "# Facts from MicrosoftDocs/azure-security-docs, (c) Microsoft, CC BY 4.0; spelling of intents made uniform.\n" +
		"# Made by \"go generate ./internal/knowledge\"; do not edit.\n"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := os.Getenv("CATENA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if err := attack(filepath.Join(dir, "attack", "techniques.json")); err != nil {
		return err
	}
	return alertTypes(filepath.Join(dir, "truth", "defender_for_cloud_alert_types.csv"))
}

// source is the part of techniques.json that the product needs.
type source struct {
	Version           string
	Tactics           []tactic
	Techniques        []technique
	Groups, Campaigns map[string]actor
}

type tactic struct {
	ID, Shortname, Name string
	Order               int
}

type technique struct {
	ID, Name, Parent   string
	Tactics, Platforms []string
	Deprecated         bool
	RevokedBy          string   `json:"revoked_by"`
	TacticsV18         []string `json:"tactics_v18_1"`
}

type actor struct {
	Name       string
	Techniques []string
}

func attack(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var src source
	if err := json.Unmarshal(raw, &src); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	notice := fmt.Sprintf(mitreNotice, src.Version)

	var b strings.Builder
	b.WriteString(notice + "# id\tshort name\tname, in the order of the matrix\n")
	slices.SortFunc(src.Tactics, func(x, y tactic) int { return cmp.Compare(x.Order, y.Order) })
	for _, t := range src.Tactics {
		row(&b, t.ID, t.Shortname, t.Name)
	}
	if err := write("tactics.tsv", &b); err != nil {
		return err
	}

	b.WriteString(notice + "# id\tname\ttactics\ttactics in v18.1 where they differ\tplatforms\tdeprecated or the id it was revoked by\n")
	slices.SortFunc(src.Techniques, func(x, y technique) int { return cmp.Compare(x.ID, y.ID) })
	for _, t := range src.Techniques {
		if parent, _, sub := strings.Cut(t.ID, "."); sub && t.Parent != parent {
			return fmt.Errorf("%s: %s has the parent %q, which its id does not say", path, t.ID, t.Parent)
		}
		v18 := strings.Join(t.TacticsV18, ",")
		if v18 == strings.Join(t.Tactics, ",") {
			v18 = ""
		}
		state := t.RevokedBy
		if t.Deprecated {
			state = "deprecated"
		}
		row(&b, t.ID, t.Name, strings.Join(t.Tactics, ","), v18, strings.Join(t.Platforms, ","), state)
	}
	if err := write("techniques.tsv", &b); err != nil {
		return err
	}

	b.WriteString(notice + "# id of a group (G) or campaign (C)\tname\ttechniques it used\n")
	for _, sets := range []map[string]actor{src.Groups, src.Campaigns} {
		for _, id := range slices.Sorted(maps.Keys(sets)) {
			if s := sets[id]; len(s.Techniques) > 0 {
				slices.Sort(s.Techniques)
				row(&b, id, s.Name, strings.Join(slices.Compact(s.Techniques), ","))
			}
		}
	}
	return write("actors.tsv", &b)
}

// intentWords are the source's spellings, letters only and lower case, and the
// value of Defender's vocabulary each means. Two are no intents at all: resource
// development has none, and "defense execution" stands in one row where the
// neighbouring rows say defense evasion.
var intentWords = map[string]string{
	"unknown": "Unknown", "preattack": "PreAttack", "probing": "Probing", "exploitation": "Exploitation",
	"initialaccess": "InitialAccess", "execution": "Execution", "persistence": "Persistence",
	"privilegeescalation": "PrivilegeEscalation", "defenseevasion": "DefenseEvasion", "defenseexecution": "DefenseEvasion",
	"credentialaccess": "CredentialAccess", "discovery": "Discovery", "lateralmovement": "LateralMovement",
	"collection": "Collection", "exfiltration": "Exfiltration", "commandandcontrol": "CommandAndControl",
	"impact": "Impact", "impactdefacement": "Impact", "reconnaissance": "PreAttack", "resourcedevelopment": "Unknown",
}

func alertTypes(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var b strings.Builder
	b.WriteString(microsoftNotice + "# alert types, space between\tintents\tseverity as written\talert name\n")
	for i, r := range rows[1:] {
		var intents []string
		for _, w := range strings.Split(r[3], "|") {
			if strings.TrimSpace(w) == "" {
				continue
			}
			intent, ok := intentWords[letters(w)]
			if !ok {
				return fmt.Errorf("%s:%d: no intent is called %q", path, i+2, w)
			}
			if !slices.Contains(intents, intent) {
				intents = append(intents, intent)
			}
		}
		row(&b, strings.Join(strings.Fields(r[2]), " "), strings.Join(intents, ","), r[4], strings.Join(strings.Fields(r[1]), " "))
	}
	return write("alert_types.tsv", &b)
}

// letters returns the letters of s in lower case.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

func row(b *strings.Builder, fields ...string) {
	for i, f := range fields {
		fields[i] = strings.Join(strings.Fields(f), " ") // no tab or line break inside a field
	}
	b.WriteString(strings.Join(fields, "\t") + "\n")
}

func write(name string, b *strings.Builder) error {
	err := os.WriteFile(name, []byte(b.String()), 0o644)
	b.Reset()
	return err
}
