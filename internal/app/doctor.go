package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/respond"
)

// Health is how one thing stands.
type Health string

// The states, from good to bad.
const (
	Healthy  Health = "ok"
	Worrying Health = "warning"
	Broken   Health = "broken"
)

// A Finding is one thing that Doctor looked at.
type Finding struct {
	Name  string `json:"name"` // the setting, or what was looked at
	State Health `json:"state"`
	Text  string `json:"text"`         // what was found
	Do    string `json:"do,omitempty"` // what to do about it
}

// A Doctor finds what is wrong with an installation, whether or not it runs. Its zero
// value looks at nothing; fill in Config.
type Doctor struct {
	Config  config.Config
	Version string
	Now     time.Time
	// Live looks only at whether the running process answers.
	Live bool
	// Test sends a test message to every target.
	Test bool

	found []Finding
}

func (d *Doctor) add(name string, s Health, text, do string) {
	d.found = append(d.found, Finding{name, s, text, do})
}

// Bounds of what is good.
const (
	littleSpace  = 10 << 30
	noSpace      = 1 << 30
	soonExpires  = 21 * 24 * time.Hour
	dialPatience = 3 * time.Second
)

// Examine looks at everything and returns what it found, in a fixed order.
func (d *Doctor) Examine(ctx context.Context) []Finding {
	d.found = nil
	running := d.running(ctx)
	if d.Live {
		return d.found
	}
	d.folder()
	d.certificates()
	if !running {
		d.ports()
	}
	d.bus(ctx)
	d.rules()
	d.followed()
	d.targets(ctx)
	return d.found
}

// running asks the process whether it is ready, and says whether it answers.
func (d *Doctor) running(ctx context.Context) bool {
	host, port, err := net.SplitHostPort(d.Config.Listen)
	if err != nil {
		return false // said by the check of the configuration
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if d.Config.TLS.Enabled() {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port), Path: "/readyz"}
	c := http.Client{Timeout: dialPatience, Transport: &http.Transport{
		// Whose certificate it is does not matter here: nothing secret is sent or believed.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
	}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return false
	}
	state := Broken
	if !d.Live {
		state = Worrying
	}
	resp, err := c.Do(req)
	if err != nil {
		d.add("process", state, "nothing answers at "+d.Config.Listen, "start it: catena serve --config FILE")
		return false
	}
	defer resp.Body.Close() //nolint:errcheck // read to its bound
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	switch resp.StatusCode {
	case http.StatusOK:
		d.add("process", Healthy, "answers at "+d.Config.Listen+" and is ready", "")
	case http.StatusServiceUnavailable:
		d.add("process", state, "answers and is not ready: "+strings.TrimSpace(string(body)), "wait, or see its log")
	default:
		d.add("process", state, fmt.Sprintf("something else answers at %s, with %d", d.Config.Listen, resp.StatusCode), "choose another port with listen")
		return false
	}
	return true
}

// folder looks at where everything is kept.
func (d *Doctor) folder() {
	dir := d.Config.Data
	at := dir
	for { // of a folder that is not made yet, the one that it will be made in
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	f, err := os.CreateTemp(at, ".catena-doctor-*")
	if err != nil {
		d.add("data_dir", Broken, "cannot be written: "+err.Error(), "give the account that runs catena the folder, or name another one with data_dir")
		return
	}
	f.Close()           //nolint:errcheck // empty
	os.Remove(f.Name()) //nolint:errcheck // in the next line it would be said again
	free, err := freeSpace(at)
	switch {
	case err != nil:
		d.add("data_dir", Worrying, "cannot tell how much space is left: "+err.Error(), "")
	case free < noSpace:
		d.add("data_dir", Broken, fmt.Sprintf("%s free on its disk; senders are pushed back when it is full", config.Size(free/(1<<20)<<20)), "make room, or lower retention.events_bytes and bus.max_bytes")
	case free < littleSpace || free < int64(d.Config.Bus.MaxBytes):
		d.add("data_dir", Worrying, fmt.Sprintf("%s free on its disk, which is less than may have to wait there", config.Size(free/(1<<20)<<20)), "make room, or lower bus.max_bytes and retention.events_bytes")
	default:
		d.add("data_dir", Healthy, fmt.Sprintf("%s can be written, %s free", dir, config.Size(free/(1<<30)<<30)), "")
	}
	if s, err := os.Stat(dir); err == nil && s.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
		d.add("data_dir", Worrying, fmt.Sprintf("others on this machine may look into it (%v)", s.Mode().Perm()), "chmod 700 "+dir)
	}
}

// certificates looks at those that are files.
func (d *Doctor) certificates() {
	look := func(name string, t config.TLS) {
		if t.Cert == "" {
			return
		}
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			d.add(name, Broken, "the certificate cannot be used: "+err.Error(), "give a certificate and its key as PEM files")
			return
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		switch {
		case err != nil:
			d.add(name, Broken, "the certificate cannot be read: "+err.Error(), "")
		case d.Now.After(leaf.NotAfter):
			d.add(name, Broken, "the certificate ended on "+leaf.NotAfter.UTC().Format(time.DateOnly), "renew it; it is read again when the file changes")
		case d.Now.Before(leaf.NotBefore):
			d.add(name, Broken, "the certificate begins on "+leaf.NotBefore.UTC().Format(time.DateOnly), "see whether this machine's clock is right")
		case leaf.NotAfter.Sub(d.Now) < soonExpires:
			d.add(name, Worrying, "the certificate ends on "+leaf.NotAfter.UTC().Format(time.DateOnly), "renew it; it is read again when the file changes")
		default:
			d.add(name, Healthy, "the certificate holds until "+leaf.NotAfter.UTC().Format(time.DateOnly), "")
		}
	}
	look("tls", d.Config.TLS)
	look("receivers.otlp.tls", d.Config.Receivers.OTLP.TLS)
	for i, s := range d.Config.Receivers.Syslog {
		look(fmt.Sprintf("receivers.syslog[%d].tls", i), s.TLS)
	}
	for _, x := range [][2]string{{"tls.client_ca", d.Config.TLS.ClientCA}, {"bus.tls.client_ca", d.Config.Bus.TLS.ClientCA}} {
		name, file := x[0], x[1]
		if file == "" {
			continue
		}
		b, err := os.ReadFile(file) //nolint:gosec // named by the user
		if block, _ := pem.Decode(b); err != nil || block == nil {
			d.add(name, Broken, "holds no certificate", "give a PEM file")
		}
	}
}

// ports looks whether the addresses can be listened at.
func (d *Doctor) ports() {
	try := func(name, network, address string) {
		if address == "" {
			return
		}
		var err error
		if network == "udp" {
			var c net.PacketConn
			if c, err = net.ListenPacket(network, address); err == nil {
				c.Close() //nolint:errcheck // was only tried
			}
		} else {
			var l net.Listener
			if l, err = net.Listen("tcp", address); err == nil {
				l.Close() //nolint:errcheck // was only tried
			}
		}
		switch {
		case err == nil:
			d.add(name, Healthy, address+" is free", "")
		case errors.Is(err, os.ErrPermission):
			d.add(name, Broken, address+" may not be listened at: "+err.Error(), "choose a port above 1023, or give the capability CAP_NET_BIND_SERVICE as deploy/catena.service does")
		default:
			d.add(name, Broken, address+" cannot be listened at: "+err.Error(), "see what stands there (ss -lntup), or choose another one")
		}
	}
	try("listen", "tcp", d.Config.Listen)
	try("receivers.otlp.grpc", "tcp", d.Config.Receivers.OTLP.GRPC)
	for i, s := range d.Config.Receivers.Syslog {
		try(fmt.Sprintf("receivers.syslog[%d]", i), s.Network, s.Listen)
	}
	try("metrics.listen", "tcp", d.Config.Metrics.Listen)
	try("debug.pprof", "tcp", d.Config.Debug.Pprof)
}

// bus looks whether the servers of a cluster answer; one inside is a folder.
func (d *Doctor) bus(ctx context.Context) {
	for _, u := range d.Config.Bus.URLs {
		o := []nats.Option{nats.Timeout(dialPatience), nats.NoReconnect(), nats.Name("catena doctor")}
		if f := d.Config.Bus.Credentials; f != "" {
			o = append(o, nats.UserCredentials(f))
		}
		if t := d.Config.Bus.TLS; t.ClientCA != "" {
			o = append(o, nats.RootCAs(t.ClientCA))
		}
		if t := d.Config.Bus.TLS; t.Cert != "" {
			o = append(o, nats.ClientCert(t.Cert, t.Key))
		}
		host := u
		if x, err := url.Parse(u); err == nil {
			host = x.Host // a URL may hold a password
		}
		c, err := nats.Connect(u, o...)
		if err != nil {
			d.add("bus.urls", Broken, host+" cannot be used: "+err.Error(), "see whether the server runs, and takes these credentials")
			continue
		}
		js, err := c.JetStream()
		if err == nil {
			_, err = js.AccountInfo(nats.Context(ctx))
		}
		c.Close()
		if err != nil {
			d.add("bus.urls", Broken, host+" has no JetStream for this account: "+err.Error(), "switch JetStream on in the server, and for the account")
			continue
		}
		d.add("bus.urls", Healthy, host+" answers and has JetStream", "")
	}
}

// rules loads them as serve would.
func (d *Doctor) rules() {
	o, err := Configured(d.Config, d.Version)
	if err != nil {
		d.add("rules", Broken, err.Error(), "")
		return
	}
	a, err := New(o)
	if err != nil {
		d.add("rules", Broken, err.Error(), "catena rules check DIR says more")
		return
	}
	switch n := len(a.Refused()); {
	case a.Rules() == 0:
		d.add("rules", Broken, "there are none, so nothing would ever be found", "take rules.no_builtin out, or name rules with rules.dirs")
	case n > 0:
		d.add("rules", Worrying, fmt.Sprintf("%d in use, %d could not be used; the first: %s", a.Rules(), n, a.Refused()[0]), "catena rules check DIR lists them")
	default:
		d.add("rules", Healthy, fmt.Sprintf("%d in use", a.Rules()), "")
	}
}

// followed looks whether the files can be read.
func (d *Doctor) followed() {
	for i, f := range d.Config.Receivers.Follow {
		name := fmt.Sprintf("receivers.follow[%d]", i)
		for _, p := range f.Paths {
			l, err := filepath.Glob(p)
			if err != nil {
				d.add(name, Broken, p+" is no pattern: "+err.Error(), "write it as /var/log/*.log")
				continue
			}
			if len(l) == 0 {
				d.add(name, Worrying, p+" fits no file yet", "see whether it is written so")
				continue
			}
			bad := 0
			for _, path := range l[:min(len(l), 1000)] {
				x, err := os.Open(path) //nolint:gosec // named by the user
				if err != nil {
					if bad++; bad == 1 {
						d.add(name, Broken, "cannot be read: "+err.Error(), "give the account that runs catena the right to, such as by the group adm")
					}
					continue
				}
				x.Close() //nolint:errcheck // was only opened
			}
			if bad == 0 {
				d.add(name, Healthy, fmt.Sprintf("%s: %d can be read", p, len(l)), "")
			}
		}
	}
}

// targets makes the notifiers, and tests them if asked to.
func (d *Doctor) targets(ctx context.Context) {
	allowed, err := respond.Networks(d.Config.Notify.AllowInner)
	if err != nil {
		d.add("notify.allow_networks", Broken, err.Error(), "")
		return
	}
	dial := respond.NewDialer(allowed)
	env := respond.Environment{Client: respond.NewClient(dial), Dial: dial, Now: func() time.Time { return d.Now }}
	defer env.Client.CloseIdleConnections()
	for _, t := range d.Config.Notify.Targets {
		name := "notify.targets " + t.Name
		n, err := respond.New(t, env)
		if err == nil && d.Test {
			err = respond.Test(ctx, n, t.Name, "default", d.Config.PublicURL, d.Now)
		}
		switch {
		case err != nil:
			d.add(name, Broken, err.Error(), "")
		case d.Test:
			d.add(name, Healthy, "took the test message", "see whether it arrived")
		default:
			d.add(name, Healthy, "set up; not tested", "catena doctor --test sends a message")
		}
	}
	if _, err := respond.NewRoutes(d.Config.Notify.Routes); err != nil {
		d.add("notify.routes", Broken, err.Error(), "")
	}
	if len(d.Config.Notify.Routes) == 0 {
		d.add("notify.routes", Worrying, "nobody is told of incidents", "add targets and routes under notify")
	}
}
