package decode

import "strings"

// winChannel tells the channels apart whose events have acts.
type winChannel uint8

const (
	winOther winChannel = iota
	winSysmon
	winSecurity
	winSystem
	winApplication
	winPowerShell
	winPowerShellClassic
	winTaskScheduler
	winWMI
	winWinRM
	winTerminalServices
	winDNSClient
	winOpenSSH
	winDefender
	winFirewall
	winExchange
	winIdentity
	winNetwork
)

// A winService is what a channel is to Sigma, and to us.
type winService struct {
	kind    winChannel
	service string // of Sigma's logsource taxonomy, empty if it has none
}

// channelOf returns what a channel's name means. Names are matched without case:
// collectors write "security" as well as "Security".
func channelOf(name string) winService {
	switch name { // the commonest first and exactly
	case "Microsoft-Windows-Sysmon/Operational":
		return winService{winSysmon, "sysmon"}
	case "Security":
		return winService{winSecurity, "security"}
	case "System":
		return winService{winSystem, "system"}
	case "Application":
		return winService{winApplication, "application"}
	case "Microsoft-Windows-PowerShell/Operational":
		return winService{winPowerShell, "powershell"}
	case "Windows PowerShell":
		return winService{winPowerShellClassic, "powershell-classic"}
	case "":
		return winService{}
	}
	short := name
	const prefix = "Microsoft-Windows-"
	if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
		short = name[len(prefix):]
	}
	for i := range winChannels {
		if c := &winChannels[i]; len(c.channel) == len(short) && strings.EqualFold(c.channel, short) {
			return winService{c.kind, c.service}
		}
	}
	return winService{}
}

// providerOf is channelOf for records that name only their provider.
func providerOf(name string) winService {
	switch name {
	case "Microsoft-Windows-Sysmon":
		return winService{winSysmon, "sysmon"}
	case "Microsoft-Windows-Security-Auditing":
		return winService{winSecurity, "security"}
	case "Microsoft-Windows-PowerShell":
		return winService{winPowerShell, "powershell"}
	case "PowerShell":
		return winService{winPowerShellClassic, "powershell-classic"}
	case "Service Control Manager":
		return winService{winSystem, "system"}
	}
	return winService{}
}

// winChannels are the channels that Sigma's taxonomy knows by a service name, and
// those whose events we read: names without "Microsoft-Windows-".
var winChannels = [...]struct {
	channel string
	kind    winChannel
	service string
}{
	{"Sysmon/Operational", winSysmon, "sysmon"},
	{"Linux-Sysmon/Operational", winSysmon, "sysmon"},
	{"Security", winSecurity, "security"},
	{"System", winSystem, "system"},
	{"Application", winApplication, "application"},
	{"PowerShell/Operational", winPowerShell, "powershell"},
	{"PowerShellCore/Operational", winPowerShell, "powershell"},
	{"Windows PowerShell", winPowerShellClassic, "powershell-classic"},
	{"TaskScheduler/Operational", winTaskScheduler, "taskscheduler"},
	{"WMI-Activity/Operational", winWMI, "wmi"},
	{"WinRM/Operational", winWinRM, "winrm"},
	{"TerminalServices-LocalSessionManager/Operational", winTerminalServices, "terminalservices-localsessionmanager"},
	{"TerminalServices-RemoteConnectionManager/Operational", winIdentity, "terminalservices-remoteconnectionmanager"},
	{"Windows Defender/Operational", winDefender, "windefend"},
	{"Windows Firewall With Advanced Security/Firewall", winFirewall, "firewall-as"},
	{"DNS-Client/Operational", winDNSClient, "dns-client"},
	{"DNS Server", winNetwork, "dns-server"},
	{"DNS-Server/Audit", winNetwork, "dns-server-audit"},
	{"DNSServer/Audit", winNetwork, "dns-server-audit"},
	{"DNS-Server/Analytical", winNetwork, "dns-server-analytic"},
	{"DNSServer/Analytical", winNetwork, "dns-server-analytic"},
	{"Bits-Client/Operational", winNetwork, "bits-client"},
	{"NTLM/Operational", winIdentity, "ntlm"},
	{"Kerberos/Operational", winIdentity, "kerberos"},
	{"LSA/Operational", winIdentity, "lsa-server"},
	{"LDAP-Client/Debug", winIdentity, "ldap"},
	{"MSExchange Management", winExchange, "msexchange-management"},
	{"AppLocker/EXE and DLL", winOther, "applocker"},
	{"AppLocker/MSI and Script", winOther, "applocker"},
	{"AppLocker/Packaged app-Deployment", winOther, "applocker"},
	{"AppLocker/Packaged app-Execution", winOther, "applocker"},
	{"CodeIntegrity/Operational", winOther, "codeintegrity-operational"},
	{"Security-Mitigations/Kernel Mode", winOther, "security-mitigations"},
	{"Security-Mitigations/KernelMode", winOther, "security-mitigations"},
	{"Security-Mitigations/User Mode", winOther, "security-mitigations"},
	{"Security-Mitigations/UserMode", winOther, "security-mitigations"},
	{"DriverFrameworks-UserMode/Operational", winOther, "driver-framework"},
	{"SMBClient/Security", winNetwork, "smbclient-security"},
	{"SMBClient/Connectivity", winNetwork, "smbclient-connectivity"},
	{"SMBServer/Connectivity", winNetwork, "smbserver-connectivity"},
	{"SmbServer/Audit", winNetwork, "smbserver-audit"},
	{"CAPI2/Operational", winOther, "capi2"},
	{"CertificateServicesClient-Lifecycle-System/Operational", winOther, "certificateservicesclient-lifecycle-system"},
	{"AppXDeploymentServer/Operational", winOther, "appxdeployment-server"},
	{"AppxPackaging/Operational", winOther, "appxpackaging-om"},
	{"AppxPackagingOM/Operational", winOther, "appxpackaging-om"},
	{"AppModel-Runtime/Admin", winOther, "appmodel-runtime"},
	{"OpenSSH/Operational", winOpenSSH, "openssh"},
	{"OpenSSH/Admin", winOpenSSH, "openssh"},
	{"Diagnosis-Scripted/Operational", winOther, "diagnosis-scripted"},
	{"Shell-Core/Operational", winOther, "shell-core"},
	{"PrintService/Admin", winOther, "printservice-admin"},
	{"PrintService/Operational", winOther, "printservice-operational"},
	{"VHDMP/Operational", winOther, "vhdmp"},
	{"VHDMP-Operational", winOther, "vhdmp"},
	{"IIS-Configuration/Operational", winOther, "iis-configuration"},
	{"Microsoft-ServiceBus-Client", winOther, "microsoft-servicebus-client"},
	{"ServiceBus-Client", winOther, "microsoft-servicebus-client"},
	{"ServiceBus-Client/Operational", winOther, "microsoft-servicebus-client"},
	{"ServiceBus-Client/Admin", winOther, "microsoft-servicebus-client"},
	{"SENSE/Operational", winDefender, "sense"},
	{"Hyper-V-Worker-Admin", winOther, "hyper-v-worker"},
	{"Kernel-EventTracing/Admin", winOther, "kernel-event-tracing"},
	{"Kernel-ShimEngine/Operational", winOther, "kernel-shimengine"},
	{"Windows Remote Management/Operational", winWinRM, "winrm"},
	{"Directory Service", winIdentity, "ldap"},
	{"AD FS/Admin", winIdentity, "adfs"},
	{"AD FS Auditing", winIdentity, "adfs"},
}
