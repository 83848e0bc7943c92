package story

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// A reading is what an act that no rule matched means in ATT&CK's terms, once it
// is known to be an attacker's: the same `whoami` is nothing by itself.
type reading struct {
	technique, tactic string
}

// tools says what a program does in an attacker's hands. Names are without path
// and ending; the facts are those of ATT&CK's procedure examples.
var tools = map[string]reading{
	"cmd":         {"T1059.003", knowledge.Execution},
	"powershell":  {"T1059.001", knowledge.Execution},
	"pwsh":        {"T1059.001", knowledge.Execution},
	"wscript":     {"T1059.005", knowledge.Execution},
	"cscript":     {"T1059.005", knowledge.Execution},
	"bash":        {"T1059.004", knowledge.Execution},
	"sh":          {"T1059.004", knowledge.Execution},
	"dash":        {"T1059.004", knowledge.Execution},
	"zsh":         {"T1059.004", knowledge.Execution},
	"python":      {"T1059.006", knowledge.Execution},
	"python3":     {"T1059.006", knowledge.Execution},
	"mshta":       {"T1218.005", knowledge.Stealth},
	"rundll32":    {"T1218.011", knowledge.Stealth},
	"regsvr32":    {"T1218.010", knowledge.Stealth},
	"certutil":    {"T1140", knowledge.Stealth},
	"base64":      {"T1140", knowledge.Stealth},
	"whoami":      {"T1033", knowledge.Discovery},
	"quser":       {"T1033", knowledge.Discovery},
	"id":          {"T1033", knowledge.Discovery},
	"w":           {"T1033", knowledge.Discovery},
	"systeminfo":  {"T1082", knowledge.Discovery},
	"hostname":    {"T1082", knowledge.Discovery},
	"uname":       {"T1082", knowledge.Discovery},
	"tasklist":    {"T1057", knowledge.Discovery},
	"ps":          {"T1057", knowledge.Discovery},
	"ipconfig":    {"T1016", knowledge.Discovery},
	"ifconfig":    {"T1016", knowledge.Discovery},
	"arp":         {"T1016", knowledge.Discovery},
	"route":       {"T1016", knowledge.Discovery},
	"netstat":     {"T1049", knowledge.Discovery},
	"ss":          {"T1049", knowledge.Discovery},
	"nltest":      {"T1482", knowledge.Discovery},
	"dsquery":     {"T1087.002", knowledge.Discovery},
	"sc":          {"T1007", knowledge.Discovery},
	"reg":         {"T1012", knowledge.Discovery},
	"nmap":        {"T1046", knowledge.Discovery},
	"find":        {"T1083", knowledge.Discovery},
	"ls":          {"T1083", knowledge.Discovery},
	"procdump":    {"T1003.001", knowledge.CredentialAccess},
	"procdump64":  {"T1003.001", knowledge.CredentialAccess},
	"mimikatz":    {"T1003.001", knowledge.CredentialAccess},
	"ntdsutil":    {"T1003.003", knowledge.CredentialAccess},
	"schtasks":    {"T1053.005", knowledge.Persistence},
	"crontab":     {"T1053.003", knowledge.Persistence},
	"useradd":     {"T1136.001", knowledge.Persistence},
	"adduser":     {"T1136.001", knowledge.Persistence},
	"psexec":      {"T1021.002", knowledge.LateralMovement},
	"ssh":         {"T1021.004", knowledge.LateralMovement},
	"scp":         {"T1105", knowledge.CommandAndControl},
	"curl":        {"T1105", knowledge.CommandAndControl},
	"wget":        {"T1105", knowledge.CommandAndControl},
	"bitsadmin":   {"T1105", knowledge.CommandAndControl},
	"vssadmin":    {"T1490", knowledge.Impact},
	"wbadmin":     {"T1490", knowledge.Impact},
	"bcdedit":     {"T1490", knowledge.Impact},
	"wevtutil":    {"T1685.005", knowledge.DefenseImpairment},
	"rclone":      {"T1567.002", knowledge.Exfiltration},
	"wsmprovhost": {"T1021.006", knowledge.LateralMovement},
	"winrshost":   {"T1021.006", knowledge.LateralMovement},
	"sudo":        {"T1548.003", knowledge.PrivilegeEscalation},
	"net":         {"T1087", knowledge.Discovery},
	"net1":        {"T1087", knowledge.Discovery},
	"ping":        {"T1018", knowledge.Discovery},
	"adfind":      {"T1087.002", knowledge.Discovery},
	"cmdkey":      {"T1555.004", knowledge.CredentialAccess},
	"esentutl":    {"T1003.003", knowledge.CredentialAccess},
	"insmod":      {"T1547.006", knowledge.Persistence},
	"iptables":    {"T1686", knowledge.DefenseImpairment},
	"xmrig":       {"T1496.001", knowledge.Impact},
	"shred":       {"T1070.004", knowledge.Stealth},
	"openssl":     {"T1573", knowledge.CommandAndControl},
	"ncat":        {"T1095", knowledge.CommandAndControl},
	"nc":          {"T1095", knowledge.CommandAndControl},
	"tar":         {"T1560.001", knowledge.Collection},
	"zip":         {"T1560.001", knowledge.Collection},
	"rar":         {"T1560.001", knowledge.Collection},
	"7z":          {"T1560.001", knowledge.Collection},
	"wmic":        {"T1047", knowledge.Execution},
	"wmiprvse":    {"T1047", knowledge.Execution},
	"at":          {"T1053.002", knowledge.Persistence},
	"setspn":      {"T1558.003", knowledge.CredentialAccess},
	"getent":      {"T1087.001", knowledge.Discovery},
	"csvde":       {"T1087.002", knowledge.Discovery},
	"ldapsearch":  {"T1087.002", knowledge.Discovery},
	"klist":       {"T1558", knowledge.CredentialAccess},
	"gpresult":    {"T1615", knowledge.Discovery},
	"qwinsta":     {"T1033", knowledge.Discovery},
	"driverquery": {"T1652", knowledge.Discovery},
	"sshpass":     {"T1021.004", knowledge.LateralMovement},
	"masscan":     {"T1046", knowledge.Discovery},
	"fsutil":      {"T1070", knowledge.Stealth},
	"cipher":      {"T1561", knowledge.Impact},
	"auditpol":    {"T1685.001", knowledge.DefenseImpairment},
	"netsh":       {"T1686.003", knowledge.DefenseImpairment},
	"attrib":      {"T1564.001", knowledge.Stealth},
	"icacls":      {"T1222.001", knowledge.DefenseImpairment},
	"chmod":       {"T1222.002", knowledge.DefenseImpairment},
	"passwd":      {"T1098", knowledge.Persistence},
	"systemctl":   {"T1569.002", knowledge.Execution},
	"msbuild":     {"T1127.001", knowledge.Stealth},
	"installutil": {"T1218.004", knowledge.Stealth},
	"cmstp":       {"T1218.003", knowledge.Stealth},
	"msiexec":     {"T1218.007", knowledge.Stealth},
	"forfiles":    {"T1202", knowledge.Stealth},
	"clip":        {"T1115", knowledge.Collection},
	"psr":         {"T1113", knowledge.Collection},
	"findstr":     {"T1552.001", knowledge.CredentialAccess},
	"vaultcmd":    {"T1555.004", knowledge.CredentialAccess},
	"aws":         {"T1078.004", knowledge.InitialAccess},
	"docker":      {"T1610", knowledge.Execution},
	"kubectl":     {"T1609", knowledge.Execution},
	"mysqldump":   {"T1005", knowledge.Collection},
	"pg_dump":     {"T1005", knowledge.Collection},
	"proxychains": {"T1090", knowledge.CommandAndControl},
	"chisel":      {"T1572", knowledge.CommandAndControl},
	"plink":       {"T1572", knowledge.CommandAndControl},
	"socat":       {"T1095", knowledge.CommandAndControl},
	"tcpdump":     {"T1040", knowledge.Discovery},
	"dscl":        {"T1087.001", knowledge.Discovery},
	"launchctl":   {"T1543.004", knowledge.Persistence},
	"osascript":   {"T1059.002", knowledge.Execution},
	"secretsdump": {"T1003", knowledge.CredentialAccess},
	"kinit":       {"T1558", knowledge.CredentialAccess},
	"dnscmd":      {"T1543", knowledge.Persistence},
	"taskkill":    {"T1489", knowledge.Impact},
	"shutdown":    {"T1529", knowledge.Impact},
	"expand":      {"T1140", knowledge.Stealth},
	"unzip":       {"T1140", knowledge.Stealth},
	"mstsc":       {"T1021.001", knowledge.LateralMovement},
	"tscon":       {"T1563.002", knowledge.LateralMovement},
	"winrs":       {"T1021.006", knowledge.LateralMovement},
	"xcopy":       {"T1119", knowledge.Collection},
	"robocopy":    {"T1119", knowledge.Collection},
	"wbemtest":    {"T1047", knowledge.Execution},
	"hh":          {"T1218.001", knowledge.Stealth},
	"odbcconf":    {"T1218.008", knowledge.Stealth},
	"finger":      {"T1105", knowledge.CommandAndControl},
	"mount":       {"T1021.002", knowledge.LateralMovement},
	"smbclient":   {"T1021.002", knowledge.LateralMovement},
	"chattr":      {"T1222.002", knowledge.DefenseImpairment},
	"gcore":       {"T1003.007", knowledge.CredentialAccess},
	"john":        {"T1110.002", knowledge.CredentialAccess},
	"hashcat":     {"T1110.002", knowledge.CredentialAccess},
	"hydra":       {"T1110.001", knowledge.CredentialAccess},
}

// read says what an observation means once it is the attacker's; false for acts
// that are too common to tell of.
func read(o *model.Observation) (reading, bool) {
	switch o.Act {
	case model.ActProcessStart:
		return readProcess(o)
	case model.ActConnect:
		return reading{"T1071", knowledge.CommandAndControl}, outbound(o)
	case model.ActInject:
		return reading{"T1055", knowledge.Stealth}, true
	case model.ActProcessAccess:
		t, _ := o.Find(model.Process, model.Target)
		return reading{"T1003.001", knowledge.CredentialAccess}, program(t.Name) == "lsass"
	case model.ActFileWrite:
		f, _ := o.Find(model.File, model.Object)
		if executable(f.Value) {
			return reading{"T1105", knowledge.CommandAndControl}, true
		}
		if strings.HasSuffix(strings.ToLower(f.Value), ".dmp") {
			return reading{"T1003", knowledge.CredentialAccess}, true
		}
	case model.ActServiceInstall:
		return reading{"T1543.003", knowledge.Persistence}, true
	case model.ActTaskCreate:
		return reading{"T1053", knowledge.Persistence}, true
	case model.ActRemoteExec:
		return reading{"T1021", knowledge.LateralMovement}, true
	case model.ActLogon:
		ip, fromIP := o.Find(model.IP, model.Src)
		_, fromHost := o.Find(model.Host, model.Src)
		if a, err := netip.ParseAddr(ip.Value); err == nil && a.IsGlobalUnicast() && !a.IsPrivate() {
			return reading{"T1078", knowledge.InitialAccess}, true
		}
		return reading{"T1021", knowledge.LateralMovement}, fromIP || fromHost
	case model.ActExplicitCreds:
		return reading{"T1078", knowledge.LateralMovement}, true
	case model.ActAccountChange:
		return reading{"T1098", knowledge.Persistence}, true
	case model.ActKeyIssued:
		return reading{"T1098.001", knowledge.Persistence}, true
	case model.ActAssumeRole:
		_, byRole := o.Find(model.IAMRole, model.Actor)
		_, byUser := o.Find(model.User, model.Actor)
		_, byService := o.Find(model.App, model.Actor) // the cloud itself, handing a machine its credentials
		return reading{"T1550.001", knowledge.LateralMovement}, (byRole || byUser) && !byService
	case model.ActLogCleared:
		return reading{"T1685", knowledge.DefenseImpairment}, true
	case model.ActObjectList:
		if o.Subsystem == model.Storage {
			return reading{"T1619", knowledge.Discovery}, true
		}
		return reading{"T1580", knowledge.Discovery}, true
	case model.ActObjectRead:
		if o.Subsystem == model.Secrets {
			return reading{"T1555.006", knowledge.CredentialAccess}, true
		}
		return reading{"T1530", knowledge.Collection}, true
	case model.ActObjectDelete:
		return reading{"T1485", knowledge.Impact}, true
	case model.ActMailAccess:
		return reading{"T1114.002", knowledge.Collection}, true
	case model.ActScript:
		return reading{"T1059.001", knowledge.Execution}, o.Source.Product == "windows"
	}
	return reading{}, false
}

func readProcess(o *model.Observation) (reading, bool) {
	p, ok := o.Find(model.Process, model.Subject)
	if !ok {
		return reading{}, false
	}
	if r, ok := tools[program(p.Name)]; ok {
		return r, true
	}
	if userWritable(p.Name) {
		return reading{"T1204.002", knowledge.Execution}, true
	}
	return reading{}, false
}

// outbound tells connections that leave for another machine from those that
// arrive: the actor's own.
func outbound(o *model.Observation) bool {
	dst, toIP := o.Find(model.IP, model.Dst)
	_, who := o.Find(model.Process, model.Actor)
	if !toIP || !who {
		return false
	}
	a, err := netip.ParseAddr(dst.Value)
	if err != nil || a.IsMulticast() || a == broadcast {
		return false
	}
	_, port, _ := strings.Cut(o.Text[strings.LastIndexByte(o.Text, ']')+1:], ":")
	return !slices.Contains(chatter, port)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// chatter are the ports on which machines look for names and for each other: every
// program causes it, and it tells nothing.
var chatter = []string{"53", "67", "68", "123", "137", "138", "1900", "5353", "5355"}

// program is the name of an image without its path and ending, in lower case.
func program(image string) string {
	s := strings.ToLower(strings.ReplaceAll(image, `\`, "/"))
	s = path.Base(s)
	return strings.TrimSuffix(s, ".exe")
}

// base is the last part of a path of either kind, empty for an empty path.
func base(p string) string {
	if i := strings.LastIndexAny(p, `\/`); i >= 0 {
		return p[i+1:]
	}
	return p
}

var writable = []string{`\users\`, `\temp\`, `\tmp\`, `\programdata\`, `\downloads\`, `\perflogs\`, `\$recycle.bin\`, "/tmp/", "/var/tmp/", "/dev/shm/", "/home/"}

// userWritable says whether an image lies where people other than administrators
// may write.
func userWritable(image string) bool {
	s := strings.ToLower(image)
	for _, w := range writable {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

var executableEndings = []string{".exe", ".dll", ".scr", ".ps1", ".bat", ".cmd", ".vbs", ".js", ".jse", ".hta", ".msi", ".lnk", ".iso", ".img", ".jar", ".sh", ".elf", ".so", ".docm", ".xlsm", ".com", ".cpl", ".sys"}

// executable says whether a file's name ends like something that runs.
func executable(name string) bool {
	s := strings.ToLower(name)
	for _, e := range executableEndings {
		if strings.HasSuffix(s, e) {
			return true
		}
	}
	return false
}
