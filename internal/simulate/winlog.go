package simulate

import (
	"bufio"
	"encoding/xml"
	"strconv"
	"strings"
	"time"
)

// A winEvent is a record of a Windows event log, in no form yet.
type winEvent struct {
	h        *host
	at       time.Time // true time
	kind     winKind
	id       int
	fields   [][2]string // of EventData, in order
	number   int         // of the record, where it was given already; 0 for none
	userData string      // the element in UserData that holds the fields instead, if any
}

// A winKind is a channel with the provider that writes to it.
type winKind struct{ channel, provider, guid, short string }

var (
	sysmonLog   = winKind{"Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}", "sysmon"}
	securityLog = winKind{"Security", "Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-a5ba-3e3b0328c30d}", "security"}
	systemLog   = winKind{"System", "Service Control Manager", "{555908d1-a6d7-4695-8e1e-26931d2012f4}", "system"}
	eventLog    = winKind{"Security", "Microsoft-Windows-Eventlog", "{fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148}", "security"}
	eventLogSys = winKind{"System", "Microsoft-Windows-Eventlog", "{fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148}", "system"}
	scriptLog   = winKind{"Microsoft-Windows-PowerShell/Operational", "Microsoft-Windows-PowerShell", "{a0c1853b-5c40-4b15-8766-3cf1c58f985a}", "powershell"}
	defenderLog = winKind{"Microsoft-Windows-Windows Defender/Operational", "Microsoft-Windows-Windows Defender", "{11cd958a-c507-4ef3-b3f2-5fd9dfbd2c78}", "defender"}
)

// stamp is the time of the event's header as its host's exporter writes it.
func (e *winEvent) stamp() string {
	return e.at.Add(e.h.drift + e.h.shift).Format("2006-01-02T15:04:05.0000000Z")
}

// numbersOf are 1..n: formats whose records are counted one by one.
func numbersOf(rs []record) []int64 {
	out := make([]int64, len(rs))
	for i := range out {
		out[i] = int64(i + 1)
	}
	return out
}

// recordIDs counts the records of each host and channel, as Windows does.
type recordIDs map[string]int

func (ids recordIDs) next(e *winEvent) int {
	if e.number > 0 {
		return e.number
	}
	key := e.h.name + e.kind.channel
	if ids[key] == 0 {
		ids[key] = 10000 + 37*len(e.h.name+e.kind.channel) + int(e.h.machine[0])*911
	}
	ids[key]++
	return ids[key]
}

// winlogbeatFormat is what Winlogbeat 8 ships: one JSON object a line. The
// collector's clock (event.created) is right even where the host's is not.
type winlogbeatFormat struct{}

func (winlogbeatFormat) render(b *bufio.Writer, rs []record) []int64 {
	ids := recordIDs{}
	for i := range rs {
		e := rs[i].body.(*winEvent)
		j := jsonText{b: b}
		j.raw(`{"@timestamp":`).str(e.at.Add(e.h.drift + e.h.shift).Format("2006-01-02T15:04:05.000Z"))
		j.raw(`,"event":{"code":"`).raw(strconv.Itoa(e.id)).raw(`","created":`).str(e.at.Add(1400 * time.Millisecond).Format("2006-01-02T15:04:05.000Z"))
		j.raw(`,"kind":"event","module":`).str(e.kind.short).raw(`,"provider":`).str(e.kind.provider)
		j.raw(`},"host":{"name":`).str(strings.ToLower(e.h.fqdn)).raw(`,"ip":["`).raw(e.h.ip).raw(`"]},"agent":{"type":"winlogbeat","version":"8.17.0"},"winlog":{"channel":`).str(e.kind.channel)
		j.raw(`,"computer_name":`).str(e.h.fqdn).raw(`,"event_id":"`).raw(strconv.Itoa(e.id)).raw(`","provider_name":`).str(e.kind.provider)
		j.raw(`,"provider_guid":`).str(e.kind.guid).raw(`,"record_id":`).raw(strconv.Itoa(ids.next(e)))
		if e.userData != "" {
			j.raw(`,"user_data":{"xml_name":`).str(e.userData).raw(`,`)
		} else {
			j.raw(`,"event_data":{`)
		}
		j.pairs(e.fields)
		j.raw("}}}\n")
	}
	return numbersOf(rs)
}

// evtxDumpFormat is EVTX turned into JSON lines by evtx_dump.
type evtxDumpFormat struct{}

func (evtxDumpFormat) render(b *bufio.Writer, rs []record) []int64 {
	ids := recordIDs{}
	for i := range rs {
		e := rs[i].body.(*winEvent)
		j := jsonText{b: b}
		j.raw(`{"Event":{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"System":{"Provider":{"#attributes":{"Name":`).str(e.kind.provider)
		j.raw(`,"Guid":`).str(e.kind.guid).raw(`}},"EventID":`).raw(strconv.Itoa(e.id)).raw(`,"Version":1,"Level":4,"Task":0,"Opcode":0,"Keywords":"0x8000000000000000","TimeCreated":{"#attributes":{"SystemTime":`).str(e.stamp())
		j.raw(`}},"EventRecordID":`).raw(strconv.Itoa(ids.next(e))).raw(`,"Correlation":null,"Execution":{"#attributes":{"ProcessID":2264,"ThreadID":3192}},"Channel":`).str(e.kind.channel)
		j.raw(`,"Computer":`).str(e.h.fqdn).raw(`,"Security":{"#attributes":{"UserID":"S-1-5-18"}}},`)
		if e.userData != "" {
			j.raw(`"UserData":{`).str(e.userData).raw(`:{`).pairs(e.fields).raw("}}}}\n")
		} else {
			j.raw(`"EventData":{`).pairs(e.fields).raw("}}}\n")
		}
	}
	return numbersOf(rs)
}

// winXMLFormat is a list of events as Event Viewer and wevtutil render them.
type winXMLFormat struct{}

func (winXMLFormat) render(b *bufio.Writer, rs []record) []int64 {
	ids := recordIDs{}
	text := func(s string) { _ = xml.EscapeText(b, []byte(s)) } // a bufio.Writer keeps its error for Flush
	raw := func(s string) { _, _ = b.WriteString(s) }
	raw("<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\n<Events>\n")
	for i := range rs {
		e := rs[i].body.(*winEvent)
		raw("<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='" + e.kind.provider + "' Guid='" + e.kind.guid + "'/><EventID>" + strconv.Itoa(e.id) +
			"</EventID><Version>1</Version><Level>4</Level><Task>0</Task><Opcode>0</Opcode><Keywords>0x8000000000000000</Keywords><TimeCreated SystemTime='" + e.stamp() +
			"'/><EventRecordID>" + strconv.Itoa(ids.next(e)) + "</EventRecordID><Correlation/><Execution ProcessID='2264' ThreadID='3192'/><Channel>" + e.kind.channel +
			"</Channel><Computer>" + e.h.fqdn + "</Computer><Security UserID='S-1-5-18'/></System>")
		if e.userData != "" {
			raw("<UserData><" + e.userData + " xmlns='http://manifests.microsoft.com/win/2004/08/windows/eventlog'>")
			for _, f := range e.fields {
				raw("<" + f[0] + ">")
				text(f[1])
				raw("</" + f[0] + ">")
			}
			raw("</" + e.userData + "></UserData></Event>\n")
			continue
		}
		raw("<EventData>")
		for _, f := range e.fields {
			raw("<Data Name='" + f[0] + "'>")
			text(f[1])
			raw("</Data>")
		}
		raw("</EventData></Event>\n")
	}
	raw("</Events>\n")
	return numbersOf(rs)
}
