package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A notice is an alert and the event that rules see, as a line and as JSON, and both
// forms tell the same.
func TestZeekNotice(t *testing.T) {
	head := "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tnotice\n" +
		"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tnote\tmsg\tsub\tsrc\tdst\tp\tactions\tsuppress_for\n" +
		"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tstring\taddr\taddr\tport\tset[enum]\tinterval\n"
	for _, c := range []struct{ line, json, want string }{
		{"1714557900.250000\t-\t-\t-\t-\t-\tSSH::Password_Guessing\t203.0.113.9 guesses\tn\t203.0.113.9\t-\t-\tNotice::ACTION_LOG\t3600.0",
			`{"ts":1714557900.25,"note":"SSH::Password_Guessing","msg":"203.0.113.9 guesses","sub":"n","src":"203.0.113.9","actions":["Notice::ACTION_LOG"],"suppress_for":3600.0,"_path":"notice"}`,
			"zeek-notice 05-01T10:05:00 medium network zeek:SSH::Password_Guessing  T1110.001 ip/src=203.0.113.9"},
		{"1714557900.000000\tC1\t10.0.0.5\t5\t10.0.0.9\t80\tHTTP::SQL_Injection_Attacker\tm\t-\t10.0.0.5\t10.0.0.9\t80\tNotice::ACTION_LOG\t3600.0",
			`{"ts":"2024-05-01T10:05:00.000000Z","uid":"C1","id.orig_h":"10.0.0.5","id.orig_p":5,"id.resp_h":"10.0.0.9","id.resp_p":80,"note":"HTTP::SQL_Injection_Attacker","msg":"m","src":"10.0.0.5","dst":"10.0.0.9","p":80,"actions":["Notice::ACTION_LOG"],"suppress_for":3600.0}`,
			"zeek-notice 05-01T10:05:00 medium network zeek:HTTP::SQL_Injection_Attacker initial-access T1190 ip/src=10.0.0.5 ip/dst=10.0.0.9"},
		{"1714557900.000000\t-\t-\t-\t-\t-\tCaptureLoss::Too_Much_Loss\tm\t-\t-\t-\t-\tNotice::ACTION_LOG\t3600.0",
			`{"ts":1714557900,"note":"CaptureLoss::Too_Much_Loss","msg":"m","actions":["Notice::ACTION_LOG"],"suppress_for":3600.0,"_path":"notice"}`,
			"zeek-notice 05-01T10:05:00 informational network zeek:CaptureLoss::Too_Much_Loss  "},
		{"1714557900.000000\tC1\t10.0.0.5\t5\t10.0.0.9\t443\tSSL::Weak_Key\tm\t-\t10.0.0.5\t10.0.0.9\t443\tNotice::ACTION_LOG\t3600.0",
			`{"ts":1714557900,"uid":"C1","id_orig_h":"10.0.0.5","id_orig_p":5,"id_resp_h":"10.0.0.9","id_resp_p":443,"note":"SSL::Weak_Key","msg":"m","_path":"notice"}`,
			"zeek-notice 05-01T10:05:00 low network zeek:SSL::Weak_Key   ip/src=10.0.0.5 ip/dst=10.0.0.9"},
	} {
		o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
		tsv, bad := decodeAll(t, ZeekTSV(o), "notice.log", []byte(head+c.line+"\n"))
		if len(bad) > 0 {
			t.Errorf("%q: %v", c.line, bad)
		}
		for form, b := range map[string]*Batch{"lines": tsv, "JSON": alertsOf(t, c.json)} {
			if len(b.Alerts) != 1 || len(b.Events) != 1 {
				t.Errorf("%s, %s: %d alerts and %d events", form, c.json, len(b.Alerts), len(b.Events))
				continue
			}
			if got := said(&b.Alerts[0]); got != c.want {
				t.Errorf("%s:\n got %q\nwant %q", form, got, c.want)
			}
			if e := &b.Events[0]; e.Source.Service != "notice" || e.Format != "zeek" || len(e.Slots) < 4 {
				t.Errorf("%s: event of %s, %s, with %d fields", form, e.Source.Service, e.Format, len(e.Slots))
			}
		}
	}
}

// Lines of other logs are no alerts, nor is a notice whose time cannot be read.
func TestZeekNoAlert(t *testing.T) {
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
	b, bad := decodeAll(t, ZeekTSV(o), "x.log", []byte("#separator \\x09\n#path\tconn\n#fields\tts\tuid\n1714557900.0\tC1\n#separator \\x09\n#path\tnotice\n#fields\tts\tnote\tmsg\nsoon\tScan::Port_Scan\tm\n"))
	if len(b.Alerts) != 0 || len(b.Events) != 1 || len(bad) != 1 || !strings.Contains(bad[0].Cause, "time") {
		t.Errorf("%d alerts, %d events, %v", len(b.Alerts), len(b.Events), bad)
	}
}
