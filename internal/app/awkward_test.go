package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the zones of the test are there on every machine

	"github.com/catena-sec/catena/internal/model"
)

// What evidence looks like when nobody made it for us: every form of it is read, end
// to end, as what it is.
func TestAwkwardInput(t *testing.T) {
	failed := "Mar  3 10:00:00 web1 sshd[5]: Failed password for root from 203.0.113.7 port 5 ssh2\n"
	trail := func(event, more string) string {
		return `{"eventVersion":"1.08","eventTime":"2024-03-03T10:00:00Z","eventSource":"iam.amazonaws.com","eventName":"` + event + `","awsRegion":"r","sourceIPAddress":"203.0.113.9","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/eve","accessKeyId":"AKIAX"}` + more + `}`
	}
	ufw := "Mar  3 10:00:01 gw kernel: [8.1] [UFW BLOCK] IN=eth0 OUT= MAC=00:11 SRC=203.0.113.9 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=50 DPT=22 WINDOW=1 SYN\n"
	access := `203.0.113.9 - - [03/Mar/2024:10:00:02 +0000] "POST /login HTTP/1.1" 200 5 "-" "x"` + "\n"
	zoned := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	for _, c := range []struct {
		name, data string
		o          Options
		formats    []string // of the events, in order
		cause      string   // of what could not be read, empty for nothing
		check      func(t *testing.T, d []Decoded)
	}{
		{name: "mixed.log", data: failed + ufw + access + trail("CreateUser", "") + "\n" + failed, formats: []string{"syslog", "netfilter", "access-log", "cloudtrail", "syslog"}},
		{name: "mixed.json", data: trail("CreateUser", "") + "\n" + `{"EventTime":"2024-03-03 10:00:00","Hostname":"pc1","EventID":4624,"Channel":"Security"}` + "\n", formats: []string{"cloudtrail", "windows-json"}},
		{name: "together.json", data: trail("A", "") + trail("B", "") + "  " + trail("C", ""), formats: []string{"cloudtrail", "cloudtrail", "cloudtrail"}},
		{name: "together-in-arrays.json", data: "[" + trail("A", "") + "][" + trail("B", "") + "]\n{\"Records\":[" + trail("C", "") + "]}", formats: []string{"cloudtrail", "cloudtrail", "cloudtrail"}},
		{name: "crlf.log", data: strings.ReplaceAll(failed+ufw+access, "\n", "\r\n"), formats: []string{"syslog", "netfilter", "access-log"}, check: func(t *testing.T, d []Decoded) {
			if strings.Contains(string(d[0].Fields), `\r`) || strings.Contains(string(d[2].Fields), `\r`) {
				t.Errorf("the end of a line is part of a field: %s", d[0].Fields)
			}
		}},
		{name: "crlf.json", data: trail("A", "") + "\r\n" + trail("B", "") + "\r\n", formats: []string{"cloudtrail", "cloudtrail"}},
		{name: "bom.log", data: "\xef\xbb\xbf" + failed, formats: []string{"syslog"}, check: hostIs("web1")},
		{name: "bom.json", data: "\xef\xbb\xbf" + trail("A", ""), formats: []string{"cloudtrail"}},
		{name: "utf16.log", data: utf16(strings.ReplaceAll(failed, "\n", "\r\n")), formats: []string{"syslog"}, check: hostIs("web1")},
		{name: "utf16.json", data: utf16(trail("A", "")), formats: []string{"cloudtrail"}},
		{name: "crlf.zip", data: zipped(t, file{`logs\a.log`, strings.ReplaceAll(failed, "\n", "\r\n")}, file{`logs\b.json`, trail("A", "") + "\r\n"}), formats: []string{"syslog", "cloudtrail"}, check: hostIs("web1")},
		{name: "crlf.gz", data: gz(t, strings.ReplaceAll(access+access, "\n", "\r\n")), formats: []string{"access-log", "access-log"}},
		{name: "keys.json", data: trail("CreateUser", `,"eventName":"DeleteUser","sourceIPAddress":"198.51.100.1"`), formats: []string{"cloudtrail"}, check: func(t *testing.T, d []Decoded) {
			if d[0].Code != "CreateUser" || !strings.Contains(string(d[0].Fields), `"eventName":["CreateUser","DeleteUser"]`) { // the first counts, the other is seen
				t.Errorf("code %q of %s", d[0].Code, d[0].Fields)
			}
		}},
		{name: "arrays.json", data: trail("A", `,"x":`+strings.Repeat("[", 40)+"1"+strings.Repeat("]", 40)), formats: []string{"cloudtrail"}},
		{name: "deep-arrays.json", data: trail("A", `,"x":`+strings.Repeat("[", 90_000)+strings.Repeat("]", 90_000)) + "\n" + trail("B", "") + "\n", formats: []string{"cloudtrail"}, cause: "nested deeper than"},
		{name: "numbers.json", data: trail("A", `,"requestParameters":{"big":9007199254740993,"bigger":123456789012345678901234567890,"small":1e-400,"neg":-9223372036854775809}`), formats: []string{"cloudtrail"}, check: func(t *testing.T, d []Decoded) {
			for _, want := range []string{"9007199254740993", "123456789012345678901234567890", "1e-400", "-9223372036854775809"} {
				if !strings.Contains(string(d[0].Fields), ":"+want) {
					t.Errorf("no %s in %s", want, d[0].Fields)
				}
			}
		}},
		{name: "addresses.json", data: strings.ReplaceAll(trail("A", ""), "203.0.113.9", "211.9.016.253") + strings.ReplaceAll(trail("B", ""), "203.0.113.9", "999.1.1.1") + strings.ReplaceAll(trail("C", ""), "203.0.113.9", "::ffff:203.0.113.9"), formats: []string{"cloudtrail", "cloudtrail", "cloudtrail"}, check: func(t *testing.T, d []Decoded) {
			for i, address := range []string{"211.9.016.253", "999.1.1.1"} {
				if ips := entities(d[i], model.IP); !strings.Contains(string(d[i].Fields), address) || len(ips) > 0 { // kept as text, not linked on
					t.Errorf("%s became %v", address, ips)
				}
			}
			if ips := entities(d[2], model.IP); !slices.Equal(ips, []string{"203.0.113.9"}) {
				t.Errorf("a mapped address became %v", ips)
			}
		}},
		{name: "addresses.log", data: strings.ReplaceAll(failed, "203.0.113.7", "999.1.1.1"), formats: []string{"syslog"}, check: func(t *testing.T, d []Decoded) {
			if ips := entities(d[0], model.IP); len(ips) > 0 {
				t.Errorf("an address that is none became %v", ips)
			}
		}},
		{name: "zone.log", data: strings.ReplaceAll(failed, "Mar ", "Jul "), o: Options{Zone: zoned("Europe/Berlin"), Year: 2023}, formats: []string{"syslog"}, check: timeIs("2023-07-03T08:00:00Z")},
		{name: "zone.json", data: `{"EventTime":"2024-03-03 10:00:00","Hostname":"pc1","EventID":4624,"Channel":"Security"}`, o: Options{Zone: zoned("America/New_York")}, formats: []string{"windows-json"}, check: timeIs("2024-03-03T15:00:00Z")},
		{name: "zone-said.json", data: trail("A", ""), o: Options{Zone: zoned("America/New_York")}, formats: []string{"cloudtrail"}, check: timeIs("2024-03-03T10:00:00Z")},
		{name: "year.log", data: strings.ReplaceAll(failed, "Mar ", "Dec ") + strings.ReplaceAll(failed, "Mar ", "Jan "), o: Options{Year: 2023}, formats: []string{"syslog", "syslog"}, check: func(t *testing.T, d []Decoded) {
			if d[0].Time != "2023-12-03T10:00:00Z" || d[1].Time != "2024-01-03T10:00:00Z" {
				t.Errorf("a log over New Year: %s, %s", d[0].Time, d[1].Time)
			}
		}},
		{name: "no-year.log", data: failed, formats: []string{"syslog"}, check: timeIs("1970-03-03T10:00:00Z")},
		{name: "leap.log", data: strings.ReplaceAll(failed, "Mar  3", "Feb 29") + strings.ReplaceAll(failed, "Mar  3", "Feb 28"), o: Options{Year: 2023}, formats: []string{"syslog"}, cause: "no such day"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder(t, file{c.name, c.data})
			decoded, errs := decodedOf(t, c.o, c.name)
			var formats []string
			for _, d := range decoded {
				formats = append(formats, d.Format)
			}
			if !slices.Equal(formats, c.formats) {
				t.Fatalf("read as %v, want %v; errors %q", formats, c.formats, errs)
			}
			if c.cause == "" && len(errs) > 0 || c.cause != "" && !slices.ContainsFunc(errs, func(s string) bool { return strings.Contains(s, c.cause) }) {
				t.Errorf("errors %q, want %q", errs, c.cause)
			}
			if c.check != nil {
				c.check(t, decoded)
			}
			r := analyze(t, c.o, ".")
			if r.Totals.Events != int64(len(c.formats)) {
				t.Errorf("an analysis reads %d events, want %d", r.Totals.Events, len(c.formats))
			}
		})
	}
}

// decodedOf is what "catena decode" says of path: its records, and the causes of what
// could not be read.
func decodedOf(t *testing.T, o Options, path string) (records []Decoded, causes []string) {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := a.Decode(t.Context(), []string{path}, &out); err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(&out); ; {
		var d Decoded
		if err := dec.Decode(&d); err == io.EOF { //nolint:errorlint // returned as it is
			return records, causes
		} else if err != nil {
			t.Fatal(err)
		}
		switch {
		case d.Error != "":
			causes = append(causes, fmt.Sprintf("%s %d: %s", d.Input, d.Record, d.Error))
		case d.Note == "":
			records = append(records, d)
		}
	}
}

func entities(d Decoded, typ model.EntityType) (values []string) {
	for _, e := range d.Entities {
		if e.Type == typ {
			values = append(values, e.Value)
		}
	}
	return values
}

func hostIs(host string) func(*testing.T, []Decoded) {
	return func(t *testing.T, d []Decoded) {
		t.Helper()
		if d[0].Host != host {
			t.Errorf("host %q, want %q", d[0].Host, host)
		}
	}
}

func timeIs(when string) func(*testing.T, []Decoded) {
	return func(t *testing.T, d []Decoded) {
		t.Helper()
		if d[0].Time != when {
			t.Errorf("time %s, want %s", d[0].Time, when)
		}
	}
}
