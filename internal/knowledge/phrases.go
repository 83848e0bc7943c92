package knowledge

import "strings"

// A phrase is what words in an alert's title say about it.
type phrase struct {
	words  string // separated by spaces; all must start a word of the title
	tactic string // empty for a posture finding: exposure before any attack
}

// phrases are tried in order, so what is said plainly stands before what is only
// hinted at. They are read in normal titles (see normalTitle).
var phrases = []phrase{
	// What was reached or lost.
	{"ransomware", Impact}, {"mining", Impact}, {"cryptomin", Impact}, {"coinminer", Impact}, {"defacement", Impact},
	{"denial of service", Impact}, {"ddos", Impact}, {"shadow copies", Impact}, {"shadow copy delet", Impact}, {"wiper", Impact}, {"mass delet", Impact},
	{"exfiltrat", Exfiltration}, {"data extract", Exfiltration}, {"data transfer unusual", Exfiltration},
	{"screenshot", Collection}, {"screen capture", Collection}, {"keylog", Collection}, {"mailbox access", Collection}, {"inbox rule", Collection},
	// Credentials.
	{"mimikatz", CredentialAccess}, {"lsass", CredentialAccess}, {"credential", CredentialAccess}, {"wdigest", CredentialAccess},
	{"brute force", CredentialAccess}, {"brute-force", CredentialAccess}, {"bruteforce", CredentialAccess}, {"password spray", CredentialAccess},
	{"password guess", CredentialAccess}, {"password access", CredentialAccess}, {"password file", CredentialAccess}, {"kerberoast", CredentialAccess},
	{"dcsync", CredentialAccess}, {"golden ticket", CredentialAccess}, {"golden saml", CredentialAccess}, {"failed log", CredentialAccess},
	{"authentication fail", CredentialAccess}, {"extract keys", CredentialAccess}, {"extract secrets", CredentialAccess}, {"secret query", CredentialAccess}, {"password hash", CredentialAccess},
	// Movement and rights.
	{"lateral movement", LateralMovement}, {"pass the hash", LateralMovement}, {"pass-the-hash", LateralMovement}, {"psexec", LateralMovement}, {"remote service creat", LateralMovement},
	{"privilege escalation", PrivilegeEscalation}, {"bypass uac", PrivilegeEscalation}, {"uac bypass", PrivilegeEscalation}, {"elevate", PrivilegeEscalation},
	{"local administrators", PrivilegeEscalation}, {"setuid", PrivilegeEscalation}, {"sudo", PrivilegeEscalation}, {"container escape", PrivilegeEscalation},
	// Defences.
	{"log clear", DefenseImpairment}, {"log was cleared", DefenseImpairment}, {"logs clear", DefenseImpairment}, {"history clear", DefenseImpairment},
	{"history file cleared", DefenseImpairment}, {"log delet", DefenseImpairment}, {"disabl firewall", DefenseImpairment}, {"disabl antimalware", DefenseImpairment},
	{"disabl antivirus", DefenseImpairment}, {"disabl defender", DefenseImpairment}, {"disabl logging", DefenseImpairment}, {"disabl audit", DefenseImpairment},
	{"disabl log", DefenseImpairment}, {"disabl iis", DefenseImpairment}, {"antimalware disabl", DefenseImpairment}, {"antimalware exclusion", DefenseImpairment},
	{"antimalware temporarily", DefenseImpairment}, {"antimalware engine failure", DefenseImpairment}, {"firewall rule", DefenseImpairment}, {"tamper", DefenseImpairment},
	// Staying.
	{"persistence", Persistence}, {"web shell", Persistence}, {"webshell", Persistence}, {"backdoor", Persistence}, {"account creat", Persistence}, {"account added", Persistence},
	{"new account", Persistence}, {"group addition", Persistence}, {"domain trust", Persistence}, {"ssh key", Persistence}, {"scheduled task", Persistence}, {"cron", Persistence}, {"new service", Persistence},
	{"service install", Persistence}, {"kernel module", Persistence}, {"autorun", Persistence}, {"startup", Persistence}, {"guest account", Persistence}, {"password change", Persistence},
	// Control.
	{"command and control", CommandAndControl}, {"beacon", CommandAndControl}, {"c2", CommandAndControl}, {"botnet", CommandAndControl}, {"reverse shell", CommandAndControl},
	{"dns tunnel", CommandAndControl}, {"tunnel", CommandAndControl}, {"domain generation", CommandAndControl}, {"sinkhole", CommandAndControl},
	{"communication malicious", CommandAndControl}, {"network malicious", CommandAndControl}, {"network suspicious", CommandAndControl}, {"malicious ip communication", CommandAndControl}, {"download", CommandAndControl}, {"trojan", CommandAndControl},
	// Getting in, and before.
	{"phish", InitialAccess}, {"spearphish", InitialAccess}, {"sql injection", InitialAccess}, {"exploit", InitialAccess}, {"log4", InitialAccess}, {"malicious ip logon", InitialAccess}, {"logon malicious ip", InitialAccess},
	{"impossible travel", InitialAccess}, {"unfamiliar location", InitialAccess}, {"unfamiliar sign", InitialAccess}, {"anonymous ip", InitialAccess}, {"logged on ssh", InitialAccess}, {"tor exit", InitialAccess},
	{"port scan", Reconnaissance}, {"portscan", Reconnaissance}, {"vulnerability scan", Reconnaissance}, {"web scan", Reconnaissance}, {"nmap", Reconnaissance}, {"scanner", Reconnaissance}, {"probe", Reconnaissance}, {"probing", Reconnaissance},
	{"reconnaissance", Discovery}, {"enumerat", Discovery}, {"discovery", Discovery}, {"network scan", Discovery}, {"sweep", Discovery}, {"sniff", CredentialAccess},
	// Posture: nothing was done yet.
	{"exposed", ""}, {"publicly accessible", ""}, {"internet-facing", ""}, {"vulnerable", ""}, {"vulnerability", ""}, {"misconfigur", ""},
	// Hiding, and running.
	{"obfuscat", Stealth}, {"masquerad", Stealth}, {"hidden", Stealth}, {"upper lower case", Stealth}, {"double extension", Stealth}, {"decoding", Stealth}, {"encoded", Stealth}, {"certutil", Stealth}, {"inject", Stealth}, {"rootkit", Stealth},
	{"timestomp", Stealth}, {"file delet", Stealth}, {"registry", Persistence}, {"antimalware action", Execution},
	{"powershell", Execution}, {"shellcode", Execution}, {"execut", Execution}, {"command line", Execution}, {"script", Execution}, {"process", Execution}, {"malware", Execution}, {"invocation", Execution},
	{"virus", Execution}, {"code segment", Execution}, {"tool", Execution}, {"command", Execution}, {"macro", Execution}, {"binary", Execution},
}

// readTitle returns the first phrase that a title holds.
func readTitle(title string) (phrase, bool) {
	title = normalTitle(title)
	for _, p := range phrases {
		if holds(title, p.words) {
			return p, true
		}
	}
	return phrase{}, false
}

// holds says whether every word of words starts a word of text, both lower case.
func holds(text, words string) bool {
	for word := range strings.FieldsSeq(words) {
		if !startsWord(text, word) {
			return false
		}
	}
	return true
}

func startsWord(text, word string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		at := from + i
		if at == 0 || !isWordByte(text[at-1]) {
			return true
		}
		from = at + 1
	}
}

func isWordByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
