package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// The page of the manual is what the program says, and means the defaults.
func TestExample(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "serve.example.yml")
	if os.Getenv("CATENA_WRITE") != "" {
		if err := os.WriteFile(path, []byte(Example()), 0o644); err != nil { //nolint:gosec // a page of the manual
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != Example() {
		t.Fatalf("%s is not what the program says (%v): CATENA_WRITE=1 go test ./internal/config -run Example", path, err)
	}
	c, err := Parse("example", b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(norm(Default()), norm(c)); d != "" {
		t.Errorf("the example is not the defaults: %s", d)
	}
}

// norm makes empty lists nil.
func norm(c Config) string {
	b, _ := yaml.Marshal(c)
	return strings.ReplaceAll(string(b), "[]", "null")
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	text := "data_dir: /var/lib/catena\nlisten: 0.0.0.0:8440\ntls: {self_signed: true}\nbus:\n  max_bytes: 2GiB\nretention:\n  events: 14d\nreceivers:\n  syslog:\n    - name: lan\n      listen: 0.0.0.0:514\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, []string{"CATENA_RETENTION_EVENTS=3d", "CATENA_LOG_LEVEL=debug", "CATENA_RULES_DIRS=a, b", "HOME=/x"}, []string{"log.level=warn"})
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(c.Retention.Events); got != 72*time.Hour {
		t.Errorf("the environment does not win over the file: %v", got)
	}
	if c.Log.Level != "warn" {
		t.Errorf("a flag does not win over the environment: %q", c.Log.Level)
	}
	if c.Bus.MaxBytes != 2<<30 || !reflect.DeepEqual(c.Rules.Dirs, []string{"a", "b"}) {
		t.Errorf("read as %v %v", c.Bus.MaxBytes, c.Rules.Dirs)
	}
	if s := c.Receivers.Syslog[0]; s.Network != "udp" || s.Tenant != "default" {
		t.Errorf("an item lacks its defaults: %+v", s)
	}
}

// Each mistake is told with its line, and says what to do.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, where, say string }{
		{"lisen: x:1\n", ":1:1:", "did you mean listen?"},
		{"bus:\n  replicas: many\n", ":2:13:", "no whole number"},
		{"bus:\n  replicas: 9\n", ":2:13:", "more than 5"},
		{"bus: 3\n", ":1:6:", "names and values"},
		{"listen: 0.0.0.0:8440\n", ":1:9:", "tls.self_signed"},
		{"listen: nowhere\n", ":1:9:", "address with a port"},
		{"tls: {cert: a.pem}\n", ":1:6:", "go together"},
		{"tenants:\n- id: Big\n", ":2:7:", "small letters"},
		{"tenants:\n- id: a\n- id: a\n", ":3:3:", "stands twice"},
		{"receivers:\n  syslog:\n  - name: a\n", ":3:5:", "is needed"},
		{"receivers:\n  syslog:\n  - {name: a, listen: ':514', tenant: other}\n", ":3:5:", "none of tenants"},
		{"receivers:\n  syslog:\n  - {name: a, listen: ':514', network: sctp}\n", ":3:40:", "none of udp, tcp, tls"},
		{"receivers:\n  webhooks:\n  - name: a\n", ":3:5:", "is needed"},
		{"notify:\n  routes:\n  - {name: r, targets: [none]}\n", ":3:5:", "none of notify.targets"},
		{"notify:\n  routes:\n  - {name: r, targets: [t], hours: noon}\n  targets:\n  - {name: t, kind: ntfy, url: 'https://x'}\n", ":3:36:", "mon-fri"},
		{"engine:\n  zone: Mars\n", ":2:9:", "no time zone"},
		{"access:\n  local: false\n", ":2:10:", "nobody could enter"},
		{"data_dir: &a x\nlisten: *a\n", ":1:11:", "anchors"},
		{"retention:\n  events: soon\n", ":2:11:", "no time span"},
		{"retention:\n  events_bytes: -3\n", ":2:17:", "no size"},
		{"data_dir: x\ndata_dir: y\n", ":2:1:", "said twice"},
		{"a: [\n", "", "line"},
	} {
		_, err := Parse("c.yml", []byte(c.text))
		var l Problems
		if !errors.As(err, &l) {
			t.Errorf("%q gives no problem", c.text)
			continue
		}
		if got := l.Error(); !strings.Contains(got, c.where) || !strings.Contains(got, c.say) {
			t.Errorf("%q:\n got %s\nwant %s ... %s", c.text, got, c.where, c.say)
		}
	}
	_, err := Parse("c.yml", []byte("lisen: x\nbus:\n  replicas: 77\n"))
	if err == nil || !strings.Contains(err.Error(), "listen?\n") || !strings.Contains(err.Error(), "more than 5") {
		t.Errorf("not all problems are told: %v", err)
	}
	_, err = Load("", []string{"CATENA_BUS_REPLICA=3"}, nil)
	if err == nil || !strings.Contains(err.Error(), "names no setting") {
		t.Errorf("an unknown variable is not told: %v", err)
	}
	_, err = Load("", nil, []string{"receivers.syslog=x", "bus.replica=2", "data_dir"})
	if err == nil || !strings.Contains(err.Error(), "only the file") || !strings.Contains(err.Error(), "did you mean replicas?") || !strings.Contains(err.Error(), "data_dir=VALUE") {
		t.Errorf("bad flags are not told: %v", err)
	}
}

func TestSecret(t *testing.T) {
	t.Setenv("A_SECRET", "geheim")
	f := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(f, []byte("auch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[Secret]string{"env:A_SECRET": "geheim", Secret("file:" + f): "auch", "plain": "plain", "": ""} {
		if got, err := s.Value(); err != nil || got != want {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	if _, err := Secret("env:NOT_SET_AT_ALL").Value(); err == nil {
		t.Error("a variable that is not set is no error")
	}
	c := Default()
	c.Notify.Targets = []Target{{Name: "t", Secret: "hush"}}
	y, _ := yaml.Marshal(c)
	j, _ := json.Marshal(c)
	if all := string(y) + string(j); strings.Contains(all, "hush") {
		t.Error("a secret is printed")
	}
}

func TestSchemaTakesExample(t *testing.T) {
	b, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	k := jsonschema.NewCompiler()
	if err := k.AddResource("c", doc); err != nil {
		t.Fatal(err)
	}
	s, err := k.Compile("c")
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal([]byte(Example()), &v); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Error(err)
	}
	if err := s.Validate(map[string]any{"lisen": "x"}); err == nil {
		t.Error("an unknown setting passes the schema")
	}
}

func TestDiff(t *testing.T) {
	a, b := Default(), Default()
	b.Listen, b.Log.Level, b.Rules.Dirs = "127.0.0.1:1", "debug", []string{"x"}
	taken, restart := Diff(a, b)
	if want := []string{"rules.dirs", "log.level"}; !reflect.DeepEqual(taken, want) {
		t.Errorf("taken over: %v", taken)
	}
	if want := []string{"listen"}; !reflect.DeepEqual(restart, want) {
		t.Errorf("need a restart: %v", restart)
	}
}

// Whatever the file says, the answer is a configuration or problems that name it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(Example()))
	f.Add([]byte("a: {b: [c, {d: e}]}\n"))
	f.Add([]byte("x: &a [*a]\n"))
	f.Add([]byte("tenants:\n- id: a\nreceivers: {syslog: [{name: x}]}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("f.yml", b)
		if err == nil {
			if _, err := Parse("again", []byte(Example())); err != nil {
				t.Fatal(err)
			}
			_, _ = Diff(Default(), c)
			return
		}
		var l Problems
		if !errors.As(err, &l) || len(l) == 0 || len(l) > maxProblems {
			t.Fatalf("%v", err)
		}
	})
}
