package decode

import (
	"bytes"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// Of the native logs of two hundred products, nearly all files are known and nearly all
// of their lines read; of the log-ons in them nearly all name who or from where.
func TestTextData(t *testing.T) {
	o := Options{Names: model.NewNames()}
	r := NewRegistry(EVTX(o), WindowsXML(o), WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	files, unknown, records, skipped, signIns, named := 0, 0, int64(0), int64(0), 0, 0
	for name, data := range dataFiles(t, "crowdsec/*/*.log", "linux/loghub/*.log", "linux/honeynet_httpd/*.gz", "splunk_attack_data/*/*/*.txt") {
		files++
		d := r.Detect(data[:min(len(data), SniffLen)])
		if d == nil {
			unknown++
			t.Logf("%s is of no known format", name)
			continue
		}
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(data), func(c Chunk) error { c.Input = name; d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		records, skipped = records+b.Records, skipped+b.Skipped
		for i := range b.Events {
			e := &b.Events[i]
			r.Entities(e)
			if e.Act != model.ActLogon && e.Act != model.ActLogonFailed {
				continue
			}
			signIns++
			_, user := e.Find(model.User, model.Target)
			_, ip := e.Find(model.IP, model.Src)
			if user || ip {
				named++
			}
		}
	}
	t.Logf("%d files, %d of no known format; %d records, %d not understood; %d log-ons, %d with an account or address", files, unknown, records, skipped, signIns, named)
	if unknown*20 > files || skipped*20 > records || named*100 < signIns*98 {
		t.Error("too little was understood")
	}
}
