package app

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
)

// A formatRow is what was read of one format in the data folder.
type formatRow struct {
	files                                    map[string]bool
	events, alerts                           int
	timed, hosts, users, addresses, entities int
	busy                                     time.Duration // decoding and entities, on one core
	refused                                  int
	causes                                   map[string]int
}

// TestFormatTable prints, for each format in the data folder, how many files and
// records of it were decoded or refused and why, how fast on one core, and in what
// share of its events a time, host, user and address were found:
//
//	CATENA_DATA=... go test ./internal/app -run FormatTable -v
//
// It fails if a format that names machines, accounts or addresses stops to give them,
// or if more is refused than the evidence warrants.
func TestFormatTable(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it reads the whole data folder")
	}
	root := dataFolder(t)
	a, err := New(Options{NoBuiltin: true, Year: 2024})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]*formatRow{}
	row := func(format string) *formatRow {
		if rows[format] == nil {
			rows[format] = &formatRow{files: map[string]bool{}, causes: map[string]int{}}
		}
		return rows[format]
	}
	sets, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	total, refused := 0, 0
	for _, set := range sets {
		switch name := set.Name(); {
		case !set.IsDir(), name == "truth", name == "attack", name == "sigma_rules": // no evidence
			continue
		case underRace && (name == "ait_ads" || strings.HasPrefix(name, "otrf_")): // millions of records of few formats
			continue
		}
		in, err := a.once([]string{filepath.Join(root, set.Name())})
		if err != nil {
			t.Fatal(err)
		}
		var inputs []*inputState
		main := map[*inputState]string{} // the format that most of an input's records have
		err = a.walk(t.Context(), in, func(in *inputState, d decode.Decoder, r io.Reader) error {
			var b decode.Batch
			count := map[string]int{}
			err := frames(in, d, r, in.failLater, func(j job) error {
				begun := time.Now()
				j.decodeTo(&b)
				for i := range b.Events {
					a.registry.Entities(&b.Events[i])
				}
				busy := time.Since(begun)
				n := len(b.Events) + len(b.Alerts)
				for i := range b.Events {
					e := &b.Events[i]
					x := row(e.Format)
					x.files[in.Path] = true
					x.events++
					count[e.Format]++
					x.busy += busy / time.Duration(n)
					x.sees(e.Time, e.Host, e.Entities)
				}
				for i := range b.Alerts {
					al := &b.Alerts[i]
					x := row(al.Format)
					x.files[in.Path] = true
					x.alerts++
					count[al.Format]++
					x.busy += busy / time.Duration(n)
					x.sees(al.Time, al.Host, al.Entities)
				}
				total += n
				for _, e := range b.Errors {
					in.failLater(e)
				}
				b.Reset()
				return nil
			})
			most := d.Name()
			for _, f := range slices.Sorted(maps.Keys(count)) {
				if count[f] > count[most] {
					most = f
				}
			}
			main[in] = most
			return err
		}, func(in *inputState) { inputs = append(inputs, in) })
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range inputs {
			in.settle()
			for _, e := range in.Errors {
				x := row(cmp.Or(main[in], in.Format, "unknown"))
				if strings.Contains(e.Cause, "put beside the record before it") { // read all the same
					continue
				}
				x.refused += e.Count
				refused += e.Count
				cause := e.Cause
				if len(cause) > 70 {
					cause = cause[:70] + "..."
				}
				x.causes[cause] += e.Count
			}
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-22s %5s %8s %7s %9s %5s %5s %5s %5s %5s  %s\n", "format", "files", "records", "refused", "rec/s", "time", "host", "user", "ip", "any", "why refused")
	for _, f := range slices.Sorted(maps.Keys(rows)) {
		x := rows[f]
		n := x.events + x.alerts
		share := func(k int) string { return fmt.Sprintf("%.0f%%", 100*ratio(float64(k), float64(n))) }
		fmt.Fprintf(&out, "%-22s %5d %8d %7d %9.0f %5s %5s %5s %5s %5s  %s\n", f, len(x.files), n, x.refused, ratio(float64(n), x.busy.Seconds()),
			share(x.timed), share(x.hosts), share(x.users), share(x.addresses), share(x.entities), x.why())
		if n >= 20 && f != "json" && x.entities*10 < n {
			t.Errorf("%s: %d of %d records have an entity", f, x.entities, n)
		}
	}
	t.Logf("%s%d records, %d refused", out.String(), total, refused)
	if total == 0 || refused*100 > total {
		t.Errorf("%d records read and %d refused", total, refused)
	}
}

// sees counts what one record tells.
func (x *formatRow) sees(at time.Time, host string, es []model.Entity) {
	if at.Unix() != 0 {
		x.timed++
	}
	of := func(typ model.EntityType) bool {
		return slices.ContainsFunc(es, func(e model.Entity) bool { return e.Type == typ })
	}
	for _, c := range [...]struct {
		is bool
		n  *int
	}{{host != "" || of(model.Host), &x.hosts}, {of(model.User), &x.users}, {of(model.IP), &x.addresses}, {len(es) > 0, &x.entities}} {
		if c.is {
			*c.n++
		}
	}
}

// why lists the commonest causes for which records were refused.
func (x *formatRow) why() string {
	causes := slices.SortedFunc(maps.Keys(x.causes), func(a, b string) int { return cmp.Or(cmp.Compare(x.causes[b], x.causes[a]), cmp.Compare(a, b)) })
	var out []string
	for _, c := range causes[:min(len(causes), 2)] {
		out = append(out, fmt.Sprintf("%d: %s", x.causes[c], c))
	}
	return strings.Join(out, "; ")
}
