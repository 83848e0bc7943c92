package simulate

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// made writes a simulation into a folder of the test's own.
func made(t *testing.T, o Options) (dir string, sum Summary) {
	t.Helper()
	dir = t.TempDir()
	sum, err := Write(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, sum
}

// contents are the bytes of every file below dir, unpacked where gzipped.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// hashOf is one hash over all files.
func hashOf(files map[string][]byte) string {
	h := sha256.New()
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(h, "%s %d\n", name, len(files[name]))
		h.Write(files[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func truthOf(t *testing.T, files map[string][]byte) model.Truth {
	t.Helper()
	var truth model.Truth
	d := json.NewDecoder(bytes.NewReader(files["truth.json"]))
	d.DisallowUnknownFields()
	if err := d.Decode(&truth); err != nil {
		t.Fatal(err)
	}
	return truth
}

func TestSeedDecides(t *testing.T) {
	first, sum := made(t, Options{Seed: 7})
	other, _ := made(t, Options{Seed: 8})
	a, c := contents(t, first), contents(t, other)
	if hashOf(a) == hashOf(c) {
		t.Error("another seed makes the same evidence")
	}
	if sum.Campaigns != len(Names()) || sum.Records < 50_000 || sum.Files != len(a)-1 {
		t.Errorf("made %+v in %d files", sum, len(a))
	}
	// The same again, over another run: the same bytes, and nothing of the other.
	if _, err := Write(other, Options{Seed: 7}); err != nil {
		t.Fatal(err)
	}
	b := contents(t, other)
	if hashOf(a) != hashOf(b) {
		for name := range a {
			if !bytes.Equal(a[name], b[name]) {
				t.Errorf("%s differs between two runs of one seed", name)
			}
		}
	}
}

// backgroundLines are the lines of the text logs, without what an added attack may change:
// record numbers that count what was there before.
func backgroundLines(files map[string][]byte) map[string]int {
	out := map[string]int{}
	for name, data := range files {
		if !strings.HasSuffix(name, "auth.log") && !strings.HasSuffix(name, "conn.log") && !strings.HasSuffix(name, ".ndjson") || strings.Contains(name, "winlogbeat") {
			continue
		}
		for l := range strings.Lines(string(data)) {
			out[l]++
		}
	}
	return out
}

func TestAttackLeavesBackgroundAlone(t *testing.T) {
	quiet, sum := made(t, Options{Seed: 3, Scenarios: []string{Quiet}})
	two, chosen := made(t, Options{Seed: 3, Scenarios: []string{"ssh-to-bucket", "phish-to-ransomware"}})
	if chosen.Campaigns != 2 {
		t.Errorf("%d campaigns of two that were chosen", chosen.Campaigns)
	}
	q := contents(t, quiet)
	if truth := truthOf(t, q); sum.Campaigns != 0 || len(truth.Campaigns) != 0 || len(truth.Records) != 0 {
		t.Errorf("quiet has %d campaigns, %d records of them", len(truth.Campaigns), len(truth.Records))
	}
	with := backgroundLines(contents(t, two))
	missing, seen := 0, 0
	for l, n := range backgroundLines(q) {
		seen += n
		if with[l] < n {
			missing++
		}
	}
	if seen < 10_000 || missing > 0 {
		t.Errorf("of %d lines of background %d change when attacks are planted", seen, missing)
	}
}

func TestUnknownScenarioAndForeignFolder(t *testing.T) {
	if _, err := Write(t.TempDir(), Options{Scenarios: []string{"nonsense"}}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown scenario: %v", err)
	}
	dir := t.TempDir()
	mine := filepath.Join(dir, "evidence", "mine.txt")
	if err := os.MkdirAll(filepath.Dir(mine), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(dir, Options{Scenarios: []string{Quiet}}); err == nil {
		t.Error("wrote into a folder that holds somebody's files")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("somebody's file is gone: %v", err)
	}
}

// decoded reads all evidence with the product's own decoders; it returns which
// records they found, by "<input>#<record>".
func decoded(t *testing.T, files map[string][]byte) map[string]*model.Event {
	t.Helper()
	o := decode.Options{Names: model.NewNames()}
	decoders := []decode.Decoder{decode.JSON(o), decode.WindowsXML(o), decode.Syslog(o), decode.Auditd(o), decode.ZeekTSV(o)}
	out := map[string]*model.Event{}
	for name, data := range files {
		input, ok := strings.CutPrefix(name, "evidence/")
		if !ok {
			continue
		}
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		best, sure := decode.Decoder(nil), 0
		for _, d := range decoders {
			if n := d.Sniff(data[:min(len(data), decode.SniffLen)]); n > sure {
				best, sure = d, n
			}
		}
		if best == nil {
			t.Errorf("%s: no decoder knows it", name)
			continue
		}
		bad := func(e model.InputError) { t.Errorf("%s: %+v", name, e) }
		err := best.Frame(bytes.NewReader(data), func(c decode.Chunk) error {
			var b decode.Batch
			c.Input = input
			best.Decode(c, &b)
			for _, e := range b.Errors {
				bad(e)
			}
			for i := range b.Events {
				e := &b.Events[i]
				out[fmt.Sprintf("%s#%d", input, e.Ref.Record)] = e
			}
			return nil
		}, bad)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return out
}

// TestTruthHolds checks for several seeds that what was written is understood
// and that the truth speaks of it.
func TestTruthHolds(t *testing.T) {
	for seed := uint64(1); seed <= 2; seed++ {
		dir, sum := made(t, Options{Seed: seed})
		files := contents(t, dir)
		truth := truthOf(t, files)
		addresses(t, files["evidence/zeek/conn.log"])
		events := decoded(t, files)
		if int64(len(events)) != sum.Records {
			t.Errorf("seed %d: %d events of %d records", seed, len(events), sum.Records)
		}
		hosts := map[string]string{}
		named := map[string]bool{}
		for _, r := range truth.Records {
			key := fmt.Sprintf("%s#%d", r.Input, r.Record)
			if events[key] == nil {
				t.Errorf("seed %d: the truth names %s, which is no record", seed, key)
			}
			if named[key] {
				t.Errorf("seed %d: %s is named twice", seed, key)
			}
			named[key] = true
		}
		for _, c := range truth.Campaigns {
			if c.Root.Time.IsZero() || c.Root.User == "" || !named[c.Root.Event] {
				t.Errorf("seed %d: %s: root %+v", seed, c.ID, c.Root)
			}
			for _, h := range c.Hosts {
				if other := hosts[h]; other != "" && other != c.ID {
					t.Errorf("seed %d: %s is in %s and %s", seed, h, c.ID, other)
				}
				hosts[h] = c.ID
			}
			for i, s := range c.Steps {
				if s.N != i+1 || s.Parent >= s.N || i > 0 && s.Time.Before(c.Steps[i-1].Time) {
					t.Errorf("seed %d: %s: step %d at %s of parent %d out of order", seed, c.ID, s.N, s.Time, s.Parent)
				}
				if !s.Visible || len(s.Events) == 0 {
					t.Errorf("seed %d: %s: step %d has no record", seed, c.ID, s.N)
					continue
				}
				if !slices.Contains(knowledge.TacticsOf(s.Technique), s.Tactic) {
					t.Errorf("seed %d: %s: step %d: %s is no technique of %s", seed, c.ID, s.N, s.Technique, s.Tactic)
				}
				first := s.Events[0]
				for _, key := range s.Events {
					if e := events[key]; e != nil && events[first] != nil && e.Time.Before(events[first].Time) {
						first = key
					}
				}
				// A clock that is an hour off is part of the exercise; no more than that.
				if e := events[first]; e != nil && e.Time.Sub(s.Time).Abs().Minutes() > 62 {
					t.Errorf("seed %d: %s: step %d is said to be at %s, its first record is of %s", seed, c.ID, s.N, s.Time, e.Time)
				}
			}
		}
	}
}

// addresses checks that every address on the wire is private or set aside for
// documentation, so that no evidence points at anybody.
func addresses(t *testing.T, conn []byte) {
	t.Helper()
	seen := 0
	for l := range strings.Lines(string(conn)) {
		if l[0] == '#' {
			continue
		}
		cols := strings.Split(l, "\t")
		for _, ip := range []string{cols[2], cols[4]} {
			seen++
			if !strings.HasPrefix(ip, "10.") && !strings.HasPrefix(ip, "192.0.2.") && !strings.HasPrefix(ip, "198.51.100.") && !strings.HasPrefix(ip, "203.0.113.") {
				t.Fatalf("conn.log: %s", ip)
			}
		}
	}
	if seen < 1000 {
		t.Errorf("conn.log names %d addresses", seen)
	}
}
