package httpx

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Metrics counts the requests of the API server.
type Metrics struct {
	count    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers the collectors. The bounds 0.1 and 1 carry the SLOs.
func NewMetrics(reg prometheus.Registerer, limits *Limits) *Metrics {
	if limits != nil {
		reg.MustRegister(
			newLaneGauge(limits, "api_inbound_requests_in_flight", "Requests that are served now, by lane.", func(serving, _ int) int { return serving }),
			newLaneGauge(limits, "api_inbound_requests_waiting", "Requests that wait for their caller's turn now, by lane.", func(_, waiting int) int { return waiting }),
		)
	}
	labels := []string{"method", "path", "code"}
	return &Metrics{
		count: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "api_inbound_request_count",
			Help: "Number of requests served; code 0 is a reply that broke off.",
		}, labels),
		duration: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
			Name:    "api_inbound_request_duration",
			Help:    "Duration of requests in seconds.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30},
		}, labels),
	}
}

// laneGauge reads the lanes when somebody asks.
type laneGauge struct {
	limits *Limits
	desc   *prometheus.Desc
	read   func(serving, waiting int) int
}

func newLaneGauge(l *Limits, name, help string, read func(serving, waiting int) int) laneGauge {
	return laneGauge{limits: l, desc: prometheus.NewDesc(name, help, []string{"lane"}, nil), read: read}
}

// Describe names the series.
func (g laneGauge) Describe(out chan<- *prometheus.Desc) { out <- g.desc }

// Collect reads the lanes.
func (g laneGauge) Collect(out chan<- prometheus.Metric) {
	for _, l := range g.limits.lanes() {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(g.read(l.count())), l.name)
	}
}

func (m *Metrics) observe(method, path string, status int, elapsed time.Duration) {
	code := strconv.Itoa(status)
	m.count.WithLabelValues(method, path, code).Inc()
	m.duration.WithLabelValues(method, path, code).Observe(elapsed.Seconds())
}

// MetricsHandler serves /metrics, and the JSON 404 elsewhere. A collector that
// fails is logged and left out: the others must stay visible.
func MetricsHandler(g prometheus.Gatherer, errs *Errors) http.Handler {
	scrape := promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(errs.Logger.Handler(), slog.LevelError),
		MaxRequestsInFlight: 4,
		Timeout:             20 * time.Second,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stripSlash(r).URL.Path != "/metrics" {
			errs.WriteError(w, r, apierr.New(apierr.NotFound, ""))
			return
		}
		scrape.ServeHTTP(w, r)
	})
}
