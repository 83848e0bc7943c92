package eval

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// How far from the truth's time a step may be seen. Times of judged truth are
// whole seconds read from one of several disagreeing clocks; sources that write
// one row a minute are worse.
const (
	tolerance           = 10 * time.Second
	toleranceAggregated = 90 * time.Second
)

// otrfFile is truth about captures as people wrote it down: a list of campaigns
// with prose in many of its fields. Fields that are prose only are not read.
type otrfFile struct {
	Campaigns []struct {
		ID         string `json:"id"`
		Title      string `json:"title"`
		EntryPoint struct {
			Process    string `json:"process"`
			UserWhoRan string `json:"user_who_ran"`
			User       string `json:"user"`
			Host       string `json:"host"`
			Resource   string `json:"resource"`
			Role       string `json:"role"`
			Time       times  `json:"time_utc"`
		} `json:"entry_point"`
		Hosts []struct {
			Name string `json:"name"`
			IP   string `json:"ip"`
		} `json:"hosts"`
		Attacker struct {
			IP string `json:"ip"`
		} `json:"attacker"`
		Users      []string `json:"users"`
		Window     times    `json:"window_utc"`
		ClockQuirk string   `json:"clock_quirk"`
		Steps      []struct {
			Time         times  `json:"time_utc"`
			Technique    string `json:"technique"`
			TechniqueV19 string `json:"technique_v19"`
			What         string `json:"what"`
			Evidence     string `json:"evidence"`
			Host         string `json:"host"`
			User         string `json:"user"`
			Visible      string `json:"visible"`
		} `json:"steps"`
	} `json:"campaigns"`
}

// times reads one time, a list of times, or prose and null, which hold none.
type times []time.Time

// UnmarshalJSON never fails: what is no time is none.
func (t *times) UnmarshalJSON(src []byte) error {
	var list []string
	if json.Unmarshal(src, &list) != nil {
		var one string
		if json.Unmarshal(src, &one) != nil {
			return nil //nolint:nilerr // what is no time is none
		}
		list = []string{one}
	}
	for _, s := range list {
		if at, err := time.Parse(time.RFC3339, s); err == nil {
			*t = append(*t, at.UTC())
		}
	}
	return nil
}

// FromOTRF makes a key of judged truth: the campaigns of otrf_compound.json and
// of files written like it.
//
// A step without a time, or marked visible "no", is not expected to be found.
// An attacker's address with a note behind it is not used as proof, because the
// note says that others have it too; a user noted as benign never belongs.
func FromOTRF(src []byte) (*Key, error) {
	var file otrfFile
	if err := json.Unmarshal(src, &file); err != nil {
		return nil, fmt.Errorf("truth: %w", err)
	}
	if len(file.Campaigns) == 0 {
		return nil, fmt.Errorf("truth: no campaigns in it")
	}
	k := &Key{}
	for i, f := range file.Campaigns {
		if f.ID == "" {
			return nil, fmt.Errorf("truth: campaign %d has no id", i+1)
		}
		c := Campaign{ID: f.ID, Title: f.Title}
		e := f.EntryPoint
		c.Root.Hosts = nonEmpty(shortHost(e.Host))
		for _, u := range []string{e.UserWhoRan, e.User, e.Role, e.Resource} {
			c.Root.Users = addNew(c.Root.Users, userParts(u)...)
		}
		for p := range strings.SplitSeq(e.Process, "->") {
			c.Root.Processes = addNew(c.Root.Processes, baseName(stripNote(strings.TrimSpace(p))))
		}
		if len(e.Time) > 0 {
			c.Root.Time = e.Time[0]
		}
		for _, h := range f.Hosts {
			c.Hosts = addNew(c.Hosts, shortHost(h.Name))
			if ip, err := netip.ParseAddr(stripNote(h.IP)); err == nil {
				c.HostIPs = addNew(c.HostIPs, ip.String())
			}
		}
		for _, u := range f.Users {
			if strings.Contains(u, "(benign") {
				c.Benign = addNew(c.Benign, userParts(u)...)
			} else {
				c.Users = addNew(c.Users, userParts(u)...)
			}
		}
		if ip, err := netip.ParseAddr(f.Attacker.IP); err == nil {
			c.IPs = []string{ip.String()}
		}
		c.Processes = c.Root.Processes
		within := tolerance
		if strings.Contains(f.ClockQuirk, "aggregate") {
			within = toleranceAggregated
		}
		for j, s := range f.Steps {
			step := Step{N: j + 1, Tolerance: within, Technique: s.TechniqueV19, What: s.What, Visible: len(s.Time) > 0 && s.Visible != "no"}
			if step.Technique == "" {
				step.Technique = s.Technique
			}
			if len(s.Time) > 0 {
				step.Time = s.Time[0]
				c.widen(step.Time)
			}
			step.Hosts = c.hostsOf(s.Host, s.What)
			wrote := step.readEvidence(s.Evidence)
			c.Processes = addNew(c.Processes, wrote)
			c.Steps = append(c.Steps, step)
		}
		for _, at := range f.Window {
			c.widen(at)
		}
		k.Campaigns = append(k.Campaigns, c)
	}
	return k, nil
}

func (c *Campaign) widen(t time.Time) {
	if c.From.IsZero() || t.Before(c.From) {
		c.From = t
	}
	if t.After(c.To) {
		c.To = t
	}
}

// hostsOf returns the hosts on which a step may be seen: those its host field
// names ("A", "A -> B"), or all of the campaign's if that field counts some
// without naming them ("A -> 4 hosts"), and those its description names.
func (c *Campaign) hostsOf(field, what string) []string {
	var hosts []string
	for h := range strings.SplitSeq(field, "->") {
		h = shortHost(h)
		switch {
		case len(c.Hosts) == 0 || share([]string{h}, c.Hosts):
			hosts = addNew(hosts, h)
		case h != "":
			return c.Hosts
		}
	}
	for _, h := range c.Hosts {
		if len(hosts) > 0 && holdsWord(strings.ToLower(what), h) {
			hosts = addNew(hosts, h)
		}
	}
	return hosts
}

// readEvidence fills the terms of a step from a line such as
//
//	PROC: explorer.exe -> "C:\Users\x\a.exe" -arg     the parent and the program it ran
//	NET: a.exe 192.0.2.1 -> 192.0.2.2:80              the program and where to
//	LSASS: a.exe access 0x1410                        the program, and lsass
//	CRT: a.exe -> b.exe                               both programs
//	FILE: a.exe writes C:\path\b.exe                  the program and the file
//
// and, where there is none, from its description: the two programs that it says
// ran one another or that it names, or else its identifiers, of which one must be
// seen. It returns the program that was written, if one was.
func (s *Step) readEvidence(line string) (wrote string) {
	kind, rest, ok := strings.Cut(line, ": ")
	if !ok {
		s.readDescription()
		return ""
	}
	s.All = true
	left, right, _ := strings.Cut(rest, " -> ")
	switch kind {
	case "NET":
		image, _, _ := strings.Cut(left, " ")
		addr := right
		if ap, err := netip.ParseAddrPort(right); err == nil {
			addr = ap.Addr().String()
		}
		s.Terms = addNew(nil, stem(image), strings.ToLower(addr))
	case "LSASS":
		image, _, _ := strings.Cut(rest, " access ")
		s.Terms = addNew(nil, stem(image), "lsass")
	case "FILE":
		image, file, _ := strings.Cut(rest, " writes ")
		s.Terms = addNew(nil, stem(image), baseName(file))
		if name := baseName(file); strings.HasSuffix(name, ".exe") {
			wrote = name
		}
	default: // PROC, CRT, and what is written like them
		s.Terms = addNew(nil, stem(left), stem(program(right)))
	}
	return wrote
}

// program returns the program of a command line. Quotes decide where there are
// any; a path without them may hold spaces, but then an extension ends it.
func program(command string) string {
	command = strings.ReplaceAll(command, `\\`, `\`)
	if strings.HasPrefix(command, `"`) {
		return command
	}
	if i := strings.Index(strings.ToLower(command), ".exe"); i >= 0 {
		return command[:i+4]
	}
	command, _, _ = strings.Cut(command, " ")
	return command
}

// stem returns a program's name without path and extension, so that "whoami",
// "whoami.exe" and its full path all hold it.
func stem(image string) string { return strings.TrimSuffix(baseName(image), ".exe") }

// readDescription is readEvidence for prose.
func (s *Step) readDescription() {
	if left, right, ok := strings.Cut(s.What, " -> "); ok {
		words := strings.Fields(left)
		if len(words) > 0 {
			s.Terms, s.All = addNew(nil, stem(words[len(words)-1]), stem(program(right))), true
			return
		}
	}
	s.Terms = identifiers(s.What)
	var images []string
	for _, t := range s.Terms {
		if strings.HasSuffix(t, ".exe") {
			images = append(images, stem(t))
		}
	}
	if len(images) > 1 { // each alone may run all day
		s.Terms, s.All = images, true
	}
}

// identifiers returns the words of a description that evidence would hold as
// they are: names of API calls, files, addresses and long numbers; in lower case.
// Short numbers (process ids, ports, event ids) stand in too many records.
func identifiers(what string) []string {
	var out []string
	for w := range strings.FieldsSeq(what) {
		w = strings.Trim(w, `.,;:()[]{}"'`)
		if len(w) < 4 {
			continue
		}
		lower := strings.ContainsFunc(w, func(r rune) bool { return r >= 'a' && r <= 'z' })
		inner := strings.ContainsFunc(w[1:], func(r rune) bool { return r >= 'A' && r <= 'Z' || r == '.' || r == '_' || r == '\\' })
		number := len(w) > 4 && strings.Trim(w, "0123456789") == ""
		address := strings.Trim(w, "0123456789.:") == "" && strings.Contains(w, ".")
		if inner && lower || number || address {
			w, _, _ = strings.Cut(w, ":") // the port of an address
			out = addNew(out, strings.ToLower(w))
		}
	}
	return out
}
