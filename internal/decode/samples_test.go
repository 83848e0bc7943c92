package decode

import (
	"bytes"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// Every sample is read whole by the decoder it names, is found to be its own by what
// stands in it, and gives what its file is called.
func TestSamples(t *testing.T) {
	names := model.NewNames()
	o := Options{Names: names, Year: 2024, Mappings: shippedMappings(t)}
	r := NewRegistry(EVTX(o), WindowsXML(o), WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	list, err := Samples()
	if err != nil || len(list) < 100 {
		t.Fatalf("%d samples, %v", len(list), err)
	}
	shown := map[string]bool{}
	for i, s := range list {
		shown[s.Format] = true
		d := r.Named(s.Decoder)
		if d == nil {
			t.Errorf("sample %d, of %s: no decoder %q", i, s.Format, s.Decoder)
			continue
		}
		if got := r.Detect(s.Data); got == nil || got.Name() != s.Decoder {
			t.Errorf("sample %d, of %s, is not found to be of %s", i, s.Format, s.Decoder)
		}
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(s.Data), func(c Chunk) error { d.Decode(c, b); return nil }, func(e model.InputError) { t.Errorf("%s: %+v", s.Format, e) }); err != nil {
			t.Errorf("sample %d, of %s: %v", i, s.Format, err)
		}
		is := 0
		for j := range b.Events {
			if b.Events[j].Format == s.Format {
				is++
			}
		}
		for j := range b.Alerts {
			if b.Alerts[j].Format == s.Format {
				is++
			}
		}
		if is == 0 || len(b.Errors) > 0 || b.Skipped > 0 {
			t.Errorf("sample %d, of %s: %d records of it, %d skipped, %+v\n%s", i, s.Format, is, b.Skipped, b.Errors, s.Data)
		}
	}
	for _, f := range Formats() {
		if !shown[Alike(f)] && !Wrapping(f) {
			t.Errorf("no sample shows what %s gives: add samples/%s.txt", f, f)
		}
	}
}
