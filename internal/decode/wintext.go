package decode

import (
	"bytes"
	"io"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// WindowsText returns the decoder of Windows events as text, the way collectors render
// them: a line with the local time, the header as Key=Value, the message with its
// labels in English, in groups.
//
//	03/25/2022 05:46:37 PM
//	LogName=Security
//	EventCode=4624
//	ComputerName=dc01.example.com
//	Message=An account was successfully logged on.
//
//	Subject:
//		Account Name:		DC01$
//	New Logon:
//		Account Name:		bob
//
// The labels get the names of the event's own fields, which rules and entities know:
// Account Name under Subject is SubjectUserName, under New Logon TargetUserName.
func WindowsText(o Options) Decoder { return &windowsTextDecoder{o: o} }

type windowsTextDecoder struct{ o Options }

func (d *windowsTextDecoder) Name() string { return "windows-text" }

func (d *windowsTextDecoder) Sniff(head []byte) int {
	line, rest, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), newline)
	if startsRendered(string(line[:min(len(line), 64)])) && bytes.HasPrefix(rest, []byte("LogName=")) {
		return 93
	}
	return 0
}

// startsRendered says whether a line is a time and nothing else.
func startsRendered(line string) bool {
	line = strings.TrimSpace(line)
	if len(line) < 19 || len(line) > 40 || !isDigit(line[0]) {
		return false
	}
	_, n := readStamp(line)
	return n > 0 && strings.TrimLeft(line[n:], ".0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func (d *windowsTextDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	return frameLines(r, nil, emit, bad, func(_, after []byte) bool {
		return !startsRendered(string(after[:min(len(after), 64)]))
	})
}

func (d *windowsTextDecoder) Decode(c Chunk, b *Batch) {
	defer joinScripts(b)
	text := string(c.Data)
	var open, record int64 = -1, 0 // where the open record starts, in the chunk
	var end int64
	flush := func() {
		if open < 0 {
			return
		}
		b.Records++
		e := model.Event{Ref: model.Ref{Input: c.Input, Record: record, Offset: c.Offset + open}, Format: "windows-text", Raw: c.Data[open:end:end]}
		if cause := d.read(b, &e, text[open:end]); cause != "" {
			b.Drop()
			b.Fail(e.Ref.Offset, record, cause)
		} else {
			b.Emit(e)
		}
		open = -1
	}
	eachLine(c, func(line []byte, offset, rec int64) {
		at := offset - c.Offset
		if open < 0 || startsRendered(text[at:at+int64(min(len(line), 64))]) {
			flush()
			open, record = at, rec
		}
		end = at + int64(len(line))
	})
	flush()
}

// read fills the event of one rendering; it returns why it cannot.
func (d *windowsTextDecoder) read(b *Batch, e *model.Event, text string) string {
	line, rest, _ := strings.Cut(text, "\n")
	st, n := readStamp(strings.TrimSpace(line))
	if n == 0 {
		return "no time above the event"
	}
	zone := d.o.Zone
	if zone == nil {
		zone = time.UTC
	}
	if e.Recorded = st.at.UTC(); !st.zoned {
		e.Recorded = inZone(st.at, zone)
	}
	r := rendering{names: d.o.Names, b: b}
	message, found := "", false
	for rest != "" && !found {
		line, rest, _ = strings.Cut(rest, "\n")
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r"), "=")
		if !ok {
			continue
		}
		switch key {
		case "LogName":
			r.channel = value
			r.set("Channel", value)
		case "EventCode":
			r.id = value
			r.set("EventID", value)
		case "SourceName":
			if value == "Microsoft Windows security auditing." {
				value = "Microsoft-Windows-Security-Auditing"
			}
			r.set("Provider_Name", value)
		case "ComputerName":
			r.set("Computer", value)
		case "RecordNumber":
			r.set("EventRecordID", value)
		case "Type":
			r.set("Level", value)
		case "Sid":
			if isSID(value) {
				r.set("Security_UserID", value)
			}
		case "Message":
			found = true
			message = value + "\n" + rest
		default:
			r.set(key, value)
		}
	}
	if r.id == "" || r.channel == "" {
		return "no EventCode or LogName in the event's header"
	}
	message = strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n"))
	r.message(message)
	r.set("Message", message)
	finishWindows(b, e)
	return ""
}

// A rendering is one message being read.
type rendering struct {
	names       *model.Names
	b           *Batch
	channel, id string
	field       string // that more lines may go on with
	open        []byte // its value so far
}

func (r *rendering) set(name, value string) {
	if name == "" || len(name) > maxTextName || value == "" {
		return
	}
	namedSlot(r.b, r.names.ID(name), name, model.String, value)
}

// put ends the open field.
func (r *rendering) put() {
	if value := strings.TrimSpace(string(r.open)); r.field != "" && value != "" {
		r.set(r.field, value)
	}
	r.field, r.open = "", r.open[:0]
}

// message reads the labels of a message.
func (r *rendering) message(m string) {
	if strings.HasPrefix(m, "Creating Scriptblock text (") {
		r.script(m)
		return
	}
	group, before := "", ""
	first := true
	for line := range strings.SplitSeq(m, "\n") {
		if first { // the sentence that says what happened
			first = false
			if !strings.Contains(line, ":\t") && !strings.HasSuffix(line, ":") {
				continue
			}
		}
		plain := strings.TrimSpace(line)
		indented := line != plain && (line[0] == '\t' || line[0] == ' ')
		if plain == "" {
			continue
		}
		label, value, ok := strings.Cut(plain, ":")
		label = strings.TrimSpace(label)
		if ok && (len(label) > 48 || strings.ContainsAny(label, `\/"{}<>=%`) || value != "" && value[0] != '\t' && value[0] != ' ') {
			ok = false
		}
		switch {
		case !ok && indented && r.field != "": // a list goes on
			if len(r.open) < maxMoreBytes {
				r.open = append(append(r.open, '\n'), plain...)
			}
		case !ok:
			r.put()
			group = ""
		case !indented && strings.TrimSpace(value) == "":
			r.put()
			group, before = label, ""
		default:
			r.put()
			if !indented {
				group = ""
			}
			r.field, r.open = r.fieldOf(group, label, before), append(r.open[:0], renderedValue(label, strings.TrimSpace(value))...)
			before = label
		}
	}
	r.put()
}

// script reads the event of a script block: its number, its text, its id, its path.
func (r *rendering) script(m string) {
	head, rest, _ := strings.Cut(m, "\n")
	number, total, _ := strings.Cut(between(head, "(", ")"), " of ")
	r.set("MessageNumber", number)
	r.set("MessageTotal", total)
	body, tail, ok := cutLast(rest, "\nScriptBlock ID: ")
	r.set("ScriptBlockText", strings.TrimSpace(body))
	if ok {
		id, path, _ := strings.Cut(tail, "\n")
		r.set("ScriptBlockId", strings.TrimSpace(id))
		r.set("Path", strings.TrimSpace(strings.TrimPrefix(path, "Path:")))
	}
}

// renderedValue turns words back into what the event has: well-known names of security
// ids and of integrity levels.
func renderedValue(label, value string) string {
	switch label {
	case "Security ID", "User ID", "Service ID":
		switch strings.ToUpper(value) {
		case "NULL SID":
			return "S-1-0-0"
		case "SYSTEM", `NT AUTHORITY\SYSTEM`:
			return "S-1-5-18"
		case "LOCAL SERVICE", `NT AUTHORITY\LOCAL SERVICE`:
			return "S-1-5-19"
		case "NETWORK SERVICE", `NT AUTHORITY\NETWORK SERVICE`:
			return "S-1-5-20"
		case "ANONYMOUS LOGON", `NT AUTHORITY\ANONYMOUS LOGON`:
			return "S-1-5-7"
		}
		if !isSID(value) { // a name, which the event has besides
			return ""
		}
	case "Mandatory Label":
		for _, l := range [...]struct{ name, sid string }{{"Low", "S-1-16-4096"}, {"Medium Plus", "S-1-16-8448"}, {"Medium", "S-1-16-8192"}, {"High", "S-1-16-12288"}, {"System", "S-1-16-16384"}} {
			if strings.HasSuffix(value, l.name+" Mandatory Level") {
				return l.sid
			}
		}
	}
	return value
}

// renderedGroups are the fields of labels within a group, whatever the event; a
// group of the same role has many titles, see groupRole.
var renderedGroups = map[string]map[string]string{
	"Subject": {"Security ID": "SubjectUserSid", "Account Name": "SubjectUserName", "Account Domain": "SubjectDomainName", "Logon ID": "SubjectLogonId",
		"Logon GUID": "LogonGuid"},
	"Target": {"Security ID": "TargetUserSid", "Account Name": "TargetUserName", "Account Domain": "TargetDomainName", "Logon ID": "TargetLogonId",
		"Logon GUID": "LogonGuid", "Linked Logon ID": "TargetLinkedLogonId", "Network Account Name": "TargetOutboundUserName", "Network Account Domain": "TargetOutboundDomainName",
		"Old Account Name": "OldTargetUserName", "New Account Name": "NewTargetUserName", "Supplied Realm Name": "TargetDomainName", "User ID": "TargetSid",
		"User Name": "TargetUserName", "Service Name": "ServiceName", "Service ID": "ServiceSid"},
	"Member": {"Security ID": "MemberSid", "Account Name": "MemberName"},
	"Group":  {"Security ID": "TargetSid", "Group Name": "TargetUserName", "Group Domain": "TargetDomainName", "Account Name": "TargetUserName", "Account Domain": "TargetDomainName"},
	"Process": {"New Process ID": "NewProcessId", "New Process Name": "NewProcessName", "Creator Process ID": "ProcessId", "Creator Process Name": "ParentProcessName",
		"Process Command Line": "CommandLine", "Caller Process ID": "ProcessId", "Caller Process Name": "ProcessName"},
	"Network": {"Source Network Address": "IpAddress", "Client Address": "IpAddress", "Client Port": "IpPort", "Network Address": "IpAddress", "Port": "IpPort",
		"Source Address": "SourceAddress", "Destination Address": "DestAddress", "Destination Port": "DestPort"},
	"Authentication": {"Logon Process": "LogonProcessName", "Authentication Package": "AuthenticationPackageName", "Transited Services": "TransmittedServices",
		"Package Name (NTLM only)": "LmPackageName"},
	"Object":    {"DN": "ObjectDN", "GUID": "ObjectGUID", "Class": "ObjectClass"},
	"Operation": {"Type": "OperationType", "Accesses": "AccessList", "Parameter 1": "AdditionalInfo", "Parameter 2": "AdditionalInfo2", "Correlation ID": "OpCorrelationID"},
	"Share":     {"Share Path": "ShareLocalPath"},
	"Attribute": {"LDAP Display Name": "AttributeLDAPDisplayName", "Syntax (OID)": "AttributeSyntaxOID", "Value": "AttributeValue"},
	"Directory": {"Name": "DSName", "Type": "DSType"},
	"Server":    {"Additional Information": "TargetInfo"},
	"App":       {"Process ID": "ProcessID", "Application Name": "Application"},
}

// renderedLabels are the fields of labels whose name has other words than the label,
// in any group or in none.
var renderedLabels = map[string]string{
	"Error Code": "Status", "Failure Code": "Status", "Result Code": "Status", "Logon Account": "TargetUserName", "Source Workstation": "Workstation", "Privileges": "PrivilegeList",
	"Accesses": "AccessList", "Access Mask": "AccessMask", "Pre-Authentication Type": "PreAuthType", "SAM Account Name": "SamAccountName", "Handle ID": "HandleId",
	"Process ID": "ProcessId", "Caller Process ID": "ProcessId", "Logon ID": "SubjectLogonId", "Script Block ID": "ScriptBlockId",
}

// groupRole is the group whose fields those under a title are.
func groupRole(title string) string {
	switch title {
	case "Subject", "Creator Subject", "Caller User":
		return "Subject"
	case "New Logon", "Target Subject", "Account For Which Logon Failed", "Target Account", "New Account", "New Computer Account", "Computer Account That Was Changed",
		"Account Whose Credentials Were Used", "Account That Was Locked Out", "Account Information", "User", "Target Computer", "Deleted Account", "Logon Session":
		return "Target"
	case "Member":
		return "Member"
	case "Group", "New Group", "Deleted Group", "Changed Group":
		return "Group"
	case "Process Information", "Process":
		return "Process"
	case "Network Information":
		return "Network"
	case "Detailed Authentication Information":
		return "Authentication"
	case "Object":
		return "Object"
	case "Operation", "Additional Information":
		return "Operation"
	case "Share Information":
		return "Share"
	case "Attribute":
		return "Attribute"
	case "Directory Service":
		return "Directory"
	case "Target Server":
		return "Server"
	case "Application Information":
		return "App"
	}
	return title
}

// fieldOf names the field of a label.
func (r *rendering) fieldOf(group, label, before string) string {
	role := groupRole(group)
	if role == "Network" && label == "Source Port" { // of a log-on, or of a filtered connection
		if before == "Source Address" && r.id != "5140" && r.id != "5145" {
			return "SourcePort"
		}
		return "IpPort"
	}
	if role == "Network" && label == "Source Address" && (r.id == "5140" || r.id == "5145") {
		return "IpAddress"
	}
	if name := renderedGroups[role][label]; name != "" {
		return name
	}
	if r.id == "7045" || r.id == "7040" {
		switch label {
		case "Service File Name":
			return "ImagePath"
		case "Service Start Type":
			return "StartType"
		case "Service Account":
			return "AccountName"
		}
	}
	if name := renderedLabels[label]; name != "" && !strings.Contains(strings.ToLower(r.channel), "sysmon") {
		return name
	}
	return strings.ReplaceAll(label, " ", "")
}
