package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
)

// ask1 is one request without a network.
func (w *world) ask1(b *testing.B, path string) int {
	req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, prefix+path, nil)
	req.Header.Set("Authorization", "Bearer "+w.tokens[Viewer])
	rec := httptest.NewRecorder()
	w.s.Handler().ServeHTTP(rec, req)
	if rec.Code != 200 {
		b.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.Len()
}

func benchWorld(b *testing.B) *world {
	b.Helper()
	w := newWorld(b, func(o *Options) { o.PerSecond = 1e9 })
	w.clock.add(0)
	return w
}

// BenchmarkListIncidents is a page of 50 out of 10,000, in the middle of the list, and the
// facets of all.
func BenchmarkListIncidents(b *testing.B) {
	w := benchWorld(b)
	ts, _ := w.tenants.Open(DefaultTenant)
	at := w.clock.now()
	for round := range 10 {
		c := store.Commit{Offset: uint64(100 + round), Time: at}
		for i := range 1000 {
			n := round*1000 + i
			c.Incidents = append(c.Incidents, store.Written{Incident: model.Incident{ID: fmt.Sprintf("inc-%016x", n), Title: fmt.Sprintf("Incident %d on host%d", n, n%50), Severity: []model.Severity{model.Low, model.Medium, model.High}[n%3],
				Score: n % 100, Status: "new", FirstSeen: at, LastSeen: at.Add(time.Duration(n) * time.Second), Stages: []model.Stage{model.StageExploitation}, Techniques: []string{"T1059"},
				Entities: []model.EntityView{{Type: model.Host, Value: fmt.Sprintf("host%d", n%50)}}}})
		}
		_, _, err := ts.Cases.Commit(b.Context(), c)
		must(b, err)
	}
	var p store.Page[store.Listed]
	next := ""
	for range 25 {
		var err error
		p, err = ts.Cases.Incidents(b.Context(), store.IncidentFilter{Cursor: next, Limit: 200})
		must(b, err)
		next = p.Next
	}
	for name, path := range map[string]string{"first page": "/incidents", "a text": "/incidents?text=host7", "an entity": "/incidents?entity=host:host7", "facets": "/incidents/facets"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(w.ask1(b, path)), "bytes")
			}
		})
	}
	b.Run("page of the middle", func(b *testing.B) {
		for b.Loop() {
			w.ask1(b, "/incidents?limit=200&cursor="+next)
		}
	})
}

// BenchmarkBigIncident is an incident of 5,000 alerts and as many links.
func BenchmarkBigIncident(b *testing.B) {
	w := benchWorld(b)
	id := w.incident(DefaultTenant, 9, 5000)
	for _, path := range []string{"", "/story", "/alerts", "/links", "/graph", "/evidence", "/report/json"} {
		b.Run("get"+path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.ReportMetric(float64(w.ask1(b, "/incidents/"+id+path)), "bytes")
			}
		})
	}
}
