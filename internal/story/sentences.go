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

// maxQuoted bounds a quoted command line or path in a sentence, in runes.
const maxQuoted = 120

// phrase tells one deed without its time.
func phrase(d *deed) string {
	who, fromWho := d.who()
	proc := base(d.process.Label())
	on := ""
	if d.host != "" {
		on = " on " + short(d.host)
	}
	by := ""
	if p := base(d.parent.Label()); p != "" {
		by = " from " + p
	}
	target := base(d.label(model.Target, model.Process))
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
		return fmt.Sprintf("%s connected%s to %s", orSome(proc, who), on, orSome(to, "another machine"))
	case model.ActProcessAccess:
		return fmt.Sprintf("%s opened the memory of %s%s", orSome(proc, who), orSome(target, "another process"), on)
	case model.ActInject:
		return fmt.Sprintf("%s started code inside %s%s", orSome(proc, who), orSome(target, "another process"), on)
	case model.ActFileWrite:
		return fmt.Sprintf("%s wrote %s%s", orSome(proc, who), orSome(quote(object), "a file"), on)
	case model.ActFileRead:
		return fmt.Sprintf("%s read %s%s", orSome(proc, who), orSome(quote(object), "a file"), on)
	case model.ActLogon, model.ActLogonFailed:
		verb := "logged on"
		if d.act == model.ActLogonFailed {
			verb = "was refused"
		}
		acct := d.label(model.Target, model.User)
		s := fmt.Sprintf("%s %s%s", orSome(acct, who), verb, on)
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
			s = who + " " + verb.of + " " + quote(t)
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
		s = orSome(d.title, "an alert")
		if d.user != "" {
			s += " (" + d.user + ")"
		}
	}
	if d.text != "" {
		s += " " + quote(d.text)
	}
	return s + on
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

// sentences tells the incident: the start, the steps, what it got, and what could
// not be seen.
func sentences(in *model.Incident, root origin, estate Estate) []model.Sentence {
	var out []model.Sentence
	add := func(text string, cites ...string) {
		out = append(out, model.Sentence{Text: line(text, maxSentence), Cites: orEmpty(cites)})
	}
	where := "the earliest sign of it"
	if root.seen {
		where = "it started"
	}
	rootCites := slices.DeleteFunc([]string{in.Root.Alert, in.Root.Event}, func(s string) bool { return s == "" })
	if root.entry != nil {
		add(fmt.Sprintf("%s: %s.", clockTime(root.entry.time), upperFirst(phrase(root.entry))), root.entry.events...)
	}
	add(fmt.Sprintf("%s: %s with: %s (confidence %.0f %%).", clockTime(in.Root.Time), where, phrase(root.deed), 100*in.Root.Confidence), rootCites...)
	var after []model.Step
	for _, s := range in.Steps {
		if !s.Time.Before(in.Root.Time) && !slices.Contains(s.Events, in.Root.Event) {
			after = append(after, s)
		}
	}
	last, day := in.Root.Time, date(in.Root.Time)
	for told := 0; len(after) > 0; told++ {
		if told == maxChapters {
			add(fmt.Sprintf("%d further steps are in the list of steps.", len(after)))
			break
		}
		n := chapter(after)
		first := after[0]
		when := timeOfDay(first.Time)
		if d := date(first.Time); d != day { // the date once a day
			when, day = clockTime(first.Time), d
		}
		text := when + ": " + tellChapter(after[:n])
		if gap := first.Time.Sub(last); gap > time.Hour {
			text = fmt.Sprintf("After %s without a sign of it, %s", span2(gap), text)
		}
		var cites []string
		for _, s := range after[:n] {
			if s.End.After(last) {
				last = s.End
			}
			for _, id := range slices.Concat(s.Alerts, s.Events) {
				cites = appendCapped(cites, id)
			}
		}
		add(text, cites...)
		after = after[n:]
	}
	add(in.Impact.Summary)
	if rest := unreached(in, estate); len(rest) > 0 {
		names := make([]string, 0, 5)
		for _, h := range rest[:min(5, len(rest))] {
			names = append(names, short(h))
		}
		more := ""
		if len(rest) > 5 {
			more = fmt.Sprintf(" and %d more", len(rest)-5)
		}
		add(fmt.Sprintf("No sign of it on %s%s, whose logs are in the evidence.", strings.Join(names, ", "), more))
	}
	if !root.seen {
		add("How the attacker got in is not in the evidence.")
	}
	return out
}

// maxChapters bounds the sentences about steps.
const maxChapters = 40

// chapter is how many of the first steps one sentence tells: those that follow
// each other for one purpose, on one host or in one way on several.
func chapter(steps []model.Step) int {
	n := 1
	for n < len(steps) && steps[n].Tactic == steps[0].Tactic && steps[n].Time.Sub(steps[n-1].End) <= chapterGap &&
		(steps[n].Host == steps[0].Host || steps[n].Technique == steps[0].Technique) {
		n++
	}
	return n
}

// tellChapter tells the first step and names what the others did besides.
func tellChapter(steps []model.Step) string {
	const most = 6
	text := strings.TrimSuffix(steps[0].Summary, ".")
	if t, ok := knowledge.Tactic(steps[0].Tactic); ok {
		text = t.Name + ": " + text
	}
	var also []string
	for _, s := range steps[1:] {
		what := s.To
		if s.Host != steps[0].Host {
			what = "the same on " + short(s.Host)
		}
		if what != "" && what != steps[0].To && !slices.Contains(also, what) {
			also = append(also, what)
		}
	}
	if n := len(also) - most; n > 0 {
		also = append(also[:most], fmt.Sprintf("%d more", n))
	}
	if len(also) > 0 {
		text += "; then " + strings.Join(also, ", ")
	}
	return text + "."
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
	for _, s := range in.Steps {
		if s.Host != "" && !slices.Contains(hosts, short(s.Host)) {
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
	if d.severity < 2*model.Medium.Rank() { // see deed.join
		return max(d.severity, 0)
	}
	return 100*grave + 10*d.severity
}

func clockTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func timeOfDay(t time.Time) string { return t.UTC().Format("15:04:05Z") }

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func span2(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	}
	return fmt.Sprintf("%.1f hours", d.Hours())
}

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
