package decode

import (
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// finishWindows completes a Windows event whose slots are named as in EVTX, from
// whichever form it came in: it sets Source, Code, Host, Act, Subsystem and
// Sensed, adds the names by which Sigma's rules know the fields of audit events
// (Image, ParentImage, User, ... for 4688), and last sets Time.
//
// The caller sets Ref, Format, Raw, Recorded and Received before. Source.Category
// is the most specific one: a rule for registry_event or file_event also means
// registry_set, registry_add, ...; package detect knows those.
func finishWindows(b *Batch, e *model.Event) {
	var v winView
	v.read(b.Open())
	channel := channelOf(v.text(model.FChannel))
	if channel.service == "" {
		channel = providerOf(v.text(model.FProviderName))
	}
	code := v.text(model.FEventID)
	id, ok := digits(code)
	if !ok || code == "" || len(code) > 10 {
		id = -1
	} else {
		b.Open()[v.at[model.FEventID]-1].Kind = model.Number
	}
	e.Code = code
	e.Host = windowsHost(b, v.text(model.FComputer))
	e.Subsystem = model.Compute
	e.Source = model.LogSource{Product: "windows", Service: channel.service}
	switch channel.kind {
	case winSysmon:
		e.Act, e.Source.Category = sysmonAct(id, &v)
		e.Subsystem = sysmonSubsystem(e.Act)
		if s := v.text(model.FUtcTime); s != "" {
			e.Sensed, _ = parseStamp(s, nil)
		}
	case winSecurity:
		e.Act, e.Source.Category, e.Subsystem = securityAct(id, &v)
	case winPowerShell:
		e.Act, e.Source.Category = powershellAct(id)
	case winPowerShellClassic:
		e.Act, e.Source.Category = powershellClassicAct(id)
	default:
		e.Act, e.Subsystem = otherAct(channel.kind, id, &v)
	}
	finish(e)
	switch channel.kind {
	case winPowerShell:
		if id == 4104 {
			b.noteScript(&v)
		}
	case winSecurity:
		aliasSecurity(b, e, id)
	case winDefender:
		aliasAntivirus(b)
	}
}

// viewFields is how many of the well-known fields a view indexes: those up to the
// last one that a Windows event may have.
const viewFields = int(model.FHash) + 1

// A winView finds the first slot of every well-known field in constant time.
type winView struct {
	slots []model.Slot
	at    [viewFields]uint16 // index in slots, plus one
}

// read fills an empty view.
func (v *winView) read(slots []model.Slot) {
	v.slots = slots
	for i := len(slots) - 1; i >= 0; i-- {
		if f := slots[i].Field; int(f) < viewFields {
			v.at[f] = uint16(i + 1) //nolint:gosec // MaxFields is far below 65,535
		}
	}
}

func (v *winView) text(f model.FieldID) string {
	if int(f) < viewFields {
		if i := v.at[f]; i > 0 {
			return v.slots[i-1].Text
		}
		return ""
	}
	for i := range v.slots { // a field that few events have
		if v.slots[i].Field == f {
			return v.slots[i].Text
		}
	}
	return ""
}

// first returns the first of the fields that has a meaning: not empty, not "-".
func (v *winView) first(fields ...model.FieldID) string {
	for _, f := range fields {
		if s := v.text(f); s != "" && s != "-" {
			return s
		}
	}
	return ""
}

// windowsHost returns computer in lower case; without allocating when it names the
// host of the event before, as it nearly always does.
func windowsHost(b *Batch, computer string) string {
	if n := len(b.Events); n > 0 {
		if host := b.Events[n-1].Host; isLowerOf(host, computer) {
			return host
		}
	}
	return strings.ToLower(strings.TrimSuffix(computer, "."))
}

// isLowerOf reports whether lower is the lower case of s, for ASCII.
func isLowerOf(lower, s string) bool {
	if len(lower) != len(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x80 {
			return false
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// sysmonAct says what a Sysmon event tells, with its Sigma category.
func sysmonAct(id int, v *winView) (model.Act, string) {
	switch id {
	case 1:
		return model.ActProcessStart, "process_creation"
	case 2:
		return model.ActFileWrite, "file_change"
	case 3:
		return model.ActConnect, "network_connection"
	case 4, 16:
		return model.ActNone, "sysmon_status"
	case 5:
		return model.ActProcessEnd, "process_termination"
	case 6:
		return model.ActNone, "driver_load"
	case 7:
		return model.ActImageLoad, "image_load"
	case 8:
		return model.ActInject, "create_remote_thread"
	case 9:
		return model.ActNone, "raw_access_thread"
	case 10:
		return model.ActProcessAccess, "process_access"
	case 11:
		return model.ActFileWrite, "file_event"
	case 12:
		if strings.HasPrefix(v.text(model.FEventType), "Delete") {
			return model.ActRegistrySet, "registry_delete"
		}
		return model.ActRegistrySet, "registry_add"
	case 13:
		return model.ActRegistrySet, "registry_set"
	case 14:
		return model.ActRegistrySet, "registry_rename"
	case 15:
		return model.ActFileWrite, "create_stream_hash"
	case 17, 18:
		return model.ActPipe, "pipe_created"
	case 19, 20, 21:
		return model.ActConfigChange, "wmi_event"
	case 22:
		return model.ActDNS, "dns_query"
	case 23, 26:
		return model.ActFileDelete, "file_delete"
	case 24:
		return model.ActNone, "clipboard_capture"
	case 25:
		return model.ActInject, "process_tampering"
	case 27:
		return model.ActNone, "file_block_executable"
	case 28:
		return model.ActNone, "file_block_shredding"
	case 29:
		return model.ActFileWrite, "file_executable_detected"
	case 255:
		return model.ActNone, "sysmon_error"
	}
	return model.ActNone, ""
}

func sysmonSubsystem(a model.Act) model.Subsystem {
	if a == model.ActConnect || a == model.ActDNS {
		return model.Network
	}
	return model.Compute
}

// securityAct says what an event of the Security channel tells. Its category is
// set where Sigma's audit pipelines read the event as that category.
func securityAct(id int, v *winView) (model.Act, string, model.Subsystem) {
	switch id {
	case 4688:
		return model.ActProcessStart, "process_creation", model.Compute
	case 4689:
		return model.ActProcessEnd, "process_termination", model.Compute
	case 4624:
		return model.ActLogon, "", model.Identity
	case 4625:
		return model.ActLogonFailed, "", model.Identity
	case 4634, 4647:
		return model.ActLogoff, "", model.Identity
	case 4648:
		return model.ActExplicitCreds, "", model.Identity
	case 4768:
		if !zeroStatus(v.text(model.FStatus)) {
			return model.ActLogonFailed, "", model.Identity
		}
		return model.ActTicket, "", model.Identity
	case 4769, 4770:
		return model.ActTicket, "", model.Identity
	case 4771:
		return model.ActLogonFailed, "", model.Identity
	case 4776: // a domain controller or SAM checked a password; the session, if any, is elsewhere
		if !zeroStatus(v.text(model.FStatus)) {
			return model.ActLogonFailed, "", model.Identity
		}
		return model.ActNone, "", model.Identity
	case 4778: // a remote desktop session was taken up again
		return model.ActLogon, "", model.Identity
	case 4825: // remote desktop was refused: not a member of its users
		return model.ActLogonFailed, "", model.Identity
	case 4672, 4703, 4964, 4779, 4673, 4674:
		return model.ActNone, "", model.Identity
	case 4657:
		return model.ActRegistrySet, "registry_set", model.Compute
	case 4697:
		return model.ActServiceInstall, "", model.Compute
	case 4698, 4702:
		return model.ActTaskCreate, "", model.Compute
	case 4699, 4700, 4701:
		return model.ActConfigChange, "", model.Compute
	case 4720, 4722, 4723, 4724, 4725, 4726, 4738, 4740, 4767, 4781, // accounts
		4741, 4742, 4743, // computer accounts
		4727, 4728, 4729, 4730, 4731, 4732, 4733, 4734, 4735, 4737, 4754, 4755, 4756, 4757, 4758, // groups
		4704, 4705, 4717, 4718, 4765, 4766: // rights, SID history
		return model.ActAccountChange, "", model.Identity
	case 4794: // directory services restore mode password
		return model.ActAccountChange, "", model.Identity
	case 5136, 5137, 5138, 5139, 5141:
		return model.ActConfigChange, "", model.Identity
	case 4662:
		// Control access (0x100) is how replication and extended rights are used;
		// plain property reads are the daily work of a directory.
		if n, ok := hexNumber(v.text(model.FAccessMask)); ok && n&0x100 != 0 {
			return model.ActObjectRead, "", model.Identity
		}
		return model.ActNone, "", model.Identity
	case 4661:
		return model.ActObjectRead, "", model.Identity
	case 4656, 4663:
		return objectAccess(id, v)
	case 4660:
		return model.ActFileDelete, "", model.Compute
	case 4670:
		return model.ActConfigChange, "", model.Compute
	case 5140, 5145:
		return model.ActShareAccess, "", model.Storage
	case 5142, 5143, 5144:
		return model.ActConfigChange, "", model.Storage
	case 5156:
		return model.ActConnect, "network_connection", model.Network
	case 5157, 5152, 5154, 5158, 5031:
		return model.ActNone, "", model.Network
	case 1102:
		return model.ActLogCleared, "", model.Management
	case 4719:
		// %%8448 and %%8450: success or failure auditing removed.
		if s := v.text(model.FAuditPolicyChanges); strings.Contains(s, "8448") || strings.Contains(s, "8450") {
			return model.ActLogCleared, "", model.Management
		}
		return model.ActConfigChange, "", model.Management
	case 4713, 4716, 4739, 4706, 4707, 4907, 4912, 4946, 4947, 4948, 4950, 4985:
		return model.ActConfigChange, "", model.Management
	case 412, 501, 510, 1200, 1202: // AD FS auditing: tokens and configuration
		return model.ActNone, "", model.Identity
	case 33205: // SQL Server audit, which may be sent here
		return sqlAuditAct(v.first(model.FData, model.FMessage)), "", model.Database
	}
	return model.ActNone, "", model.Compute
}

// objectAccess tells the act of 4656 (a handle was asked for) and 4663 (it was
// used) by the kind of object and the rights in its access mask.
func objectAccess(id int, v *winView) (model.Act, string, model.Subsystem) {
	mask, _ := hexNumber(v.text(model.FAccessMask))
	switch v.text(model.FObjectType) {
	case "Process":
		return model.ActProcessAccess, "", model.Compute
	case "File":
		if id != 4663 {
			return model.ActNone, "", model.Compute
		}
		switch {
		case mask&0x10000 != 0:
			return model.ActFileDelete, "", model.Compute
		case mask&(0x2|0x4) != 0:
			return model.ActFileWrite, "", model.Compute
		case mask&0x1 != 0:
			return model.ActFileRead, "", model.Compute
		}
	case "Key":
		if id == 4663 && mask&(0x2|0x4) != 0 {
			return model.ActRegistrySet, "", model.Compute
		}
	case "SAM_USER", "SAM_GROUP", "SAM_DOMAIN", "SAM_ALIAS", "SAM_SERVER":
		return model.ActObjectRead, "", model.Identity
	}
	return model.ActNone, "", model.Compute
}

func powershellAct(id int) (model.Act, string) {
	switch id {
	case 4103:
		return model.ActScript, "ps_module"
	case 4104:
		return model.ActScript, "ps_script"
	}
	return model.ActNone, ""
}

func powershellClassicAct(id int) (model.Act, string) {
	switch id {
	case 400:
		return model.ActScript, "ps_classic_start"
	case 600:
		return model.ActNone, "ps_classic_provider_start"
	case 800:
		return model.ActScript, "ps_classic_script"
	}
	return model.ActNone, ""
}

// otherAct tells the acts of the channels that have no categories in Sigma.
func otherAct(k winChannel, id int, v *winView) (model.Act, model.Subsystem) {
	switch k {
	case winSystem:
		switch id {
		case 7045:
			return model.ActServiceInstall, model.Compute
		case 104:
			return model.ActLogCleared, model.Management
		case 7040:
			return model.ActConfigChange, model.Compute
		}
	case winTaskScheduler:
		switch id {
		case 106, 140:
			return model.ActTaskCreate, model.Compute
		case 141, 142:
			return model.ActConfigChange, model.Compute
		case 129:
			return model.ActProcessStart, model.Compute
		}
	case winWMI:
		switch id {
		case 5859, 5861: // a permanent filter was found or bound to a consumer
			return model.ActConfigChange, model.Compute
		}
	case winWinRM:
		if id == 91 || id == 142 && v.text(model.FUser) != "" {
			return model.ActRemoteExec, model.Compute
		}
	case winTerminalServices:
		switch id {
		case 21, 25:
			return model.ActLogon, model.Identity
		case 23, 24:
			return model.ActLogoff, model.Identity
		}
	case winDNSClient:
		if id == 3006 || id == 3008 || id == 3020 {
			return model.ActDNS, model.Network
		}
		return model.ActNone, model.Network
	case winDefender:
		switch id {
		case 5001, 5004, 5007, 5010, 5012, 5013:
			return model.ActConfigChange, model.Compute
		}
	case winFirewall:
		switch id {
		case 2003, 2004, 2005, 2006, 2033, 2052, 2059, 2060, 2071, 2082, 2097:
			return model.ActConfigChange, model.Network
		}
		return model.ActNone, model.Network
	case winApplication:
		switch {
		case id == 33205:
			return sqlAuditAct(v.first(model.FData, model.FMessage)), model.Database
		case strings.HasPrefix(v.text(model.FProviderName), "MSSQL"):
			return sqlLogon(v.text(model.FEventID), v.slots).act, model.Database
		}
	case winOpenSSH:
		return sshLogon(v.text(model.FPayloadLower)).act, model.Identity
	case winExchange:
		return model.ActNone, model.Email
	case winIdentity:
		return model.ActNone, model.Identity
	case winNetwork:
		return model.ActNone, model.Network
	}
	return model.ActNone, model.Compute
}

// aliasSecurity adds the names by which Sigma's rules know the fields of audit
// events. The original fields stay, but for 4688's ProcessId, which is the
// creator's and becomes ParentProcessId.
func aliasSecurity(b *Batch, e *model.Event, id int) {
	switch id {
	case 4688:
		var v winView
		v.read(b.Open())
		if i := v.at[model.FProcessId]; i > 0 {
			s := &b.Open()[i-1]
			s.Field, s.Text = model.FParentProcessId, decimal(s.Text)
		}
		addAlias(b, &v, model.FProcessId, decimal(v.text(model.FNewProcessId)))
		addAlias(b, &v, model.FImage, v.text(model.FNewProcessName))
		addAlias(b, &v, model.FParentImage, v.text(model.FParentProcessName))
		addAlias(b, &v, model.FIntegrityLevel, integrityLevel(v.text(model.FMandatoryLabel)))
		name, domain, logon := model.FTargetUserName, model.FTargetDomainName, model.FTargetLogonId
		if s := v.text(name); s == "" || s == "-" {
			name, domain, logon = model.FSubjectUserName, model.FSubjectDomainName, model.FSubjectLogonId
		}
		addAlias(b, &v, model.FLogonId, v.text(logon))
		if u := v.text(name); u != "" {
			if d := v.text(domain); d != "" && d != "-" {
				u = d + `\` + u
			}
			addAlias(b, &v, model.FUser, u)
		}
	case 4657:
		var v winView
		v.read(b.Open())
		if key := v.text(model.FObjectName); key != "" {
			if name := v.text(model.FObjectValueName); name != "" {
				key += `\` + name
			}
			addAlias(b, &v, model.FTargetObject, registryPath(key))
		}
		addAlias(b, &v, model.FDetails, v.text(model.FNewValue))
		addAlias(b, &v, model.FImage, v.text(model.FProcessName))
	case 5156:
		var v winView
		v.read(b.Open())
		addAlias(b, &v, model.FImage, v.text(model.FApplication))
		addAlias(b, &v, model.FSourceIp, v.text(model.FSourceAddress))
		addAlias(b, &v, model.FDestinationIp, v.text(model.FDestAddress))
		addAlias(b, &v, model.FDestinationPort, v.text(model.FDestPort))
		switch v.text(model.FDirection) {
		case "%%14593", "Outbound":
			addAlias(b, &v, model.FInitiated, "true")
		case "%%14592", "Inbound":
			addAlias(b, &v, model.FInitiated, "false")
		}
	}
}

// aliasAntivirus adds the names by which Sigma's rules know the fields of Microsoft
// Defender's events, whose own names hold spaces.
func aliasAntivirus(b *Batch) {
	var v winView
	v.read(b.Open())
	for _, a := range [...]struct{ alias, field model.FieldID }{
		{model.FThreatName, model.FThreatNameSpaced},
		{model.FProcessName, model.FProcessNameSpaced},
		{model.FSourceName, model.FSourceNameSpaced},
		{model.FNewValue, model.FNewValueSpaced},
		{model.FOldValue, model.FOldValueSpaced},
		{model.FDetectionUser, model.FDetectionUserSpaced},
		{model.FFeatureName, model.FFeatureNameSpaced},
	} {
		if text := v.text(a.field); v.text(a.alias) == "" {
			addAlias(b, &v, a.alias, text)
		}
	}
}

// addAlias adds a field unless the event has it or there is nothing to say.
func addAlias(b *Batch, v *winView, f model.FieldID, text string) {
	if text != "" && (int(f) >= viewFields || v.at[f] == 0 || f == model.FProcessId) {
		b.Slot(f, model.String, text)
	}
}

// integrityLevel names the mandatory label's SID (S-1-16-12288) as Sysmon does.
func integrityLevel(sid string) string {
	switch sid {
	case "S-1-16-0":
		return "Untrusted"
	case "S-1-16-4096":
		return "Low"
	case "S-1-16-8192", "S-1-16-8448":
		return "Medium"
	case "S-1-16-12288":
		return "High"
	case "S-1-16-16384":
		return "System"
	}
	return ""
}

// registryPath writes a kernel registry path with the short names of hives that
// Sysmon and Sigma use.
func registryPath(key string) string {
	for _, h := range [...][2]string{{`\REGISTRY\MACHINE`, "HKLM"}, {`\REGISTRY\USER`, "HKU"}} {
		if len(key) >= len(h[0]) && strings.EqualFold(key[:len(h[0])], h[0]) {
			return h[1] + key[len(h[0]):]
		}
	}
	return key
}

// hexNumber reads "0x1f", or decimal digits.
func hexNumber(s string) (uint64, bool) {
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		n, err := strconv.ParseUint(s[2:], 16, 64)
		return n, err == nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// decimal writes a number given as 0x hex in decimal, and anything else as it is.
func decimal(s string) string {
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		if n, ok := hexNumber(s); ok {
			return strconv.FormatUint(n, 10)
		}
	}
	return s
}

// zeroStatus reports whether an NTSTATUS or Kerberos code says success.
func zeroStatus(s string) bool {
	n, ok := hexNumber(s)
	return s == "" || ok && n == 0
}
