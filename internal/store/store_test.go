package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func openCases(t tb, dir string) *Cases {
	t.Helper()
	c, err := OpenCases(dir)
	must(t, err)
	return c
}

// Before 3.51.3 SQLite could damage a file in WAL mode when a checkpoint met a write.
func TestSQLiteIsNewEnough(t *testing.T) {
	c := openCases(t, t.TempDir())
	defer func() { must(t, c.Close()) }()
	var v string
	must(t, c.db.read.QueryRow("SELECT sqlite_version()").Scan(&v))
	var a, b, d int
	_, err := fmt.Sscanf(v, "%d.%d.%d", &a, &b, &d)
	must(t, err)
	if a*1_000_000+b*1_000+d < 3_051_003 {
		t.Errorf("SQLite is %s", v)
	}
}

// dump is all that is in a file of SQLite, in an order that depends on nothing else.
func dump(t tb, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "_pragma=query_only(1)"))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	names := func(query string, args ...any) (out []string) {
		rows, err := db.Query(query, args...)
		must(t, err)
		defer func() { must(t, rows.Close()) }()
		for rows.Next() {
			var s string
			must(t, rows.Scan(&s))
			out = append(out, s)
		}
		must(t, rows.Err())
		return out
	}
	var out strings.Builder
	for _, table := range names("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name") {
		cols := names("SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
		order := strings.Join(cols, ", ")
		for _, row := range names(fmt.Sprintf("SELECT json_array(%s) FROM %s ORDER BY %s", "hex("+strings.Join(cols, "), hex(")+")", table, order)) {
			fmt.Fprintln(&out, table, row)
		}
	}
	return out.String()
}

// Each schema that was released is made anew here as it was, with something in it, and
// must come through to the newest. When a version is added, its migration goes into this
// list as it was released, so that changing one by mistake shows.
func TestMigrationsLeadForward(t *testing.T) {
	const released = 0 // schemas that went out with a release
	migrations := casesMigrations()
	for v := 1; v <= max(released, len(migrations)); v++ {
		t.Run(fmt.Sprint("from schema ", v), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, CasesFile)
			db, err := sql.Open("sqlite", dsn(path, ""))
			must(t, err)
			for _, m := range migrations[:v] {
				_, err := db.Exec(m)
				must(t, err)
			}
			_, err = db.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; INSERT INTO fact (name, value) VALUES ('offset', x'3432'); INSERT INTO object VALUES ('view', 'mine', '', 1, 0, 'ann', x'7b7d')", casesApplication, v))
			must(t, err)
			must(t, db.Close())
			c := openCases(t, dir)
			n, err := c.Applied(ctx)
			must(t, err)
			equal(t, n, uint64(42))
			_, err = c.Object(ctx, "view", "mine")
			must(t, err)
			commit(t, c, Commit{Alerts: testAlerts(0), Incidents: []Written{testIncident(model.High, 1, 0)}})
			must(t, c.Close())
		})
	}
	t.Run("Control", func(t *testing.T) {
		migrations := controlMigrations()
		for v := 1; v <= len(migrations); v++ {
			dir := t.TempDir()
			db, err := sql.Open("sqlite", dsn(filepath.Join(dir, ControlFile), ""))
			must(t, err)
			for _, m := range migrations[:v] {
				_, err := db.Exec(m)
				must(t, err)
			}
			_, err = db.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; INSERT INTO tenant (id, name, created, disabled) VALUES ('acme', 'Acme', 0, 0)", controlApplication, v))
			must(t, err)
			must(t, db.Close())
			c, err := OpenControl(dir)
			must(t, err)
			x, err := c.Tenant(ctx, "acme")
			must(t, err)
			equal(t, x.Name, "Acme")
			must(t, c.Close())
		}
	})
	for version, want := range map[int]error{len(migrations) + 1: ErrNewer} {
		dir := t.TempDir()
		must(t, openCases(t, dir).Close())
		db, err := sql.Open("sqlite", dsn(filepath.Join(dir, CasesFile), ""))
		must(t, err)
		_, err = db.Exec(fmt.Sprintf("PRAGMA user_version = %d", version))
		must(t, err)
		must(t, db.Close())
		_, err = OpenCases(dir)
		wantErr(t, err, want)
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string) error
		want error
	}{
		"no database":      {func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("x"), 5000), 0o600) }, ErrForeign},
		"another database": {makeForeign, ErrForeign},
		"of Control": {func(p string) error {
			c, err := OpenControl(filepath.Dir(p))
			if err == nil {
				err = errors.Join(c.Close(), os.Rename(filepath.Join(filepath.Dir(p), ControlFile), p))
			}
			return err
		}, ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, CasesFile)
			must(t, c.make(path))
			before, err := os.ReadFile(path)
			must(t, err)
			_, err = OpenCases(dir)
			wantErr(t, err, c.want)
			if !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
			after, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func makeForeign(path string) error {
	db, err := sql.Open("sqlite", dsn(path, ""))
	if err != nil {
		return err
	}
	_, err = db.Exec("CREATE TABLE mine (n INTEGER)")
	return errors.Join(err, db.Close())
}

// A store that is locked, or full, says so and has nothing of what was refused; when it is
// free again it goes on.
func TestAStoreThatCannotWrite(t *testing.T) {
	dir := t.TempDir()
	c := openCases(t, dir)
	defer func() { must(t, c.Close()) }()
	commit(t, c, Commit{Offset: 1, Alerts: testAlerts(0)})
	path := filepath.Join(dir, CasesFile)

	other, err := sql.Open("sqlite", dsn(path, "_txlock=immediate"))
	must(t, err)
	defer func() { must(t, other.Close()) }()
	tx, err := other.Begin()
	must(t, err)
	c.db.exec(t, "PRAGMA busy_timeout = 10")
	_, _, err = c.Commit(ctx, Commit{Offset: 2, Time: day, Alerts: testAlerts(1)})
	wantErr(t, err, ErrLocked)
	must(t, tx.Rollback())
	commit(t, c, Commit{Offset: 2, Alerts: testAlerts(1)})

	// Full: SQLite says the same whether its own bound or the disk's is reached.
	before := dump(t, path)
	var pages int
	must(t, c.db.read.QueryRow("PRAGMA page_count").Scan(&pages))
	c.db.exec(t, fmt.Sprintf("PRAGMA max_page_count = %d", pages+2))
	many := testAlerts(slices.Collect(func(yield func(int) bool) {
		for i := 10; i < 2000 && yield(i); i++ {
		}
	})...)
	_, _, err = c.Commit(ctx, Commit{Offset: 3, Time: day, Alerts: many})
	wantErr(t, err, ErrFull)
	equal(t, dump(t, path), before)
	if l, err := c.Alerts(ctx, AlertFilter{}); err != nil || len(l.Items) != 2 {
		t.Fatalf("a full store does not read: %v", err)
	}
	c.db.exec(t, "PRAGMA max_page_count = 1000000")
	commit(t, c, Commit{Offset: 3, Alerts: many})
}

// exec runs a statement on the connection that writes.
func (d *database) exec(t tb, query string) {
	t.Helper()
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.writer.conn == nil {
		_, err := d.write.Exec(query)
		must(t, err)
		return
	}
	_, err := d.writer.conn.ExecContext(ctx, query)
	must(t, err)
}

func TestAClosedStore(t *testing.T) {
	c := openCases(t, t.TempDir())
	must(t, c.Close())
	_, _, err := c.Commit(ctx, Commit{Offset: 1})
	wantErr(t, err, ErrClosed)
	_, err = c.Incident(ctx, "inc-0")
	if err == nil {
		t.Error("a closed store reads")
	}
}

// A transaction whose function panics leaves nothing, and the next one works.
func TestAPanicLeavesNothing(t *testing.T) {
	c := openCases(t, t.TempDir())
	defer func() { must(t, c.Close()) }()
	func() {
		defer func() { _ = recover() }()
		_ = c.db.update(ctx, "test", func(x *tx) error {
			_, err := x.exec("INSERT INTO fact (name, value) VALUES ('a', x'00')")
			must(t, err)
			panic("bug")
		})
	}()
	commit(t, c, Commit{Offset: 1})
	var n int
	must(t, c.db.read.QueryRow("SELECT count(*) FROM fact WHERE name = 'a'").Scan(&n))
	equal(t, n, 0)
}

// randomCommit is what an engine could come to in a round.
func randomCommit(r *rapid.T, offset uint64) Commit {
	c := Commit{Offset: offset, Time: day.Add(time.Duration(offset) * time.Second)}
	pick := rapid.IntRange(0, 8)
	for range rapid.IntRange(0, 3).Draw(r, "alerts") {
		a := testAlert(pick.Draw(r, "alert"))
		a.Count = rapid.IntRange(1, 5).Draw(r, "count")
		if rapid.Bool().Draw(r, "shifted") {
			a.Time = a.Time.Add(-time.Minute)
		}
		if rapid.IntRange(0, 3).Draw(r, "told") == 0 {
			in := model.IncidentID(testAlert(pick.Draw(r, "in")).ID)
			a.Incident = &in
		}
		c.Alerts = append(c.Alerts, a)
	}
	for range rapid.IntRange(0, 2).Draw(r, "incidents") {
		members := rapid.SliceOfNDistinct(pick, 1, 4, rapid.ID[int]).Draw(r, "members")
		w := testIncident(model.High, rapid.IntRange(0, 100).Draw(r, "score"), members...)
		if slices.ContainsFunc(c.Incidents, func(o Written) bool { return o.Incident.ID == w.Incident.ID }) {
			continue
		}
		c.Incidents = append(c.Incidents, w)
	}
	id := func() string { return model.IncidentID(testAlert(pick.Draw(r, "id")).ID) }
	if rapid.IntRange(0, 3).Draw(r, "merge") == 0 {
		c.Merged = append(c.Merged, model.Redirect{From: id(), To: id(), Why: "merged"})
	}
	if rapid.IntRange(0, 7).Draw(r, "withdraw") == 0 {
		c.Withdrawn = append(c.Withdrawn, id())
	}
	for range rapid.IntRange(0, 2).Draw(r, "changes") {
		c.Changes = append(c.Changes, model.Change{Kind: model.IncidentGrown, Incident: id()})
	}
	return c
}

// Whatever rounds come, and however often each is handed in: the store is the same as if
// each had come once, its counts are right, and every id leads to an incident or none.
func TestCommitsProperty(t *testing.T) {
	made := t.TempDir()
	must(t, openCases(t, made).Close())
	empty, err := os.ReadFile(filepath.Join(made, CasesFile))
	must(t, err)
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(r, err)
		for _, name := range []string{"a", "b"} { // making a file anew takes longer than all else here
			must(r, os.Mkdir(filepath.Join(dir, name), 0o700))
			must(r, os.WriteFile(filepath.Join(dir, name, CasesFile), empty, 0o600))
		}
		a, b := openCases(r, filepath.Join(dir, "a")), openCases(r, filepath.Join(dir, "b"))
		for _, c := range []*Cases{a, b} {
			c.db.exec(r, "PRAGMA synchronous = OFF") // what is asked here needs no power cut
		}
		var said []Commit
		for n := range rapid.IntRange(1, 8).Draw(r, "rounds") {
			c := randomCommit(r, uint64(n+1))
			said = append(said, c)
			for _, s := range []*Cases{a, b} {
				if _, _, err := s.Commit(ctx, c); err != nil {
					r.Fatal(err)
				}
			}
			if rapid.IntRange(0, 3).Draw(r, "decide") == 0 {
				in := model.IncidentID(testAlert(rapid.IntRange(0, 8).Draw(r, "target")).ID)
				d := model.Decision{At: c.Time, Author: "ann", Kind: model.SetStatus, Targets: []string{in}, Value: rapid.SampledFrom([]string{"closed", "in_progress"}).Draw(r, "value"), Reason: "because"}
				for _, s := range []*Cases{a, b, b} { // b hears it twice
					if _, err := s.Decide(ctx, d, Expect{}); err != nil && !errors.Is(err, ErrNotFound) {
						r.Fatal(err)
					}
				}
			}
			// b is handed earlier rounds again.
			again := said[rapid.IntRange(0, len(said)-1).Draw(r, "again")]
			if ok, _, err := b.Commit(ctx, again); err != nil || ok {
				r.Fatalf("round %d again: applied %v, %v", again.Offset, ok, err)
			}
			if rapid.IntRange(0, 5).Draw(r, "reopen") == 0 {
				must(r, b.Close())
				b = openCases(r, filepath.Join(dir, "b"))
			}
		}
		consistent(r, a)
		must(r, a.Close())
		must(r, b.Close())
		if x, y := dump(r, filepath.Join(dir, "a", CasesFile)), dump(r, filepath.Join(dir, "b", CasesFile)); x != y {
			r.Fatalf("handed in twice it is another store")
		}
	})
}

// consistent checks what must be true of a store at any time.
func consistent(t tb, c *Cases) {
	t.Helper()
	for what, query := range map[string]string{
		"an entity whose alerts are miscounted":    "SELECT count(*) FROM entity AS e WHERE alerts != (SELECT count(*) FROM entity_alert WHERE entity = e.num)",
		"an entity whose incidents are miscounted": "SELECT count(*) FROM entity AS e WHERE incidents != (SELECT count(*) FROM entity_incident WHERE entity = e.num)",
		"an incident that is gone and still found": "SELECT count(*) FROM incident WHERE gone != 0 AND (num IN (SELECT incident FROM tag) OR num IN (SELECT incident FROM entity_incident))",
		"a redirect of a redirect":                 "SELECT count(*) FROM redirect WHERE to_id IN (SELECT from_id FROM redirect)",
		"a redirect of an incident that lives":     "SELECT count(*) FROM redirect JOIN incident ON id = from_id WHERE gone = 0",
		"a link to an alert that there is not":     "SELECT count(*) FROM entity_alert WHERE alert NOT IN (SELECT num FROM alert)",
		"an incident without a document":           "SELECT count(*) FROM incident WHERE num NOT IN (SELECT incident FROM incident_doc)",
		"an incident without a version in history": "SELECT count(*) FROM incident WHERE id NOT IN (SELECT incident FROM history)",
		"an alert's place that is not its time":    "SELECT count(*) FROM entity_alert AS x JOIN alert AS a ON a.num = x.alert WHERE x.time != a.time",
		"a delivery of a change that there is not": "SELECT count(*) FROM delivery WHERE change NOT IN (SELECT seq FROM change)",
		"a decision's target without the decision": "SELECT count(*) FROM decision_target WHERE decision NOT IN (SELECT num FROM decision)",
		"an alert in an incident that is gone":     "SELECT count(*) FROM alert JOIN incident AS i ON i.id = alert.incident WHERE i.gone != 0",
	} {
		must(t, c.db.view(ctx, "check", func(s *snapshot) error {
			var n int
			err := s.get(query, nil, &n)
			if err == nil && n != 0 {
				err = fmt.Errorf("%s: %d", what, n)
			}
			return err
		}))
	}
}

func TestBackupAndRestoreWhileItRuns(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	c := openCases(t, dir)
	e := openEvents(t, filepath.Join(dir, "events"), EventsOptions{SealRows: 50})
	k, err := OpenControl(dir)
	must(t, err)
	must(t, k.CreateTenant(ctx, Tenant{ID: "default"}))
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, _, err := c.Commit(ctx, Commit{Offset: n, Time: day, Alerts: testAlerts(int(n) % 50), Changes: []model.Change{{Kind: model.IncidentGrown}}}); err != nil {
				stopped <- err
				return
			}
			if _, err := e.Append(ctx, n, rowsOf(int(n)*3, int(n)*3+3)); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for c.LastChange() < 20 {
		time.Sleep(time.Millisecond)
	}
	must(t, c.Backup(ctx, to))
	must(t, k.Backup(ctx, to))
	must(t, e.Backup(ctx, filepath.Join(to, "events")))
	wantErr(t, c.Backup(ctx, to), ErrExists)
	wantErr(t, e.Backup(ctx, filepath.Join(to, "events")), ErrExists)
	close(stop)
	must(t, <-stopped)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Backup(gone, t.TempDir()); err == nil {
		t.Error("a cancelled backup is one")
	}
	must(t, errors.Join(c.Close(), e.Close(), k.Close()))

	back := t.TempDir()
	must(t, RestoreCases(ctx, to, back))
	must(t, RestoreControl(ctx, to, back))
	must(t, RestoreEvents(ctx, filepath.Join(to, "events"), filepath.Join(back, "events")))
	wantErr(t, RestoreCases(ctx, to, back), ErrExists)
	wantErr(t, RestoreEvents(ctx, filepath.Join(to, "events"), filepath.Join(back, "events")), ErrExists)
	c = openCases(t, back)
	consistent(t, c)
	n, err := c.Applied(ctx)
	must(t, err)
	l, _, err := c.Changes(ctx, 0, 0)
	must(t, err)
	if n < 20 || len(l) != int(min(n, MaxPage)) {
		t.Fatalf("offset %d and %d changes", n, len(l))
	}
	e = openEvents(t, filepath.Join(back, "events"), EventsOptions{})
	if got := len(searchAll(t, e, Query{Limit: MaxEvents})); uint64(got) != 3*e.Position() || got == 0 {
		t.Fatalf("%d events at position %d", got, e.Position())
	}
	must(t, errors.Join(c.Close(), e.Close()))

	// What is damaged is not restored.
	path := filepath.Join(to, CasesFile)
	b, err := os.ReadFile(path)
	must(t, err)
	for i := 4096; i < len(b); i += 4096 {
		copy(b[i:], bytes.Repeat([]byte{0xa5}, 2000))
	}
	must(t, os.WriteFile(path, b, 0o600))
	fresh := t.TempDir()
	wantErr(t, RestoreCases(ctx, to, fresh), ErrDamaged)
	if l, err := os.ReadDir(fresh); err != nil || len(l) != 0 {
		t.Fatalf("a damaged backup left %v, %v", l, err)
	}
	segments, err := filepath.Glob(filepath.Join(to, "events", "*"+segmentSuffix))
	must(t, err)
	if len(segments) == 0 {
		t.Fatal("the backup has no segment")
	}
	must(t, os.Remove(segments[0])) // it may be a link: the original stays
	must(t, os.WriteFile(segments[0], []byte("PAR1"), 0o600))
	wantErr(t, RestoreEvents(ctx, filepath.Join(to, "events"), fresh), ErrDamaged)
	if l, err := os.ReadDir(fresh); err != nil || len(l) != 0 {
		t.Fatalf("a damaged backup left %v, %v", l, err)
	}
}

func TestPrune(t *testing.T) {
	c := openCases(t, t.TempDir())
	defer func() { must(t, c.Close()) }()
	closed, open := testIncident(model.High, 50, 0, 1), testIncident(model.High, 50, 2)
	commit(t, c, Commit{Offset: 1, Time: day, Alerts: testAlerts(0, 1, 2, 3, 4), Incidents: []Written{closed, open}, Changes: []model.Change{{Kind: model.IncidentRaised, Incident: closed.Incident.ID}, {Kind: model.IncidentRaised, Incident: open.Incident.ID}}})
	commit(t, c, Commit{Offset: 2, Time: day.Add(time.Hour), Alerts: testAlerts(4)})
	decide(t, c, model.Decision{At: day, Kind: model.SetStatus, Targets: []string{closed.Incident.ID}, Value: "closed"})
	must(t, c.Plan(ctx, 1, []Delivery{{Route: "r", Target: "t", After: day}}))
	must(t, c.Plan(ctx, 2, nil))
	p, err := c.Prune(ctx, CasesRetention{})
	must(t, err)
	equal(t, p, Pruned{})
	later := day.Add(30 * time.Minute)
	p, err = c.Prune(ctx, CasesRetention{Alerts: later, Incidents: later, Changes: later})
	must(t, err)
	equal(t, p, Pruned{Alerts: 1, Incidents: 1, Changes: 1, Entities: 3})
	consistent(t, c)
	_, err = c.Incident(ctx, closed.Incident.ID)
	wantErr(t, err, ErrNotFound)
	_, err = c.Incident(ctx, open.Incident.ID)
	must(t, err)
	l, err := c.Alerts(ctx, AlertFilter{})
	must(t, err)
	equal(t, ids(l.Items, func(a Alert) string { return a.ID }), []string{testAlert(4).ID, testAlert(2).ID})
	s, err := c.Stats(ctx)
	must(t, err)
	if s.Alerts != 2 || s.Incidents != 1 || s.Open != 1 || s.Decisions != 1 || s.Offset != 2 || s.Bytes == 0 {
		t.Fatalf("stats are %+v", s)
	}
	// Too large: what is of no incident goes, however young.
	p, err = c.Prune(ctx, CasesRetention{Bytes: 1})
	must(t, err)
	equal(t, p.Alerts, int64(1))
	if _, err = c.Incident(ctx, open.Incident.ID); err != nil {
		t.Fatalf("an open incident went: %v", err)
	}
}

// Lists are read off an index in their order, so that a page costs what it shows.
func TestListsUseTheirIndex(t *testing.T) {
	c := openCases(t, t.TempDir())
	defer func() { must(t, c.Close()) }()
	for what, q := range map[string]struct{ query, index string }{
		"incidents by rank":   {"SELECT num FROM incident WHERE gone = 0 ORDER BY open DESC, severity DESC, score DESC, last_seen DESC, num DESC LIMIT 5", "incident_rank"},
		"incidents by last":   {"SELECT num FROM incident WHERE gone = 0 ORDER BY last_seen DESC, num DESC LIMIT 5", "incident_last"},
		"incidents by update": {"SELECT num FROM incident WHERE gone = 0 ORDER BY updated DESC, num DESC LIMIT 5", "incident_updated"},
		"alerts":              {"SELECT a.num FROM alert AS a ORDER BY a.time DESC, a.num DESC LIMIT 5", "alert_time"},
		"alerts of incident":  {"SELECT a.num FROM alert AS a WHERE a.incident = 'x' ORDER BY a.time DESC, a.num DESC LIMIT 5", "alert_incident"},
		"alerts of rule":      {"SELECT a.num FROM alert AS a WHERE a.rule IN ('x') ORDER BY a.time DESC, a.num DESC LIMIT 5", "alert_rule"},
		"alerts of entity":    {"SELECT ea.alert FROM entity_alert AS ea JOIN alert AS a ON a.num = ea.alert WHERE ea.entity = 1 ORDER BY ea.time DESC, ea.alert DESC LIMIT 5", "PRIMARY KEY"},
		"what is due":         {"SELECT d.id FROM delivery AS d JOIN change AS c ON c.seq = d.change WHERE d.state = 0 AND d.due <= 5 ORDER BY d.due, d.id LIMIT 5", "delivery_due"},
		"what may be pruned":  {"SELECT num FROM alert INDEXED BY alert_free WHERE incident IS NULL AND updated < 5 ORDER BY updated, num LIMIT 5", "alert_free"},
	} {
		must(t, c.db.view(ctx, "explain", func(s *snapshot) error {
			plan := ""
			err := s.each("EXPLAIN QUERY PLAN "+q.query, nil, func(r *sql.Rows) error {
				var id, parent, unused int
				var detail string
				err := r.Scan(&id, &parent, &unused, &detail)
				plan += detail + "\n"
				return err
			})
			if !strings.Contains(plan, q.index) || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s: %s", what, plan)
			}
			return err
		}))
	}
}

// Pages stay bounded however much is asked for.
func TestPagesAreBounded(t *testing.T) {
	for _, c := range []struct{ n, usual, most, want int }{{0, 50, 500, 50}, {-5, 50, 500, 50}, {7, 50, 500, 7}, {1 << 40, 50, 500, 500}} {
		equal(t, bounded(c.n, c.usual, c.most), c.want)
	}
}

func BenchmarkCommit(b *testing.B) {
	c := openCases(b, b.TempDir())
	defer func() { must(b, c.Close()) }()
	n := 0
	for b.Loop() {
		n++
		in := Commit{Offset: uint64(n), Time: day}
		for i := range 100 {
			a := testAlert(n*100 + i)
			a.Entities[0].Value = fmt.Sprintf("host%d", i)
			in.Alerts = append(in.Alerts, a)
		}
		if _, _, err := c.Commit(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*100/b.Elapsed().Seconds(), "alerts/s")
}

func BenchmarkGrowIncident(b *testing.B) {
	c := openCases(b, b.TempDir())
	defer func() { must(b, c.Close()) }()
	n := 0
	var members []int
	for b.Loop() {
		if n++; len(members) < 2000 {
			members = append(members, n)
		}
		in := testIncident(model.High, n%100, members...)
		if _, _, err := c.Commit(ctx, Commit{Offset: uint64(n), Time: day, Alerts: testAlerts(n), Incidents: []Written{in}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListIncidents(b *testing.B) {
	c := openCases(b, b.TempDir())
	defer func() { must(b, c.Close()) }()
	for n := range 100 {
		in := Commit{Offset: uint64(n + 1), Time: day}
		for i := range 100 {
			in.Incidents = append(in.Incidents, testIncident(model.High, i, n*100+i))
		}
		if _, _, err := c.Commit(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
	for _, q := range []struct {
		name string
		f    IncidentFilter
	}{{"rank", IncidentFilter{}}, {"text", IncidentFilter{Text: "host9999"}}, {"technique", IncidentFilter{Technique: []string{"T1110"}}}, {"entity", IncidentFilter{Entities: []model.EntityKey{{Type: model.Host, Value: "host77"}}}}} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Incidents(ctx, q.f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("facets", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.IncidentFacets(ctx, IncidentFilter{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
