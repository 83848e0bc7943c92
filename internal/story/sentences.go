package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// maxTitleThing bounds the name of the thing that a title names, in runes.
const maxTitleThing = 60

// longBefore is how long before the root an act is no longer told as leading to it.
const longBefore = 2 * time.Hour

// maxQuoted bounds a quoted command line or path in a sentence, in runes.
const maxQuoted = 120

// phrase tells one deed without its time.
func phrase(d *deed) string {
	who, fromWho := d.who()
	proc := image(d.process)
	on := ""
	if d.host != "" {
		on = " on " + short(d.host)
	}
	by := ""
	if p := image(d.parent); p != "" {
		by = " from " + p
	}
	victim, _ := findIn(d.entities, model.Process, model.Target)
	target := image(victim)
	object := plain(d.label(model.Object, model.File, model.App, model.Domain, model.URL), d.host)
	switch d.act {
	case model.ActProcessStart:
		s := fmt.Sprintf("%s ran %s%s%s", who, orSome(proc, "a program"), on, by)
		if d.text != "" {
			s += ": " + quote(d.text)
		}
		return s
	case model.ActConnect:
		to := d.text
		if to == "" {
			to = d.to()
		}
		if strings.Trim(to, "[0:.]") == "" { // no address at all, as some sensors record it
			to = ""
		}
		return fmt.Sprintf("%s connected%s to %s", orSome(proc, who), on, orSome(to, "another machine"))
	case model.ActProcessAccess:
		return fmt.Sprintf("%s opened the memory of %s%s", orSome(proc, who), orSome(target, "another process"), on)
	case model.ActInject:
		return fmt.Sprintf("%s started code inside %s%s", orSome(proc, who), orSome(target, "another process"), on)
	case model.ActFileWrite:
		return fmt.Sprintf("%s wrote %s%s", orSome(proc, who), orSome(quote(object), "a file"), on)
	case model.ActFileDelete:
		return fmt.Sprintf("%s deleted %s%s", orSome(proc, who), orSome(quote(object), "a file"), on)
	case model.ActImageLoad:
		return fmt.Sprintf("%s loaded %s%s", orSome(proc, who), orSome(quote(object), "a library"), on)
	case model.ActLogCleared:
		s := fmt.Sprintf("%s cleared or stopped a log%s", who, on)
		if d.text != "" {
			s += ": " + quote(d.text)
		}
		return s
	case model.ActDNS:
		return fmt.Sprintf("%s looked up %s%s", orSome(proc, who), orSome(quote(orSome(object, d.text)), "a name"), on)
	case model.ActFileRead:
		return fmt.Sprintf("%s read %s%s", orSome(proc, who), orSome(quote(object), "a file"), on)
	case model.ActLogon, model.ActLogonFailed:
		s := orSome(d.label(model.Target, model.User), who)
		switch {
		case d.act == model.ActLogonFailed:
			s += " was refused" + on
		case d.host != "":
			s += " logged on to " + short(d.host)
		default:
			s += " logged on"
		}
		if f := d.label(model.Src, model.IP, model.Host); f != "" {
			s += " from " + f
		}
		return s
	case model.ActExplicitCreds:
		s := fmt.Sprintf("%s used the credentials of %s%s", who, orSome(d.label(model.Target, model.User), "another account"), on)
		if h := d.label(model.Dst, model.Host, model.IP); h != "" {
			s += " against " + short(h)
		}
		return s
	case model.ActRegistrySet:
		return fmt.Sprintf("%s set %s%s", orSome(proc, who), orSome(quote(d.text), "a registry value"), on)
	case model.ActServiceInstall:
		return fmt.Sprintf("%s installed the service %s%s", who, orSome(quote(object), "unnamed"), on)
	case model.ActTaskCreate:
		return fmt.Sprintf("%s created the scheduled task %s%s", who, orSome(quote(object), "unnamed"), on)
	case model.ActTicket:
		return fmt.Sprintf("%s asked for a Kerberos ticket of %s%s", who, orSome(quote(d.label(model.Target, model.App)), "a service"), on)
	case model.ActShareAccess:
		s := fmt.Sprintf("%s reached %s%s", who, orSome(quote(orSome(d.label(model.Target, model.Resource), object)), "a share"), on)
		if f := d.label(model.Src, model.IP, model.Host); f != "" {
			s += " from " + f
		}
		return s
	case model.ActPipe:
		return fmt.Sprintf("%s opened the pipe %s%s", orSome(proc, who), orSome(quote(d.text), "of another program"), on)
	case model.ActScript:
		return fmt.Sprintf("%s ran a script%s: %s", who, on, orSome(quote(d.text), "its text was not recorded"))
	}
	if d.act == model.ActRemoteExec {
		s := who + " ran a command remotely"
		if t := d.label(model.Target, model.Pod, model.Container, model.Resource); t != "" {
			s = who + " ran a command inside of " + quote(t)
		}
		if d.text != "" {
			s += ": " + quote(d.text)
		}
		if f := d.label(model.Src, model.Host, model.IP); f != "" {
			s += " from " + f
		}
		return s + on
	}
	if verb, ok := cloudVerbs[d.act]; ok {
		s := who + " " + verb.bare
		if t := d.label(model.Target, model.Resource, model.Mailbox, model.App, model.AccessKey, model.IAMRole, model.User, model.Pod, model.Container, model.Namespace); t != "" {
			s = who + " " + verb.of + " " + quoted(t)
		}
		if d.text != "" {
			s += " by " + quote(d.text)
		}
		if f := d.label(model.Src, model.IP); f != "" && !fromWho {
			s += " from " + f
		}
		return s + on
	}
	s := who
	if proc != "" {
		s = proc
		if d.user != "" {
			s += " (" + d.user + ")"
		}
	}
	s += ": " + strings.ReplaceAll(d.act.String(), "_", " ")
	if d.act == model.ActNone {
		s = orSome(strings.TrimRight(d.title, ". "), "an alert")
		if d.user != "" {
			s += " (" + d.user + ")"
		}
	}
	if d.text != "" {
		s += " " + quote(d.text)
	}
	return s + on
}

// image is the name of a process's program, empty where only its number is known.
func image(p model.Entity) string { return strings.Trim(base(p.Name), "\"'` ") }

// quoted names what was acted on; a directory object that only its number names is
// told as one.
func quoted(t string) string {
	if strings.HasPrefix(t, "%{") {
		return "an object of the directory"
	}
	return quote(t)
}

// A verb says what a call did: of a target, and bare where none is known.
type verb struct{ of, bare string }

// cloudVerbs say what a call did.
var cloudVerbs = map[model.Act]verb{
	model.ActAssumeRole: {"took on", "took on a role"}, model.ActKeyIssued: {"made a credential for", "made a credential"},
	model.ActAPICall: {"called on", "made a call"}, model.ActObjectList: {"listed", "listed what there is"},
	model.ActObjectRead: {"read", "read data"}, model.ActObjectWrite: {"wrote", "wrote data"}, model.ActObjectDelete: {"deleted", "deleted data"},
	model.ActMailAccess:    {"read the mailbox", "read mail"},
	model.ActAccountChange: {"changed the account or rights of", "changed accounts or rights"},
	model.ActConfigChange:  {"changed the settings of", "changed settings"},
}

// summary tells a step: its first deed, and how often it was done again.
func summary(ds []*deed) string {
	lead := ds[0]
	for _, d := range ds {
		if d.severity > lead.severity {
			lead = d
		}
	}
	s := upperFirst(phrase(lead))
	if lead.title != "" && lead.act != model.ActNone {
		s += " (" + lead.title + ")"
	}
	if len(lead.tellers) > 1 {
		s += ", told by " + strings.Join(lead.tellers, " and ")
	}
	if n := len(ds) - 1; n > 0 {
		s += fmt.Sprintf("; %d more like it", n)
	}
	return s + "."
}

// sentences tells the incident in so few that a tired reader reads them all: how it
// began, a sentence for each chapter, what was silent or late, what it got, and what
// could not be seen.
func sentences(in *model.Incident, root origin, estate Estate) []model.Sentence {
	var out []model.Sentence
	add := func(text string, cites ...string) {
		out = append(out, model.Sentence{Text: line(text, maxSentence), Cites: orEmpty(cites)})
	}
	opening := "The earliest sign of it: "
	if root.seen {
		opening = "It began: "
	}
	rootCites := slices.DeleteFunc([]string{in.Root.Alert, in.Root.Event}, func(s string) bool { return s == "" })
	start := func() {
		if root.entry != nil {
			add(fmt.Sprintf("%s: %s.", clockTime(root.entry.time), upperFirst(phrase(root.entry))), root.entry.events...)
		}
		add(fmt.Sprintf("%s: %s%s (confidence %.0f %%).", clockTime(in.Root.Time), opening, phrase(root.deed), 100*in.Root.Confidence), rootCites...)
	}
	began := in.Root.Time
	if root.entry != nil && root.entry.time.Before(began) {
		began = root.entry.time
	}
	told, silent := root.told(), in.Silences
	var last time.Time
	started := false
	for i := range in.Chapters {
		c := &in.Chapters[i]
		run := in.Steps[c.From-1 : c.To]
		first := run[leads(run, told)[0]]
		if !started && !c.End.Before(in.Root.Time) { // what came before the root comes before it here
			start()
			started, last = true, latest(last, in.Root.Time)
		}
		if len(run) == 1 && slices.ContainsFunc(first.Events, func(id string) bool { return slices.Contains(told, id) }) {
			last = latest(last, c.End)
			continue
		}
		for len(silent) > 0 && silent[0].From.Before(first.Time) {
			add(silenceText(&silent[0]), silent[0].Cites...)
			silent = silent[1:]
		}
		when := clockTime(first.Time)
		if date(first.Time) == date(last) { // the date once a day
			when = timeOfDay(first.Time)
		}
		if d := c.End.Sub(first.Time); d >= time.Minute {
			when += ", over " + lasted(d)
		}
		text := fmt.Sprintf("%s: %s: %s", when, c.Title, c.Text)
		if !started && began.Sub(c.End) > longBefore {
			text = "Earlier, and perhaps no part of it: " + text
		} else if pause := c.Time.Sub(last); pause > time.Hour && i > 0 {
			text = fmt.Sprintf("After %s without a sign of it, %s", lasted(pause), text)
		}
		if len(run) > maxLeads {
			text = strings.TrimSuffix(text, ".") + fmt.Sprintf(" (steps %d to %d).", c.From, c.To)
		}
		add(text, c.Cites...)
		last = latest(last, c.End)
	}
	if !started {
		start()
	}
	for i := range silent {
		add(silenceText(&silent[i]), silent[i].Cites...)
	}
	if text := clockText(in.Clocks, len(in.Alerts), began); text != "" {
		add(text)
	}
	add(in.Impact.Summary)
	for _, t := range worthTelling(in.Impact.Taken) {
		add(takenText(&t)+".", t.Cites...)
	}
	if text, cites := assetSentence(in.Impact.Assets); text != "" {
		add(text, cites...)
	}
	if hosts := in.Impact.Unseen; len(hosts) > 0 {
		add(fmt.Sprintf("It touched %s, of which no own records are in the evidence: what else was done there cannot be said.", hostNames(hosts)))
	}
	if rest := unreached(in, estate); len(rest) > 0 {
		add(fmt.Sprintf("No sign of it on %s, whose logs are in the evidence.", hostNames(rest)))
	}
	if !root.seen {
		add("How the attacker got in is not in the evidence.")
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// unreached lists the hosts of the evidence that no entity or step names.
func unreached(in *model.Incident, estate Estate) []string {
	named := map[string]bool{}
	for _, e := range in.Entities {
		named[short(e.Value)] = true
	}
	for _, s := range in.Steps {
		named[short(s.Host)] = true
		named[short(s.To)] = true
		named[short(s.From)] = true
	}
	var out []string
	for _, h := range estate.Hosts {
		if !named[short(h)] {
			out = append(out, h)
		}
	}
	return out
}

// who is who did it, as far as is known: an account, else the application, role or
// key that stands for one, else the machine it came from, which from tells.
func (d *deed) who() (name string, from bool) {
	if d.user != "" {
		return d.user, false
	}
	if by := d.label(model.Actor, model.App, model.IAMRole, model.AccessKey); by != "" {
		return by, false
	}
	if at := d.label(model.Src, model.Host, model.IP); at != "" && (d.act == model.ActConnect || d.act == model.ActDNS || cloudVerbs[d.act].of != "") {
		return at, true
	}
	return "an unknown account", false
}

// title is one line that a manager understands: the worst that was done, where,
// and how it started.
func title(in *model.Incident, ds []*deed) string {
	var worst *deed
	for _, d := range ds {
		if worst == nil || weight(d) > weight(worst) {
			worst = d
		}
	}
	what := cmp.Or(strings.TrimSpace(worst.title), "Suspicious activity")
	if worst.technique != "" {
		what = knowledge.TechniqueName(worst.technique)
	}
	if t := worst.label(model.Target, model.Resource, model.Mailbox); t != "" && worst.host == "" {
		what += " (" + line(t, maxTitleThing) + ")"
	}
	var hosts []string
	if worst.host != "" {
		hosts = append(hosts, short(worst.host))
	}
	for _, s := range in.Steps {
		if worst.host != "" && s.Host != "" && !slices.Contains(hosts, short(s.Host)) {
			hosts = append(hosts, short(s.Host))
		}
	}
	var b strings.Builder
	b.WriteString(what)
	switch {
	case len(hosts) == 1:
		b.WriteString(" on " + hosts[0])
	case len(hosts) > 1:
		fmt.Fprintf(&b, " on %s and %d more", hosts[0], len(hosts)-1)
	}
	user := in.Root.User
	if user != "" {
		b.WriteString(" by " + user)
	}
	if p := base(in.Root.Process); p != "" {
		b.WriteString(", starting with " + p)
	} else if began := knowledge.TechniqueName(in.Root.Technique); in.Root.Technique != "" && in.Root.Technique != worst.technique && began != "" {
		b.WriteString(", after " + began)
	}
	return b.String()
}

// consequence orders the tactics by how bad it is to have suffered them.
var consequence = map[string]int{
	knowledge.Impact: 10, knowledge.Exfiltration: 9, knowledge.CredentialAccess: 8, knowledge.Collection: 7, knowledge.LateralMovement: 6,
	knowledge.PrivilegeEscalation: 5, knowledge.Persistence: 4, knowledge.DefenseImpairment: 4, knowledge.CommandAndControl: 3, knowledge.Stealth: 3,
	knowledge.Execution: 2, knowledge.InitialAccess: 2, knowledge.Discovery: 1,
}

// weight is how bad a deed is. What it led to counts before how loud its alert was,
// unless that says itself that it may be nothing; guessing passwords is a way in.
func weight(d *deed) int {
	if len(d.alerts) == 0 {
		return 0
	}
	grave := consequence[d.tactic]
	if strings.HasPrefix(d.technique, "T1110") {
		grave = consequence[knowledge.InitialAccess]
	}
	if strings.HasPrefix(d.technique, "T1190") { // breaking in by a flaw is more than the way in
		grave = consequence[knowledge.PrivilegeEscalation]
	}
	if d.severity < 2*model.Medium.Rank() { // see deed.join
		return max(d.severity, 0)
	}
	return 100*grave + 10*d.severity
}

func clockTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func timeOfDay(t time.Time) string { return t.UTC().Format("15:04:05Z") }

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// short is a host's name without its domain; addresses stay whole.
func short(host string) string {
	if i := strings.IndexByte(host, '.'); i > 0 && strings.Trim(host, "0123456789.") != "" {
		return host[:i]
	}
	return host
}

// line puts s on one line of at most that many runes. Names come from evidence and
// may be as long as a record.
func line(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= most {
		return s
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func quote(s string) string {
	if s = line(s, maxQuoted); s == "" {
		return ""
	}
	return "“" + s + "”"
}

// plain takes the host off the value of a thing that means nothing without its
// machine: the sentence names the host.
func plain(value, host string) string { return strings.TrimPrefix(value, host+":") }

func orSome(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

// upperFirst begins a sentence. Names of programs and accounts stay as they are.
func upperFirst(s string) string {
	if rest, ok := strings.CutPrefix(s, "an unknown account"); ok {
		return "An unknown account" + rest
	}
	return s
}
