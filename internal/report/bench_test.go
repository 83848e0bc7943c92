package report

import (
	"io"
	"testing"
)

// BenchmarkWriters writes a report of one incident of 400 hosts and 20,000 alerts.
func BenchmarkWriters(b *testing.B) {
	r := sample()
	inc, alerts := worm(400, 50)
	r.Incidents[0] = *inc
	for _, id := range inc.Alerts {
		a := *alerts[id]
		a.Evidence = r.Alerts[0].Evidence
		r.Alerts = append(r.Alerts, a)
	}
	for _, w := range all(true) {
		b.Run(w.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
