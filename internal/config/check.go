package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	tenantForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$`)
	hoursForm  = regexp.MustCompile(`^((mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?(,(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?)* )?([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$`)
)

// ValidTenant says whether id can name a tenant.
func ValidTenant(id string) bool { return tenantForm.MatchString(id) }

// check finds what is wrong with values that could be read.
func (r *reader) check(c *Config) {
	wrong := len(r.problems) > 0
	r.values(reflect.ValueOf(c).Elem(), "")
	if wrong || len(r.problems) > 0 { // what follows reads them
		return
	}
	r.listeners(c)
	r.receivers(c)
	r.access(c)
	r.notify(c)
}

// values checks each value by the tags of its field.
func (r *reader) values(v reflect.Value, path string) {
	for i, f := range reflect.VisibleFields(v.Type()) {
		x, at := v.Field(i), join(path, f.Tag.Get("yaml"))
		switch x.Kind() { //nolint:exhaustive // the kinds that Config has
		case reflect.Struct:
			r.values(x, at)
		case reflect.Slice:
			for j := range x.Len() {
				e, at := x.Index(j), at+"["+strconv.Itoa(j)+"]"
				if e.Kind() == reflect.Struct {
					r.values(e, at)
				} else {
					r.value(f, e, at)
				}
			}
		default:
			r.value(f, x, at)
		}
	}
}

func (r *reader) value(f reflect.StructField, v reflect.Value, at string) {
	bad := func(format string, args ...any) { r.problem(nil, at, fmt.Sprintf(format, args...)) }
	if v.Kind() == reflect.Int {
		least, _ := strconv.ParseInt(f.Tag.Get("min"), 10, 64)
		if v.Int() < least {
			bad("%d is less than %d", v.Int(), least)
		}
		if most, err := strconv.ParseInt(f.Tag.Get("max"), 10, 64); err == nil && v.Int() > most {
			bad("%d is more than %d", v.Int(), most)
		}
		return
	}
	if v.Kind() != reflect.String || v.String() == "" {
		return
	}
	s := v.String()
	if one := f.Tag.Get("one"); one != "" && !slices.Contains(strings.Split(one, ","), s) {
		bad("%s is none of %s", quote(s), strings.ReplaceAll(one, ",", ", "))
	}
	switch f.Tag.Get("check") {
	case "address":
		if _, port, err := net.SplitHostPort(s); err != nil || !validPort(port) {
			bad("%s is no address with a port, such as 127.0.0.1:8440", quote(s))
		}
	case "url":
		if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" {
			bad("%s is no URL, such as https://catena.example.org", quote(s))
		}
	case "tenant":
		if !ValidTenant(s) {
			bad("%s is no tenant: small letters, digits and hyphens, at most 40", quote(s))
		}
	case "name":
		if !nameForm.MatchString(s) {
			bad("%s is no name: letters, digits, spaces and .-_, at most 64", quote(s))
		}
	case "network":
		if _, err := netip.ParsePrefix(s); err != nil {
			bad("%s is no network, such as 10.0.0.0/8", quote(s))
		}
	case "zone":
		if _, err := time.LoadLocation(s); err != nil || s == "Local" {
			bad("%s is no time zone, such as Europe/Berlin or UTC", quote(s))
		}
	}
}

func validPort(p string) bool {
	n, err := strconv.ParseUint(p, 10, 16)
	return err == nil && n <= 65535
}

// Loopback says whether only this machine reaches an address.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// needs reports each of the named settings of one item that is empty.
func (r *reader) needs(at string, settings ...string) {
	for i := 0; i+1 < len(settings); i += 2 {
		if settings[i+1] == "" {
			r.problem(r.lines[at], join(at, settings[i]), "is needed")
		}
	}
}

func (r *reader) pair(at string, t TLS) {
	if (t.Cert == "") != (t.Key == "") {
		r.problem(r.lines[at], at, "cert and key go together")
	}
	if t.SelfSigned && t.Cert != "" {
		r.problem(nil, at+".self_signed", "there is a cert already")
	}
}

func (r *reader) listeners(c *Config) {
	if c.Data == "" {
		r.problem(nil, "data_dir", "a folder is needed")
	}
	r.needs("", "listen", c.Listen)
	r.pair("tls", c.TLS)
	if c.Listen != "" && !Loopback(c.Listen) && !c.TLS.Enabled() && !c.Insecure {
		r.problem(nil, "listen", c.Listen+" is reached by other machines: give tls.cert and tls.key, or tls.self_signed: true; or insecure_http: true behind a proxy that ends TLS")
	}
	r.pair("receivers.otlp.tls", c.Receivers.OTLP.TLS)
	if g := c.Receivers.OTLP.GRPC; g != "" && !Loopback(g) && !c.Receivers.OTLP.TLS.Enabled() && !c.Insecure {
		r.problem(nil, "receivers.otlp.grpc", g+" is reached by other machines: it needs tls, since senders show their token")
	}
	if p := c.Debug.Pprof; p != "" && !Loopback(p) {
		r.problem(nil, "debug.pprof", "must be a loopback address: it shows what the process holds")
	}
	if t := time.Duration(c.Engine.Tick); t < 10*time.Millisecond || t > time.Minute {
		r.problem(nil, "engine.tick", "must be 10ms to 1m")
	}
	if c.Bus.MaxBytes < 64<<20 {
		r.problem(nil, "bus.max_bytes", "must be 64MiB or more")
	}
	if c.Limits.Line < 1<<10 || c.Limits.Body < c.Limits.Line {
		r.problem(nil, "limits.line", "must be 1KiB or more, and no more than body")
	}
}

// once reports names that stand twice in one list.
func (r *reader) once(list string, n int, name func(int) string) {
	seen := map[string]bool{}
	for i := range n {
		at := fmt.Sprintf("%s[%d]", list, i)
		switch s := name(i); {
		case s == "":
			r.needs(at, "name", "")
		case seen[s]:
			r.problem(r.lines[at], at+".name", quote(s)+" stands twice")
		default:
			seen[s] = true
		}
	}
}

func (r *reader) receivers(c *Config) {
	known := map[string]bool{"default": len(c.Tenants) == 0}
	for i, t := range c.Tenants {
		at := fmt.Sprintf("tenants[%d]", i)
		r.needs(at, "id", t.ID)
		if known[t.ID] {
			r.problem(r.lines[at], at+".id", quote(t.ID)+" stands twice")
		}
		known[t.ID] = true
	}
	tenant := func(at, id string) {
		if !known[id] {
			r.problem(r.lines[at], at+".tenant", quote(id)+" is none of tenants")
		}
	}
	x := &c.Receivers
	names := 0
	all := func(list string, n int, name, id func(int) string) {
		r.once(list, n, name)
		for i := range n {
			tenant(fmt.Sprintf("%s[%d]", list, i), id(i))
		}
		names += n
	}
	all("receivers.syslog", len(x.Syslog), func(i int) string { return x.Syslog[i].Name }, func(i int) string { return x.Syslog[i].Tenant })
	all("receivers.follow", len(x.Follow), func(i int) string { return x.Follow[i].Name }, func(i int) string { return x.Follow[i].Tenant })
	all("receivers.webhooks", len(x.Webhook), func(i int) string { return x.Webhook[i].Name }, func(i int) string { return x.Webhook[i].Tenant })
	all("receivers.nats", len(x.NATS), func(i int) string { return x.NATS[i].Name }, func(i int) string { return x.NATS[i].Tenant })
	all("receivers.kafka", len(x.Kafka), func(i int) string { return x.Kafka[i].Name }, func(i int) string { return x.Kafka[i].Tenant })
	all("receivers.s3", len(x.S3), func(i int) string { return x.S3[i].Name }, func(i int) string { return x.S3[i].Tenant })
	for i, s := range x.Syslog {
		at := fmt.Sprintf("receivers.syslog[%d]", i)
		r.needs(at, "listen", s.Listen)
		r.pair(at+".tls", s.TLS)
		if s.Network == "tls" && !s.TLS.Enabled() {
			r.problem(r.lines[at], at+".tls", "network tls needs tls.cert and tls.key, or tls.self_signed: true")
		}
	}
	for i, f := range x.Follow {
		if len(f.Paths) == 0 {
			r.needs(fmt.Sprintf("receivers.follow[%d]", i), "paths", "")
		}
	}
	for i, w := range x.Webhook {
		at := fmt.Sprintf("receivers.webhooks[%d]", i)
		if w.Kind == "sns" { // SNS signs what it sends and shows no secret
			r.needs(at, "topic", w.Topic)
		} else {
			r.needs(at, "secret", string(w.Secret))
		}
	}
	for i, n := range x.NATS {
		r.needs(fmt.Sprintf("receivers.nats[%d]", i), "urls", strings.Join(n.URLs, ","), "subject", n.Subject)
	}
	for i, k := range x.Kafka {
		r.needs(fmt.Sprintf("receivers.kafka[%d]", i), "brokers", strings.Join(k.Brokers, ","), "topics", strings.Join(k.Topics, ","))
	}
	for i, s := range x.S3 {
		r.needs(fmt.Sprintf("receivers.s3[%d]", i), "endpoint", s.Endpoint, "bucket", s.Bucket)
	}
}

func (r *reader) access(c *Config) {
	r.once("access.oidc", len(c.Access.OIDC), func(i int) string { return c.Access.OIDC[i].Name })
	for i, o := range c.Access.OIDC {
		at := fmt.Sprintf("access.oidc[%d]", i)
		r.needs(at, "issuer", o.Issuer, "client_id", o.ClientID)
		if len(o.Roles) == 0 {
			r.problem(r.lines[at], at+".roles", "without roles nobody could enter")
		}
		for j, x := range o.Roles {
			r.needs(fmt.Sprintf("%s.roles[%d]", at, j), "value", x.Value)
		}
	}
	if !c.Access.Local && len(c.Access.OIDC) == 0 {
		r.problem(nil, "access.local", "nobody could enter: there is no provider either")
	}
}

func (r *reader) notify(c *Config) {
	n := &c.Notify
	r.once("notify.targets", len(n.Targets), func(i int) string { return n.Targets[i].Name })
	r.once("notify.routes", len(n.Routes), func(i int) string { return n.Routes[i].Name })
	r.once("notify.objectives", len(n.Objectives), func(i int) string { return n.Objectives[i].Name })
	targets := map[string]bool{}
	for i, t := range n.Targets {
		at := fmt.Sprintf("notify.targets[%d]", i)
		targets[t.Name] = true
		r.needs(at, "kind", t.Kind)
		if t.Kind != "pagerduty" && t.Kind != "slack" {
			r.needs(at, "url", t.URL)
		}
		switch t.Kind {
		case "pagerduty", "jira":
			r.needs(at, "secret", string(t.Secret))
		case "email":
			r.needs(at, "from", t.From, "to", strings.Join(t.To, ","))
		case "slack":
			if t.URL == "" && (t.Secret == "" || len(t.To) == 0) {
				r.problem(r.lines[at], at, "slack needs url (an incoming webhook), or secret (a bot token) and to (the channel)")
			}
		}
	}
	for i, x := range n.Routes {
		at := fmt.Sprintf("notify.routes[%d]", i)
		if len(x.Targets) == 0 {
			r.needs(at, "targets", "")
		}
		for _, t := range x.Targets {
			if !targets[t] {
				r.problem(r.lines[at], at+".targets", quote(t)+" is none of notify.targets")
			}
		}
		if x.Hours != "" && !hoursForm.MatchString(x.Hours) {
			r.problem(nil, at+".hours", quote(x.Hours)+" cannot be read; write mon-fri 08:00-18:00")
		}
	}
	for i, o := range n.Objectives {
		at := fmt.Sprintf("notify.objectives[%d]", i)
		if o.Share <= 0 || o.Share >= 1 {
			r.problem(r.lines[at], at+".share", "is a share below 1, such as 0.95")
		}
		if o.Within == 0 || o.Window < o.Within {
			r.problem(r.lines[at], at+".within", "must be more than 0 and less than window")
		}
	}
}
