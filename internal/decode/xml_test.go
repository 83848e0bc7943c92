package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

const xmlEvent = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing' Guid='{5}'/><EventID Qualifiers="0">4624</EventID><Level>0</Level><TimeCreated SystemTime='2024-05-01T10:00:00.1234567Z'/><EventRecordID>99</EventRecordID><Execution ProcessID='4' ThreadID='8'/><Channel>Security</Channel><Computer>WS1</Computer><Security/></System><EventData><Data Name='TargetUserName'>a&amp;b&#x41;</Data><Data Name='IpAddress'>10.0.0.1</Data><Data Name='Empty'/><Data>plain</Data></EventData><RenderingInfo Culture='en-US'><Message>hello</Message><Level>Information</Level></RenderingInfo></Event>`

func TestWindowsXML(t *testing.T) {
	cleared := `<Event><System><Provider Name="Microsoft-Windows-Eventlog"/><EventID>1102</EventID><TimeCreated SystemTime="2024-05-01T10:00:01Z"/><Channel>Security</Channel><Computer>WS1</Computer></System><UserData><LogFileCleared xmlns:auto-ns3="x"><SubjectUserName>bob</SubjectUserName><SubjectDomainName>CORP</SubjectDomainName></LogFileCleared></UserData></Event>`
	for name, text := range map[string]string{
		"lines":  xmlEvent + "\n" + cleared + "\n",
		"list":   `<?xml version="1.0" encoding="utf-8"?><!-- c --><Events>` + xmlEvent + cleared + `</Events>`,
		"pretty": "\uFEFF<Events>\r\n  " + strings.ReplaceAll(xmlEvent, "><", ">\r\n  <") + "\r\n" + cleared + "\r\n</Events>\r\n",
	} {
		names := model.NewNames()
		d := WindowsXML(Options{Names: names})
		if d.Sniff([]byte(text)) < 90 {
			t.Errorf("%s: not taken for XML", name)
		}
		b := readBatch(t, d, []byte(text))
		if len(b.Events) != 2 || len(b.Errors) != 0 {
			t.Fatalf("%s: %d events, errors %v", name, len(b.Events), b.Errors)
		}
		e := &b.Events[0]
		if e.Act != model.ActLogon || e.Code != "4624" || e.Host != "ws1" || e.Time.Nanosecond() != 123456700 || e.Ref.Record != 1 {
			t.Errorf("%s: %+v", name, e)
		}
		wantSlots(t, names, e, "Provider_Name=Microsoft-Windows-Security-Auditing", "Provider_Guid={5}", "EventID_Qualifiers=0", "EventRecordID=99", "Execution_ProcessID=4",
			"TargetUserName=a&bA", "IpAddress=10.0.0.1", "Empty=", "Data=plain", "Message=hello")
		e = &b.Events[1]
		if e.Act != model.ActLogCleared || e.Ref.Record != 2 {
			t.Errorf("%s: %+v", name, e)
		}
		wantSlots(t, names, e, "SubjectUserName=bob", "SubjectDomainName=CORP")
	}
}

func TestWindowsXMLDamage(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		events int
		cause  string
	}{
		"doctype":     {`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><Events>` + xmlEvent + "</Events>", 1, "document type"},
		"entity":      {strings.Replace(xmlEvent, "plain", "&lol;", 1) + xmlEvent, 1, "entity"},
		"deep":        {"<Event>" + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</Event>" + xmlEvent, 1, "nested deeper than 64"},
		"wrong end":   {"<Event><System></Systen></Event>" + xmlEvent, 1, "end tag"},
		"truncated":   {xmlEvent + xmlEvent[:300], 1, "without end"},
		"no time":     {"<Event><System><EventID>1</EventID></System></Event>" + xmlEvent, 1, "without a time"},
		"other text":  {xmlEvent + "\nnonsense", 1, "no Windows event"},
		"inner dtd":   {strings.Replace(xmlEvent, "<EventData>", "<!DOCTYPE a><EventData>", 1) + xmlEvent, 1, "document type"},
		"no quotes":   {strings.Replace(xmlEvent, "Name='IpAddress'", "Name=IpAddress", 1) + xmlEvent, 1, "quotes"},
		"system only": {strings.Replace(xmlEvent, "plain", "a\xffb", 1), 1, ""},
	} {
		b := readBatch(t, WindowsXML(Options{Names: model.NewNames()}), []byte(c.text))
		if len(b.Events) != c.events {
			t.Errorf("%s: %d events, errors %v", name, len(b.Events), b.Errors)
		}
		if c.cause != "" && (len(b.Errors) == 0 || !strings.Contains(b.Errors[0].Cause, c.cause)) {
			t.Errorf("%s: errors %v, want %q", name, b.Errors, c.cause)
		}
	}
}

// TestWindowsXMLLarge: an event too long is left out, those around it are read.
func TestWindowsXMLLarge(t *testing.T) {
	long := strings.Replace(xmlEvent, "plain", strings.Repeat("y", MaxRecord+2*ChunkTarget), 1)
	b := readBatch(t, WindowsXML(Options{Names: model.NewNames()}), []byte(xmlEvent+long+xmlEvent+xmlEvent))
	if len(b.Events) != 3 || len(b.Errors) != 1 || !strings.Contains(b.Errors[0].Cause, "longer than") {
		t.Errorf("%d events, errors %v", len(b.Events), b.Errors)
	}
}

// FuzzXML: no input makes the decoder panic, and no event comes out without time.
func FuzzXML(f *testing.F) {
	f.Add([]byte(xmlEvent))
	f.Add([]byte("<Events>" + xmlEvent + "</Events>"))
	f.Add([]byte("<Event><System><a:b c='&#65;'/></System></Event>"))
	f.Add([]byte("<Event><![CDATA[x]]><!-- y --></Event>"))
	names := model.NewNames()
	d := WindowsXML(Options{Names: names})
	r := NewRegistry(d)
	f.Fuzz(func(t *testing.T, data []byte) {
		d.Sniff(data)
		b := readBatch(t, d, data)
		for i := range b.Events {
			if b.Events[i].Time.IsZero() || len(b.Events[i].Slots) > MaxFields {
				t.Fatalf("%+v", b.Events[i])
			}
			r.Entities(&b.Events[i])
		}
		var direct Batch
		_ = parseEventXML(string(data), &direct, names)
	})
}
