package knowledge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// The whole mapping as a person reads it: tactic, intent, stage, step on the
// first resource and later ("-" floats).
const mapping = `
reconnaissance        PreAttack            reconnaissance        exposure          exposure
resource-development  Unknown              reconnaissance        exposure          exposure
initial-access        InitialAccess        intrusion             access            access
execution             Execution            exploitation          access            access
persistence           Persistence          exploitation          access            access
privilege-escalation  PrivilegeEscalation  privilege_escalation  access            lateral_movement
stealth               DefenseEvasion       obfuscation           -                 -
defense-impairment    DefenseEvasion       obfuscation           -                 -
credential-access     CredentialAccess     privilege_escalation  lateral_movement  lateral_movement
discovery             Discovery            lateral_movement      lateral_movement  lateral_movement
lateral-movement      LateralMovement      lateral_movement      lateral_movement  lateral_movement
collection            Collection           exfiltration          actions           actions
command-and-control   CommandAndControl    exploitation          access            access
exfiltration          Exfiltration         exfiltration          actions           actions
impact                Impact               denial_of_service     actions           actions`

func TestMappingOfEveryTactic(t *testing.T) {
	dash := func(s model.CloudStep) string {
		if s == "" {
			return "-"
		}
		return string(s)
	}
	lines := strings.Split(strings.TrimSpace(mapping), "\n")
	if len(lines) != len(Tactics()) || len(lines) != len(Views()) {
		t.Fatalf("%d lines, %d tactics, %d views", len(lines), len(Tactics()), len(Views()))
	}
	for i, line := range lines {
		name := Tactics()[i].ShortName
		got := fmt.Sprint(name, IntentOf(name), StageOf(name), dash(StepOf(name, true)), dash(StepOf(name, false)))
		if want := strings.Join(strings.Fields(line), ""); strings.ReplaceAll(got, " ", "") != want {
			t.Errorf("got %s, want %s", got, line)
		}
		if Views()[i].Tactic != name || Views()[i].Why == "" {
			t.Errorf("view %d is %+v", i, Views()[i])
		}
	}
}

func TestEveryIntentIsUnderstood(t *testing.T) {
	if len(Intents()) != 16 {
		t.Fatalf("%d intents, want 16", len(Intents()))
	}
	for _, want := range Intents() {
		if got, ok := Intent(string(want)); !ok || got != want {
			t.Errorf("Intent(%q) = %q, %v", want, got, ok)
		}
		a := model.Alert{Raw: map[string]string{"Intent": string(want)}}
		Classify(&a)
		if !slices.Contains(a.Intent.All, want) {
			t.Errorf("%s: lost, all = %v", want, a.Intent.All)
		}
		if want != model.IntentUnknown && (a.Intent.Confidence < 0.9 || len(a.Tactics) != 1 || !strings.Contains(a.Intent.Why, string(want))) {
			t.Errorf("%s: %+v, tactics %v", want, a.Intent, a.Tactics)
		}
	}
}

func alert(change func(*model.Alert)) *model.Alert {
	a := &model.Alert{}
	change(a)
	return a
}

func TestClassify(t *testing.T) {
	public := model.Entity{Type: model.IP, Role: model.Src, Value: "198.51.100.7"}
	inside := model.Entity{Type: model.IP, Role: model.Dst, Value: "10.0.0.9"}
	for _, c := range []struct {
		name  string
		alert *model.Alert
		want  string // intent stage step
		why   string
	}{
		{"sensor's list as JSON text", alert(func(a *model.Alert) { a.Raw = map[string]string{"intent": `"[\"Persistence\"]"`} }),
			"Persistence exploitation access", "the sensor said Persistence"},
		{"sensor's words between commas", alert(func(a *model.Alert) { a.Raw = map[string]string{"Tactics": "CredentialAccess, LateralMovement"} }),
			"CredentialAccess privilege_escalation lateral_movement", "CredentialAccess, LateralMovement"},
		{"older name", alert(func(a *model.Alert) { a.Raw = map[string]string{"KillChainIntent": "Exploitation"} }),
			"InitialAccess intrusion access", "the sensor said Exploitation"},
		{"the sensor beats the tags", alert(func(a *model.Alert) {
			a.Raw = map[string]string{"intent": "Collection"}
			a.Tags = []string{"attack.impact"}
		}), "Collection exfiltration actions", "the sensor said Collection"},
		{"an unknown of the sensor does not", alert(func(a *model.Alert) {
			a.Raw = map[string]string{"intent": "Unknown"}
			a.Tags = []string{"attack.impact"}
		}), "Impact denial_of_service actions", "tag attack.impact on the rule"},
		{"how stands behind what for", alert(func(a *model.Alert) { a.Tags = []string{"attack.stealth", "attack.execution", "attack.t1218.011"} }),
			"Execution exploitation access", "tag attack.execution on the rule"},
		{"only a technique", alert(func(a *model.Alert) { a.Tags = []string{"attack.t1003.001"} }),
			"CredentialAccess privilege_escalation lateral_movement", "OS Credential Dumping: LSASS Memory"},
		{"several tactics of a technique", alert(func(a *model.Alert) { a.Techniques = []string{"T1078"} }),
			"InitialAccess intrusion access", "tag T1078"},
		{"older id and tactic", alert(func(a *model.Alert) { a.Tags = []string{"attack.defense-evasion", "attack.t1070.001"} }),
			"DefenseEvasion obfuscation access", "tag attack.defense-evasion"},
		{"vendor's type", alert(func(a *model.Alert) { a.Raw = map[string]string{"AlertType": "KV_PutGetAnomaly"} }),
			"CredentialAccess privilege_escalation lateral_movement", "Microsoft documents CredentialAccess"},
		{"title", alert(func(a *model.Alert) { a.Rule.Title = "Possible web shell written by IIS" }),
			"Persistence exploitation access", `the title says "web shell"`},
		{"posture", alert(func(a *model.Alert) { a.Rule.Title = "Management port exposed to the internet" }),
			"Unknown reconnaissance exposure", "the title says exposed"},
		{"act", alert(func(a *model.Alert) { a.Act = model.ActLogCleared }),
			"DefenseEvasion obfuscation access", "log cleared"},
		{"inbound", alert(func(a *model.Alert) { a.Entities = []model.Entity{public, inside} }),
			"PreAttack reconnaissance exposure", "inbound from the internet (198.51.100.7)"},
		{"nothing", alert(func(*model.Alert) {}), "Unknown exploitation access", "nothing in the alert"},
		{"refused guesses", alert(func(a *model.Alert) {
			a.Tags, a.Act = []string{"attack.credential-access", "attack.t1110.001"}, model.ActLogonFailed
		}), "PreAttack reconnaissance exposure", "do not show success"},
		{"a guess that got in", alert(func(a *model.Alert) {
			a.Tags, a.Act = []string{"attack.credential-access", "attack.t1110.001"}, model.ActLogon
		}), "InitialAccess intrusion access", "succeeded"},
		{"a product's words on guesses", alert(func(a *model.Alert) { a.Rule.Title = "SSH brute force followed by successful login" }),
			"InitialAccess intrusion access", "succeeded"},
		{"and on refused ones", alert(func(a *model.Alert) { a.Rule.Title = "Unsuccessful brute force" }),
			"PreAttack reconnaissance exposure", "do not show"},
		{"guesses from inside", alert(func(a *model.Alert) {
			a.Tags, a.Act = []string{"attack.t1110.003"}, model.ActLogonFailed
			a.Entities = []model.Entity{{Type: model.Process, Role: model.Actor, Value: "h:1"}}
		}), "CredentialAccess privilege_escalation lateral_movement", "Password Spraying"},
		{"looking around from outside", alert(func(a *model.Alert) {
			a.Tags, a.Entities = []string{"attack.t1046"}, []model.Entity{public}
		}), "Discovery reconnaissance exposure", "with no account"},
	} {
		Classify(c.alert)
		got := fmt.Sprintf("%s %s %s", c.alert.Intent.Primary, c.alert.Stage, c.alert.CloudStep)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if !strings.Contains(c.alert.Intent.Why, c.why) {
			t.Errorf("%s: why %q does not say %q", c.name, c.alert.Intent.Why, c.why)
		}
	}
}

func TestWeakerSourcesAreLessSure(t *testing.T) {
	last := 1.0
	for i, a := range []*model.Alert{
		alert(func(a *model.Alert) { a.Raw = map[string]string{"intent": "Impact"} }),
		alert(func(a *model.Alert) { a.Tags = []string{"attack.impact"} }),
		alert(func(a *model.Alert) { a.Tags = []string{"attack.t1486"} }),
		alert(func(a *model.Alert) { a.Raw = map[string]string{"alerttype": "KV_PutGetAnomaly"} }),
		alert(func(a *model.Alert) { a.Rule.Title = "ransomware" }),
		alert(func(a *model.Alert) { a.Act = model.ActScript }),
		alert(func(a *model.Alert) {
			a.Entities = []model.Entity{{Type: model.IP, Role: model.Dst, Value: "198.51.100.7"}}
		}),
		alert(func(*model.Alert) {}),
	} {
		Classify(a)
		if a.Intent.Confidence >= last {
			t.Errorf("source %d is as sure as the one before: %v", i, a.Intent.Confidence)
		}
		last = a.Intent.Confidence
	}
}

// Classify runs where an alert is made and may run again where one is read back.
func TestClassifyTwiceIsOnce(t *testing.T) {
	a := alert(func(a *model.Alert) {
		a.Tags = []string{"attack.defense-evasion", "attack.t1562.001", "attack.execution"}
	})
	Classify(a)
	once := fmt.Sprint(*a)
	Classify(a)
	if twice := fmt.Sprint(*a); once != twice {
		t.Errorf("\n%s\n%s", once, twice)
	}
}

func TestEveryAlertTypeClassifies(t *testing.T) {
	types := AlertTypes()
	if len(types) != 401 {
		t.Fatalf("%d alert types, want 401", len(types))
	}
	var unknown []string
	for _, typ := range types {
		for _, id := range append([]string{""}, typ.Types...) {
			if id == "" && len(typ.Types) > 0 {
				continue
			}
			a := alert(func(a *model.Alert) { a.Rule.Title, a.Raw = typ.Name, map[string]string{"AlertType": id} })
			Classify(a)
			for _, want := range typ.Intents {
				if !slices.Contains(a.Intent.All, want) && want != model.IntentUnknown {
					t.Errorf("%q %s: intents %v lack %s", typ.Name, id, a.Intent.All, want)
				}
			}
			if a.Stage == "" || a.CloudStep == "" || a.Intent.Why == "" {
				t.Errorf("%q %s: %+v", typ.Name, id, a)
			}
			if a.Intent.Confidence == 0 {
				unknown = append(unknown, typ.Name)
			}
		}
	}
	t.Logf("%d of %d have no intent in the table and none in their title: %q", len(unknown), len(types), unknown)
	if len(unknown) > len(types)/20 {
		t.Errorf("%d of %d are not understood", len(unknown), len(types))
	}
}

func BenchmarkClassify(b *testing.B) {
	tags := []string{"attack.defense-evasion", "attack.t1562.001", "attack.execution"}
	for b.Loop() {
		Classify(&model.Alert{Tags: tags})
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("intent", `["Persistence"]`, "attack.t1110", "Brute force", "10.0.0.1")
	f.Add("AlertType", "KV_PutGetAnomaly", "", "", "::ffff:198.51.100.7")
	f.Add("tactics", `"[`, "\x00", "\x1b[31m", "x")
	f.Fuzz(func(t *testing.T, key, word, tag, title, ip string) {
		a := alert(func(a *model.Alert) {
			a.Raw, a.Tags, a.Rule.Title = map[string]string{key: word}, []string{tag}, title
			a.Entities = []model.Entity{{Type: model.IP, Role: model.Src, Value: ip}}
		})
		Classify(a)
		if !slices.Contains(model.Stages, a.Stage) || !slices.Contains(model.CloudSteps, a.CloudStep) || !slices.Contains(Intents(), a.Intent.Primary) {
			t.Errorf("%q %q %q is outside the vocabularies", a.Stage, a.CloudStep, a.Intent.Primary)
		}
		if strings.ContainsFunc(a.Intent.Why, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("why %q holds what a terminal would act on", a.Intent.Why)
		}
	})
}
