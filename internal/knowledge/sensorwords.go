package knowledge

import "strings"

// Some sensors write no intent into their alerts but name their rules out of a
// small vocabulary: Suricata's rule sets put a category in front, Wazuh describes
// what its decoders saw, AMiner names a detector and the log that it watched. What
// these words mean stands here, as far as the sensor means an attack by them; for
// what it only finds new or broken, that it does not say is the answer.

// A sensorWord is what words of a sensor's titles say. It applies where every word
// starts a word of the title.
type sensorWord struct {
	words  string
	tactic string // empty for what says nothing of an attack
	why    string
	hint   bool // too weak to be written down as the alert's tactic
}

// wazuhWords are read in the descriptions of Wazuh's rules, first match.
var wazuhWords = []sensorWord{
	{words: "web attack", tactic: InitialAccess, why: "a request that has the form of an attack"},
	{words: "sql injection", tactic: InitialAccess, why: "a request that has the form of an attack"},
	{words: "xss", tactic: InitialAccess, why: "a request that has the form of an attack"},
	{words: "shellshock", tactic: InitialAccess, why: "a request that has the form of an attack"},
	{words: "trojaned version", tactic: Persistence, why: "a program of the system was replaced"},
	{words: "brute force", tactic: CredentialAccess, why: "passwords are guessed"},
	{words: "multiple failed logins", tactic: CredentialAccess, why: "passwords are guessed"},
	{words: "multiple authentication failures", tactic: CredentialAccess, why: "passwords are guessed"},
	{words: "login attempt", tactic: CredentialAccess, why: "a password was tried"},
	{words: "login failed", tactic: CredentialAccess, why: "a password was wrong"},
	{words: "authentication fail", tactic: CredentialAccess, why: "a password was wrong"},
	{words: "invalid user", tactic: CredentialAccess, why: "an account was tried that there is not"},
	{words: "non-existent user", tactic: CredentialAccess, why: "an account was tried that there is not"},
	{words: "attempt scan", tactic: Reconnaissance, why: "somebody looks for what is there"},
	{words: "port scan", tactic: Reconnaissance, why: "somebody looks for what is there"},
	{words: "nmap", tactic: Reconnaissance, why: "somebody looks for what is there"},
	{words: "access forbidden", tactic: Reconnaissance, why: "somebody asks for what is not for him"},
	{words: "web server 400", tactic: Reconnaissance, why: "somebody asks for what is not there"},
	{words: "web server 404", tactic: Reconnaissance, why: "somebody asks for what is not there"},
	{words: "suspicious url", tactic: Reconnaissance, why: "somebody asks for what attackers look for"},
	{words: "web server 500", tactic: InitialAccess, why: "a request that an application fails at may be made for it"},
	{words: "sudo", tactic: PrivilegeEscalation, why: "rights of another account were used"},
	{words: "changed uid", tactic: PrivilegeEscalation, why: "rights of another account were used"},
	{words: "user added", tactic: Persistence, why: "an account was made"},
	{words: "new user", tactic: Persistence, why: "an account was made"},
	{words: "promiscuous", tactic: CredentialAccess, why: "a network is listened to"},
	{words: "authentication success", tactic: InitialAccess, why: "a log-on that worked; whose, it does not say", hint: true},
	{words: "session opened", tactic: InitialAccess, why: "a log-on that worked; whose, it does not say", hint: true},
	{words: "session closed", why: "the end of a session says nothing of its purpose"},
	{words: "ids event", why: "the alert of another sensor, passed on without its name"},
	{words: "ids alert", why: "the alert of another sensor, passed on without its name"},
	{words: "database update", why: "a scanner renews its list"},
	{words: "permission check", why: "a policy was asked, and nothing was refused"},
}

// suricataSets are the categories with which the names of Emerging Threats' rules
// begin, behind "ET", "ETPRO" or "GPL". Those that only tell what is in the traffic
// (INFO, POLICY, HUNTING, GAMES and others) are not here.
var suricataSets = map[string]sensorWord{
	"activex":           {tactic: InitialAccess, why: "an attack on a browser"},
	"attack_response":   {tactic: Execution, why: "what a system answers to an attack that worked"},
	"botcc":             {tactic: CommandAndControl, why: "a server that controls bots"},
	"ciarmy":            {tactic: Reconnaissance, why: "an address with a bad name", hint: true},
	"coinminer":         {tactic: Impact, why: "coins are mined"},
	"compromised":       {tactic: Reconnaissance, why: "an address with a bad name", hint: true},
	"current_events":    {tactic: InitialAccess, why: "an attack that is under way elsewhere"},
	"dos":               {tactic: Impact, why: "a service is to be taken away"},
	"drop":              {tactic: Reconnaissance, why: "an address with a bad name", hint: true},
	"dshield":           {tactic: Reconnaissance, why: "an address with a bad name", hint: true},
	"exploit":           {tactic: InitialAccess, why: "a weak spot is used"},
	"exploit_kit":       {tactic: InitialAccess, why: "an attack on a browser"},
	"malware":           {tactic: CommandAndControl, why: "malware talks to its server"},
	"mobile_malware":    {tactic: CommandAndControl, why: "malware talks to its server"},
	"phishing":          {tactic: InitialAccess, why: "somebody is lured"},
	"scan":              {tactic: Reconnaissance, why: "somebody looks for what is there"},
	"shellcode":         {tactic: Execution, why: "code that runs on its own"},
	"sql":               {tactic: InitialAccess, why: "an attack on a database"},
	"tor":               {tactic: CommandAndControl, why: "a network that hides who talks", hint: true},
	"trojan":            {tactic: CommandAndControl, why: "malware talks to its server"},
	"user_agents":       {tactic: CommandAndControl, why: "a client that no browser is", hint: true},
	"web_client":        {tactic: InitialAccess, why: "an attack on a browser"},
	"web_server":        {tactic: InitialAccess, why: "an attack on a web server"},
	"web_specific_apps": {tactic: InitialAccess, why: "an attack on a web application"},
	"worm":              {tactic: LateralMovement, why: "malware that spreads"},
}

// suricataWords are read in the names of the other rules, first match. Names that
// begin with SURICATA are the engine's own events.
var suricataWords = []sensorWord{
	{words: "nmap", tactic: Reconnaissance, why: "a scanner's own name"},
	{words: "covid-19", tactic: InitialAccess, why: "a domain of the sort that lures are made with", hint: true},
	{words: "dns query", tactic: CommandAndControl, why: "a zone that malware likes, and others too", hint: true},
	{words: "suspicious domain", tactic: CommandAndControl, why: "a zone that malware likes, and others too", hint: true},
	{words: "session traversal", tactic: CommandAndControl, why: "a way out through a translated network is looked for", hint: true},
	{words: "suricata no server welcome", tactic: Reconnaissance, why: "a talk that ends before its greeting, as when a service is tried", hint: true},
	{words: "suricata invalid reply", tactic: Reconnaissance, why: "a talk that ends before its greeting, as when a service is tried", hint: true},
	{words: "suricata invalid sslv2", tactic: Reconnaissance, why: "a greeting that no client speaks, as when a service is tried", hint: true},
	{words: "suricata", why: "the sensor could not follow a stream, which breaks for many reasons"},
	{words: "package management", why: "what a system does to renew itself"},
	{words: "handshake failure", why: "two that could not agree"},
}

// aminerWords are read in the names of AMiner's detectors, first match: each finds
// something new or rare, and what that may be depends on the log. As it is new to
// the detector and not of itself an attack, all are hints.
var aminerWords = []sensorWord{
	{words: "cpu value", tactic: Impact, why: "a machine works as it does not otherwise", hint: true},
	{words: "entropy user agent", tactic: CommandAndControl, why: "a client whose name looks encoded", hint: true},
	{words: "entropy dns", tactic: CommandAndControl, why: "names asked for that look encoded", hint: true},
	{words: "entropy apache", tactic: Persistence, why: "a request that looks encoded, as those to a web shell", hint: true},
	{words: "characters dns", tactic: CommandAndControl, why: "names asked for that look encoded", hint: true},
	{words: "characters apache", tactic: InitialAccess, why: "a request with characters that no one sent before", hint: true},
	{words: "request method", tactic: Reconnaissance, why: "a web server is asked in ways that no one asked before", hint: true},
	{words: "status code", tactic: Reconnaissance, why: "a web server answers as it did not before", hint: true},
	{words: "frequencies apache", tactic: Reconnaissance, why: "a web server is asked more or less than usual", hint: true},
	{words: "frequencies dns", tactic: Exfiltration, why: "more or fewer names are asked for than usual", hint: true},
	{words: "dns logs", tactic: CommandAndControl, why: "a name or an answer that was not seen before", hint: true},
	{words: "user_cmd", tactic: PrivilegeEscalation, why: "a command by sudo that was not seen before", hint: true},
	{words: "cred_", tactic: PrivilegeEscalation, why: "an account takes rights in a way not seen before", hint: true},
	{words: "user_", tactic: PrivilegeEscalation, why: "an account is used in a way not seen before", hint: true},
	{words: "login audit", tactic: PrivilegeEscalation, why: "an account is used in a way not seen before", hint: true},
	{words: "service_start", tactic: Persistence, why: "a service starts that was not seen before", hint: true},
	{words: "service_stop", tactic: Impact, why: "a service stops that did not before", hint: true},
	{words: "syscall", tactic: Execution, why: "a program does what none did before", hint: true},
	{words: "execve", tactic: Execution, why: "a program runs that none ran before", hint: true},
	{words: "apparmor", tactic: DefenseImpairment, why: "the policy that confines programs is met in a new way", hint: true},
	{words: "avc", tactic: DefenseImpairment, why: "the policy that confines programs is met in a new way", hint: true},
	{words: "config_change", tactic: DefenseImpairment, why: "the audit was set up anew", hint: true},
	{words: "new event type", why: "a line that was not seen before, and nothing more", hint: true},
}

// readSensor returns what a sensor's own vocabulary says of a title, and whether it
// says anything.
func readSensor(product, title string) (sensorWord, bool) {
	title = normalTitle(title)
	switch strings.ToLower(product) {
	case "wazuh":
		return firstWord(wazuhWords, title)
	case "suricata":
		if set, rest, ok := strings.Cut(title, " "); ok && (set == "et" || set == "etpro" || set == "gpl") {
			category, _, _ := strings.Cut(rest, " ")
			if w, ok := suricataSets[category]; ok {
				w.words = category
				return w, true
			}
		}
		return firstWord(suricataWords, title)
	case "aminer":
		return firstWord(aminerWords, title)
	}
	return sensorWord{}, false
}

func firstWord(list []sensorWord, title string) (sensorWord, bool) {
	for _, w := range list {
		if holds(title, w.words) {
			return w, true
		}
	}
	return sensorWord{}, false
}
