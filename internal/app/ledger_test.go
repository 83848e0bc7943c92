package app

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const probing = "203.0.113.77"

var probed = time.Date(2024, 1, 1, 3, 0, 0, 0, time.UTC)

// fourMonths is a log of sshd of days at a server: people at work, addresses that are
// refused once or twice, one that is refused often on many days, and on the first
// night an address that guesses passwords.
func fourMonths() string {
	var b strings.Builder
	log := func(at time.Time, format string, args ...any) {
		fmt.Fprintf(&b, "%s web1 sshd[77]: %s\n", at.Format(time.RFC3339), fmt.Sprintf(format, args...))
	}
	for i := range 25 {
		log(probed.Add(time.Duration(2*i)*time.Second), "Failed password for invalid user oracle from %s port %d ssh2", probing, 40000+i)
	}
	for day := range 115 {
		at := probed.AddDate(0, 0, day).Add(6 * time.Hour)
		for i := range 4 {
			log(at.Add(time.Duration(i)*time.Minute), "Accepted publickey for deploy from 198.51.100.%d port 50000 ssh2", 10+i)
		}
		for i := range 2 {
			log(at.Add(time.Duration(10+i)*time.Minute), "Failed password for root from 192.0.2.%d port 41000 ssh2", 1+day%200)
		}
	}
	return b.String()
}

// takeover is what a stolen key does in a cloud account 119 days after the probe, from
// one address.
func takeover(t *testing.T, from string) string {
	t.Helper()
	type object = map[string]any
	var records []object
	call := func(minute float64, source, name string, parameters object) {
		at := probed.AddDate(0, 0, 119).Add(time.Duration(minute * float64(time.Minute)))
		records = append(records, object{
			"eventVersion": "1.08", "eventTime": at.Format(time.RFC3339), "eventSource": source + ".amazonaws.com", "eventName": name, "awsRegion": "eu-west-1",
			"sourceIPAddress": from, "userAgent": "aws-cli/2.15", "eventID": fmt.Sprint("event-", len(records)), "eventType": "AwsApiCall", "recipientAccountId": "111122223333",
			"requestParameters": parameters, "responseElements": nil,
			"userIdentity": object{"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/backup", "accountId": "111122223333", "accessKeyId": "AKIAEXAMPLEKEY00001", "userName": "backup"},
		})
	}
	call(0, "sts", "GetCallerIdentity", object{})
	call(4, "cloudtrail", "StopLogging", object{"name": "main"})
	call(6, "iam", "CreateAccessKey", object{"userName": "admin"})
	call(9, "ec2", "ModifySnapshotAttribute", object{"snapshotId": "snap-1", "attributeType": "CREATE_VOLUME_PERMISSION", "createVolumePermission": object{"add": object{"items": []object{{"userId": "999988887777"}}}}})
	b, err := json.Marshal(object{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// remembered are the sentences and links that tell of what was long before.
func remembered(r *model.Report) (told []model.Sentence, links []model.Link) {
	for _, in := range r.Incidents {
		for _, s := range in.Summary {
			if strings.HasPrefix(s.Text, "Remembered: ") {
				told = append(told, s)
			}
		}
		for _, l := range in.Links {
			if _, ok := l.Terms["age"]; ok {
				links = append(links, l)
			}
		}
	}
	return told, links
}

// A guess at passwords on the first day is told with the theft of day 120, whether
// both are in one run or a file remembers; noise is not.
func TestProbeOfDay1IsToldWithTheTheftOfDay120(t *testing.T) {
	folder(t, file{"first/auth.log", fourMonths()}, file{"theft/trail.json", takeover(t, probing)}, file{"other/trail.json", takeover(t, "192.0.2.9")})
	night1 := analyze(t, Options{Memory: "memory", AllAlerts: true}, "first")
	if len(night1.Incidents) > 0 || len(night1.Alerts) == 0 {
		t.Fatalf("%d incidents of %d alerts from the probe and the noise, want none of some", len(night1.Incidents), len(night1.Alerts))
	}
	probe := night1.Alerts[0]
	oneRun, twoRuns := analyze(t, Options{}, "first", "theft"), analyze(t, Options{Memory: "memory"}, "theft")
	for name, r := range map[string]*model.Report{"one run": oneRun, "two runs": twoRuns} {
		told, links := remembered(r)
		if len(told) != 1 || len(links) != 1 {
			t.Errorf("%s: told %v by %v, want the probe", name, told, links)
			continue
		}
		if l := links[0]; l.To != probe.ID || l.Reason != model.SameIP || l.Shared != "ip:"+probing {
			t.Errorf("%s: link %+v, want one to the probe %s", name, l, probe.ID)
		}
		for _, want := range []string{"119 days earlier", "2024-01-01", probe.Rule.Title, probe.ID} {
			if !strings.Contains(told[0].Text, want) {
				t.Errorf("%s: %q does not say %q", name, told[0].Text, want)
			}
		}
		in := r.Incidents[0]
		here := slices.Contains(in.Context, probe.ID)
		if here != (name == "one run") || slices.Contains(told[0].Cites, probe.ID) != here {
			t.Errorf("%s: the probe is shown as context: %v, and cited: %v", name, here, told[0].Cites)
		}
	}
	if !slices.ContainsFunc(twoRuns.Notes, func(n string) bool {
		return strings.HasPrefix(n, "Memory of ") && strings.Contains(n, "one earlier run") && strings.Contains(n, "2024-01-01")
	}) {
		t.Errorf("no note says which memory was used: %v", twoRuns.Notes)
	}
	for name, r := range map[string]*model.Report{
		"one run": analyze(t, Options{}, "first", "other"), "two runs": analyze(t, Options{Memory: "memory"}, "other"), "no memory": analyze(t, Options{}, "theft"),
	} {
		if told, links := remembered(r); len(told)+len(links) > 0 || len(r.Incidents) != 1 {
			t.Errorf("%s: %d incidents, told %v by %v, want the theft with nothing before it", name, len(r.Incidents), told, links)
		}
	}
}

// The number of workers changes neither the report nor what is remembered.
func TestMemoryDoesNotDependOnWorkers(t *testing.T) {
	folder(t, file{"first/auth.log", fourMonths()}, file{"theft/trail.json", takeover(t, probing)})
	var reports []string
	for _, workers := range []int{1, 7} {
		o := Options{Workers: workers, Memory: fmt.Sprint("memory", workers)}
		analyze(t, o, "first")
		b, err := json.Marshal(analyze(t, o, "theft"))
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, string(b))
	}
	if reports[0] != reports[1] {
		t.Error("the reports differ")
	}
}

func TestMemoryThatCannotBeUsedStopsTheRunAtOnce(t *testing.T) {
	folder(t, file{"auth.log", guessing(3)}, file{"memory", strings.Repeat("a letter\n", 1000)})
	a, err := New(Options{Memory: "memory"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Analyze(t.Context(), []string{"auth.log"}); err == nil || !strings.Contains(err.Error(), "memory memory") {
		t.Errorf("a file that is no memory: %v", err)
	}
	if b, err := os.ReadFile("memory"); err != nil || !strings.HasPrefix(string(b), "a letter") {
		t.Error("the file was changed")
	}
}

// A memory that turns out to be damaged costs the memory and not the report.
func TestDamagedMemoryLeavesTheReport(t *testing.T) {
	folder(t, file{"first/auth.log", fourMonths()}, file{"theft/trail.json", takeover(t, probing)})
	analyze(t, Options{Memory: "memory"}, "first")
	db, err := sql.Open("sqlite", "memory")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE entity SET record = zeroblob(40)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := analyze(t, Options{Memory: "memory"}, "theft")
	i := slices.IndexFunc(r.Inputs, func(in model.Input) bool { return in.Path == "memory" })
	if len(r.Incidents) != 1 || i < 0 || len(r.Inputs[i].Errors) != 1 || !strings.Contains(r.Inputs[i].Errors[0].Cause, "restore a copy") {
		t.Errorf("%d incidents, inputs %+v: want the incident, and the file named with what to do", len(r.Incidents), r.Inputs)
	}
}
