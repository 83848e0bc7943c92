package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Columns of PAN-OS by type, as its reference lists them
// (https://docs.paloaltonetworks.com/pan-os/11-0/pan-os-admin/monitoring/use-syslog-for-monitoring/syslog-field-descriptions).
// The first six are those of all types; names left empty are reserved. Later
// versions append columns, so that those behind the known ones are left out.
var panColumns = map[string]string{
	"TRAFFIC": "src dst natsrc natdst rule srcuser dstuser app vsys from to inbound_if outbound_if logset time_logged sessionid repeatcnt sport dport natsport natdport flags proto action bytes bytes_sent bytes_received packets start elapsed category",
	"THREAT":  "src dst natsrc natdst rule srcuser dstuser app vsys from to inbound_if outbound_if logset time_logged sessionid repeatcnt sport dport natsport natdport flags proto action misc threatid category severity direction",
	"SYSTEM":  "vsys eventid object fmt id module severity opaque",
	"CONFIG":  "host vsys cmd admin client result path before_change after_change",
	"GLOBALPROTECT": "vsys eventid stage auth_method tunnel_type srcuser srcregion machinename public_ip public_ipv6 private_ip private_ipv6 hostid serialnumber " +
		"client_ver client_os client_os_ver repeatcnt reason error opaque status location login_duration connect_method error_code portal",
	"USERID": "vsys ip user datasourcename eventid repeatcnt timeout beginport endport datasource datasourcetype",
}

// paloAlto reads the comma-separated lines of PAN-OS:
//
//	1,2006/01/02 15:04:05,serial,TRAFFIC,end,2561,2006/01/02 15:04:05,1.2.3.4,...
//
// with whatever stands before the first of them. The firewall's clock has no zone.
func (l *textLine) paloAlto() bool {
	start := strings.Index(l.s[:min(len(l.s), 256)], "1,20")
	if start < 0 || start > 0 && l.s[start-1] != ' ' && l.s[start-1] != '\t' {
		return false
	}
	s := l.s[start:]
	if len(s) < 50 || s[6] != '/' {
		return false
	}
	var store [64]string
	col := csvText(store[:0], s, 128)
	if len(col) < 10 {
		return false
	}
	layout, ok := l.pan[col[3]]
	if !ok {
		return false
	}
	stamp := col[6] // when it happened; col[1] is when it was received
	st, n := readStamp(stamp)
	if n == 0 {
		if st, n = readStamp(col[1]); n == 0 {
			return false
		}
	}
	l.when(st)
	typ, subtype := col[3], col[4]
	l.e.Code = strings.ToLower(typ)
	if subtype != "" && subtype != "0" {
		l.e.Code += ":" + subtype
	}
	l.source(model.Network, "paloalto", "firewall", strings.ToLower(typ))
	l.named("serial", col[2])
	l.named("type", typ)
	l.named("subtype", subtype)
	v := func(name string) string {
		for i := range layout {
			if layout[i].name == name && 7+i < len(col) {
				return col[7+i]
			}
		}
		return ""
	}
	for i := range layout[:min(len(layout), len(col)-7)] {
		value := col[7+i]
		if value == "" {
			continue
		}
		if j := strings.IndexByte(value, '('); j > 0 && isAddress(value[:j]) { // an address with its name in brackets
			value = value[:j]
			col[7+i] = value
		}
		l.panField(&layout[i], value)
	}
	switch typ {
	case "TRAFFIC", "THREAT":
		l.panFlow(v)
	case "GLOBALPROTECT":
		l.set(model.FSrcIp, v("public_ip"))
		switch event := v("eventid"); {
		case v("status") == "failure" && (strings.Contains(event, "login") || strings.Contains(event, "auth")):
			l.e.Act = model.ActLogonFailed
		case v("status") == "success" && (event == "gateway-connected" || event == "gateway-auth" || event == "portal-auth"):
			l.e.Act = model.ActLogon
		case event == "gateway-logout":
			l.e.Act = model.ActLogoff
		}
	case "SYSTEM":
		if m := v("opaque"); strings.Contains(v("eventid"), "auth") || strings.Contains(m, "authenticat") || strings.Contains(m, "logged in") {
			if l.signIn(m) {
				l.e.Subsystem = model.Network // onto the firewall itself
			}
		}
	case "CONFIG":
		l.set(model.FUserLower, v("admin"))
		l.set(model.FRemoteIp, v("host"))
		l.set(model.FCommandLine, strings.TrimSpace(v("cmd")+" "+v("path")))
		l.e.Act = model.ActConfigChange
	case "USERID":
		l.set(model.FSrcIp, v("ip"))
	}
	return true
}

// panField adds one column.
func (l *textLine) panField(c *column, value string) {
	switch c.id {
	case model.FMessageLower:
		if !l.wrapped {
			l.set(c.id, value)
		}
	case model.Unnamed:
		l.named(c.name, value)
	default:
		l.num(c.id, value)
	}
}

// newPanLayouts looks the columns up, under the names that rules know.
func newPanLayouts(names *model.Names) map[string][]column {
	alias := map[string]string{"src": "src_ip", "dst": "dst_ip", "sport": "src_port", "dport": "dst_port", "srcuser": "user", "from": "src_zone", "to": "dst_zone",
		"proto": "protocol", "opaque": "message"}
	out := make(map[string][]column, len(panColumns))
	for typ, layout := range panColumns {
		for name := range strings.FieldsSeq(layout) {
			known := name
			if a := alias[name]; a != "" {
				known = a
			}
			out[typ] = append(out[typ], column{name, names.ID(known)})
		}
	}
	return out
}

// csvText appends the fields of a line to col, at most limit of them. Fields without
// quotes are parts of s.
func csvText(col []string, s string, limit int) []string {
	for len(col) < limit {
		if strings.HasPrefix(s, `"`) {
			csvFields([]byte(s), ',', func(v string) bool {
				col = append(col, v)
				return false
			})
			_, rest := csvQuoted([]byte(s))
			i := len(s) - len(rest)
			if j := strings.IndexByte(s[i:], ','); j >= 0 {
				s = s[i+j+1:]
				continue
			}
			return col
		}
		i := strings.IndexByte(s, ',')
		if i < 0 {
			return append(col, s)
		}
		col, s = append(col, s[:i]), s[i+1:]
	}
	return col
}

// panFlow finishes a line of traffic or threat.
func (l *textLine) panFlow(v func(string) string) {
	l.e.Act = model.ActConnect
	if v("action") == "drop" || blocks(v("action")) {
		l.b.Slot(l.t.blocked, model.Bool, "true")
	}
	if v("misc") != "" && strings.Contains(l.e.Code, "url") {
		l.e.Source.Category = "proxy"
		uri := strings.Trim(v("misc"), `"`)
		if !strings.Contains(uri, "://") {
			uri = "http://" + uri
		}
		l.set(model.FCIp, v("src"))
		l.address(uri)
	}
}
