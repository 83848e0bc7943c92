package ledger

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

var day1 = time.Date(2024, 1, 1, 9, 0, 0, 0, time.UTC)

func onDay(n int) time.Time { return day1.AddDate(0, 0, n-1) }

func address(n int) model.EntityKey {
	return model.EntityKey{Type: model.IP, Value: fmt.Sprintf("%d.%d.%d.%d", 20+n/65536/256, n/65536%256, n/256%256, n%256)}
}

func sighting(n int, level model.Severity, at time.Time, subject, tactic string) Sighting {
	return Sighting{Alert: model.AlertID("r", fmt.Sprint(n)), Rule: "r-" + string(level), Title: "Rule of level " + string(level), Level: level, Tactics: []string{tactic}, Time: at, Subject: subject}
}

func TestWorstOfTheTimeBeforeIsRecalled(t *testing.T) {
	l := New(Options{})
	k := address(1)
	l.Note(k, sighting(1, model.Low, onDay(1), "web1", "reconnaissance"))
	l.Note(k, sighting(2, model.Medium, onDay(2), "web1", "credential-access"))
	l.Note(k, sighting(3, model.Critical, onDay(120), "db1", "exfiltration"))
	for n := 2; n <= 50; n++ {
		l.Note(address(n), sighting(n+10, model.Low, onDay(n), "web1", "reconnaissance"))
	}
	l.Count(model.IP, 700)
	l.Count(model.IP, 60) // the most that one run saw
	p, ok := l.Recall(k, onDay(110))
	if !ok {
		t.Fatal("nothing recalled")
	}
	want := Past{
		Alert: model.AlertID("r", "2"), Rule: "r-medium", Title: "Rule of level medium", Level: model.Medium, Tactics: []string{"credential-access"}, Time: onDay(2),
		First: onDay(1), Last: onDay(120), Seen: []string{"reconnaissance", "credential-access", "exfiltration"},
		Subjects: 2, Days: 3, Peers: 1, Known: 700,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("recalled\n%+v, want\n%+v", p, want)
	}
	if p, _ := l.Recall(k, onDay(120)); p.Level != model.Critical {
		t.Errorf("the worst until day 120 is %s, want critical", p.Level)
	}
	if _, ok := l.Recall(k, onDay(0)); ok {
		t.Error("something is recalled from before the first sighting")
	}
	if _, ok := l.Recall(address(99), onDay(110)); ok {
		t.Error("an address that nobody named is recalled")
	}
}

func TestWhatSaysNothingIsNotRecalled(t *testing.T) {
	for _, c := range []struct {
		name string
		key  model.EntityKey
		s    Sighting
	}{
		{"informational", address(1), sighting(1, model.Informational, onDay(1), "a", "discovery")},
		{"no tactic", address(1), sighting(1, model.High, onDay(1), "a", "")},
		{"a process", model.EntityKey{Type: model.Process, Value: "p"}, sighting(1, model.High, onDay(1), "a", "execution")},
		{"before 1970", address(1), sighting(1, model.High, time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), "a", "execution")},
		{"after 9999", address(1), sighting(1, model.High, time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC), "a", "execution")},
	} {
		l := New(Options{})
		l.Note(c.key, c.s)
		if p, ok := l.Recall(c.key, time.Date(13000, 1, 1, 0, 0, 0, 0, time.UTC)); ok {
			t.Errorf("%s: recalled %+v", c.name, p)
		}
	}
}

func TestSketchTellsFewFromMany(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 10, 20, 50} {
		var s sketch
		for i := range n {
			s = s.with(digestOf("subject", fmt.Sprint("host", i)))
		}
		if got := s.count(); got < n-1-n/5 || got > n+1+n/5 {
			t.Errorf("%d things are counted as %d", n, got)
		}
	}
	var days sketch
	for i := range int64(400) {
		days = days.with(dayDigest(19000 + i))
	}
	if days.count() != manyThings {
		t.Errorf("400 days are counted as %d, want %d", days.count(), manyThings)
	}
}

// The order in which evidence comes does not matter, nor how often.
func TestNothingChangesByOrderOrRepetition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	tactic := []string{"reconnaissance", "execution", "exfiltration"}
	all := make([]Sighting, 400)
	for i := range all {
		all[i] = sighting(i, levels[rnd.IntN(5)], onDay(1+rnd.IntN(200)), fmt.Sprint("host", rnd.IntN(30)), tactic[rnd.IntN(3)])
	}
	take := func(order []int) []byte {
		l := New(Options{})
		for _, n := range order {
			l.number("r-low", "Rule of level low") // numbers of rules follow the order, what they name does not
			l.Note(address(0), all[n])
		}
		e := l.touched[digestOf("ip", address(0).Value)]
		for i := range e.deeds {
			e.deeds[i].rule = 0
		}
		return e.encode()
	}
	want := take(rnd.Perm(len(all)))
	for range 50 {
		order := append(rnd.Perm(len(all)), rnd.Perm(len(all))...)
		if got := take(order); string(got) != string(want) {
			t.Fatalf("another order gives\n%x, want\n%x", got, want)
		}
	}
}

// Who floods a run with new names does not push out what was worse.
func TestFloodLeavesStrongEvidence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	const room = 4000
	open := func() *Ledger {
		l, err := Open(path, Options{MaxEntities: room})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	for n := range 100 {
		l.Note(address(n), sighting(n, model.High, onDay(1), "web1", "initial-access"))
	}
	if err := l.Commit(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for night := range 10 {
		l := open()
		for n := range 2 * room {
			l.Note(address(1000+night*2*room+n), sighting(n, model.Low, onDay(2+night), "web1", "reconnaissance"))
		}
		if held := len(l.touched); held > room/4 {
			t.Fatalf("a run holds %d entities, want at most %d", held, room/4)
		}
		if err := l.Commit(); err != nil {
			t.Fatal(err)
		}
		refused += l.Stats().Refused
	}
	l = open()
	defer l.Close()
	s := l.Stats()
	if s.Entities > room || s.Evicted == 0 || refused == 0 {
		t.Errorf("held %d of %d, evicted %d, refused %d: want room kept, and what was let go counted", s.Entities, room, s.Evicted, refused)
	}
	for n := range 100 {
		if p, ok := l.Recall(address(n), onDay(120)); !ok || p.Level != model.High {
			t.Fatalf("the flood pushed out %s: %+v", address(n), p)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := record{kind: 2, first: 1_700_000_000, last: 1_700_009_000, subjects: 5, days: 1, common: 3, tactics: 7}
	r.add(deed{at: 1_700_000_001, level: 2, tactics: 1, rule: 3, alert: model.AlertID("r", "e")})
	r.add(deed{at: 1_701_000_001, level: 4, tactics: 2, rule: 4, alert: "incident 17"})
	f.Add(r.encode())
	f.Add((&record{}).encode())
	f.Add([]byte{})
	f.Add([]byte("\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil {
			again, err := decodeRecord(r.encode())
			if err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("read %+v, written and read again %+v, %v", r, again, err)
			}
		}
		sealed := seal(b) // as one who knows the checksum writes it
		if r, err := decodeRecord(sealed); err == nil {
			if again, err := decodeRecord(r.encode()); err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("read %+v, written and read again %+v, %v", r, again, err)
			}
		}
	})
}
