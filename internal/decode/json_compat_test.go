package decode

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// TestJSONCompatibility reads every JSON file of the sets that hold records of many
// products, and says of each format how many records were read, and how many have a
// host, a user, an address or any other entity.
func TestJSONCompatibility(t *testing.T) {
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
	registry := NewRegistry(WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	type tally struct {
		files                             map[string]bool
		events, alerts, host, user, other int
	}
	for _, set := range []string{"falco_k8s_audit", "crowdsec", "ocsf_examples", "panther", "cloud_misc_plaso"} {
		dir := evidenceDir(t, set)
		formats := map[string]*tally{}
		records, refused := int64(0), int64(0)
		count := func(format, file string, host string, entities []model.Entity) *tally {
			f := formats[format]
			if f == nil {
				f = &tally{files: map[string]bool{}}
				formats[format] = f
			}
			f.files[file] = true
			user := slices.ContainsFunc(entities, func(e model.Entity) bool { return e.Type == model.User })
			if host != "" {
				f.host++
			}
			if user {
				f.user++
			}
			if len(entities) > 0 {
				f.other++
			}
			return f
		}
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path) //nolint:gosec // a test reads test data
			if err != nil {
				return err
			}
			if d := registry.Detect(data[:min(len(data), SniffLen)]); d == nil || d.Name() != "json" {
				return nil
			}
			b := readBatch(t, JSON(o), data)
			records, refused = records+b.Records, refused+b.Skipped
			for _, e := range b.Errors {
				t.Logf("%s: %d from record %d: %s", strings.TrimPrefix(path, dir), e.Count, e.Record, e.Cause)
			}
			for i := range b.Events {
				e := &b.Events[i]
				registry.Entities(e)
				count(e.Format, path, e.Host, e.Entities).events++
				if e.Time.IsZero() {
					t.Errorf("%s: an event of format %s without a time", path, e.Format)
				}
			}
			for i := range b.Alerts {
				count(b.Alerts[i].Format, path, b.Alerts[i].Host, b.Alerts[i].Entities).alerts++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		names := make([]string, 0, len(formats))
		for name := range formats {
			names = append(names, name)
		}
		slices.SortFunc(names, cmp.Compare[string])
		t.Logf("%s: %d records, %d refused", set, records, refused)
		for _, name := range names {
			f := formats[name]
			t.Logf("  %-24s %3d files %4d events %3d alerts; host %4d, user %4d, any entity %4d", name, len(f.files), f.events, f.alerts, f.host, f.user, f.other)
		}
		// Some of the OCSF examples are no JSON, and some are of other systems' own tables.
		if limit := map[string]int64{"ocsf_examples": 15}[set]; records == 0 || refused*100 > records*max(limit, 5) {
			t.Errorf("%s: %d of %d records refused", set, refused, records)
		}
	}
}

// BenchmarkShapes measures what a record of each kind costs, on one core.
func BenchmarkShapes(b *testing.B) {
	for name, record := range map[string]string{
		"kubernetes": kubeEvent("bob", "create", `"resource":"pods","namespace":"shop","name":"web-1"`, `,"requestObject":{"spec":{"containers":[{"image":"x","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}`),
		"tetragon":   tetragonEvent("process_exec", "-s https://x.example", ""),
		"tracee":     traceeEvent("sched_process_exec", `{"name":"pathname","value":"/usr/bin/curl"},{"name":"argv","value":["curl","-s"]}`, ""),
		"osquery":    osqueryLine(`"pid":"42","parent":"7","path":"/usr/bin/curl","cmdline":"curl x","cwd":"/","uid":"0","time":"1709460000"`),
		"ecs":        ecsEvent(`"event":{"category":["process"],"type":["start"]},"process":{"entity_id":"A","pid":42,"executable":"C:\\x.exe","command_line":"x"}`),
		"laurel":     `{"ID":"1709460000.123:86","NODE":"web01","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"ppid":10,"pid":11,"auid":1000,"uid":0,"ses":3,"comm":"sh","exe":"/bin/dash","key":"exec"},"EXECVE":{"argc":2,"ARGV":["sh","-x"]},"CWD":{"cwd":"/tmp"}}`,
		"journald":   `{"__REALTIME_TIMESTAMP":"1709460000200000","_HOSTNAME":"Web01","PRIORITY":"6","SYSLOG_IDENTIFIER":"sshd","_PID":"77","MESSAGE":"Failed password for root from 203.0.113.7 port 5 ssh2"}`,
		"wazuh":      `{"timestamp":"2024-03-03T10:00:00.500+0000","agent":{"id":"007","name":"pc1"},"decoder":{"name":"windows_eventchannel"},"data":{"win":{"system":{"eventID":"1","channel":"Microsoft-Windows-Sysmon/Operational","computer":"PC1","systemTime":"2024-03-03T10:00:00.1Z"},"eventdata":{"image":"C:\\\\x.exe","processId":"9"}}},"location":"EventChannel"}`,
		"ocsf":       `{"class_uid":4001,"activity_id":1,"status_id":1,"time":1709460000500,"metadata":{"version":"1.1.0","product":{"name":"Firewall","vendor_name":"Acme"}},"src_endpoint":{"ip":"10.0.0.5","port":4000},"dst_endpoint":{"ip":"203.0.113.9","port":443},"connection_info":{"protocol_name":"TCP","direction_id":2}}`,
		"otlp":       `{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"Web01"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1709460000500000000","body":{"stringValue":"<86>Mar  3 10:00:00 db01 sshd[77]: Failed password for root from 203.0.113.7 port 5 ssh2"}}]}]}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			const n = 2000
			d := JSON(Options{Names: model.NewNames()})
			data := []byte(strings.Repeat(record+"\n", n))
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				var batch Batch
				d.Decode(Chunk{Data: data}, &batch)
				if len(batch.Events) != n {
					b.Fatalf("%d events, %v", len(batch.Events), batch.Errors)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
