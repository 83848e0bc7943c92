package decode

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A line of fast.log is the alert that the mapping for Suricata's EVE makes.
func TestFastLog(t *testing.T) {
	o := Options{Names: model.NewNames()}
	text, err := os.ReadFile(filepath.Join("..", "..", "mappings", "suricata_alert.yml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping("suricata_alert.yml", text)
	if err != nil {
		t.Fatal(err)
	}
	o.Mappings = []*Mapping{m}
	b := &Batch{}
	d := Text(o)
	d.Decode(Chunk{Input: "fast.log", Data: []byte("03/04/2024-10:00:01.860293  [**] [1:2008578:4] ET SCAN Sipvicious Scan [**] [Classification: Attempted Information Leak] [Priority: 2] {UDP} 203.0.113.9:5116 -> 10.0.0.1:5060\n" +
		"03/04/2024-10:00:01.860293  [**] [1:x:4] a [**] [Priority: 2] {UDP} a -> b\n")}, b)
	if len(b.Alerts) != 1 || len(b.Events) != 1 || b.Records != 2 || b.Skipped != 0 {
		t.Fatalf("%d alerts, %d events, %d records, %v", len(b.Alerts), len(b.Events), b.Records, b.Errors)
	}
	a := &b.Alerts[0]
	if a.Rule.Title != "ET SCAN Sipvicious Scan" || a.Rule.ID != "suricata:1:2008578" || a.Time.Format("15:04:05") != "10:00:01" || len(a.Entities) != 2 || a.Evidence[0].Record != 1 {
		t.Errorf("%+v", a)
	}
}
