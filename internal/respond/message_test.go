package respond

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

func TestCompose(t *testing.T) {
	m := message()
	for _, want := range []string{"4 Mar 2026 11:00:00 UTC on web1 as svc: a password was guessed (80 % sure)"} {
		if m.Started != want {
			t.Errorf("started: %q", m.Started)
		}
	}
	if want := []string{"Isolate web1 from the network; keep it running for its memory.", "Revoke AKIA1 and look at what it was used for.", "Disable svc or reset its credentials, and end its sessions."}; !slices.Equal(m.Do, want) {
		t.Errorf("to do: %q", m.Do)
	}
	if m.Link != console+"/incidents/inc-0123456789abcdef?tenant=default" {
		t.Errorf("link: %s", m.Link)
	}
	if m.Key != "default/inc-0123456789abcdef" || m.ID != "default-7" {
		t.Errorf("key %q, id %q", m.Key, m.ID)
	}
}

func TestComposeKinds(t *testing.T) {
	for _, c := range []struct {
		change model.Change
		in     *model.Incident
		say    string
	}{
		{model.Change{Kind: model.SourceQuiet, Tenant: "t", Source: "fw"}, nil, "Quiet: fw"},
		{model.Change{Kind: model.SourceBack, Tenant: "t", Source: "fw"}, nil, "Sends again: fw"},
		{model.Change{Kind: model.SeverityChanged, Severity: model.Critical, Before: model.High}, attack(), "is critical now; it was high"},
		{model.Change{Kind: model.IncidentMerged, Into: "inc-2"}, attack(), "part of inc-2"},
		{model.Change{Kind: model.ObjectiveBurns, Detail: "Objective fast: held for 1 of 9"}, nil, "held for 1 of 9"},
	} {
		if got := Compose(c.change, c.in, "", asIs).plain(); !strings.Contains(got, c.say) {
			t.Errorf("%s: %q lacks %q", c.change.Kind, got, c.say)
		}
	}
}

// A long text of any script is cut between its characters.
func TestClip(t *testing.T) {
	for _, s := range []string{strings.Repeat("a", 1000), strings.Repeat("ä", 1000), strings.Repeat("漢", 1000), strings.Repeat("😀", 1000), "short"} {
		got := clip(s)
		if len(got) > maxText || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
		if r := runes(s, 10); utf8.RuneCountInString(r) > 10 || !utf8.ValidString(r) {
			t.Errorf("runes: %q", r)
		}
	}
	if runes("0123456789", 10) != "0123456789" {
		t.Error("what fits is cut")
	}
}

func TestDefang(t *testing.T) {
	for in, want := range map[string]string{
		"http://a.example/b": "http[:]//a.example/b", "see HTTPS://x": "see HTTPS[:]//x", "www.a.example": "www[.]a.example",
		"mailto:a@b": "mailto[:]a@b", "C:\\Windows": "C:\\Windows", "10:30": "10:30", "file://x": "file[:]//x", `javascript:\\x`: `javascript[:]\\x`,
	} {
		if got := defang(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("a title", "host:x", "why")
	f.Add(hostile, ":", "\x00\xff")
	f.Fuzz(func(t *testing.T, title, held, why string) {
		in := attack()
		in.Title, in.Root.Why = title, why
		in.Impact.Compromised = []string{held, held}
		m := Compose(raised(), in, console, asIs)
		if len(m.Title) > maxText+8 || len(m.Do) == 0 || len(m.Do) > maxMeasures {
			t.Fatalf("%+v", m)
		}
		for l := range strings.SplitSeq(m.cef(), "\n") {
			if !strings.HasPrefix(l, "CEF:0|Catena|catena|1|") {
				t.Fatalf("a line of CEF begins with %q", l)
			}
		}
	})
}
