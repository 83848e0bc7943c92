package decode

import (
	"slices"

	"github.com/catena-sec/catena/internal/model"
)

// LogSources returns the log sources that events carry whose formats we read, each
// once. A new decoder adds its own here, so that rules for it are known to have
// events. Mappings may give events of others: see Mapping.LogSource.
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
	for _, x := range otherSources {
		add(x.Product, x.Category, x.Service)
	}
	for _, log := range zeekLogs {
		add("zeek", "", log)
	}
	return out
}

// otherSources are those of decoders with one log source or a few.
var otherSources = [...]model.LogSource{
	{Product: "kubernetes", Category: "application", Service: "audit"},
	{Product: "gcp", Service: "gcp.audit"}, {Product: "gcp", Service: "google_workspace.admin"}, {Product: "gcp", Service: "google_workspace.login"},
	{Product: "github", Service: "audit"}, {Product: "gitlab", Service: "audit"}, {Product: "okta", Service: "okta"},
	{Product: "azure", Service: "keyvault"}, {Product: "azure", Service: "storage"}, {Product: "azure", Category: "firewall", Service: "flowlogs"},
	{Product: "aws", Category: "webserver", Service: "elb"}, {Product: "aws", Category: "webserver", Service: "cloudfront"}, {Product: "aws", Service: "s3"},
	{Product: "aws", Category: "firewall", Service: "vpcflow"}, {Product: "gcp", Category: "firewall", Service: "vpcflow"}, {Product: "azure", Service: "provisioninglogs"},
	{Product: "apache", Category: "webserver", Service: "apache"}, {Product: "nginx", Category: "webserver", Service: "nginx"},
	{Product: "iis", Category: "webserver", Service: "iis"}, {Product: "haproxy", Category: "webserver", Service: "haproxy"},
	{Product: "squid", Category: "proxy", Service: "squid"}, {Product: "proxy", Category: "proxy"},
	{Product: "bind", Category: "dns", Service: "bind"}, {Product: "unbound", Category: "dns", Service: "unbound"}, {Product: "dhcp", Category: "dhcp", Service: "dhcp"},
	{Product: "postgresql", Category: "database", Service: "postgresql"}, {Product: "mysql", Category: "database", Service: "mysql"},
	{Product: "mssql", Category: "database", Service: "mssql"}, {Product: "gcp", Service: "google_workspace.drive"}, {Product: "gcp", Service: "google_workspace.gmail"},
	{Product: "gcp", Service: "google_workspace.mobile"}, {Product: "gcp", Service: "google_workspace.rules"}, {Product: "gcp", Service: "google_workspace.token"}, {Product: "gcp", Service: "google_workspace.user_accounts"},
	{Product: "gcp", Service: "google_workspace.groups_enterprise"}, {Product: "gcp", Service: "google_workspace.access_transparency"},
	{Product: "sql", Category: "application"}, {Product: "jvm", Category: "application"}, {Product: "application", Category: "application"},
	{Product: "cisco", Category: "firewall", Service: "asa"}, {Product: "cisco", Service: "aaa"}, {Product: "cisco", Service: "bgp"}, {Product: "cisco", Service: "ldp"},
	{Product: "cisco", Service: "syslog"}, {Product: "paloalto", Category: "firewall", Service: "traffic"}, {Product: "paloalto", Category: "proxy", Service: "threat"},
	{Product: "fortigate", Category: "firewall", Service: "traffic"}, {Product: "fortigate", Category: "firewall", Service: "event"},
	{Product: "linux", Category: "firewall", Service: "netfilter"}, {Product: "pfsense", Category: "firewall", Service: "filterlog"},
	{Product: "mikrotik", Category: "firewall", Service: "firewall"}, {Product: "mikrotik", Service: "system"},
	{Product: "webserver", Category: "webserver"}, {Product: "haproxy", Category: "firewall", Service: "haproxy"}, {Product: "mongodb", Category: "database", Service: "mongodb"},
	{Product: "dnsmasq", Category: "dns", Service: "dnsmasq"}, {Product: "windows_dns", Category: "dns", Service: "dns-server"},
	{Product: "fortigate", Category: "firewall", Service: "utm"}, {Product: "fortigate", Category: "dns", Service: "utm"}, {Product: "fortigate", Category: "dns", Service: "dns"},
	{Product: "paloalto", Category: "firewall", Service: "threat"}, {Product: "paloalto", Category: "firewall", Service: "globalprotect"},
	{Product: "paloalto", Category: "firewall", Service: "system"}, {Product: "paloalto", Category: "firewall", Service: "config"},
	{Product: "paloalto", Category: "firewall", Service: "userid"}, {Product: "cisco", Category: "firewall", Service: "syslog"},
	{Product: "sql", Category: "application", Service: "postgresql"}, {Product: "sql", Category: "application", Service: "mysql"},
	{Product: "openvpn", Service: "openvpn"}, {Product: "macos", Service: "endpointsecurity"},
	{Product: "linux", Service: "tetragon"}, {Product: "linux", Service: "tracee"}, {Product: "linux", Category: "process_creation", Service: "tracee"},
	{Product: "linux", Service: "osquery"}, {Product: "windows", Service: "osquery"}, {Product: "macos", Service: "osquery"}, {Product: "osquery", Service: "osquery"},
	{Product: "aws", Category: "webserver", Service: "waf"}, {Product: "aws", Category: "dns", Service: "route53"}, {Product: "m365", Service: "messagetrace"},
	{Product: "caddy", Category: "webserver", Service: "caddy"}, {Product: "traefik", Category: "webserver", Service: "traefik"}, {Product: "envoy", Category: "webserver", Service: "envoy"},
}

// zeekLogs are the logs that Zeek writes by itself; scripts may add others.
var zeekLogs = [...]string{"analyzer", "capture_loss", "conn", "dce_rpc", "dhcp", "dnp3", "dns", "dpd", "files", "ftp", "http", "intel", "irc", "kerberos",
	"known_certs", "known_hosts", "known_services", "ldap", "ldap_search", "loaded_scripts", "modbus", "mqtt_connect", "mqtt_publish", "mqtt_subscribe", "mysql",
	"notice", "ntlm", "ntp", "ocsp", "packet_filter", "pe", "postgresql", "quic", "radius", "rdp", "reporter", "rfb", "sip", "smb_cmd", "smb_files",
	"smb_mapping", "smtp", "snmp", "socks", "software", "ssh", "ssl", "stats", "syslog", "tunnel", "weird", "websocket", "x509"}

// LogSource returns the log source of the events that a mapping makes; false if it
// makes alerts.
func (m *Mapping) LogSource() (model.LogSource, bool) { return m.source, m.event }
