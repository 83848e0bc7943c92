package story

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// watched tells the core with the assets of that list, and counts amounts.
func (w *tale) watched(list []Asset, core ...*model.Alert) *model.Incident {
	c := Case{ID: "inc-1", Score: 80, Severity: model.High, Core: core, Gain: map[string]float64{}, Observed: map[string]*model.Observation{}}
	m := graph.New(graph.Options{})
	e := Estate{Assets: NewAssets(list), Ways: graph.NewWays(m), Transfers: graph.NewTransfers(m), Platforms: []string{"Windows"},
		Visible: func(t string) (int, string) {
			if t == "T1082" {
				return 0, ""
			}
			return 2, "windows process_creation"
		}}
	slices.SortStableFunc(w.seen, func(a, b *model.Observation) int { return a.Time.Compare(b.Time) })
	for _, o := range w.seen {
		m.Observe(o)
		e.Assets.Observe(o)
		e.Ways.Observe(o)
		e.Transfers.Observe(o)
		c.Observed[o.Event] = o
		if o.Host != "" && !slices.Contains(e.Hosts, o.Host) {
			e.Hosts = append(e.Hosts, o.Host)
		}
	}
	slices.Sort(e.Hosts)
	for _, a := range core {
		c.Gain[a.ID] = 4
	}
	return Tell(c, m, e)
}

// estateOf adds to the workstation's attack what leads further and what does not.
func estateOf() (*tale, []*model.Alert) {
	w, core := workstation()
	admin := ent(model.User, model.Actor, `corp\dba`)
	w.see(-600, model.ActProcessStart, ws, "mmc", proc(model.Subject, "mmc", `C:\Windows\mmc.exe`), admin)
	w.see(-500, model.ActLogon, "db1.corp.example", "", ent(model.User, model.Target, `corp\dba`), ent(model.Session, model.Target, "db1.corp.example:0x9"))
	w.see(100, model.ActProcessStart, "far1.corp.example", "", proc(model.Subject, "x", "x.exe"), ent(model.User, model.Actor, `corp\zoe`))
	w.see(-90000, model.ActProcessStart, "old1.corp.example", "", proc(model.Subject, "y", "y.exe"), ent(model.User, model.Actor, `corp\zoe`))
	w.see(110, model.ActObjectList, "", "ListBucket", ent(model.User, model.Actor, "arn:aws:iam::1:user/z"), ent(model.Resource, model.Target, "arn:aws:s3:::quiet"))
	w.see(110, model.ActObjectRead, "", "GetObject", ent(model.User, model.Actor, "arn:aws:iam::1:user/z"), ent(model.Resource, model.Target, "arn:aws:s3:::read/k"))
	return w, core
}

func TestAssetsAreToldByWhatTheyRestOn(t *testing.T) {
	w, core := estateOf()
	in := w.watched([]Asset{
		{Name: "far", Kind: "host", Values: []string{"far1"}, Criticality: "low"},
		{Name: "old", Kind: "host", Values: []string{"OLD1.corp.example"}},
		{Name: "nowhere", Kind: "host", Values: []string{"nas1"}},
		{Name: "database", Kind: "host", Values: []string{"10.9.9.9", "db1.corp.example"}, Criticality: "critical"},
		{Name: "server", Kind: "host", Values: []string{"srv1"}},
		{Name: "alice", Kind: "account", Values: []string{"alice@corp.example"}},
		{Name: "quiet bucket", Kind: "bucket", Values: []string{"quiet"}},
		{Name: "read bucket", Kind: "bucket", Values: []string{"s3://read"}},
		{Name: "zoe", Kind: "account", Values: []string{"zoe"}},
	}, core...)
	want := map[string]struct {
		state model.Assurance
		says  string
	}{
		"server":       {model.AssetTouched, "It is under the attacker's control: "},
		"alice":        {model.AssetTouched, "It is under the attacker's control: "},
		"database":     {model.AssetReachable, `corp\dba was at work on ws1 (2024-03-04 08:50:00Z); corp\dba was logged on to db1 (2024-03-04 08:51:40Z).`},
		"nowhere":      {model.AssetNoTelemetry, "No record in the evidence is of it"},
		"old":          {model.AssetNoTelemetry, "leave out the time of the attack"},
		"quiet bucket": {model.AssetNoTelemetry, "such reads would not be seen"},
		"read bucket":  {model.AssetNotReachable, "1 record is of it (json, "},
		"far":          {model.AssetNotReachable, "in every hour of the attack. None belongs to it"},
		"zoe":          {model.AssetNotReachable, "None belongs to it"},
	}
	known := map[string]bool{}
	for _, o := range w.seen {
		known[o.Event] = true
	}
	for _, a := range w.alerts {
		known[a.ID] = true
	}
	last := 0
	for _, s := range in.Impact.Assets {
		x := want[s.Name]
		if s.State != x.state || !strings.Contains(s.Ground, x.says) {
			t.Errorf("%s is %s: %s", s.Name, s.State, s.Ground)
		}
		if r := stateRank(s.State); r < last {
			t.Errorf("%s stands after a milder one", s.Name)
		} else {
			last = r
		}
		if (s.State == model.AssetTouched || s.State == model.AssetReachable) != (len(s.Cites) > 0) {
			t.Errorf("%s cites %v", s.Name, s.Cites)
		}
		for _, id := range s.Cites {
			if !known[id] {
				t.Errorf("%s cites %s, which nobody saw", s.Name, id)
			}
		}
	}
	if len(in.Impact.Assets) != len(want) {
		t.Errorf("%d assets", len(in.Impact.Assets))
	}
	if in.Impact.Assets[0].State != model.AssetTouched {
		t.Error("the worst does not stand first")
	}
	found := false
	for _, s := range in.Summary {
		found = found || strings.HasPrefix(s.Text, "Critical assets touched: ") && strings.Contains(s.Text, "reachable with what the attacker holds: database") && len(s.Cites) > 0
	}
	if !found {
		t.Errorf("the story does not tell of the assets: %+v", in.Summary)
	}
}

// Nobody asked, nothing is said.
func TestNoAssetsNoState(t *testing.T) {
	w, core := workstation()
	if in := w.tell(core...); in.Impact.Assets != nil || in.Next == nil || in.Next[0].Feasible != "" || in.Next[0].Visible != "" {
		t.Errorf("%+v, %+v", in.Impact.Assets, in.Next)
	}
}

func TestAssetNames(t *testing.T) {
	for _, c := range []struct {
		kind, value string
		key         model.EntityKey
		want        bool
	}{
		{"host", "dc1", model.EntityKey{Type: model.Host, Value: "dc1.corp.example"}, true},
		{"host", "DC1.corp.example", model.EntityKey{Type: model.Host, Value: "dc1"}, true},
		{"host", "dc1.corp.example", model.EntityKey{Type: model.Host, Value: "dc1.other.example"}, false},
		{"host", "dc1", model.EntityKey{Type: model.Host, Value: "dc10"}, false},
		{"host", "10.0.0.1", model.EntityKey{Type: model.IP, Value: "10.0.0.1"}, true},
		{"account", "eve", model.EntityKey{Type: model.User, Value: `corp\eve`}, true},
		{"account", `CORP\eve`, model.EntityKey{Type: model.User, Value: "eve@corp.example"}, true},
		{"account", `corp\eve`, model.EntityKey{Type: model.User, Value: `lab\eve`}, false},
		{"account", `corp\eve`, model.EntityKey{Type: model.User, Value: "eve"}, false},
		{"account", "eve", model.EntityKey{Type: model.User, Value: "arn:aws:iam::1:user/eve"}, true},
		{"bucket", "pay", model.EntityKey{Type: model.Resource, Value: "arn:aws:s3:::pay/2026/x.csv"}, true},
		{"bucket", "arn:aws:s3:::pay", model.EntityKey{Type: model.Resource, Value: "arn:aws:s3:::pay"}, true},
		{"bucket", "pay", model.EntityKey{Type: model.Resource, Value: "arn:aws:s3:::payroll"}, false},
		{"mailbox", "Boss@corp.example", model.EntityKey{Type: model.Mailbox, Value: "boss@corp.example"}, true},
		{"mailbox", "boss@corp.example", model.EntityKey{Type: model.User, Value: "boss@corp.example"}, false},
	} {
		a := NewAssets([]Asset{{Kind: c.kind, Values: []string{c.value}}})
		if got := len(a.of(c.key)) == 1; got != c.want {
			t.Errorf("%s %s is %s: %v", c.kind, c.value, c.key, got)
		}
	}
}

func TestTakenCountsTheAttackersOwn(t *testing.T) {
	w := &tale{}
	read := func(at float64, src, object string, bytes int64) *model.Observation {
		o := w.see(at, model.ActObjectRead, "", "GetObject", ent(model.AccessKey, model.Actor, "AKIA1"), ent(model.IP, model.Src, src),
			ent(model.Resource, model.Target, "arn:aws:s3:::pay/"+object), ent(model.Resource, model.Target, "arn:aws:s3:::pay"))
		o.Bytes = bytes
		return o
	}
	first := read(0, "203.0.113.9", "a", 1_500_000)
	read(60, "203.0.113.9", "b", 500_000)
	read(70, "203.0.113.9", "b", 0)
	read(80, "192.0.2.1", "payslip", 77) // its owner, from where he always is
	a := w.alert(first, "Much read", model.High, "attack.exfiltration", "attack.t1530")
	b := w.alert(read(90, "203.0.113.9", "c", 1), "Much read", model.High, "attack.exfiltration", "attack.t1530")
	in := w.watched(nil, a, b)
	if len(in.Impact.Taken) != 1 {
		t.Fatalf("%+v", in.Impact.Taken)
	}
	x := in.Impact.Taken[0]
	if x.What != "resource:arn:aws:s3:::pay" || x.How != "read" || x.By != "access_key:AKIA1" || x.Objects != 3 || x.Acts != 4 || x.Bytes != 2_000_001 || x.Told != 3 || len(x.Cites) == 0 ||
		x.Last.Sub(x.First) != 90*time.Second {
		t.Errorf("%+v", x)
	}
	if !slices.ContainsFunc(in.Summary, func(s model.Sentence) bool {
		return strings.HasPrefix(s.Text, "3 objects read, 2 MB told of 3 of 4 reads of arn:aws:s3:::pay by the key AKIA1")
	}) {
		t.Errorf("%+v", in.Summary)
	}
}

// Messages of a mailbox, rows of a table whose reading an alert tells of, and what an
// attacker's program packed are counted; what others read of that table, what he read of
// another and what a program of the system packs are not.
func TestTakenCountsRowsMessagesAndArchives(t *testing.T) {
	w := &tale{}
	const db = "db1.corp.example"
	mail := w.see(0, model.ActMailAccess, "", "MailItemsAccessed", ent(model.User, model.Actor, "bob@corp.example"), ent(model.IP, model.Src, "203.0.113.9"), ent(model.Mailbox, model.Target, "boss@corp.example"))
	mail.Items = 31
	more := w.see(30, model.ActMailAccess, "", "MailItemsAccessed", mail.Entities...)
	more.Items = 9
	rows := func(at float64, user, table string, n int64) *model.Observation {
		o := w.see(at, model.ActObjectRead, db, "", ent(model.User, model.Actor, db+`\`+user), ent(model.Resource, model.Target, db+":database:"+table))
		o.Items = n
		return o
	}
	dump := rows(100, "app", "shop", 20_000)
	rows(130, "app", "shop", 5_000)
	rows(140, "app", "wiki", 7)
	rows(150, "backup", "shop", 90_000)
	object := rows(160, "app", "dir", 0) // no amount
	pack := func(at float64, guid, file string, size int64) *model.Observation {
		o := w.see(at, model.ActFileWrite, ws, file, proc(model.Actor, guid, `C:\ProgramData\7z.exe`), ent(model.User, model.Actor, `corp\alice`), ent(model.File, model.Object, ws+":"+file))
		o.Bytes = size
		return o
	}
	ran := w.see(200, model.ActProcessStart, ws, "7z a d.7z", proc(model.Subject, "g7z", `C:\ProgramData\7z.exe`), proc(model.Parent, "gcmd", `C:\Windows\System32\cmd.exe`))
	pack(210, "g7z", `c:\programdata\d.7z`, 1_000_000)
	pack(220, "g7z", `c:\programdata\d.7z`, 3_000_000_000)
	pack(230, "g7z", `c:\programdata\log.txt`, 5)
	pack(240, "gbackup", `c:\backup\all.zip`, 9_000_000_000)
	core := []*model.Alert{
		w.alert(mail, "Mailbox read by a stranger", model.High, "attack.collection", "attack.t1114.002"),
		w.alert(dump, "Whole table read", model.High, "attack.collection", "attack.t1213.006"),
		w.alert(object, "Object of the directory read", model.High, "attack.credential-access", "attack.t1003.006"),
		w.alert(ran, "Archive made", model.High, "attack.collection", "attack.t1560.001"),
	}
	in := w.watched(nil, core...)
	var got []string
	for _, s := range in.Summary {
		if strings.Contains(s.Text, " by ") && (strings.Contains(s.Text, "packed into") || strings.Contains(s.Text, "rows of") || strings.Contains(s.Text, "messages of")) {
			got = append(got, s.Text)
		}
	}
	if len(in.Impact.Taken) != 3 || len(got) != 3 {
		t.Fatalf("%+v\n%q", in.Impact.Taken, got)
	}
	for i, want := range []model.Taken{
		{What: "file:" + ws + `:c:\programdata\d.7z`, How: "packed", Acts: 2, Bytes: 3_000_000_000},
		{What: "resource:" + db + ":database:shop", How: "read", Acts: 2, Items: 25_000},
		{What: "mailbox:boss@corp.example", How: "read", Acts: 2, Items: 40},
	} {
		if x := in.Impact.Taken[i]; x.What != want.What || x.How != want.How || x.Acts != want.Acts || x.Bytes != want.Bytes || x.Items != want.Items {
			t.Errorf("%+v, want %+v", x, want)
		}
	}
	if !strings.Contains(got[0], "3 GB packed into") || !strings.Contains(got[1], "2 reads, 25000 rows of "+db+":database:shop") || !strings.Contains(got[2], "2 reads, 40 messages of the mailbox boss@corp.example") {
		t.Errorf("%q", got)
	}
}

// A host that was touched and whose own records are missing is named as such.
func TestUnseenHosts(t *testing.T) {
	w, core := workstation()
	core = append(core, w.alert(w.see(500, model.ActExplicitCreds, ws, "", ent(model.User, model.Actor, `corp\alice`), ent(model.User, model.Target, `corp\adm`), ent(model.Host, model.Dst, "nas1.corp.example")),
		"Other credentials", model.High, "attack.lateral-movement", "attack.t1021"))
	in := w.watched(nil, core...)
	if !slices.Equal(in.Impact.Unseen, []string{"nas1.corp.example"}) || !slices.Equal(in.Impact.Unreached, []string{"quiet.corp.example"}) {
		t.Errorf("unseen %v, unreached %v", in.Impact.Unseen, in.Impact.Unreached)
	}
}

func TestNextIsOfThisEstate(t *testing.T) {
	w, core := workstation()
	in := w.watched(nil, core...)
	if len(in.Next) != maxNext {
		t.Fatalf("%d next", len(in.Next))
	}
	for i, n := range in.Next {
		if n.Feasible != "possible here (Windows)" || n.Visible == "" || i > 0 && n.Probability > in.Next[i-1].Probability {
			t.Errorf("%+v", n)
		}
		if blind := strings.HasPrefix(n.Visible, "no rule"); blind != (n.Technique == "T1082") {
			t.Errorf("%s: %s", n.Technique, n.Visible)
		}
	}
	for _, n := range next([]string{"execution", "credential-access"}, []string{"T1059.001", "T1003.001", "T1204.002"}, Estate{}) {
		if !slices.ContainsFunc(knowledge.TacticsOf(n.Technique), within) {
			t.Errorf("%s is told as next, and lies behind", n.Technique)
		}
	}
	behind := next([]string{"reconnaissance"}, []string{"T1595.002", "T1059.001", "T1204.002", "T1105"}, Estate{})
	if !slices.ContainsFunc(behind, func(n model.NextStep) bool { return !slices.ContainsFunc(knowledge.TacticsOf(n.Technique), within) }) {
		t.Errorf("nobody is in, and no way in is told: %+v", behind)
	}
	if s := visible(1, "aws cloudtrail"); s != "you would see it through aws cloudtrail (1 rule)" {
		t.Error(s)
	}
	for _, l := range in.Lookalikes {
		if l.Warning != "" {
			t.Errorf("%s: %s", l.Name, l.Warning)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{1: "1 byte", 999: "999 bytes", 1000: "1 kB", 999_600: "1 MB", 1_234_567: "1.23 MB", 1 << 60: "1.15 EB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
