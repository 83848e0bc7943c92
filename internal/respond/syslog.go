package respond

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

// syslog sends CEF (version 0) in RFC 5424 messages: over UDP one a datagram, over TCP
// and TLS with their length before them (RFC 6587, RFC 5425).
type syslog struct {
	dial    Dialer
	network string // udp, tcp or tls
	to      string
	host    string
}

func newSyslog(t config.Target, _ string, env Environment) (Notifier, error) {
	u, err := address(t.URL, "udp", "tcp", "tls")
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"udp": "514", "tcp": "514", "tls": "6514"}[u.Scheme]
	}
	return &syslog{env.Dial, u.Scheme, net.JoinHostPort(u.Hostname(), port), u.Hostname()}, nil
}

// What CEF escapes, in its header and in its extension.
var (
	cefHeader = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\r", " ", "\n", " ")
	cefValue  = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\r", `\r`, "\n", `\n`)
)

// cef writes m.
func (m *Message) cef() string {
	level := map[model.Severity]int{model.Low: 3, model.Medium: 5, model.High: 8, model.Critical: 10}[m.Severity]
	var b strings.Builder
	fmt.Fprintf(&b, "CEF:0|Catena|catena|1|%s|%s|%d|", cefHeader.Replace(string(m.Kind)), cefHeader.Replace(runes(m.Title, 512)), level)
	var ext []string
	add := func(k, v string) {
		if v != "" {
			ext = append(ext, k+"="+cefValue.Replace(v))
		}
	}
	add("rt", strconv.FormatInt(m.Time.UnixMilli(), 10))
	add("externalId", m.Incident)
	add("cat", "incident")
	add("msg", runes(strings.Join(m.What, " "), 1000))
	for i, s := range [][2]string{{"Started", m.Started}, {"Reached", m.Reached}, {"Do now", strings.Join(m.Do, " ")}, {"Tenant", m.Tenant}} {
		if s[1] != "" {
			add(fmt.Sprintf("cs%dLabel", i+1), s[0])
			add(fmt.Sprintf("cs%d", i+1), runes(s[1], 1000))
		}
	}
	if d := m.Document; d != nil {
		add("shost", runes(d.Root.Host, 255))
		add("suser", runes(d.Root.User, 255))
		add("cn1Label", "Score")
		add("cn1", strconv.Itoa(d.Score))
	}
	add("request", m.Link)
	b.WriteString(strings.Join(ext, " "))
	return b.String()
}

func (n *syslog) Notify(ctx context.Context, m *Message, _ string) (string, error) {
	const local0 = 16 << 3
	level := map[model.Severity]int{model.Critical: 2, model.High: 3, model.Medium: 4, model.Low: 5}[m.Severity]
	if level == 0 {
		level = 6
	}
	text := fmt.Sprintf("<%d>1 %s - catena - %s - %s", local0+level, m.Time.Format("2006-01-02T15:04:05.000Z07:00"), m.Kind, m.cef())
	ctx, stop := context.WithTimeout(ctx, sendTimeout)
	defer stop()
	network := "tcp"
	if n.network == "udp" {
		network = "udp"
	}
	c, err := n.dial(ctx, network, n.to)
	if err != nil {
		var p Permanent
		if errors.As(err, &p) {
			return "", p
		}
		return "", fmt.Errorf("connect: %w", err)
	}
	defer c.Close() //nolint:errcheck // what was written was written
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	if n.network == "tls" {
		t := tls.Client(c, &tls.Config{ServerName: n.host, MinVersion: tls.VersionTLS12})
		if err := t.HandshakeContext(ctx); err != nil {
			return "", fmt.Errorf("connect: %w", err)
		}
		c = t
	}
	if n.network != "udp" {
		text = strconv.Itoa(len(text)) + " " + text
	}
	if _, err := c.Write([]byte(text)); err != nil {
		return "", fmt.Errorf("send: %w", err)
	}
	return "", nil
}
