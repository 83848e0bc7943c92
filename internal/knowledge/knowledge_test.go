package knowledge

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTablesAreComplete(t *testing.T) {
	var active, deprecated, revoked int
	for _, x := range attack().techniques {
		switch {
		case x.RevokedBy != "":
			revoked++
			if now, ok := Resolve(x.ID); !ok || len(TacticsOf(now)) == 0 {
				t.Errorf("%s leads to %q, which has no tactic", x.ID, now)
			}
		case x.Deprecated:
			deprecated++
		default:
			active++
		}
		for _, name := range x.Tactics {
			if got, ok := Tactic(name); !ok || got.ShortName != name {
				t.Errorf("%s has the unknown tactic %q", x.ID, name)
			}
		}
	}
	if active != 697 || deprecated != 12 || revoked != 149 {
		t.Errorf("active %d, deprecated %d, revoked %d; ATT&CK v19.1 has 697, 12, 149", active, deprecated, revoked)
	}
	for _, a := range Actors() {
		for _, id := range a.Techniques {
			if now, ok := Resolve(id); !ok || now != id {
				t.Errorf("%s uses %s, which is not in use", a.ID, id)
			}
		}
	}
	for name, table := range map[string]string{"tactics.tsv": tacticsTable, "techniques.tsv": techniquesTable, "actors.tsv": actorsTable} {
		if !strings.HasPrefix(table, "# (c) 2026 The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE Corporation.") {
			t.Errorf("%s lacks the notice its licence asks for", name)
		}
	}
}

// dataDir is where the evidence and facts stand that are not part of the project.
func dataDir() string {
	if dir := os.Getenv("CATENA_DATA"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "shared", "data")
}

// The facts the tables are made of must be of the version we say.
func TestTablesAreOfThisVersion(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(dataDir(), "attack", "techniques.json"))
	if err != nil {
		t.Skipf("the facts are absent: %v", err)
	}
	if !strings.Contains(string(raw[:200]), `"version":"`+AttackVersion+`"`) {
		t.Errorf("the facts are not of v%s: run go generate and change AttackVersion", AttackVersion)
	}
}

func TestTactic(t *testing.T) {
	for word, want := range map[string]string{
		"credential-access": CredentialAccess, "credential_access": CredentialAccess, "Credential Access": CredentialAccess,
		"TA0006": CredentialAccess, "ta0112": DefenseImpairment, "PrivilegeEscalation": PrivilegeEscalation, "Initial access": InitialAccess,
		"Pre-attack": Reconnaissance, "Pre Attack": Reconnaissance, "Probing": Reconnaissance, "Exploitation": InitialAccess,
		"Command And Control": CommandAndControl, "defense-evasion": Stealth, "defense_evasion": Stealth, "Lateral movement": LateralMovement,
	} {
		if got, ok := Tactic(word); !ok || got.ShortName != want {
			t.Errorf("Tactic(%q) = %q, %v; want %q", word, got.ShortName, ok, want)
		}
	}
	for _, word := range []string{"", "Unknown", "TA9999", "t1059", "actions"} {
		if got, ok := Tactic(word); ok {
			t.Errorf("Tactic(%q) = %q, want none", word, got.ShortName)
		}
	}
}

func TestResolve(t *testing.T) {
	for id, want := range map[string]string{
		"T1059.001": "T1059.001", "t1059.001": "T1059.001", " T1685 ": "T1685",
		"T1562.001": "T1685", "T1070.001": "T1685.005", "T1070.002": "T1685.006", "T1656": "T1684.001",
		"T1002":     "T1560", // revoked before sub-techniques
		"T1073":     "T1574.001",
		"T1059.099": "T1059", // a sub-technique of a later version
	} {
		if got, ok := Resolve(id); !ok || got != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", id, got, ok, want)
		}
	}
	for _, id := range []string{"", "T9999", "T9999.001", "TA0006", "G0016"} {
		if got, ok := Resolve(id); ok {
			t.Errorf("Resolve(%q) = %q, want none", id, got)
		}
	}
	if !SameTechnique("T1003.001", "T1003") || !SameTechnique("T1562.001", "T1685") || SameTechnique("T1003.001", "T1003.002") || SameTechnique("", "") {
		t.Error("SameTechnique is wrong about parents, successors, siblings or nothing")
	}
}

func TestFromTags(t *testing.T) {
	for _, c := range []struct{ tags, techniques, tactics string }{
		{"attack.execution attack.t1059.001", "T1059.001", "execution"},
		{"attack.t1110", "T1110", "credential-access"},
		{"attack.defense-evasion attack.t1562.001", "T1685", "defense-impairment"},
		{"attack.t1036 attack.defense_evasion", "T1036", "stealth"},
		{"attack.defense-evasion", "", "stealth"},
		{"attack.stealth attack.persistence", "", "stealth persistence"},
		{"attack.g0016 attack.s0002 cve.2021-44228 detection.emerging-threats attack.ta0040", "", "impact"},
		{"T1003.001 credential-access", "T1003.001", "credential-access"},
		{"car.2013-05-004 tlp.red", "", ""},
	} {
		techniques, tactics := FromTags(strings.Fields(c.tags))
		if got := strings.Join(techniques, " "); got != c.techniques {
			t.Errorf("%s: techniques %q, want %q", c.tags, got, c.techniques)
		}
		if got := strings.Join(tactics, " "); got != c.tactics {
			t.Errorf("%s: tactics %q, want %q", c.tags, got, c.tactics)
		}
	}
}

// Every ATT&CK tag that public rules carry must mean something, in whichever of
// the last versions of ATT&CK it was written.
func TestTagsOfPublicRules(t *testing.T) {
	root := filepath.Join(dataDir(), "sigma_rules")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("the rules are absent: %v", err)
	}
	tag := regexp.MustCompile(`(?m)^\s+- (attack\.[^\s#]+)`)
	read, lost := 0, map[string]int{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yml" {
			return err
		}
		rule, err := os.ReadFile(path)
		for _, m := range tag.FindAllSubmatch(rule, -1) {
			word := string(m[1])
			if strings.HasPrefix(word, "attack.g") || strings.HasPrefix(word, "attack.s0") || strings.HasPrefix(word, "attack.s1") {
				continue // groups and software
			}
			read++
			if techniques, tactics := FromTags([]string{word}); len(techniques)+len(tactics) == 0 {
				lost[word]++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tags read, not understood: %v", read, lost)
	if len(lost)*1000 > read {
		t.Errorf("not understood: %v", lost)
	}
}

func FuzzFromTags(f *testing.F) {
	f.Add("attack.t1059.001", "attack.defense-evasion")
	f.Add("T1055", "....")
	f.Add("attack.t1059.", "\xff.\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		techniques, tactics := FromTags([]string{a, b})
		for _, id := range techniques {
			if now, ok := Resolve(id); !ok || now != id {
				t.Errorf("%q is no technique in use", id)
			}
		}
		for _, name := range tactics {
			if !slices.ContainsFunc(Tactics(), func(x TacticInfo) bool { return x.ShortName == name }) {
				t.Errorf("%q is no tactic", name)
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		loadAttack()
	}
}
