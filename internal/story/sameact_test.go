package story

import (
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/model"
)

// A product's finding and our rule's alert on the telemetry beneath it are one deed:
// told from the telemetry, with both named.
func TestOneActIsToldOnce(t *testing.T) {
	at := time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)
	host := model.Entity{Type: model.Host, Role: model.Subject, Value: "ws1"}
	proc := model.Entity{Type: model.Process, Role: model.Subject, Value: "ws1:42", Name: `c:\users\a\dump.exe`}
	alert := func(id, product, source string, after time.Duration, act model.Act) *model.Alert {
		return &model.Alert{ID: id, Time: at.Add(after), End: at.Add(after), Count: 1, Product: product, Severity: model.High, Host: "ws1", Act: act,
			Rule:     model.RuleInfo{ID: id, Title: "Memory of LSASS dumped", Level: model.High, Source: source},
			Tactics:  []string{"credential-access"},
			Entities: []model.Entity{host, proc}, Techniques: []string{"T1003.001"}, Evidence: []model.Evidence{{ID: "e-" + id}}}
	}
	finding := alert("a-edr", "EDR", "EDR", 0, model.ActNone)
	ours := alert("a-own", "windows/sysmon", "builtin", 20*time.Second, model.ActProcessStart)
	for _, c := range []struct {
		same map[string]string
		told bool
	}{
		{map[string]string{"a-own": "a-edr"}, true},
		{nil, false},
	} {
		in := Tell(Case{ID: "inc-1", Severity: model.High, Core: []*model.Alert{finding, ours}, Same: c.same}, graph.New(graph.Options{}), Estate{})
		said, cited := 0, 0
		for _, s := range in.Steps {
			if strings.Contains(s.Summary, "told by EDR and Catena") {
				said++
			}
			cited += len(s.Alerts)
		}
		if (said == 1) != c.told || cited != 2 {
			t.Errorf("same %v: told with both named in %d steps, %d alerts cited: %+v", c.same, said, cited, in.Steps)
		}
		if c.told && (len(in.Steps) != 1 || !strings.Contains(in.Steps[0].Summary, "dump.exe")) {
			t.Errorf("told as %+v, want one step that says what ran", in.Steps)
		}
	}
}
