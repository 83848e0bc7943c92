package simulate

import (
	"bufio"
	"bytes"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
)

// decodeOne renders records by a format and reads them with a decoder.
func decodeOne(t *testing.T, f format, d decode.Decoder, rs ...record) []model.Event {
	t.Helper()
	var text bytes.Buffer
	w := bufio.NewWriter(&text)
	numbers := f.render(w, rs)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var events []model.Event
	bad := func(e model.InputError) { t.Errorf("%+v in %s", e, text.String()) }
	err := d.Frame(&text, func(c decode.Chunk) error {
		var b decode.Batch
		d.Decode(c, &b)
		for _, e := range b.Errors {
			bad(e)
		}
		events = append(events, b.Events...)
		return nil
	}, bad)
	if err != nil || len(events) != len(rs) {
		t.Fatalf("%d events of %d records, %v", len(events), len(rs), err)
	}
	for i := range events {
		if events[i].Ref.Record != numbers[i] {
			t.Errorf("record %d is number %d to its decoder", numbers[i], events[i].Ref.Record)
		}
	}
	return events
}

// awkward is text that every format has to escape.
const awkward = "\"C:\\a b\\c.exe\" -x '<&>' {1131} \\\\srv\\c$ ]]> end"

// TestWindowsForms checks that the three forms of a Windows event say the same.
func TestWindowsForms(t *testing.T) {
	w := newWorld(1)
	h := w.estate.files
	h.shift, h.drift = 0, 0
	at := w.clock(9, 30).Add(123 * time.Millisecond)
	start := record{at: at, body: &winEvent{h: h, at: at, kind: sysmonLog, id: 1, fields: [][2]string{f("UtcTime", h.utc(at)), f("ProcessGuid", h.lsass.guid), f("ProcessId", "77"), f("Image", `C:\a b\c.exe`), f("CommandLine", awkward)}}}
	cleared := record{at: at, body: &winEvent{h: h, at: at, kind: eventLog, id: 1102, userData: "LogFileCleared", fields: [][2]string{f("SubjectUserName", "adm"), f("SubjectDomainName", netbios)}}}
	for _, c := range []struct {
		name string
		f    format
		d    func(decode.Options) decode.Decoder
	}{{"winlogbeat", winlogbeatFormat{}, decode.JSON}, {"evtx_dump", evtxDumpFormat{}, decode.JSON}, {"xml", winXMLFormat{}, decode.WindowsXML}} {
		names := model.NewNames()
		events := decodeOne(t, c.f, c.d(decode.Options{Names: names}), start, cleared)
		e := &events[0]
		if got := e.Text(names.ID("CommandLine")); got != awkward {
			t.Errorf("%s: command line %q, want %q", c.name, got, awkward)
		}
		if e.Act != model.ActProcessStart || e.Host != "fs01."+dnsDomain || !e.Time.Equal(at) {
			t.Errorf("%s: %s on %s at %s, want the start of a process at %s", c.name, e.Act, e.Host, e.Time, at)
		}
		if e := &events[1]; e.Act != model.ActLogCleared || e.Code != "1102" || e.Text(names.ID("SubjectUserName")) != "adm" {
			t.Errorf("%s: %s %s by %q, want a cleared log", c.name, e.Act, e.Code, e.Text(names.ID("SubjectUserName")))
		}
	}
}

// TestAuditForm checks the records of a started program, whose arguments the
// kernel writes in hex where they need it, and of a connection.
func TestAuditForm(t *testing.T) {
	w := newWorld(1)
	h := w.estate.webs[0]
	h.auditLog.records = nil
	at := w.clock(3, 0)
	d := h.daemon("/usr/bin/java", unixUser{"app", 998})
	c := d.run(at, "/bin/sh", "-c", awkward)
	c.connect(at.Add(time.Second), "203.0.113.9", 4444, 1, 1, time.Second)
	names := model.NewNames()
	events := decodeOne(t, auditFormat{}, decode.Auditd(decode.Options{Names: names}), h.auditLog.records...)
	e := &events[0]
	if got, want := e.Text(names.ID("CommandLine")), "sh -c "+awkward; got != want {
		t.Errorf("command line %q, want %q", got, want)
	}
	if e.Act != model.ActProcessStart || e.Host != h.name || e.Text(names.ID("User")) != "app" || e.Text(names.ID("ParentProcessId")) != number(d.pid) || !e.Time.Equal(at) {
		t.Errorf("%s on %s by %s at %s", e.Act, e.Host, e.Text(names.ID("User")), e.Time)
	}
	if e := &events[1]; e.Act != model.ActConnect || e.Text(names.ID("DestinationIp")) != "203.0.113.9" || e.Text(names.ID("DestinationPort")) != "4444" {
		t.Errorf("%s to %s:%s", e.Act, e.Text(names.ID("DestinationIp")), e.Text(names.ID("DestinationPort")))
	}
}

// TestProcessNumbers checks that numbers on a Linux host grow with time and are
// not used twice, whatever the order of asking.
func TestProcessNumbers(t *testing.T) {
	w := newWorld(1)
	h := w.estate.webs[0]
	noon, morning := h.nextPID(w.clock(12, 0)), h.nextPID(w.clock(8, 0))
	if morning >= noon {
		t.Errorf("%d in the morning, %d at noon", morning, noon)
	}
	if again := h.nextPID(w.clock(12, 0)); again == noon {
		t.Errorf("%d handed out twice", again)
	}
}
