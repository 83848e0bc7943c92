package simulate

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// TestProductsBesideLogs checks that watching changes no log, and that what the
// truth calls one act is one: a log's record and the alerts about it name the same
// process, key or account.
func TestProductsBesideLogs(t *testing.T) {
	plain, _ := made(t, Options{Seed: 4})
	dir, _ := made(t, Options{Seed: 4, Products: true})
	without, with := contents(t, plain), contents(t, dir)
	for name, data := range without {
		if name != "truth.json" && !bytes.Equal(data, with[name]) {
			t.Errorf("%s is another where products watch", name)
		}
	}
	var truth watchedTruth
	if err := json.Unmarshal(with["truth.json"], &truth); err != nil {
		t.Fatal(err)
	}
	lines := map[string][]string{}
	for name, data := range with {
		if strings.HasPrefix(name, "evidence/alerts/") || strings.HasSuffix(name, "winlogbeat.ndjson") {
			lines[strings.TrimPrefix(name, "evidence/")] = strings.Split(string(data), "\n")
		}
	}
	named := map[string]bool{}
	logs, compared := 0, 0
	for _, a := range truth.SameActs {
		var process string
		alerts := 0
		for _, key := range a.Records {
			input, nth, _ := strings.Cut(key, "#")
			if strings.HasPrefix(input, "alerts/") {
				alerts++
				named[key] = true
			} else {
				logs++
			}
			if !strings.HasSuffix(input, "winlogbeat.ndjson") && input != "alerts/defender_xdr.ndjson" {
				continue
			}
			var rec struct {
				Winlog struct {
					Data map[string]string `json:"event_data"`
				} `json:"winlog"`
				Evidence []struct {
					ProcessID int `json:"processId"`
				} `json:"evidence"`
			}
			n := 0
			for _, c := range nth {
				n = 10*n + int(c-'0')
			}
			if err := json.Unmarshal([]byte(lines[input][n-1]), &rec); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			pid := rec.Winlog.Data["ProcessId"]
			for _, e := range rec.Evidence {
				if e.ProcessID > 0 {
					pid = number(e.ProcessID)
				}
			}
			if pid == "" {
				continue
			}
			if process != "" && process != pid {
				t.Errorf("%v: processes %s and %s are one act", a.Records, process, pid)
			} else if process != "" {
				compared++
			}
			process = pid
		}
		if alerts == 0 || alerts == len(a.Records) || a.Campaign == "" || a.Step == 0 {
			t.Errorf("act %+v", a)
		}
	}
	if logs < 20 || compared < 5 {
		t.Errorf("%d acts of logs, %d compared", logs, compared)
	}
	belong := map[string]bool{}
	for _, r := range truth.Records {
		belong[r.Input+"#"+number(int(r.Record))] = true
	}
	for key := range named {
		if !belong[key] {
			t.Errorf("%s belongs to no campaign", key)
		}
	}
	if truth.Schema != model.TruthSchema {
		t.Errorf("schema %q", truth.Schema)
	}
}
