package respond

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/config"
)

// email sends one message with a text and an HTML part. smtp:// asks for STARTTLS and
// goes on without it only where no password is sent, smtps:// speaks TLS at once.
type email struct {
	dial   Dialer
	url    *url.URL
	user   string
	secret string
	from   *mail.Address
	to     []*mail.Address
}

func newEmail(t config.Target, secret string, env Environment) (Notifier, error) {
	u, err := address(t.URL, "smtp", "smtps")
	if err != nil {
		return nil, err
	}
	n := &email{dial: env.Dial, url: u, user: t.User, secret: secret}
	if n.from, err = mail.ParseAddress(t.From); err != nil {
		return nil, fmt.Errorf("from is no mail address: %w", err)
	}
	for _, s := range t.To {
		a, err := mail.ParseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("to is no mail address: %w", err)
		}
		n.to = append(n.to, a)
	}
	if len(n.to) == 0 {
		return nil, errors.New("to is needed")
	}
	return n, nil
}

// page is the HTML part.
var page = template.Must(template.New("mail").Parse(`<!doctype html><html><body style="font-family:sans-serif;max-width:44em">
<h2>{{.Head}}</h2>
{{range .Parts}}<h3>{{.Title}}</h3>{{range .Lines}}<p style="margin:.2em 0">{{.}}</p>{{end}}
{{end}}{{if .Link}}<p><a href="{{.Link}}">Open the story</a></p>{{end}}
</body></html>
`))

type mailPart struct {
	Title string
	Lines []string
}

// compose writes the message as it is sent.
func (n *email) compose(m *Message, thread string) ([]byte, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	host := cmp.Or(after(n.from.Address, "@"), "localhost")
	var to []string
	for _, a := range n.to {
		to = append(to, a.String())
	}
	head := [][2]string{
		{"From", n.from.String()}, {"To", strings.Join(to, ", ")},
		{"Subject", mime.QEncoding.Encode("utf-8", runes(oneLine(m.headline()), 180))},
		{"Date", m.Time.Format(time.RFC1123Z)}, {"Message-ID", "<" + m.ID + "@" + host + ">"},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"},
	}
	if thread != "" {
		head = append(head, [2]string{"In-Reply-To", thread}, [2]string{"References", thread})
	}
	head = append(head, [2]string{"Content-Type", "multipart/alternative; boundary=" + w.Boundary()})
	var out bytes.Buffer
	for _, h := range head {
		out.WriteString(h[0] + ": " + strings.NewReplacer("\r", " ", "\n", " ").Replace(h[1]) + "\r\n")
	}
	out.WriteString("\r\n")
	data := struct {
		Head  string
		Parts []mailPart
		Link  string
	}{Head: defang(m.headline()), Link: m.Link}
	for _, s := range m.sections() {
		data.Parts = append(data.Parts, mailPart{s.title, strings.Split(defang(s.text), "\n")})
	}
	var rich bytes.Buffer
	if err := page.Execute(&rich, data); err != nil {
		return nil, err
	}
	text := strings.Replace(defang(m.plain()), defang(m.Link), m.Link, 1)
	for _, p := range []struct{ kind, text string }{{"text/plain", text}, {"text/html", rich.String()}} {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {p.kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return nil, err
		}
		q := quotedprintable.NewWriter(part)
		if _, err := q.Write([]byte(p.text)); err != nil {
			return nil, err
		}
		if err := q.Close(); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out.Write(b.Bytes())
	return out.Bytes(), nil
}

func after(s, sep string) string { _, r, _ := strings.Cut(s, sep); return r }

func (n *email) Notify(ctx context.Context, m *Message, thread string) (string, error) {
	body, err := n.compose(m, thread)
	if err != nil {
		return "", Permanent{err}
	}
	ctx, stop := context.WithTimeout(ctx, 2*sendTimeout)
	defer stop()
	direct := n.url.Scheme == "smtps"
	port := cmp.Or(n.url.Port(), map[bool]string{true: "465", false: "587"}[direct])
	conn, err := n.dial(ctx, "tcp", net.JoinHostPort(n.url.Hostname(), port))
	if err != nil {
		var p Permanent
		if errors.As(err, &p) {
			return "", p
		}
		return "", fmt.Errorf("connect: %w", err)
	}
	defer conn.Close() //nolint:errcheck // what was sent was answered
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	secure := &tls.Config{ServerName: n.url.Hostname(), MinVersion: tls.VersionTLS12}
	if direct {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, n.url.Hostname())
	if err != nil {
		return "", smtpError("greet", err)
	}
	if ok, _ := c.Extension("STARTTLS"); ok && !direct {
		if err := c.StartTLS(secure); err != nil {
			return "", smtpError("start TLS", err)
		}
		direct = true
	}
	if n.user != "" {
		if !direct {
			return "", Permanent{errors.New("the server offers no TLS, so the password is not sent")}
		}
		if err := c.Auth(smtp.PlainAuth("", n.user, n.secret, n.url.Hostname())); err != nil {
			return "", smtpError("sign in", err)
		}
	}
	if err := c.Mail(n.from.Address); err != nil {
		return "", smtpError("name the sender", err)
	}
	for _, a := range n.to {
		if err := c.Rcpt(a.Address); err != nil {
			return "", smtpError("name the receiver", err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return "", smtpError("send", err)
	}
	if _, err := w.Write(body); err != nil {
		return "", smtpError("send", err)
	}
	if err := w.Close(); err != nil {
		return "", smtpError("send", err)
	}
	_ = c.Quit() // the message is taken; what follows changes nothing
	return cmp.Or(thread, "<"+m.ID+"@"+cmp.Or(after(n.from.Address, "@"), "localhost")+">"), nil
}

// smtpError says whether a server's answer is for good (RFC 5321: those from 500).
func smtpError(doing string, err error) error {
	var t *textproto.Error
	wrapped := fmt.Errorf("%s: %w", doing, err)
	if errors.As(err, &t) && t.Code >= 500 {
		return Permanent{wrapped}
	}
	return wrapped
}
