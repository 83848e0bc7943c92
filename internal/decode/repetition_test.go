package decode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A short line of many rows under one long name must not make an event of the name's
// size for each; rows under names of a usual length are all there.
func TestRepetition(t *testing.T) {
	const rows = 20_000
	osquery := func(host string) string {
		return `{"name":"apps","hostIdentifier":"` + host + `","unixTime":1709460000,"action":"snapshot","snapshot":[` +
			strings.Repeat(`{"name":"a","version":"1"},`, rows-1) + `{"name":"a","version":"1"}]}`
	}
	otlp := func(host string) string {
		const record = `{"timeUnixNano":"1709460000500000000","body":{"stringValue":"x"}}`
		return `{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"` + host + `"}}]},"scopeLogs":[{"logRecords":[` +
			strings.Repeat(record+",", rows-1) + record + `]}]},{"resource":{},"scopeLogs":[{"logRecords":[` + record + `]}]}]}`
	}
	for name, line := range map[string]func(host string) string{"osquery": osquery, "otlp": otlp} {
		read := func(host string) *Batch {
			var b Batch
			d := JSON(Options{Names: model.NewNames()})
			if err := d.Frame(strings.NewReader(line(host)), func(c Chunk) error { d.Decode(c, &b); return nil }, func(e model.InputError) { t.Error(e) }); err != nil {
				t.Fatal(err)
			}
			return &b
		}
		if b := read(strings.Repeat("h", 200)); len(b.Events) < rows || len(b.Errors) > 0 {
			t.Errorf("%s, usual name: %d events, %v", name, len(b.Events), b.Errors)
		}
		const long = 100_000
		b := read(strings.Repeat("h", long))
		if most := (long + rows*100) * maxRepeated / long; len(b.Events) == 0 || len(b.Events) > most || len(b.Errors) != 1 || !strings.Contains(fmt.Sprint(b.Errors), "too long") {
			t.Errorf("%s, long name: %d events of at most %d, %v", name, len(b.Events), most, b.Errors)
		}
	}
}
