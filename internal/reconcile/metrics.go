package reconcile

import "github.com/prometheus/client_golang/prometheus"

// Metrics of all loops of a process. A "pass" in their names is the work on one
// key, since the engine works on keys, not on whole lists.
type Metrics struct {
	duration *prometheus.GaugeVec
	item     *prometheus.HistogramVec
	success  *prometheus.CounterVec
	failure  *prometheus.CounterVec
	errors   *prometheus.CounterVec
	leader   *prometheus.GaugeVec
}

const label = "worker_type"

// NewMetrics registers the metrics, with a zero for each loop: a counter that is
// born with its first event hides that event from rate().
func NewMetrics(reg prometheus.Registerer, loops ...string) (*Metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kas_fleet_manager_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kas_fleet_manager_" + name, Help: help}, []string{label})
	}
	m := &Metrics{
		duration: gauge("reconciler_duration_in_seconds", "Seconds the last pass took."),
		item: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kas_fleet_manager_reconciler_item_duration_seconds",
			Help:    "Seconds a pass took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{label}),
		success: counter("reconciler_success_count", "Passes without an error."),
		failure: counter("reconciler_failure_count", "Passes with an error."),
		errors:  counter("reconciler_errors_count", "Errors of passes and of looking for work, panics included."),
		leader:  gauge("leader_worker", "1 while the loop runs in this process, else 0."),
	}
	for _, c := range []prometheus.Collector{m.duration, m.item, m.success, m.failure, m.errors, m.leader} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	for _, name := range loops {
		m.duration.WithLabelValues(name)
		m.item.WithLabelValues(name)
		m.success.WithLabelValues(name)
		m.failure.WithLabelValues(name)
		m.errors.WithLabelValues(name)
		m.leader.WithLabelValues(name)
	}
	return m, nil
}
