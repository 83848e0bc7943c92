package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// scriptJSON is a part of a script as NXLog writes it.
func scriptJSON(host, id string, number, total int, text string) string {
	quoted, _ := json.Marshal(text) //nolint:errcheck,errchkjson // a text
	return fmt.Sprintf(`{"EventTime":"2024-03-03 10:00:00","Hostname":%q,"EventID":4104,"Channel":"Microsoft-Windows-PowerShell/Operational","MessageNumber":%d,"MessageTotal":"%d","ScriptBlockText":%s,"ScriptBlockId":%q}`+"\n",
		host, number, total, quoted, id)
}

// scriptXML is the same as wevtutil writes it.
func scriptXML(host, id string, number, total int, text string) string {
	var quoted strings.Builder
	for _, c := range text {
		fmt.Fprintf(&quoted, "&#%d;", c)
	}
	return fmt.Sprintf(`<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="Microsoft-Windows-PowerShell"/><EventID>4104</EventID>`+
		`<TimeCreated SystemTime="2024-03-03T10:00:00.5Z"/><Channel>Microsoft-Windows-PowerShell/Operational</Channel><Computer>%s</Computer></System>`+
		`<EventData><Data Name="MessageNumber">%d</Data><Data Name="MessageTotal">%d</Data><Data Name="ScriptBlockText">%s</Data><Data Name="ScriptBlockId">%s</Data></EventData></Event>`+"\n",
		host, number, total, quoted.String(), id)
}

func scriptTexts(b *Batch) []string {
	var out []string
	for i := range b.Events {
		out = append(out, b.Events[i].Text(model.FScriptBlockText))
	}
	return out
}

func TestJoinScripts(t *testing.T) {
	type part struct {
		host, id      string
		number, total int
		text          string
	}
	for name, c := range map[string]struct {
		parts []part
		want  []string
	}{
		"in order":               {[]part{{"a", "s", 1, 3, "Invoke-"}, {"a", "s", 2, 3, "Mimi"}, {"a", "s", 3, 3, "katz é"}}, []string{"Invoke-", "Mimi", "Invoke-Mimikatz é"}},
		"in any order":           {[]part{{"a", "s", 3, 3, "3"}, {"a", "s", 1, 3, "1"}, {"a", "s", 2, 3, "2"}}, []string{"3", "1", "123"}},
		"ten parts by number":    {[]part{{"a", "s", 10, 10, "x"}, {"a", "s", 9, 10, "y"}}, []string{"x", "yx"}},
		"one is missing":         {[]part{{"a", "s", 1, 3, "1"}, {"a", "s", 3, 3, "3"}}, []string{"1", "13"}},
		"only one is there":      {[]part{{"a", "s", 2, 3, "2"}}, []string{"2"}},
		"told twice":             {[]part{{"a", "s", 1, 2, "1"}, {"a", "s", 1, 2, "1"}, {"a", "s", 2, 2, "2"}, {"a", "s", 2, 2, "2"}}, []string{"1", "1", "2", "12"}},
		"scripts between others": {[]part{{"a", "s", 1, 2, "1"}, {"a", "r", 1, 2, "x"}, {"b", "s", 2, 2, "-"}, {"a", "S", 2, 2, "2"}, {"a", "r", 2, 2, "y"}}, []string{"1", "x", "-", "12", "xy"}},
		"whole ones stay":        {[]part{{"a", "s", 1, 1, "1"}, {"a", "s", 1, 1, "2"}}, []string{"1", "2"}},
		"no such part":           {[]part{{"a", "s", 0, 2, "0"}, {"a", "s", 1, 2, "1"}}, []string{"0", "1"}},
		"no script":              {[]part{{"a", "", 1, 2, "1"}, {"a", "", 2, 2, "2"}}, []string{"1", "2"}},
	} {
		var asJSON, asXML strings.Builder
		for _, p := range c.parts {
			asJSON.WriteString(scriptJSON(p.host, p.id, p.number, p.total, p.text))
			asXML.WriteString(scriptXML(p.host, p.id, p.number, p.total, p.text))
		}
		o := Options{Names: model.NewNames(), Year: 2024}
		in := asJSON.String()
		inSyslog := "Mar  3 10:00:00 relay nxlog[5]: " + strings.ReplaceAll(strings.TrimSpace(in), "\n", "\nMar  3 10:00:00 relay nxlog[5]: ") + "\n"
		for form, b := range map[string]*Batch{
			"JSON":   decodeWhole(t, JSON(o), in),
			"XML":    decodeWhole(t, WindowsXML(o), asXML.String()),
			"syslog": decodeWhole(t, Syslog(o), inSyslog),
		} {
			if got := scriptTexts(b); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s, %s: %q, want %q", name, form, got, c.want)
			}
		}
	}
}

// decodeWhole decodes src as one chunk.
func decodeWhole(t *testing.T, d Decoder, src string) *Batch {
	t.Helper()
	b := &Batch{}
	d.Decode(Chunk{Data: []byte(src)}, b)
	if len(b.Errors) > 0 {
		t.Errorf("%s: %+v", d.Name(), b.Errors)
	}
	if len(b.scripts) > 0 {
		t.Errorf("%s: parts left over", d.Name())
	}
	return b
}

// The text of a script in an event log of Windows, where all values are UTF-16.
func TestJoinScriptsEVTX(t *testing.T) {
	data := func(name string, content binXML) binXML { return el("Data", attrs(attr("Name", lit(name))), content) }
	event := el("Event", nil,
		el("System", nil,
			el("EventID", nil, lit("4104")),
			el("TimeCreated", attrs(attr("SystemTime", sub(0, typeFiletime)))),
			el("Channel", nil, lit("Microsoft-Windows-PowerShell/Operational")),
			el("Computer", nil, lit("dc01.example.org"))),
		el("EventData", nil, data("MessageNumber", sub(1, typeUint32)), data("MessageTotal", sub(2, typeUint32)), data("ScriptBlockText", sub(3, typeString)), data("ScriptBlockId", sub(4, typeGUID))))
	w := &evtxWriter{}
	for i, text := range []string{"$a = 'AmsiSc", "anBuffer'"} {
		w.add(testTime, instance("script", event, binValue{typeFiletime, u64le(testTime)}, binValue{typeUint32, u32le(uint32(i + 1))}, binValue{typeUint32, u32le(2)}, str(text), binValue{typeGUID, testGUID}))
	}
	b, bad := decodeAll(t, EVTX(Options{Names: model.NewNames()}), "p.evtx", w.bytes())
	if got := scriptTexts(b); len(bad) > 0 || fmt.Sprint(got) != "[$a = 'AmsiSc $a = 'AmsiScanBuffer']" {
		t.Errorf("%q, %v", got, bad)
	}
}

// What is joined is bounded, in parts and in bytes, and ends with a whole character.
func TestJoinScriptsBounds(t *testing.T) {
	var many, long bytes.Buffer
	for i := range maxScriptParts + 20 {
		many.WriteString(scriptJSON("a", "s", i+1, maxScriptParts+20, "x"))
	}
	for i := range 3 {
		long.WriteString(scriptJSON("a", "s", i+1, 3, "x"+strings.Repeat("é", maxScriptText/4)))
	}
	o := Options{Names: model.NewNames()}
	got := scriptTexts(decodeWhole(t, JSON(o), many.String()))
	if last := got[len(got)-1]; last != strings.Repeat("x", maxScriptParts) {
		t.Errorf("%d parts joined, want %d", len(last), maxScriptParts)
	}
	got = scriptTexts(decodeWhole(t, JSON(o), long.String()))
	if last := got[2]; len(last) > maxScriptText || len(last) < maxScriptText-1 || strings.ToValidUTF8(last, "") != last {
		t.Errorf("%d bytes joined, want %d", len(last), maxScriptText)
	}
}

// A batch that serves again knows nothing of the scripts before, whatever stands in
// its records.
func FuzzJoinScripts(f *testing.F) {
	f.Add(scriptJSON("a", "s", 1, 2, "x")+scriptJSON("a", "s", 2, 2, "y"), scriptJSON("a", "s", 2, 2, "z"))
	f.Add(scriptJSON("a", "s", -1, 99999, "x"), "")
	d := JSON(Options{Names: model.NewNames()})
	f.Fuzz(func(t *testing.T, first, second string) {
		var used, fresh Batch
		d.Decode(Chunk{Data: []byte(first)}, &used)
		used.Reset()
		d.Decode(Chunk{Data: []byte(second)}, &used)
		d.Decode(Chunk{Data: []byte(second)}, &fresh)
		if a, b := fmt.Sprintf("%q", scriptTexts(&used)), fmt.Sprintf("%q", scriptTexts(&fresh)); a != b {
			t.Errorf("%s, and after another batch %s", b, a)
		}
	})
}
