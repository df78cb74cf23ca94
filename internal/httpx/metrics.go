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
func NewMetrics(reg prometheus.Registerer) *Metrics {
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
