package observatorium

import (
	"path"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts the calls to the backend.
type Metrics struct {
	count    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers the collectors.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns = "kas_fleet_manager"
	labels := []string{"code", "method", "path"}
	m := &Metrics{
		count: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "observatorium_request_count",
			Help: "Calls to the backend of customers' metrics; code 0 is a call without an answer."}, labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Name: "observatorium_request_duration",
			Help: "Seconds until the backend of customers' metrics began to answer.", Buckets: []float64{0.1, 1, 10, 30}}, labels),
	}
	reg.MustRegister(m.count, m.duration)
	return m
}

// observe labels a call with the last part of its path: what comes before is
// where the backend is, and behind it nothing of the query may follow.
func (m *Metrics) observe(method, where string, status int, took time.Duration) {
	values := []string{strconv.Itoa(status), method, "/" + path.Base(where)}
	m.count.WithLabelValues(values...).Inc()
	m.duration.WithLabelValues(values...).Observe(took.Seconds())
}
