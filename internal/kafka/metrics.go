package kafka

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the collectors of instances. None has a series per instance.
type Metrics struct {
	createSeconds  *prometheus.HistogramVec
	success        *prometheus.CounterVec
	total          *prometheus.CounterVec
	statusCount    *prometheus.GaugeVec
	overdue        *prometheus.GaugeVec
	reportsRefused *prometheus.CounterVec
	unsettled      *prometheus.GaugeVec
	reserving      *prometheus.GaugeVec
}

// Bounds of the creation histogram; the SLOs need 270 and 360 among them.
var createBounds = []float64{1, 30, 60, 120, 150, 180, 210, 240, 270, 300, 330, 360, 390, 420, 450, 480, 510, 540, 570, 600,
	900, 1200, 1800, 2400, 3600, 4800, 7200}

// NewMetrics makes and registers the collectors. Every series exists from the
// start: a counter born with value 1 is invisible to rate().
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns = "kas_fleet_manager"
	m := &Metrics{
		createSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Name: "worker_kafka_duration",
			Help: "Seconds from the request for an instance to its first ready.", Buckets: createBounds}, []string{"jobType"}),
		success: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "kafka_operations_success_count",
			Help: "Operations on instances that succeeded."}, []string{"operation"}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "kafka_operations_total_count",
			Help: "Operations on instances that ended, well or not."}, []string{"operation"}),
		statusCount: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: "kafka_requests_status_count",
			Help: "Live instances by status; exported by the leader."}, []string{"status"}),
		overdue: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: "kafka_requests_overdue",
			Help: "Instances that stay in a status longer than expected, by status; exported by the leader."}, []string{"status"}),
		reportsRefused: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "agent_reports_refused_total",
			Help: "Entries of agents' reports or lists that were left aside, by reason."}, []string{"reason"}),
		unsettled: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: "external_resources_unsettled",
			Help: "Things outside that are neither made nor gone after ten minutes, by kind; exported by the leader."}, []string{"kind"}),
		reserving: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: "kafka_orders_reserving",
			Help: "Orders that hold name and room while their quota is reserved outside; exported by the leader."}, nil),
	}
	reg.MustRegister(m.createSeconds, m.success, m.total, m.statusCount, m.overdue, m.reportsRefused, m.unsettled, m.reserving)
	m.createSeconds.WithLabelValues("kafka_create")
	for _, op := range []string{"create", "delete", "deprovision"} {
		m.total.WithLabelValues(op)
		m.success.WithLabelValues(op)
	}
	for _, reason := range []string{"unknown_instance", "not_believed", "not_storable", "unreadable_secret", "unreadable_size"} {
		m.reportsRefused.WithLabelValues(reason)
	}
	return m
}

// Transitioned counts what a transition that was really written means: before
// is the row as it was, so that each is counted once.
func (m *Metrics) Transitioned(before Kafka, event Event, now time.Time) {
	switch event {
	case BecameReady:
		if before.Status == Provisioning {
			m.ended("create", true)
			m.createSeconds.WithLabelValues("kafka_create").Observe(now.Sub(before.CreatedAt).Seconds())
		}
	case Unplaceable, PrepareFailed:
		m.ended("create", false)
	case ReportedFailed, TimedOut:
		if before.Status == Provisioning {
			m.ended("create", false)
		}
	case Erased:
		m.ended("delete", true)
	}
}

// Deprovisioned counts an accepted request for deletion.
func (m *Metrics) Deprovisioned() { m.ended("deprovision", true) }

// ended raises the total first, so that success never exceeds it between scrapes.
func (m *Metrics) ended(operation string, well bool) {
	m.total.WithLabelValues(operation).Inc()
	if well {
		m.success.WithLabelValues(operation).Inc()
	}
}

// ShowCounts sets the gauges of the leader. Every known status is shown; only
// those that somebody should leave again can be overdue.
func (m *Metrics) ShowCounts(counts []StatusCount) {
	by := map[Status]StatusCount{}
	for _, c := range counts {
		by[c.Status] = c
	}
	for _, info := range statuses {
		if info.Hidden {
			m.reserving.WithLabelValues().Set(float64(by[info.Status].Rows))
			continue
		}
		m.statusCount.WithLabelValues(string(info.Status)).Set(float64(by[info.Status].Rows))
		if !info.Status.settled() {
			m.overdue.WithLabelValues(string(info.Status)).Set(float64(by[info.Status].Overdue))
		}
	}
}

// ShowUnsettledIntents sets how many intents of a kind are neither done nor gone for long.
func (m *Metrics) ShowUnsettledIntents(kind string, n int) {
	m.unsettled.WithLabelValues(kind).Set(float64(n))
}

// HideCounts removes the leader's gauges when it stops leading.
func (m *Metrics) HideCounts() {
	m.statusCount.Reset()
	m.overdue.Reset()
	m.unsettled.Reset()
	m.reserving.Reset()
}
