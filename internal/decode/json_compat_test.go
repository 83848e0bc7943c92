package decode

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// TestJSONCompatibility reads every JSON file of the sets that hold records of many
// products, and says of each format how many records were read, and how many have a
// host, a user, an address or any other entity.
func TestJSONCompatibility(t *testing.T) {
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
	registry := NewRegistry(WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	type tally struct {
		files                             map[string]bool
		events, alerts, host, user, other int
	}
	for _, set := range []string{"falco_k8s_audit", "crowdsec", "ocsf_examples", "panther", "cloud_misc_plaso"} {
		dir := evidenceDir(t, set)
		formats := map[string]*tally{}
		records, refused := int64(0), int64(0)
		count := func(format, file string, host string, entities []model.Entity) *tally {
			f := formats[format]
			if f == nil {
				f = &tally{files: map[string]bool{}}
				formats[format] = f
			}
			f.files[file] = true
			user := slices.ContainsFunc(entities, func(e model.Entity) bool { return e.Type == model.User })
			if host != "" {
				f.host++
			}
			if user {
				f.user++
			}
			if len(entities) > 0 {
				f.other++
			}
			return f
		}
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path) //nolint:gosec // a test reads test data
			if err != nil {
				return err
			}
			if d := registry.Detect(data[:min(len(data), SniffLen)]); d == nil || d.Name() != "json" {
				return nil
			}
			b := readBatch(t, JSON(o), data)
			records, refused = records+b.Records, refused+b.Skipped
			for _, e := range b.Errors {
				t.Logf("%s: %d from record %d: %s", strings.TrimPrefix(path, dir), e.Count, e.Record, e.Cause)
			}
			for i := range b.Events {
				e := &b.Events[i]
				registry.Entities(e)
				count(e.Format, path, e.Host, e.Entities).events++
				if e.Time.IsZero() {
					t.Errorf("%s: an event of format %s without a time", path, e.Format)
				}
			}
			for i := range b.Alerts {
				count(b.Alerts[i].Format, path, b.Alerts[i].Host, b.Alerts[i].Entities).alerts++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		names := make([]string, 0, len(formats))
		for name := range formats {
			names = append(names, name)
		}
		slices.SortFunc(names, cmp.Compare[string])
		t.Logf("%s: %d records, %d refused", set, records, refused)
		for _, name := range names {
			f := formats[name]
			t.Logf("  %-24s %3d files %4d events %3d alerts; host %4d, user %4d, any entity %4d", name, len(f.files), f.events, f.alerts, f.host, f.user, f.other)
		}
		// Some of the OCSF examples are no JSON, and some are of other systems' own tables.
		if limit := map[string]int64{"ocsf_examples": 15}[set]; records == 0 || refused*100 > records*max(limit, 5) {
			t.Errorf("%s: %d of %d records refused", set, refused, records)
		}
	}
}
