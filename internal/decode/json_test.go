package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/catena-sec/catena/internal/model"
)

// slotsOf renders an event's slots as "name=value", for comparing.
func slotsOf(names *model.Names, e *model.Event) []string {
	out := make([]string, len(e.Slots))
	for i, s := range e.Slots {
		name := names.Name(s.Field)
		if s.Kind == model.Null {
			out[i] = name + " null"
			continue
		}
		out[i] = name + "=" + s.Text
	}
	return out
}

func wantSlots(t *testing.T, names *model.Names, e *model.Event, want ...string) {
	t.Helper()
	have := map[string]bool{}
	for _, s := range slotsOf(names, e) {
		have[s] = true
	}
	for _, w := range want {
		if !have[w] {
			t.Errorf("no slot %q in %q", w, slotsOf(names, e))
		}
	}
}

func TestJSONFlatten(t *testing.T) {
	const record = `{"time":"2024-05-01T10:00:00Z","a":{"b":[1,-2.5e+3,{"c":"x"}],"empty":{},"none":[]},` +
		`"s":"tab\t\u00e9\ud83d\ude00 \"q\"","n":null,"t":true,"f":false,"dup":"1","dup":"2","bad":"a` + "\xff" + `b","lone":"\ud800!"}`
	names := model.NewNames()
	b := readBatch(t, JSON(Options{Names: names}), []byte(record))
	if len(b.Events) != 1 || b.Skipped != 0 {
		t.Fatalf("events %d, errors %v", len(b.Events), b.Errors)
	}
	got := strings.Join(slotsOf(names, &b.Events[0]), "|")
	want := "time=2024-05-01T10:00:00Z|a.b=1|a.b=-2.5e+3|a.b.c=x|s=tab\té😀 \"q\"|n null|t=true|f=false|dup=1|dup=2|bad=a\uFFFDb|lone=\uFFFD!"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(b.Events[0].Raw); got != record {
		t.Errorf("raw is %q", got)
	}
	if k := b.Events[0].Slots[1].Kind; k != model.Number {
		t.Errorf("a number has kind %d", k)
	}
}

// TestJSONForms: the same three records in every form are the same three events.
func TestJSONForms(t *testing.T) {
	rec := func(i int) string {
		return fmt.Sprintf(`{"timestamp":"2024-05-01T10:00:0%dZ","v":"%d","o":{"k":"}{\"["}}`, i, i)
	}
	three := []string{rec(1), rec(2), rec(3)}
	pretty := func(s string) string {
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(s), "", "  "); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	utf16Text := func(s string, big, mark bool) string {
		var out []byte
		if mark {
			s = "\uFEFF" + s
		}
		for _, u := range utf16.Encode([]rune(s)) {
			if big {
				out = append(out, byte(u>>8), byte(u))
			} else {
				out = append(out, byte(u), byte(u>>8))
			}
		}
		return string(out)
	}
	lines := strings.Join(three, "\n") + "\n"
	forms := map[string]string{
		"ndjson":           lines,
		"crlf":             strings.ReplaceAll(lines, "\n", "\r\n"),
		"blank lines":      "\n\n" + strings.ReplaceAll(lines, "\n", "\n\n"),
		"no last newline":  strings.TrimSpace(lines),
		"bom":              "\uFEFF" + lines,
		"concatenated":     strings.Join(three, ""),
		"pretty":           pretty(three[0]) + "\n" + pretty(three[1]) + "\n" + pretty(three[2]),
		"array":            "[" + strings.Join(three, ",") + "]",
		"pretty array":     pretty("[" + strings.Join(three, ",") + "]"),
		"array a line":     "[" + three[0] + "," + three[1] + "]\n[" + three[2] + "]\n",
		"records":          `{"Records":[` + strings.Join(three, ",") + `]}`,
		"value":            `{"@odata.context":"x","value":[` + strings.Join(three, ",\n") + `],"@odata.nextLink":"y"}`,
		"events pretty":    pretty(`{"events":[` + strings.Join(three, ",") + `]}`),
		"wrappers":         `{"Records":[` + three[0] + "]}\n" + `{"Records":[` + three[1] + "," + three[2] + "]}\n",
		"utf-16le":         utf16Text(lines, false, true),
		"utf-16be":         utf16Text(lines, true, true),
		"utf-16le no mark": utf16Text(lines, false, false),
	}
	for name, text := range forms {
		d := JSON(Options{Names: model.NewNames()})
		if d.Sniff([]byte(text)) == 0 {
			t.Errorf("%s: not taken for JSON", name)
		}
		b := readBatch(t, d, []byte(text))
		if len(b.Events) != 3 || len(b.Errors) != 0 {
			t.Errorf("%s: %d events, errors %v", name, len(b.Events), b.Errors)
			continue
		}
		for i := range b.Events {
			if got := b.Events[i].Time.Second(); got != i+1 {
				t.Errorf("%s: event %d has second %d", name, i, got)
			}
			if got := b.Events[i].Ref.Record; got != int64(i+1) {
				t.Errorf("%s: event %d has record number %d", name, i, got)
			}
		}
	}
}

// TestJSONLarge: whatever the form, large inputs are cut into chunks of whole
// records, and no chunk is much larger than what was asked for.
func TestJSONLarge(t *testing.T) {
	const n = 30000
	var recs []string
	for i := range n {
		recs = append(recs, fmt.Sprintf(`{"timestamp":"2024-05-01T10:00:00Z","i":%d,"text":"%s"}`, i, strings.Repeat("x\\\"}{", 10)))
	}
	for name, text := range map[string]string{
		"ndjson":       strings.Join(recs, "\n"),
		"array":        "[" + strings.Join(recs, ",") + "]",
		"wrapper":      `{"Records":[` + strings.Join(recs, ",") + `],"more":1}`,
		"concatenated": strings.Join(recs, ""),
	} {
		d := JSON(Options{Names: model.NewNames()})
		var b Batch
		chunks := 0
		err := d.Frame(strings.NewReader(text), func(c Chunk) error {
			chunks++
			if len(c.Data) > 2*ChunkTarget {
				t.Errorf("%s: a chunk of %d bytes", name, len(c.Data))
			}
			before := int64(len(b.Events))
			if c.Record != before {
				t.Errorf("%s: chunk says %d records stand before it, there are %d", name, c.Record, before)
			}
			if !strings.HasPrefix(text[c.Offset:], string(c.Data[:min(len(c.Data), 100)])) {
				t.Errorf("%s: a chunk's offset is wrong", name)
			}
			d.Decode(c, &b)
			return nil
		}, func(e model.InputError) { t.Errorf("%s: %v", name, e) })
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Events) != n || len(b.Errors) != 0 || chunks < 2 {
			t.Errorf("%s: %d events in %d chunks, errors %v", name, len(b.Events), chunks, b.Errors)
		}
	}
}

func TestJSONDamage(t *testing.T) {
	good := `{"timestamp":"2024-05-01T10:00:01Z","v":1}`
	for name, c := range map[string]struct {
		text   string
		events int
		cause  string
	}{
		"garbage between":   {good + "\nwhat is this\nand this\n" + good + "\n", 2, "text that is no JSON record"},
		"cut record":        {good + "\n" + `{"timestamp":"2024` + "\n" + good + "\n", 2, "control character"},
		"truncated file":    {good + "\n" + `{"timestamp":"2024`, 1, "middle of a value"},
		"bad number":        {`{"timestamp":"2024-05-01T10:00:01Z","v":01}` + "\n" + good, 1, "JSON: "},
		"bad escape":        {`{"timestamp":"2024-05-01T10:00:01Z","v":"\x"}` + "\n" + good, 1, "escape"},
		"deep":              {`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}\n" + good, 1, "nested deeper than 64"},
		"very deep, framed": {`[` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + "]\n" + good, 1, "nested deeper than 64"},
		"no time":           {`{"a":1,"b":{"c":2}}` + "\n" + good, 1, `unknown JSON shape: keys "a,b"`},
		"known, no time":    {`{"eventName":"X","awsRegion":"r"}` + "\n" + good, 2, "without a time"}, // taken all the same
	} {
		b := readBatch(t, JSON(Options{Names: model.NewNames()}), []byte(c.text))
		if len(b.Events) != c.events {
			t.Errorf("%s: %d events, want %d (errors %v)", name, len(b.Events), c.events, b.Errors)
		}
		if len(b.Errors) == 0 || !strings.Contains(b.Errors[0].Cause, c.cause) || b.Skipped == 0 && name != "known, no time" {
			t.Errorf("%s: errors %v, skipped %d, want cause %q", name, b.Errors, b.Skipped, c.cause)
		}
	}
}

func TestJSONTooLong(t *testing.T) {
	good := `{"timestamp":"2024-05-01T10:00:01Z","v":1}`
	long := `{"timestamp":"2024-05-01T10:00:01Z","v":"` + strings.Repeat("y", MaxRecord+2*ChunkTarget) + `"}`
	for _, sep := range []string{"\n", ",", ""} {
		text := good + sep + long + sep + good
		if sep == "," {
			text = "[" + text + "]"
		}
		b := readBatch(t, JSON(Options{Names: model.NewNames()}), []byte(text))
		if len(b.Events) != 2 || len(b.Errors) != 1 || !strings.Contains(b.Errors[0].Cause, "longer than") || b.Errors[0].Record != 2 {
			t.Errorf("separator %q: %d events, errors %v", sep, len(b.Events), b.Errors)
		}
	}
}

// TestJSONNamesFull: when no more names are given out, nothing is lost.
func TestJSONNamesFull(t *testing.T) {
	names := model.NewNames()
	for i := 0; names.Len() < model.MaxFieldNames; i++ {
		names.ID(fmt.Sprint("filler", i))
	}
	b := readBatch(t, JSON(Options{Names: names}), []byte(`{"timestamp":"2024-05-01T10:00:01Z","never seen":"v"}`))
	if len(b.Events) != 1 {
		t.Fatal(b.Errors)
	}
	for _, s := range b.Events[0].Slots {
		if s.Field == model.Unnamed && s.Text == "never seen\x00v" {
			return
		}
	}
	t.Errorf("the field is lost: %v", b.Events[0].Slots)
}

// TestShapes: each shape has what it must have.
func TestShapes(t *testing.T) {
	for _, s := range jsonShapes() {
		if s.name == "" || len(s.all) == 0 || s.emit == nil {
			t.Errorf("shape %q lacks its name, the paths it is told by, or emit", s.name)
		}
	}
}

// TestJSONKeys: a path asked for is found under each of its spellings, the first
// in the record counts, and a path that no shape names is found as well.
func TestJSONKeys(t *testing.T) {
	keys := newJSONKeys()
	var paths []string
	for i := range 200 { // several words of the set
		paths = append(paths, fmt.Sprintf("k%d|alias.k%d", i, i))
	}
	if got := keys.add(paths); got[199] != 199 || keys.add(paths[7:8])[0] != 7 {
		t.Fatalf("numbers %v", got)
	}
	doc := newJSONDoc(newJSONPaths(model.NewNames(), keys))
	for _, c := range []struct{ record, path, want string }{
		{`{"alias":{"k150":"a"},"k150":"b"}`, "k150|alias.k150", "a"},
		{`{"k150":"b","alias":{"k150":"a"}}`, "k150|alias.k150", "b"},
		{`{"k3":null,"k199":"x"}`, "k199|alias.k199", "x"},
		{`{"k3":["x","y"]}`, "k4|alias.k4", ""},
		{`{"other":{"one":["x","y"]}}`, "other.one", "x"},
		{`{"other":{"one":["x","y"]}}`, "other|other.one", "x"},
		{`{"other":{"one":["x","y"]}}`, "one", ""},
	} {
		if _, err := doc.parse([]byte(c.record), 0); err != nil {
			t.Fatal(err)
		}
		if got := doc.text(c.path); got != c.want || doc.has(c.path) != (c.want != "") {
			t.Errorf("%s of %s: %q, want %q", c.path, c.record, got, c.want)
		}
	}
}

// TestUnwrap: a record inside of a record is decoded as what it is, and wrappings
// without end are an error.
func TestUnwrap(t *testing.T) {
	quote := func(s string) string {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	inner := `{"eventName":"ListUsers","awsRegion":"r","eventTime":"2024-05-01T10:00:00Z","a":"\u0041"}`
	names := model.NewNames()
	b := readBatch(t, JSON(Options{Names: names}), []byte(`{"CloudTrailEvent":`+quote(inner)+`,"EventId":"x"}`+inner))
	if len(b.Events) != 2 || len(b.Errors) != 0 {
		t.Fatalf("%d events, %v", len(b.Events), b.Errors)
	}
	if got, want := strings.Join(slotsOf(names, &b.Events[0]), "|"), strings.Join(slotsOf(names, &b.Events[1]), "|"); got != want {
		t.Errorf("wrapped %s\nplain   %s", got, want)
	}
	for range maxWraps + 1 {
		inner = `{"CloudTrailEvent":` + quote(inner) + `}`
	}
	for text, cause := range map[string]string{
		inner:                        "wrapped more than",
		`{"CloudTrailEvent":"{"}`:    "ends in the middle",
		`{"CloudTrailEvent":"{} x"}`: "text behind",
		`{"CloudTrailEvent":null}`:   "ends in the middle",
	} {
		b := readBatch(t, JSON(Options{Names: names}), []byte(text))
		if len(b.Events) != 0 || b.Skipped != 1 || len(b.Errors) != 1 || !strings.Contains(b.Errors[0].Cause, cause) {
			t.Errorf("%d events, %v, want %q", len(b.Events), b.Errors, cause)
		}
	}
}

func TestParseStamp(t *testing.T) {
	east := time.FixedZone("", 2*3600)
	for text, want := range map[string]string{
		"2021-08-02T13:09:20.04Z":            "2021-08-02T13:09:20.04Z",
		"2020-08-06 03:56:20":                "2020-08-06T01:56:20Z", // no zone: the user's
		"2022-02-08 09:23:37+11:00":          "2022-02-07T22:23:37Z",
		"2021-08-02T09:05:33.4847965-0400":   "2021-08-02T13:05:33.4847965Z",
		"2021-08-02T09:05:33,5 +01":          "2021-08-02T08:05:33.5Z",
		"2024-02-29":                         "2024-02-28T22:00:00Z",
		"2015-06-01 10:00:00.123456789 UTC":  "2015-06-01T10:00:00.123456789Z",
		"8/4/2022 8:20:11 PM":                "2022-08-04T18:20:11Z",
		"1601-01-01T00:00:00Z":               "1601-01-01T00:00:00Z",
		"9999-12-31T23:59:59.9999999Z":       "9999-12-31T23:59:59.9999999Z",
		"2023-02-30T00:00:00Z":               "",
		"2023-13-01T00:00:00Z":               "",
		"2023-01-01T00:00:00 somewhere":      "",
		"yesterday":                          "",
		"":                                   "",
		"2023-01-01T10:00:00.1234567890123Z": "2023-01-01T10:00:00.123456789Z",
		"2023-01-01T10:00:00+99:00":          "",
	} {
		got, ok := parseStamp(text, east)
		if ok != (want != "") || ok && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v %v, want %q", text, got, ok, want)
		}
	}
	for text, want := range map[string]string{
		"1600176420": "2020-09-15T13:27:00Z", "1600176420.25": "2020-09-15T13:27:00.25Z", "1600176420250": "2020-09-15T13:27:00.25Z",
		"1.60017642e9": "2020-09-15T13:27:00Z", "1600176420250000": "2020-09-15T13:27:00.25Z", "12": "", "x": "", "1600176420.x": "",
	} {
		got, ok := parseEpoch(text)
		if ok != (want != "") || ok && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v %v, want %q", text, got, ok, want)
		}
	}
}

// FuzzJSON: no input makes the decoder panic, and one whole object is read if and
// only if encoding/json reads it, bounds aside.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"time":"2024-05-01T10:00:00Z","a":[1,2,{"b":null}]}`, `{"a":"\ud83d\ude00\n"}`, `{"a":1e5,"b":-0.1}`, `{"Records":[{"a":1}]}`,
		`[{"a":1},{"b":2}]`, `{"a":01}`, `{"a":"` + "\x01" + `"}`, `{"":{"":""}}`, `{"a":tru}`, "{\"a\":\"\xff\"}", `{"EventID":1,"EventTime":"2024-01-01 00:00:00","Hostname":"h"}`,
		`{"OperationName":"x","TimeGenerated":"2024-01-01","InitiatedBy":"{\"user\":{\"userPrincipalName\":\"a@b\"}}"}`, "\xff\xfe{\x00}\x00"} {
		f.Add([]byte(s))
	}
	for _, s := range shapeSeeds() {
		f.Add([]byte(s))
	}
	names := model.NewNames()
	d := JSON(Options{Names: names})
	r := NewRegistry(d)
	f.Fuzz(func(t *testing.T, data []byte) {
		d.Sniff(data)
		b := readBatch(t, d, data)
		for i := range b.Events {
			r.Entities(&b.Events[i])
			if len(b.Events[i].Slots) > MaxFields {
				t.Fatal("too many slots")
			}
		}
		if len(data) == 0 || data[0] != '{' {
			return
		}
		doc := newJSONDoc(newJSONPaths(names, newJSONKeys()))
		end, err := doc.parse(data, 0)
		ours := err == nil && len(bytes.TrimSpace(data[end:])) == 0
		if theirs := json.Valid(data); ours != theirs && !errors.Is(err, errJSONDepth) {
			t.Fatalf("read %v (%v), encoding/json %v: %q", ours, err, theirs, data)
		}
		if !ours {
			return
		}
		var back map[string]any
		if err := json.Unmarshal(data, &back); err != nil {
			return // such as a number beyond float64
		}
		for key, v := range back {
			s, ok := v.(string)
			if !ok || strings.ContainsRune(key, '\uFFFD') || strings.Contains(key, ".") || strings.ContainsRune(s, '\uFFFD') || doc.more || len(key) > model.MaxNameLen {
				continue
			}
			found := false
			for _, leaf := range doc.leaves {
				found = found || leaf.path.name == key && leaf.text == s
			}
			if !found {
				t.Fatalf("%q=%q is lost in %q", key, s, data)
			}
		}
	})
}

// shapeSeeds has a record of each shape that reads more of a record than its fields.
func shapeSeeds() []string {
	exec := kubeEvent("system:serviceaccount:shop:web", "create", `"resource":"pods","subresource":"exec","namespace":"shop","name":"web-1"`, "")
	binding := `,"requestObject":{"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"ci"},{"kind":"User","name":"u"}]}`
	return []string{
		exec, kubeEvent("u", "create", `"resource":"rolebindings","name":"b"`, binding),
		`{"kind":"EventList","metadata":{"a":[1]},"items":[` + exec + `]}`,
		`{"category":"kube-audit","properties":{"log":` + strconv.Quote(exec) + `}}`,
		`{"AuditId":"a","Verb":"get","User":"{\"username\":\"u\"}","SourceIps":["1.2.3.4"],"RequestReceivedTime":"2024-03-03T10:00:00Z"}`,
		`{"protoPayload":{"methodName":"io.k8s.core.v1.pods.exec.create","serviceName":"k8s.io","resourceName":"core/v1/namespaces/n/pods/p/exec"},"timestamp":"2024-03-03T10:00:00Z"}`,
		`{"@timestamp":"2024-03-03T10:00:00Z","message":` + strconv.Quote(exec) + `,"log":"{"}`,
		`{"time":1709460005,"host":"Web01","event":{"eventName":"x","awsRegion":"r"}}`, `{"time":1709460005,"event":"Mar  3 10:00:00 web01 sshd[77]: Failed password for root from 203.0.113.7 port 5 ssh2"}`,
		`{"@timestamp":"2024-03-03T10:00:05Z","message":"Mar  3 10:00:00 web01 app[7]: {\"message\":\"{}\",\"time\":1}"}`,
		tetragonEvent("process_exec", "-s x", ""), tetragonEvent("process_kprobe", "", `,"function_name":"tcp_connect","args":[{"sock_arg":{"daddr":"1.2.3.4","dport":1}},{"string_arg":"/x"}]`),
		traceeEvent("sched_process_exec", `{"name":"argv","value":["a","b"]},{"name":"addr","value":{"sin_addr":"1.2.3.4"}}`, ""),
		osqueryLine(`"time":"1","cmdline":"a","parent":"1","path":"/x"`), osqueryLine(`"eventid":"1","channel":"c","data":"{\"EventData\":{\"a\":\"b\"}}"`),
		`{"snapshot":[{"a":"1"},2,null],"diffResults":{"added":[{"a":"1"}]},"name":"q","hostIdentifier":"h","unixTime":1709460000}`,
		`{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"h"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1709460000500000000","body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{"boolValue":true}]}}}]}}},` +
			`{"timeUnixNano":"1","body":{"stringValue":"{\"a\":1}"}}]}]}]}`,
		`{"decoder":{"name":"auditd"},"agent":{"id":"1"},"timestamp":"2024-03-03T10:00:00Z","full_log":"type=SYSCALL msg=audit(1709460000.123:86): syscall=59 type=EXECVE msg=audit(1709460000.123:86): a0=x"}`,
		`{"decoder":{"name":"w"},"agent":{"id":"1"},"timestamp":"2024-03-03T10:00:00Z","data":{"win":{"system":{"eventID":"1"},"eventdata":{"":"a\\\\b"}}},"location":"x"}`,
		`{"ID":"1709460000.123:86","SYSCALL":{"SYSCALL":"execve"},"EXECVE":{"ARGV":["a",1]},"PATH":[{"name":"x"},3],"SOCKADDR":[{"SADDR":{"addr":"::1","port":70000}}]}`,
		`{"__REALTIME_TIMESTAMP":"1709460000200000","MESSAGE":[104,300],"_AUDIT_TYPE_NAME":"SYSCALL","_AUDIT_ID":"1"}`,
		`{"process":{"audit_token":{"pid":1}},"event_type":9,"time":"2024-03-03T10:00:00Z","mach_time":1,"event":{"exec":{"target":{"ppid":1},"args":["a"]}}}`,
		`{"_index":"i","_source":` + ecsEvent(`"event":{"category":["process"],"type":["start"]},"process":{"pid":1}`) + `}`,
		`{"class_uid":1007,"activity_id":1,"metadata":{"version":"1.1.0"},"time":1709460000500,"process":{"pid":1}}`, `{"class_uid":"","metadata":{"version":""},"time":1}`,
		`{"class_uid":6003,"metadata":{"version":"1","product":{"name":"CloudTrail"}},"api":{"operation":"x","request":{"data":"{\"a\":{}}"}},"time":1}`,
	}
}

// TestShapeSeeds: each is understood as a product's, and none for want of care.
func TestShapeSeeds(t *testing.T) {
	for _, s := range shapeSeeds() {
		b := readBatch(t, JSON(Options{Names: model.NewNames()}), []byte(s))
		if len(b.Events)+len(b.Errors) == 0 {
			t.Errorf("nothing of %s", s)
		}
		for i := range b.Events {
			var r Registry
			r.Entities(&b.Events[i])
		}
	}
}

// TestShapeHostile: whatever stands where a shape expects a value, in any place of
// its record, is no reason to panic.
func TestShapeHostile(t *testing.T) {
	odd := []any{nil, "", "x", ":", "{", "[", "\\", "arn:", "system:", float64(-1), 1e300, true, []any{}, map[string]any{}, []any{nil, []any{}, map[string]any{"": ""}}, map[string]any{"a": []any{"b"}}}
	d := JSON(Options{Names: model.NewNames(), Mappings: shippedMappings(t)})
	registry := NewRegistry(d)
	decode := func(text []byte) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%v by %s\n%s", p, text, debug.Stack())
			}
		}()
		var b Batch
		d.Decode(Chunk{Data: text}, &b)
		for i := range b.Events {
			registry.Entities(&b.Events[i])
		}
	}
	for _, seed := range shapeSeeds() {
		var root any
		if err := json.Unmarshal([]byte(seed), &root); err != nil {
			t.Fatalf("%s: %v", seed, err)
		}
		try := func() {
			text, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			decode(text)
		}
		var walk func(node any)
		walk = func(node any) {
			switch n := node.(type) {
			case map[string]any:
				for key, was := range n {
					for _, n[key] = range odd {
						try()
					}
					delete(n, key)
					try()
					n[key] = was
					walk(was)
				}
			case []any:
				for i, was := range n {
					for _, n[i] = range odd {
						try()
					}
					n[i] = was
					walk(was)
				}
			}
		}
		walk(root)
		for cut := range seed {
			decode([]byte(seed[:cut]))
		}
	}
}

// syntheticWindows makes n records like those that NXLog writes of Sysmon.
func syntheticWindows(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"EventTime":"2024-05-01 10:%02d:%02d","Hostname":"WS%02d.corp.example","Keywords":-9223372036854775808,"EventType":"INFO","SeverityValue":2,"Severity":"INFO","EventID":10,"SourceName":"Microsoft-Windows-Sysmon","ProviderGuid":"{00000000-1111-2222-3333-444444444444}","Version":3,"Task":10,"OpcodeValue":0,"RecordNumber":%d,"ExecutionProcessID":3284,"ThreadID":4364,"Channel":"Microsoft-Windows-Sysmon/Operational","Domain":"NT AUTHORITY","AccountName":"SYSTEM","UserID":"S-1-5-18","AccountType":"User","Message":"Process accessed:\r\nRuleName: -\r\nUtcTime: 2024-05-01 10:00:00.123\r\nSourceImage: C:\\Windows\\system32\\svchost.exe\r\nTargetImage: C:\\Windows\\System32\\svchost.exe\r\nGrantedAccess: 0x1000\r\nCallTrace: C:\\Windows\\SYSTEM32\\ntdll.dll+9c534|C:\\Windows\\System32\\KERNELBASE.dll+1a172","Category":"Process accessed (rule: ProcessAccess)","Opcode":"Info","RuleName":"-","UtcTime":"2024-05-01 14:%02d:%02d.697","SourceProcessGUID":"{297bc33e-5c2f-5f2b-1000-000000000400}","SourceProcessId":"908","SourceThreadId":"4620","SourceImage":"C:\\Windows\\system32\\svchost.exe","TargetProcessGUID":"{297bc33e-5ccd-5f2b-5602-000000000400}","TargetProcessId":"3280","TargetImage":"C:\\Windows\\System32\\svchost.exe","GrantedAccess":"0x1000","CallTrace":"C:\\Windows\\SYSTEM32\\ntdll.dll+9c534|C:\\Windows\\System32\\KERNELBASE.dll+1a172","EventReceivedTime":"2024-05-01 10:00:01","SourceModuleName":"eventlog","SourceModuleType":"im_msvistalog","@timestamp":"2024-05-01T14:00:02.794Z"}`+"\n",
			i/60%60, i%60, i/1000%20, i, i/60%60, i%60)
	}
	return b.Bytes()
}

func BenchmarkJSONWindows(b *testing.B) {
	inputs := map[string][]byte{"synthetic": syntheticWindows(20000)}
	root := os.Getenv("CATENA_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(root, "otrf_compound", "LSASS_campaign_01")); err == nil {
		eachJSON(b, filepath.Join(root, "otrf_compound", "LSASS_campaign_01"), func(_ string, data []byte) { inputs["LSASS_01"] = data })
	}
	for _, name := range []string{"synthetic", "LSASS_01"} {
		data := inputs[name]
		if data == nil {
			continue
		}
		d := JSON(Options{Names: model.NewNames()})
		var chunks []Chunk
		if err := d.Frame(bytes.NewReader(data), func(c Chunk) error { chunks = append(chunks, c); return nil }, func(model.InputError) {}); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			events := 0
			for b.Loop() {
				events = 0
				for _, c := range chunks {
					var batch Batch
					d.Decode(c, &batch)
					events += len(batch.Events)
				}
			}
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(name+"/frame", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := d.Frame(bytes.NewReader(data), func(Chunk) error { return nil }, func(model.InputError) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
