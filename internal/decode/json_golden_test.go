package decode

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A golden is a record made by hand and what must become of it.
type golden struct {
	record string
	source string   // product/category/service of the log source
	want   string   // as describeEvent tells it
	slots  []string // fields that must be there, "name=value"
}

// checkGolden decodes each record by itself; each is one event of the format, on
// that host, at 2024-03-03T10:00:00Z.
func checkGolden(t *testing.T, format, host string, rows []golden) {
	t.Helper()
	for _, g := range rows {
		names := model.NewNames()
		b, bad := decodeAll(t, JSON(Options{Names: names}), "golden.json", []byte(g.record))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%s: %d events, %v", g.record, len(b.Events), bad)
			continue
		}
		e := &b.Events[0]
		if got := describeEvent(e); got != g.want {
			t.Errorf("%s:\n got %s\nwant %s", g.record, got, g.want)
		}
		if got := e.Source.Product + "/" + e.Source.Category + "/" + e.Source.Service; got != g.source || e.Format != format || e.Host != host {
			t.Errorf("%s: source %s, format %s, host %q; want %s, %s, %q", g.record, got, e.Format, e.Host, g.source, format, host)
		}
		if got := e.Time.Format("2006-01-02T15:04:05"); got != "2024-03-03T10:00:00" {
			t.Errorf("%s: time %s", g.record, got)
		}
		wantSlots(t, names, e, g.slots...)
	}
}
