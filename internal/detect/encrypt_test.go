package detect

import (
	"fmt"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

func TestEncrypt(t *testing.T) {
	begin := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	run := func(n int, every time.Duration, name string) (alerts []*model.Alert) {
		d := NewEncrypt()
		for i := range n {
			alerts = append(alerts, d.Observe(&model.Observation{Event: fmt.Sprint("e-", i), Time: begin.Add(time.Duration(i) * every), Act: model.ActFileWrite, Host: "fs1",
				Entities: []model.Entity{{Type: model.Process, Value: "p1", Role: model.Actor}, {Type: model.File, Value: fmt.Sprintf(name, i), Role: model.Object}}})...)
		}
		return alerts
	}
	f := func(why string, want int, got []*model.Alert) {
		t.Helper()
		if len(got) != want {
			t.Errorf("%s: %d alerts, want %d", why, len(got), want)
		}
	}
	f("many documents with one new ending", 1, run(200, time.Second, `fs1:d:\data\plan%d.xlsx.qqlkd`))
	f("too few", 0, run(encryptFiles-1, time.Second, `fs1:d:\data\plan%d.xlsx.qqlkd`))
	f("too slow", 0, run(200, time.Minute, `fs1:d:\data\plan%d.xlsx.qqlkd`))
	f("the same file again and again", 0, run(200, time.Second, `fs1:d:\data\plan.xlsx.qqlkd%.0d`))
	f("temporary files of an office program", 0, run(200, time.Second, `fs1:d:\data\plan%d.docx.tmp`))
	f("compressed backups", 0, run(200, time.Second, `fs1:/var/backups/db%d.sql.gz`))
	f("documents without a new ending", 0, run(200, time.Second, `fs1:d:\data\plan%d.xlsx`))
	f("no documents", 0, run(200, time.Second, `fs1:d:\cache\a%d.v2.bin`))
	if a := run(200, time.Second, `fs1:d:\data\plan%d.xlsx.qqlkd`)[0]; a.Count != encryptFiles || !a.Time.Equal(begin) || a.Evidence[0].ID != "e-0" {
		t.Errorf("count %d from %v with evidence %s", a.Count, a.Time, a.Evidence[0].ID)
	}
}
