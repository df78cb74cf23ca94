package httpx

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

const (
	checkBudget = time.Second
	checkFresh  = time.Second // how long a result serves the next probes
)

// Check is one condition of readiness.
type Check struct {
	Name string // shown to the prober; the error only to the log
	Run  func(ctx context.Context) error
}

// Health answers the probes. Liveness is the process itself: were it to ask the
// database, an outage there would restart every replica and cure nothing.
type Health struct {
	checks   []Check
	errs     *Errors
	manual   atomic.Bool // taken out by an operator
	draining atomic.Bool // on the way out

	mu      sync.Mutex
	failing []string
	at      time.Time
}

// NewHealth makes the health of a process that is ready when all checks pass.
func NewHealth(errs *Errors, checks ...Check) *Health { return &Health{errs: errs, checks: checks} }

// Drain makes the process not ready for the rest of its life.
func (h *Health) Drain() { h.draining.Store(true) }

// Handler serves /livez, /readyz, /healthcheck (the same as /readyz) and the
// manual switch /healthcheck/down and /healthcheck/up.
func (h *Health) Handler() http.Handler {
	routes := map[string]struct {
		method string
		serve  http.HandlerFunc
	}{
		"/livez":            {http.MethodGet, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, healthBody{}) }},
		"/readyz":           {http.MethodGet, h.ready},
		"/healthcheck":      {http.MethodGet, h.ready},
		"/healthcheck/down": {http.MethodPost, h.turn(true)},
		"/healthcheck/up":   {http.MethodPost, h.turn(false)},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, ok := routes[stripSlash(r).URL.Path]
		switch {
		case !ok:
			h.errs.WriteError(w, r, apierr.New(apierr.NotFound, ""))
		case r.Method != route.method:
			w.Header().Set("Allow", route.method)
			h.errs.WriteError(w, r, apierr.New(apierr.MethodNotAllowed, ""))
		default:
			route.serve(w, r)
		}
	})
}

type healthBody struct {
	Maintenance string   `json:"maintenance_status,omitempty"`
	Failing     []string `json:"failing,omitempty"`
}

func answer(w http.ResponseWriter, code int, body healthBody) {
	writeJSON(w, code, "application/json; charset=utf-8", body)
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.manual.Load():
		answer(w, http.StatusServiceUnavailable, healthBody{Maintenance: "maintenance mode"})
		return
	case h.draining.Load():
		answer(w, http.StatusServiceUnavailable, healthBody{Maintenance: "shutting down"})
		return
	}
	if failing := h.check(r.Context()); len(failing) > 0 {
		answer(w, http.StatusServiceUnavailable, healthBody{Maintenance: "not ready", Failing: failing})
		return
	}
	answer(w, http.StatusOK, healthBody{})
}

// turn works for peers on the same machine only, because the health port is open
// to the whole cluster. A forwarded request merely comes through one of them.
func (h *Health) turn(down bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		forwarded := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip == nil || !ip.IsLoopback() || forwarded {
			h.errs.WriteError(w, r, apierr.New(apierr.Forbidden, ""))
			return
		}
		h.manual.Store(down)
		answer(w, http.StatusOK, healthBody{})
	}
}

// check gives the names of the checks that fail. Probes that come together, or
// soon after, share one round. The round outlives the probe that began it, so
// that an impatient prober does not leave a false result for the others.
func (h *Health) check(ctx context.Context) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.at.IsZero() && time.Since(h.at) < checkFresh {
		return h.failing
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkBudget)
	defer cancel()
	results := make([]chan error, len(h.checks))
	for i, check := range h.checks {
		results[i] = make(chan error, 1)
		go func() { results[i] <- check.Run(ctx) }()
	}
	h.failing = nil
	for i, check := range h.checks {
		if err := await(ctx, results[i]); err != nil {
			h.failing = append(h.failing, check.Name)
			h.errs.Logger.WarnContext(ctx, "readiness check failed", "check", check.Name, "cause", err.Error())
		}
	}
	h.at = time.Now()
	return h.failing
}

// await gives the result, or the end of the budget for a check that is deaf to
// its context. A result that came in time counts although another check used up
// the budget.
func await(ctx context.Context, result <-chan error) error {
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-result:
		return err
	default:
		return ctx.Err()
	}
}
