package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// isLinuxSysmon says whether a syslog message is an event of Sysmon for Linux,
// which writes its events to syslog as the XML of Windows' event schema.
func isLinuxSysmon(message string) bool {
	return strings.HasPrefix(message, "<Event>") && strings.Contains(message, "Linux-Sysmon")
}

// linuxSysmon fills e and the event under construction from the XML of an event
// of Sysmon for Linux. Fields, numbers and Sigma categories are those of Sysmon
// on Windows.
func linuxSysmon(b *Batch, e *model.Event, names *model.Names, xml string) error {
	before := len(b.Open())
	err := parseEventXML(escapeData(xml), b, names)
	if err != nil && b.Text(model.FEventID) == "" {
		return err
	}
	// syslog cuts long messages short: what came before the cut is still good.
	dedupeSlots(b, before)
	describeLinuxSysmon(b, e)
	return nil
}

// describeLinuxSysmon completes an event of Sysmon for Linux, whose slots stand in b
// under the names of its XML.
func describeLinuxSysmon(b *Batch, e *model.Event) {
	var v winView
	v.read(b.Open())
	e.Code = v.text(model.FEventID)
	id, ok := digits(e.Code)
	if !ok {
		id = -1
	}
	if computer := v.text(model.FComputer); computer != "" {
		e.Host = linuxHost(computer)
	}
	e.Source = model.LogSource{Product: "linux", Service: "sysmon"}
	e.Act, e.Source.Category = sysmonAct(id, &v)
	e.Subsystem = sysmonSubsystem(e.Act)
	if s := v.text(model.FUtcTime); s != "" {
		e.Sensed, _ = parseStamp(s, nil)
	}
}

// escapeData escapes what stands inside of <Data> elements. Sysmon for Linux
// writes some values as they are, so that a command line with & or < in it, as
// reverse shells have, makes XML that is none.
func escapeData(xml string) string {
	if !strings.Contains(xml, "&") && strings.Count(xml, "<Data ") == strings.Count(xml, "</Data>") {
		return xml
	}
	var out strings.Builder
	for {
		start := strings.Index(xml, "<Data Name=\"")
		if start < 0 {
			break
		}
		open := strings.IndexByte(xml[start:], '>')
		if open < 0 {
			break
		}
		open += start + 1
		end := strings.Index(xml[open:], "</Data>")
		if end < 0 {
			break
		}
		out.WriteString(xml[:open])
		value := xml[open : open+end]
		for i := 0; i < len(value); i++ {
			switch {
			case value[i] == '<':
				out.WriteString("&lt;")
			case value[i] == '&' && !isXMLReference(value[i:]):
				name := cutReference(value[i:])
				if name == "" {
					out.WriteString("&amp;")
					break
				}
				out.WriteString(name + ";")
				i += len(name)
			default:
				out.WriteByte(value[i])
			}
		}
		xml = xml[open+end:]
	}
	out.WriteString(xml)
	return out.String()
}

// cutReference returns the reference at the start of s whose semicolon a
// collector turned into a space ("&quot x"), without that space.
func cutReference(s string) string {
	for _, r := range [...]string{"&amp", "&lt", "&gt", "&quot", "&apos"} {
		if strings.HasPrefix(s, r+" ") {
			return r
		}
	}
	return ""
}

// isXMLReference says whether s begins with a reference that XML defines.
func isXMLReference(s string) bool {
	for _, r := range [...]string{"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#"} {
		if strings.HasPrefix(s, r) {
			return true
		}
	}
	return false
}
