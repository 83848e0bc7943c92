package server

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what Prometheus is told of the server. A nil one keeps none.
type metrics struct {
	requests *prometheus.HistogramVec
	logins   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // a nil one keeps none
	}
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "catena_http_request_seconds", Help: "Time to answer a request, by area, method and class of status.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10}}, []string{"area", "method", "status"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "catena_logins_total", Help: "Tries to log in, by way and outcome."}, []string{"way", "outcome"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.logins} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("metrics of the server: %w", err)
		}
	}
	return m, nil
}

// request counts one. Labels are of a small set: who asks cannot make more.
func (m *metrics) request(r *http.Request, status int, took time.Duration) {
	if m == nil || strings.HasSuffix(r.URL.Path, "/changes/stream") {
		return
	}
	area := "page"
	switch {
	case strings.HasPrefix(r.URL.Path, prefix+"/"):
		area = "api"
	case r.URL.Path == "/mcp":
		area = "mcp"
	}
	method := "other"
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
		method = r.Method
	}
	m.requests.WithLabelValues(area, method, fmt.Sprintf("%dxx", status/100)).Observe(took.Seconds())
}

func (m *metrics) login(way, outcome string) {
	if m != nil {
		m.logins.WithLabelValues(way, outcome).Inc()
	}
}
