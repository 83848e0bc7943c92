package decode

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/mappings"
)

// shippedMappings parses the mappings that Catena ships.
func shippedMappings(t testing.TB) []*Mapping {
	t.Helper()
	names, err := fs.Glob(mappings.FS(), "*.yml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no shipped mapping: %v", err)
	}
	var out []*Mapping
	for _, name := range names {
		src, err := fs.ReadFile(mappings.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ParseMapping(name, src)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestAITRowsBecomeAlertsWithoutTheirLabels(t *testing.T) {
	d := CSV(Options{Names: model.NewNames(), Mappings: shippedMappings(t)})
	const in = "time,name,ip,host,short,time_label,event_label\r\n" +
		"1642213952,Wazuh: Multiple failed logins in a small period of time.,172.17.131.81,Mail,W-1,service_scan,-\r\n" +
		"1642213953,\"Suricata: Alert - ET SCAN \"\"quoted\"\",\nof two lines\",not-an-ip,web,S-1,dirb,dirb_x\r\n" +
		"nonsense,Wazuh: x,1.1.1.1,h,s,a,b\r\n" +
		"1642213954,AMiner: New event type.,10.0.0.1,vpn,A-1,false_positive,-"
	if n := d.Sniff([]byte(in)); n < 80 {
		t.Fatalf("sniffed %d", n)
	}
	b, bad := decodeAll(t, d, "alerts.csv", []byte(in))
	if len(b.Alerts) != 3 || len(b.Events) != 0 || b.Records != 4 || b.Skipped != 1 {
		t.Fatalf("got %d alerts, %d events, %d records, %d skipped", len(b.Alerts), len(b.Events), b.Records, b.Skipped)
	}
	if len(bad) != 1 || bad[0].Record != 4 || !strings.Contains(bad[0].Cause, "no number") {
		t.Errorf("errors: %+v", bad)
	}
	a := b.Alerts[0]
	if a.Product != "Wazuh" || a.Rule.Title != "Multiple failed logins in a small period of time." || a.Severity != model.High || a.Subsystem != model.Identity && a.Subsystem != model.Compute {
		t.Errorf("first alert: %+v", a)
	}
	if a.Time.Format("2006-01-02T15:04:05Z") != "2022-01-15T02:32:32Z" || a.Host != "mail" || a.Format != "ait" {
		t.Errorf("time %v host %q format %q", a.Time, a.Host, a.Format)
	}
	if len(a.Techniques) != 1 || a.Techniques[0] != "T1110" || a.Tags[0] != "attack.t1110" {
		t.Errorf("techniques %v tags %v", a.Techniques, a.Tags)
	}
	if len(a.Entities) != 2 || a.Entities[0].Value != "mail" || a.Entities[1].Value != "172.17.131.81" {
		t.Errorf("entities %+v", a.Entities)
	}
	if got := string(a.Evidence[0].Event); got != `{"time":"1642213952","name":"Wazuh: Multiple failed logins in a small period of time.","ip":"172.17.131.81","host":"Mail","short":"W-1"}` {
		t.Errorf("evidence %s", got)
	}
	second := b.Alerts[1]
	if second.Rule.Title != "ET SCAN \"quoted\",\nof two lines" && !strings.Contains(string(second.Evidence[0].Event), `\"quoted\",\u000aof two lines`) {
		t.Errorf("quoted field: %q %s", second.Rule.Title, second.Evidence[0].Event)
	}
	if len(second.Entities) != 1 {
		t.Errorf("an address that is none became an entity: %+v", second.Entities)
	}
	if b.Alerts[2].Severity != model.Low || b.Alerts[2].Evidence[0].Record != 5 {
		t.Errorf("third alert: %+v", b.Alerts[2])
	}
	ids := map[string]bool{}
	for _, a := range b.Alerts {
		ids[a.ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("ids are not distinct: %v", ids)
	}
}

// TestSecurityAlertRows: an exported SecurityAlert table needs no decoder of its own.
func TestSecurityAlertRows(t *testing.T) {
	d := CSV(Options{Names: model.NewNames(), Mappings: shippedMappings(t)})
	const in = ",TenantId,StartTimeUtc,SystemAlertId,ProviderName,AlertType,AlertName,Severity,ExtendedProperties,Entities,CompromisedEntity\n" +
		`0,t,2024-05-01 10:00:00,a1,Detection,Suspicious account added,Suspicious account added,High,"{""Client IP Address"": ""IP Address: 203.0.113.9""}",` +
		`"[{""$id"": ""3"",` + "\n" + `""HostName"": ""VM1"", ""Type"": ""host""}, {""Name"": ""Eve"", ""NTDomain"": ""VM1"", ""Host"": {""$ref"": ""3""}, ""Type"": ""account""}]",VM1` + "\n" +
		"1,t,2024-05-01 10:00:05,a2,Detection,X_Y,Something,Odd,,,\n"
	b, bad := decodeAll(t, d, "alerts.csv", []byte(in))
	if len(b.Alerts) != 2 || len(bad) != 0 {
		t.Fatalf("%d alerts, errors %v", len(b.Alerts), bad)
	}
	a := b.Alerts[0]
	if a.Format != "azure-security-alert" || a.Severity != model.High || a.Time.Format("15:04:05") != "10:00:00" || len(a.Techniques) != 1 || a.Techniques[0] != "T1098" {
		t.Errorf("%+v", a)
	}
	want := []string{"host/subject vm1", "ip/src 203.0.113.9", `user/subject vm1\eve`}
	if got := entityLines(a.Entities); !slices.Equal(got, want) {
		t.Errorf("entities %v, want %v", got, want)
	}
	if a = b.Alerts[1]; a.Severity != model.Medium || a.Rule.ID != "X_Y" || a.Entities == nil || len(a.Entities) != 0 {
		t.Errorf("%+v", a)
	}
}

// A row must never be cut, wherever the reader happens to stop.
func TestCSVFramesDoNotDependOnTheReader(t *testing.T) {
	var in strings.Builder
	in.WriteString("time;name;ip;host;short\n")
	for i := range 20000 {
		in.WriteString("1642213952;\"AMiner: New; event\n type\";10.0.0.")
		in.WriteString(string(rune('0'+i%10)) + ";h;" + strings.Repeat("x", i%300) + "\n")
	}
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
	for _, slow := range []bool{false, true} {
		b := &Batch{}
		r := iotest.DataErrReader(bytes.NewReader([]byte(in.String())))
		if slow {
			r = iotest.HalfReader(bytes.NewReader([]byte(in.String())))
		}
		chunks := 0
		if err := CSV(o).Frame(r, func(c Chunk) error { chunks++; CSV(o).Decode(c, b); return nil }, func(e model.InputError) { t.Error(e) }); err != nil {
			t.Fatal(err)
		}
		if len(b.Alerts) != 20000 || b.Skipped != 0 || chunks < 2 || b.Alerts[19999].Evidence[0].Record != 20001 {
			t.Fatalf("slow=%v: %d alerts, %d skipped in %d chunks, last is record %d", slow, len(b.Alerts), b.Skipped, chunks, b.Alerts[len(b.Alerts)-1].Evidence[0].Record)
		}
	}
}

func TestAITDataAllRowsBecomeAlerts(t *testing.T) {
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
	for name, data := range dataFiles(t, "ait_ads/russellmitchell*.csv.gz", "ait_ads/santos*.csv.gz") {
		d := CSV(o)
		if d.Sniff(data[:min(len(data), SniffLen)]) == 0 {
			t.Errorf("%s is not known", name)
			continue
		}
		b, bad := decodeAll(t, d, name, data)
		rows := bytes.Count(bytes.TrimSpace(data), newline)
		if len(b.Alerts) != rows || len(bad) != 0 {
			t.Errorf("%s: %d alerts of %d rows, %v", name, len(b.Alerts), rows, bad)
		}
		for i := range b.Alerts {
			a := &b.Alerts[i]
			if bytes.Contains(a.Evidence[0].Event, []byte("_label")) || a.Product == "" || len(a.Entities) == 0 {
				t.Fatalf("%s: alert %d: %+v", name, i, a)
			}
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("time,name,ip,host,short\n1,a,2,3,4\n"))
	f.Add([]byte("time\tname\tip\thost\tshort\n\"1\t\"\"a,2,3,4"))
	f.Add([]byte("\xef\xbb\xbf\"time\";name;ip;host;short\n\n;;;;\n"))
	f.Add([]byte("TimeGenerated,Computer,EventID,x\n2024-03-03T10:00:00Z,a,4624,\"{\"\"a\"\":[1,{}]}\"\n"))
	f.Add([]byte("_raw,_time,host\n\"{\"\"message\"\":\"\"{}\"\"}\",1,a\n"))
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(f)}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := newCSV(o)
		if d.Sniff(in) == 0 {
			return
		}
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(in), func(c Chunk) error { d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Fatal(err)
		}
		if h, _, ok := d.readHeader(in, true); ok && d.mappingFor(h.Columns) == nil {
			return // a row of a table may be several events, or none
		}
		if int64(len(b.Alerts))+b.Skipped != b.Records {
			t.Fatalf("%d alerts + %d skipped are not %d records", len(b.Alerts), b.Skipped, b.Records)
		}
	})
}

func BenchmarkCSVMapping(b *testing.B) {
	row := "1642213952,Wazuh: Multiple failed logins in a small period of time.,172.17.131.81,mail,W-Aut-Pam3,-,-\n"
	data := []byte(strings.Repeat(row, 5000))
	d := CSV(Options{Names: model.NewNames(), Mappings: shippedMappings(b)})
	header := []byte(`{"Separator":",","Columns":["time","name","ip","host","short","time_label","event_label"]}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		batch := &Batch{}
		d.Decode(Chunk{Data: data, Header: header}, batch)
		if len(batch.Alerts) != 5000 {
			b.Fatal("not decoded")
		}
	}
	b.ReportMetric(5000*float64(b.N)/b.Elapsed().Seconds(), "alerts/s")
}
