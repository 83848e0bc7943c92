package respond

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

func TestSlackWebhook(t *testing.T) {
	f := newFake(t, answer(200, "ok"))
	if _, err := notifier(t, config.Target{Kind: "slack", URL: f.URL + "/services/T/B/x"}).Notify(t.Context(), message(), ""); err != nil {
		t.Fatal(err)
	}
	var got slackMessage
	f.last(t, &got)
	if strings.ContainsAny(got.Text, "<>") || got.Parse != "none" || got.LinkNames || got.UnfurlLinks {
		t.Errorf("the text is read for markup: %+v", got)
	}
	for _, b := range got.Blocks {
		if b.Text != nil {
			if b.Text.Type != "plain_text" {
				t.Errorf("a block is %s", b.Text.Type)
			}
			harmless(t, b.Text.Text)
		}
	}
	if l := got.Blocks[len(got.Blocks)-1]; l.Type != "actions" || !strings.HasPrefix(l.Elements[0].URL, console) {
		t.Errorf("no button: %+v", l)
	}
}

// A bot's messages about one incident stand in one thread, and what the API says in
// an answer of 200 counts.
func TestSlackBot(t *testing.T) {
	f := newFake(t, answer(200, `{"ok":true,"ts":"1.2"}`), answer(200, `{"ok":true,"ts":"1.3"}`), answer(200, `{"ok":false,"error":"channel_not_found"}`), answer(200, `{"ok":false,"error":"ratelimited"}`))
	n := notifier(t, config.Target{Kind: "slack", URL: f.URL, Secret: "xoxb-1", To: []string{"C1"}})
	thread, err := n.Notify(t.Context(), message(), "")
	if err != nil || thread != "1.2" {
		t.Fatalf("%q %v", thread, err)
	}
	if thread, err = n.Notify(t.Context(), message(), thread); err != nil || thread != "1.2" {
		t.Fatalf("%q %v", thread, err)
	}
	var got slackMessage
	if r := f.last(t, &got); got.Thread != "1.2" || got.Channel != "C1" || r.header.Get("Authorization") != "Bearer xoxb-1" {
		t.Errorf("%+v", got)
	}
	var p Permanent
	if _, err = n.Notify(t.Context(), message(), ""); !errors.As(err, &p) {
		t.Errorf("a channel that does not exist is tried again: %v", err)
	}
	if _, err = n.Notify(t.Context(), message(), ""); err == nil || errors.As(err, &p) {
		t.Errorf("a rate limit is for good: %v", err)
	}
}

func TestTeams(t *testing.T) {
	f := newFake(t, answer(202, ""))
	if _, err := notifier(t, config.Target{Kind: "teams", URL: f.URL}).Notify(t.Context(), message(), ""); err != nil {
		t.Fatal(err)
	}
	var got cardMessage
	f.last(t, &got)
	if got.Type != "message" || got.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" {
		t.Fatalf("%+v", got)
	}
	c := got.Attachments[0].Content
	for _, b := range c.Body {
		if b.Type != "RichTextBlock" { // a TextBlock reads Markdown
			t.Errorf("a block is a %s", b.Type)
		}
		harmless(t, b.Inlines[0].Text)
	}
	if c.Actions[0].Type != "Action.OpenUrl" || !strings.HasPrefix(c.Actions[0].URL, console) {
		t.Errorf("%+v", c.Actions)
	}
}

func TestPagerDuty(t *testing.T) {
	f := newFake(t, answer(202, `{"status":"success"}`))
	n := notifier(t, config.Target{Kind: "pagerduty", URL: f.URL, Secret: "R"})
	if _, err := n.Notify(t.Context(), message(), ""); err != nil {
		t.Fatal(err)
	}
	var got pdEvent
	f.last(t, &got)
	if got.RoutingKey != "R" || got.Action != "trigger" || got.DedupKey != "default/inc-0123456789abcdef" || got.Payload.Severity != "error" || got.Payload.Component != "web1" {
		t.Errorf("%+v", got)
	}
	c := raised()
	c.Kind, c.Into = model.IncidentMerged, "inc-2"
	if _, err := n.Notify(t.Context(), Compose(c, attack(), console, asIs), ""); err != nil {
		t.Fatal(err)
	}
	got = pdEvent{}
	if f.last(t, &got); got.Action != "resolve" || got.DedupKey != "default/inc-0123456789abcdef" || got.Payload != nil {
		t.Errorf("a merged incident stays open: %+v", got)
	}
}

func TestNtfy(t *testing.T) {
	f := newFake(t, answer(200, "{}"))
	if _, err := notifier(t, config.Target{Kind: "ntfy", URL: f.URL + "/alarm", Secret: "tk"}).Notify(t.Context(), message(), ""); err != nil {
		t.Fatal(err)
	}
	var got ntfyMessage
	r := f.last(t, &got)
	if got.Topic != "alarm" || r.path != "/" || got.Priority != 4 || r.header.Get("Authorization") != "Bearer tk" || !strings.HasPrefix(got.Click, console) {
		t.Errorf("%s %+v", r.path, got)
	}
	harmless(t, got.Title+got.Message)
}

// What is signed can be checked by any library of that specification.
func TestWebhook(t *testing.T) {
	f := newFake(t, answer(204, ""))
	if _, err := notifier(t, config.Target{Kind: "webhook", URL: f.URL, Secret: "whsec_c2VjcmV0"}).Notify(t.Context(), message(), ""); err != nil {
		t.Fatal(err)
	}
	var got Event
	r := f.last(t, &got)
	if got.SpecVersion != "1.0" || got.Type != "catena.incident_raised.v1" || got.ID != "default-7" || got.Source != "/catena/default" || got.Data.Incident.Score != 90 {
		t.Errorf("%+v", got)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/cloudevents+json" {
		t.Errorf("content type %s", ct)
	}
	at := r.header.Get("Webhook-Timestamp")
	if want := "v1," + Sign([]byte("secret"), "default-7", at, r.body); at != strconv.FormatInt(noon.Unix(), 10) || r.header.Get("Webhook-Signature") != want {
		t.Errorf("signed %q at %s", r.header.Get("Webhook-Signature"), at)
	}
}

// One incident is one issue, also when an answer is lost; what follows are comments.
func TestJira(t *testing.T) {
	f := newFake(t, answer(200, `{"issues":[]}`), answer(201, `{"key":"SEC-7"}`), answer(200, `{"issues":[{"key":"SEC-7"}]}`), answer(201, `{}`))
	n := notifier(t, config.Target{Kind: "jira", URL: f.URL, User: "a@b.example", Secret: "tok", To: []string{"SEC", "[System] Incident"}})
	thread, err := n.Notify(t.Context(), message(), "")
	if err != nil || thread != "SEC-7" {
		t.Fatalf("%q %v", thread, err)
	}
	var made struct {
		Fields struct {
			Summary     string
			Description adf
			Labels      []string
		}
	}
	r := f.last(t, &made)
	if r.path != "/rest/api/3/issue" || made.Fields.Labels[1] != "catena-default-inc-0123456789abcdef" || made.Fields.Description.Type != "doc" {
		t.Errorf("%s %+v", r.path, made)
	}
	b, _ := json.Marshal(made.Fields.Description)
	harmless(t, string(b))
	if thread, err = n.Notify(t.Context(), message(), ""); err != nil || thread != "SEC-7" { // the first answer was lost
		t.Fatalf("%q %v", thread, err)
	}
	var comment any
	if r := f.last(t, &comment); r.path != "/rest/api/3/issue/SEC-7/comment" {
		t.Errorf("a second issue is made: %s", r.path)
	}
	var p Permanent
	if _, err := n.Notify(t.Context(), message(), "../../x"); !errors.As(err, &p) {
		t.Errorf("an issue's key becomes a path: %v", err)
	}
}

func TestEmail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() { got <- smtpServer(l) }()
	m := message()
	m.Title = "a\r\nBcc: victim@example.org\r\n\r\nx " + hostile
	n := notifier(t, config.Target{Kind: "email", URL: "smtp://" + l.Addr().String(), From: "Catena <catena@example.org>", To: []string{"soc@example.org"}})
	thread, err := n.Notify(t.Context(), m, "")
	if err != nil || thread != "<default-7@example.org>" {
		t.Fatalf("%q %v", thread, err)
	}
	msg, err := mail.ReadMessage(strings.NewReader(<-got))
	if err != nil {
		t.Fatal(err)
	}
	if msg.Header.Get("Bcc") != "" || len(msg.Header) != 8 {
		t.Errorf("a title became a header: %v", msg.Header)
	}
	_, p, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(msg.Body, p["boundary"])
	for _, kind := range []string{"text/plain", "text/html"} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(quotedprintable.NewReader(part))
		if !strings.HasPrefix(part.Header.Get("Content-Type"), kind) || !strings.Contains(string(b), console+"/incidents/inc-0123456789abcdef?tenant=default") {
			t.Errorf("%s: %s", part.Header.Get("Content-Type"), b)
		}
		harmless(t, string(b))
		if kind == "text/html" && strings.Contains(string(b), "<img") {
			t.Errorf("markup of others stands in the mail: %s", b)
		}
	}
	// A password goes to no server without TLS.
	go smtpServer(l)
	n = notifier(t, config.Target{Kind: "email", URL: "smtp://" + l.Addr().String(), User: "u", Secret: "s", From: "a@b.example", To: []string{"c@d.example"}})
	var perm Permanent
	if _, err := n.Notify(t.Context(), message(), ""); !errors.As(err, &perm) || !strings.Contains(err.Error(), "no TLS") {
		t.Errorf("%v", err)
	}
}

// smtpServer takes one message and returns it.
func smtpServer(l net.Listener) string {
	c, err := l.Accept()
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r, say := bufio.NewReader(c), func(s string) { _, _ = io.WriteString(c, s+"\r\n") }
	say("220 test")
	var body strings.Builder
	for {
		s, err := r.ReadString('\n')
		if err != nil {
			return body.String()
		}
		switch s = strings.TrimSpace(s); {
		case strings.HasPrefix(s, "EHLO"):
			say("250 test")
		case s == "DATA":
			say("354 go")
			for {
				s, err := r.ReadString('\n')
				if err != nil || s == ".\r\n" {
					break
				}
				body.WriteString(strings.TrimPrefix(s, "."))
			}
			say("250 ok")
		case s == "QUIT":
			say("221 bye")
			return body.String()
		default:
			say("250 ok")
		}
	}
}

func TestSyslog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(c)
		got <- string(b)
	}()
	m := message()
	m.Title = "a|b\\c\nCEF:0|forged"
	if _, err := notifier(t, config.Target{Kind: "syslog", URL: "tcp://" + l.Addr().String()}).Notify(t.Context(), m, ""); err != nil {
		t.Fatal(err)
	}
	n, text, _ := strings.Cut(<-got, " ")
	if n != strconv.Itoa(len(text)) {
		t.Errorf("framed as %s of %d", n, len(text))
	}
	if !strings.HasPrefix(text, "<131>1 2026-03-04T12:00:00.000Z - catena - incident_raised - CEF:0|Catena|catena|1|incident_raised|a\\|b\\\\c CEF:0\\|forged|8|") || strings.Contains(text, "\n") {
		t.Errorf("sent %q", text)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := notifier(t, config.Target{Kind: "syslog", URL: "udp://" + pc.LocalAddr().String()}).Notify(t.Context(), message(), ""); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	_ = pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	k, _, err := pc.ReadFrom(b)
	if err != nil || !strings.HasPrefix(string(b[:k]), "<131>1 ") {
		t.Errorf("%q %v", b[:k], err)
	}
}

// What an answer means: try again, come later, or give up. No error shows the URL,
// which of some targets is the secret.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		answer    func(http.ResponseWriter)
		permanent bool
		later     time.Duration
	}{
		{answer(500, "boom"), false, 0},
		{answer(404, "no such webhook\x1b[31m"), true, 0},
		{answer(403, ""), true, 0},
		{answer(429, "", "Retry-After", "30"), false, 30 * time.Second},
		{answer(503, "", "Retry-After", "1e300"), false, maxRetry},
		{answer(302, "", "Location", "http://169.254.169.254/"), true, 0},
	} {
		f := newFake(t, c.answer)
		_, err := notifier(t, config.Target{Kind: "teams", URL: f.URL + "/secret-part"}).Notify(t.Context(), message(), "")
		var p Permanent
		var l Later
		if err == nil || errors.As(err, &p) != c.permanent || errors.As(err, &l) != (c.later > 0) || l.After != c.later {
			t.Errorf("%v: permanent %v, later %v", err, errors.As(err, &p), l.After)
		}
		if s := err.Error(); strings.Contains(s, "secret-part") || strings.Contains(s, "\x1b") {
			t.Errorf("the error is %q", s)
		}
		if f.count() != 1 {
			t.Errorf("%d requests: a redirect was followed", f.count())
		}
	}
	_, err := notifier(t, config.Target{Kind: "teams", URL: "http://127.0.0.1:1/secret-part"}).Notify(t.Context(), message(), "")
	if err == nil || strings.Contains(err.Error(), "secret-part") {
		t.Errorf("the error is %v", err)
	}
}

// Notifications are no way into one's own network, by address or by name.
func TestInnerNetwork(t *testing.T) {
	f := newFake(t, answer(200, ""))
	d := NewDialer(nil)
	env := Environment{Client: NewClient(d), Dial: d, Now: time.Now}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(f.URL, "http://"))
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		n, err := New(config.Target{Name: "t", Kind: "teams", URL: "http://" + host + ":" + port}, env)
		if err != nil {
			t.Fatal(err)
		}
		var p Permanent
		if _, err := n.Notify(t.Context(), message(), ""); err == nil || host != "[::1]" && !errors.As(err, &p) {
			t.Errorf("%s: %v", host, err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	for _, to := range []string{"10.0.0.1:80", "169.254.169.254:80", "192.168.1.1:25", "[fe80::1]:80", "[fd00::1]:80", "[64:ff9b::7f00:1]:80", "100.64.0.1:80"} {
		if c, err := d(ctx, "tcp", to); err == nil {
			c.Close()
			t.Errorf("%s is reached", to)
		} else if !strings.Contains(err.Error(), "one's own network") {
			t.Errorf("%s: %v", to, err)
		}
	}
	if f.count() != 0 {
		t.Error("it was reached")
	}
}
