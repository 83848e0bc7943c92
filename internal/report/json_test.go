package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/catena-sec/catena/internal/model"
)

// compile compiles one of our schemas, as another program would.
func compile(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	b, err := Schema(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name+".json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name + ".json")
	if err != nil {
		t.Fatalf("schema %s: %v", name, err)
	}
	return s
}

func validate(t testing.TB, s *jsonschema.Schema, b []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestJSONMatchesSchema(t *testing.T) {
	schema := compile(t, "report")
	broken := sample() // what no caller should hand over, and yet must not break the form
	broken.Incidents[0].Links[0].Bits = math.NaN()
	broken.Incidents[0].Root.Time = time.Date(60056, 1, 1, 0, 0, 0, 0, time.UTC)
	broken.Incidents[0].FirstSeen = time.Date(-5, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
	broken.Alerts[0].Evidence[0].Event = json.RawMessage("{not json\xff")
	for name, r := range map[string]*model.Report{"sample": sample(), "empty": {}, "broken": broken} {
		b := render(t, JSON(), r)
		if err := validate(t, schema, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if bytes.Contains(b, []byte("null")) && name == "empty" {
			t.Errorf("%s: null in\n%s", name, b)
		}
	}
	for name, v := range map[string]any{"incident": copyOf(sample().Incidents[0], validUTF8), "alert": copyOf(sample().Alerts[0], validUTF8)} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, compile(t, name), b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRefuses keeps the schema from accepting everything.
func TestSchemaRefuses(t *testing.T) {
	schema := compile(t, "report")
	good := string(render(t, JSON(), sample()))
	for _, c := range []struct{ old, bad string }{
		{`"catena.report/v1"`, `"catena.report/v0"`},
		{`"severity": "critical"`, `"severity": "awful"`},
		{`"stage": "intrusion"`, `"stage": "delivery"`},
		{`"reason": "same_process_tree"`, `"reason": "hunch"`},
		{`"primary": "InitialAccess"`, `"primary": "Initial Access"`},
		{`"confidence": 0.87`, `"confidence": 87`},
		{`"notes": [`, `"remarks": [`},
		{`"first_seen": "2026-03-03T09:12:03Z"`, `"first_seen": "2026-03-03 09:12"`},
	} {
		bad := strings.Replace(good, c.old, c.bad, 1)
		if bad == good {
			t.Errorf("%s is not in the sample", c.old)
		} else if validate(t, schema, []byte(bad)) == nil {
			t.Errorf("the schema accepts %s", c.bad)
		}
	}
}

func TestSchemaUnknown(t *testing.T) {
	if _, err := Schema("../report"); err == nil || !strings.Contains(err.Error(), "alert, decision, event, incident, report") {
		t.Errorf("error %v does not name the schemas there are", err)
	}
}

// TestJSONLossless holds report.json to saying all, hostile characters included.
func TestJSONLossless(t *testing.T) {
	b := render(t, JSON(), sample())
	checkClean(t, string(b))
	var back model.Report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	again := render(t, JSON(), &back)
	if d := cmp.Diff(string(b), string(again)); d != "" {
		t.Errorf("reading and writing again changes it (-first +second):\n%s", d)
	}
	if !strings.Contains(back.Incidents[0].Steps[3].Summary, hostile) {
		t.Errorf("the summary lost characters: %q", back.Incidents[0].Steps[3].Summary)
	}
}

func TestEscapeHidden(t *testing.T) {
	in, err := json.Marshal("a\u202eb\u009bc\U000e0041ü\x7f")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(escapeHidden(in)), `"a\u202eb\u009bc\udb40\udc41ü\u007f"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// failing fails after n bytes.
type failing struct{ n int }

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

type constError string

func (e constError) Error() string { return string(e) }

const errFull = constError("disk full")

func TestWriteErrors(t *testing.T) {
	for _, w := range all(false) {
		if err := w.Write(&failing{100}, sample()); err == nil {
			t.Errorf("%s: a full disk is no error", w.Name())
		}
	}
}

// TestSafeJSON: JSON for a terminal says the same and shows what it hides.
func TestSafeJSON(t *testing.T) {
	const hostile = "a\u009b31m\u202etxt.exe\u200b\x1b[2J"
	var b strings.Builder
	if err := json.NewEncoder(SafeJSON(&b)).Encode(map[string]string{"name": hostile}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\u009b\u202e\u200b\x1b") {
		t.Errorf("%q reaches the terminal", b.String())
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back["name"] != hostile {
		t.Errorf("%q, %v", back["name"], err)
	}
}
