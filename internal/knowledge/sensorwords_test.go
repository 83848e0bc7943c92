package knowledge

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestSensorsOwnWords(t *testing.T) {
	for _, c := range []struct {
		product, title string
		intent         model.Intent
		tactic         string // as written down with the alert
	}{
		{"Wazuh", "Apache: Attempt to access forbidden directory index.", model.IntentPreAttack, Reconnaissance},
		{"Wazuh", "Dovecot Authentication Success.", model.IntentInitialAccess, ""},
		{"wazuh", "PAM: Login session closed.", model.IntentUnknown, ""},
		{"Wazuh", "Windows Defender: Antimalware scan started", model.IntentUnknown, ""},
		{"Wazuh", "Trojaned version of file detected.", model.IntentPersistence, Persistence},
		{"Suricata", "ET SCAN Behavioral Unusual Port 445 traffic", model.IntentPreAttack, Reconnaissance},
		{"Suricata", "ETPRO MALWARE Some Stealer Checkin", model.IntentCommandAndControl, CommandAndControl},
		{"Suricata", "GPL ATTACK_RESPONSE id check returned root", model.IntentExecution, Execution},
		{"Suricata", "ET INFO Observed DNS Query to .invalid TLD", model.IntentCommandAndControl, ""},
		{"Suricata", "SURICATA STREAM Packet with invalid ack", model.IntentUnknown, ""},
		{"Suricata", "SURICATA SMTP no server welcome message", model.IntentPreAttack, ""},
		{"AMiner", "New service_stop parameter combination in Audit logs.", model.IntentImpact, ""},
		{"AMiner", "High entropy in Apache Access user agent.", model.IntentCommandAndControl, ""},
		{"AMiner", "Unusual occurrence frequencies of DNS query IPs.", model.IntentExfiltration, ""},
		{"AMiner", "New event type.", model.IntentUnknown, ""},
		// Words of one sensor mean nothing in another's mouth.
		{"Acme", "New event type.", model.IntentUnknown, ""},
		{"Acme", "Session closed for service_stop", model.IntentUnknown, ""},
	} {
		a := &model.Alert{Product: c.product, Rule: model.RuleInfo{Title: c.title}}
		Classify(a)
		if a.Intent.Primary != c.intent || strings.Join(a.Tactics, ",") != c.tactic {
			t.Errorf("%s %q: %s, tactics %v (%s); want %s, %q", c.product, c.title, a.Intent.Primary, a.Tactics, a.Intent.Why, c.intent, c.tactic)
		}
		if a.Intent.Why == "" || (a.Intent.Confidence == 0) != (c.intent == model.IntentUnknown) {
			t.Errorf("%s %q: confidence %v, %q", c.product, c.title, a.Intent.Confidence, a.Intent.Why)
		}
	}
}

// What a sensor says itself, or a rule's tags, comes before its vocabulary; where it
// says nothing, the direction of the traffic still speaks.
func TestSensorsWordsAreWeakerThanTags(t *testing.T) {
	a := &model.Alert{Product: "Suricata", Rule: model.RuleInfo{Title: "ET SCAN x"}, Tags: []string{"attack.t1190"}}
	Classify(a)
	if a.Intent.Primary != model.IntentInitialAccess {
		t.Errorf("%+v", a.Intent)
	}
	a = &model.Alert{Product: "Suricata", Rule: model.RuleInfo{Title: "SURICATA TLS invalid record/traffic"},
		Entities: []model.Entity{{Type: model.IP, Role: model.Src, Value: "198.51.100.7"}}}
	Classify(a)
	if a.Intent.Primary != model.IntentPreAttack || !strings.Contains(a.Intent.Why, "198.51.100.7") {
		t.Errorf("%+v", a.Intent)
	}
}

// A word behind one that is a part of it would never be met.
func TestSensorsWordsAreAllMet(t *testing.T) {
	for product, list := range map[string][]sensorWord{"wazuh": wazuhWords, "suricata": suricataWords, "aminer": aminerWords} {
		for _, w := range list {
			if got, ok := readSensor(product, w.words); !ok || got.words != w.words || w.why == "" {
				t.Errorf("%s: %q is read as %q", product, w.words, got.words)
			}
			if _, known := Tactic(w.tactic); w.tactic != "" && !known {
				t.Errorf("%s: %q has the tactic %q", product, w.words, w.tactic)
			}
		}
	}
}
