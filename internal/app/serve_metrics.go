package app

import (
	"github.com/prometheus/client_golang/prometheus"
)

// gauges are what the service tells Prometheus, read when it asks.
type gauges struct{ s *Service }

func metricOf(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("catena_"+name, help, labels, nil)
}

// The descriptions, in the order in which they are told.
var (
	metricRecords  = metricOf("receiver_records_total", "Records taken, on disk.", "receiver", "kind")
	metricBytes    = metricOf("receiver_bytes_total", "Bytes taken, unpacked.", "receiver", "kind")
	metricRefused  = metricOf("receiver_refused_total", "Records or requests that will never be taken.", "receiver", "kind")
	metricDropped  = metricOf("receiver_dropped_total", "Records lost without a word to the sender.", "receiver", "kind")
	metricPushed   = metricOf("receiver_pushed_back_total", "Times a sender was made to wait.", "receiver", "kind")
	metricRounds   = metricOf("engine_rounds_total", "Rounds folded.", "tenant")
	metricWaiting  = metricOf("engine_waiting_bytes", "Evidence on disk that the engine has not read.", "tenant")
	metricReady    = metricOf("engine_ready", "1 while the engine works on what comes.", "tenant")
	metricMemory   = metricOf("engine_memory_nodes", "Entities and acts in the engine's memory.", "tenant")
	metricJournal  = metricOf("engine_journal_bytes", "Size of the journal.", "tenant")
	metricTrouble  = metricOf("engine_troubles", "Things that do not succeed now.", "tenant")
	metricSent     = metricOf("notifications_sent_total", "Messages that arrived.", "target")
	metricFailed   = metricOf("notifications_failed_total", "Tries that failed.", "target")
	metricGivenUp  = metricOf("notifications_dead_total", "Messages given up.", "target")
	metricQueued   = metricOf("queue_bytes", "Bytes in the queue.", "tenant")
	metricQueueMax = metricOf("queue_max_bytes", "Bytes at which senders are pushed back.", "tenant")
)

// Describe is of the interface of Prometheus: what is told is not known beforehand.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect tells how all stands now.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	for _, r := range g.s.receivers() {
		st, name := r.receiver.Stats(), r.receiver.Name()
		tell(metricRecords, counter, float64(st.Records), name, r.kind)
		tell(metricBytes, counter, float64(st.Bytes), name, r.kind)
		tell(metricRefused, counter, float64(st.Refused), name, r.kind)
		tell(metricDropped, counter, float64(st.Dropped), name, r.kind)
		tell(metricPushed, counter, float64(st.PushedBack), name, r.kind)
	}
	for _, t := range g.s.tenants() {
		h := t.live.Health()
		ready := 0.0
		if t.ready.Load() && len(h.Troubles) == 0 {
			ready = 1
		}
		tell(metricReady, gauge, ready, t.id)
		tell(metricRounds, counter, float64(h.Rounds), t.id)
		tell(metricWaiting, gauge, float64(h.Waiting), t.id)
		tell(metricMemory, gauge, float64(h.Memory), t.id)
		tell(metricJournal, gauge, float64(h.Journal), t.id)
		tell(metricTrouble, gauge, float64(len(h.Troubles)), t.id)
		if st, err := g.s.bus.Stats(g.s.ctx, t.id); err == nil {
			tell(metricQueued, gauge, float64(st.Bytes), t.id)
			tell(metricQueueMax, gauge, float64(st.MaxBytes), t.id)
		}
	}
	g.s.mu.Lock()
	w := g.s.worker
	g.s.mu.Unlock()
	if w != nil {
		for name, c := range w.Counts() {
			tell(metricSent, counter, float64(c.Sent), name)
			tell(metricFailed, counter, float64(c.Failed), name)
			tell(metricGivenUp, counter, float64(c.Dead), name)
		}
	}
}
