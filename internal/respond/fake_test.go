package respond

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) // a Wednesday

// A request is what a fake target got.
type request struct {
	path   string
	header http.Header
	body   []byte
}

// A fake is an HTTP target that answers what it is told to, in turn, the last for ever.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	got     []request
	answers []func(http.ResponseWriter)
}

func answer(code int, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func newFake(t *testing.T, answers ...func(http.ResponseWriter)) *fake {
	t.Helper()
	f := &fake{answers: answers}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		n := len(f.got)
		f.got = append(f.got, request{r.URL.RequestURI(), r.Header.Clone(), b})
		f.mu.Unlock()
		if len(f.answers) > 0 {
			f.answers[min(n, len(f.answers)-1)](w)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// last decodes the body of the last request.
func (f *fake) last(t *testing.T, into any) request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.got) == 0 {
		t.Fatal("nothing was sent")
	}
	r := f.got[len(f.got)-1]
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("the body is no JSON: %v", err)
	}
	return r
}

func (f *fake) count() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.got) }

// local is an environment that may reach this machine.
func local() Environment {
	d := NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	return Environment{Client: NewClient(d), Dial: d, Now: func() time.Time { return noon }}
}

func notifier(t *testing.T, c config.Target) Notifier {
	t.Helper()
	c.Name = c.Kind
	n, err := New(c, local())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hostile is what attackers write where names and titles come from.
const hostile = "<!channel> <http://evil.example|click> @here [x](http://evil.example/a) http://evil.example/b *bold* `c` a|b=c\\d \"q\" <img src=x onerror=alert(1)>"

// attack is an incident whose texts are hostile.
func attack() *model.Incident {
	return &model.Incident{
		ID: "inc-0123456789abcdef", Title: "Stolen " + hostile, Severity: model.High, Score: 90, Status: "new",
		Root:    model.Root{Time: noon.Add(-time.Hour), Host: "web1", User: "svc", Why: "a password was guessed", Confidence: .8},
		Summary: []model.Sentence{{Text: "It began with " + hostile + "."}},
		Stages:  []model.Stage{"intrusion", "exfiltration"}, Tactics: []string{"initial-access"},
		Impact:   model.Impact{Summary: "1 host compromised.", Compromised: []string{"host:web1", "user:svc", "access_key:AKIA1"}},
		Entities: []model.EntityView{{Type: model.Host, Value: "web1"}},
	}
}

func raised() model.Change {
	return model.Change{Seq: 7, Tenant: "default", Time: noon, Kind: model.IncidentRaised, Incident: "inc-0123456789abcdef", Severity: model.High}
}

const console = "https://catena.example.org"

// asIs leaves texts as they are, so that escaping is the notifiers' own work.
func asIs(s string) string { return s }

func message() *Message { return Compose(raised(), attack(), console, asIs) }

// harmless fails if a text holds what a client would make a link of.
func harmless(t *testing.T, s string) {
	t.Helper()
	if strings.Contains(s, "http://evil") || strings.Contains(s, "https://evil") {
		t.Errorf("an attacker's link stands in %q", s)
	}
}
