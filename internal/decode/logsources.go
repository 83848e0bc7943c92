package decode

import (
	"slices"

	"github.com/catena-sec/catena/internal/model"
)

// LogSources returns the log sources that events carry whose formats we read, each
// once. What a new decoder gives is known from its samples; only families too large
// to show one of each are counted up here, from the tables that decoders use. Mappings may give events of others: see Mapping.LogSource.
func LogSources() []model.LogSource {
	var out []model.LogSource
	add := func(product, category, service string) {
		s := model.LogSource{Product: product, Category: category, Service: service}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	var none winView
	for _, c := range winChannels {
		add("windows", "", c.service)
	}
	for id := range 65_536 { // event ids are 16 bits wide
		if _, category := sysmonAct(id, &none); category != "" {
			add("windows", category, "sysmon")
			add("linux", category, "sysmon")
		}
		if _, category, _ := securityAct(id, &none); category != "" {
			add("windows", category, "security")
		}
		if _, category := powershellAct(id); category != "" {
			add("windows", category, "powershell")
		}
		if _, category := powershellClassicAct(id); category != "" {
			add("windows", category, "powershell-classic")
		}
	}
	add("windows", "registry_delete", "sysmon") // told from the event's type
	for _, category := range []string{"", "process_creation", "network_connection", "file_event", "file_delete"} {
		add("linux", category, "auditd")
	}
	for _, program := range []string{"sshd", "sudo", "cron", "su", "vsftpd", "clamd", "guacd", "modsecurity", ""} {
		add("linux", "", syslogService(program))
	}
	add("linux", "process_creation", syslogService("sudo"))
	add("aws", "", "cloudtrail")
	for _, service := range []string{"signinlogs", "auditlogs", "activitylogs", "riskdetection"} {
		add("azure", "", service)
	}
	add("azure", "network_connection", "vmconnection")
	for _, service := range []string{"audit", "exchange", "threat_management"} {
		add("m365", "", service)
	}
	for _, category := range []string{"", "process_creation", "network_connection", "file_event", "file_delete", "registry_set", "image_load", "process_access",
		"create_remote_thread"} {
		add("m365", category, "defender")
		add("windows", category, "defender") // rows of the device tables
	}
	for act := model.ActNone; act <= model.ActIdentify; act++ { // endpoint sensors' and ECS's events
		if category := endpointCategory(act); category != "" {
			for _, product := range []string{"windows", "linux", "macos"} {
				add(product, category, "")
			}
		}
	}
	for _, x := range sampledSources() {
		add(x.Product, x.Category, x.Service)
	}
	for _, log := range zeekLogs {
		add("zeek", "", log)
	}
	return out
}

// zeekLogs are the logs that Zeek writes by itself; scripts may add others.
var zeekLogs = [...]string{"analyzer", "capture_loss", "conn", "dce_rpc", "dhcp", "dnp3", "dns", "dpd", "files", "ftp", "http", "intel", "irc", "kerberos",
	"known_certs", "known_hosts", "known_services", "ldap", "ldap_search", "loaded_scripts", "modbus", "mqtt_connect", "mqtt_publish", "mqtt_subscribe", "mysql",
	"notice", "ntlm", "ntp", "ocsp", "packet_filter", "pe", "postgresql", "quic", "radius", "rdp", "reporter", "rfb", "sip", "smb_cmd", "smb_files",
	"smb_mapping", "smtp", "snmp", "socks", "software", "ssh", "ssl", "stats", "syslog", "tunnel", "weird", "websocket", "x509"}

// LogSource returns the log source of the events that a mapping makes; false if it
// makes alerts.
func (m *Mapping) LogSource() (model.LogSource, bool) { return m.source, m.event }
