package report

import (
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// assured is the sample with all that an incident says of assets, amounts and what
// comes next, as an attacker and a user would name it.
func assured() *model.Report {
	r := sample()
	in := &r.Incidents[0]
	at := time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)
	in.Impact.Taken = []model.Taken{
		{What: "resource:arn:aws:s3:::" + hostile, How: "read", By: "access_key:" + hostile, Objects: 1904, Acts: 2000, Bytes: 2_500_000_000, Told: 1990, First: at, Last: at.Add(time.Hour), Cites: []string{in.Alerts[0]}},
		{What: "ip:203.0.113.77", How: "sent", By: "process:mkt01:g2", Acts: 1, Bytes: 640, Told: 1, First: at, Last: at, Cites: []string{}},
		{What: "mailbox:a@corp.example", How: "read", By: `user:corp\a`, Acts: 1, First: at, Last: at, Cites: []string{}},
		{What: "mailbox:b@corp.example", How: "read", By: `user:corp\a`, Acts: 3, Items: 1240, First: at, Last: at, Cites: []string{}},
		{What: "file:" + hostile, How: "packed", By: "process:mkt01:g2", Acts: 2, Bytes: 3_000_000_000, Told: 2, First: at, Last: at, Cites: []string{}},
	}
	in.Impact.Unseen, in.Impact.Unreached = []string{hostile}, []string{"ws2.corp.example"}
	for _, s := range []model.Assurance{model.AssetTouched, model.AssetReachable, model.AssetNoTelemetry, model.AssetNotReachable} {
		in.Impact.Assets = append(in.Impact.Assets, model.AssetState{Name: "asset " + string(s), Kind: "host", Values: []string{hostile}, Why: "why " + hostile, Owner: "team " + hostile,
			Criticality: "high", State: s, Ground: "Ground of " + string(s) + " " + hostile, Cites: []string{in.Alerts[1], "e-root", hostile}})
	}
	in.Related = []model.Related{{Incident: "inc-2", Title: hostile, Severity: model.High, FirstSeen: at, LastSeen: at, Shared: []string{`user:corp\` + hostile}}}
	in.Next[0].Feasible, in.Next[0].Visible = "possible on Windows "+hostile, "you would see it through windows security (2 rules)"
	in.Lookalikes = []model.Lookalike{{ID: "G0001", Name: hostile, Shared: []string{"T1003.001"}, Of: 9, Likeness: 0.4, Warning: "7 of the 9 techniques of " + hostile + " are present."}, {ID: "C0002", Name: "Quiet", Shared: []string{"T1003.001", "T1021"}, Of: 40, Likeness: 0.2}}
	return r
}

func TestAssuranceInEveryForm(t *testing.T) {
	r := assured()
	if err := validate(t, compile(t, "report"), render(t, JSON(), r)); err != nil {
		t.Error(err)
	}
	page := string(render(t, HTML(names), r))
	checkPage(t, page)
	text := string(render(t, Text(TextOptions{Width: 160}, names), r))
	checkClean(t, text)
	at := 0
	for _, want := range []string{ // in this order
		"REACHED", "no records   host <script>", "amounts      1,904 objects read from resource", "2.5 GB told of 1,990 of 2,000 reads", "640 bytes sent to ip 203.0.113.77", "1 read of mailbox a@corp.example", "3 reads of mailbox b@corp.example, 1,240 messages",
		"CRITICAL ASSETS", "touched       asset touched host · high · why", "owner team", "Ground of touched", "reachable     asset reachable", "cannot say    asset no_telemetry", "not reachable asset not_reachable",
		"WHAT NEXT", "possible on Windows", "you would see it", "7 of the 9 techniques of"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or not in its place, in\n%s", want, text)
		}
		at += i
	}
	for _, want := range []string{"Critical assets", "Ground of not_reachable", "1,904 objects read", "3 GB packed into", "No records of", "7 of the 9 techniques", "windows security (2 rules)"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(string(render(t, HTML(names), sample())), "Critical assets") {
		t.Error("nobody named assets, and the page has a place for them")
	}
}
