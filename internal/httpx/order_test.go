package httpx_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// stuck is a log that takes no line about a request before it is let go.
type stuck struct{ goOn chan struct{} }

func (s stuck) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("request served")) {
		<-s.goOn
	}
	return len(line), nil
}

// A caller does not wait for the log, but the audit is written before anybody knows
// what came of the request.
func TestAReplyLeavesBetweenAuditAndLog(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/read", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"a":1}`) })
	log := stuck{goOn: make(chan struct{})}
	var audited atomic.Bool
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: slog.New(slog.NewJSONHandler(log, nil)), Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Audit:     func(context.Context, httpx.Done) { audited.Store(true) },
	})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(log.goOn) })
	server.Client().Timeout = 10 * time.Second
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/read", http.NoBody)
	require.NoError(t, err)
	reply, err := server.Client().Do(request)
	require.NoError(t, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(body))
	require.True(t, audited.Load())
}

// departure is a connection that notes when the reply begins to leave.
type departure struct {
	*httptest.ResponseRecorder

	note func(string)
}

func (d departure) WriteHeader(status int) {
	d.note("left")
	d.ResponseRecorder.WriteHeader(status)
}

// A reply that is too long for the server's buffers leaves while it is written.
func TestTheAuditComesBeforeAReplyOfAnyLength(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	sizes := map[string]int{"/short": 10, "/held": 100_000, "/long": 3 << 20}
	for path, size := range sizes {
		router.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	}
	router.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 3<<20))
		panic(http.ErrAbortHandler)
	})
	router.HandleFunc("/never", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	var order []string
	note := func(what string) { order = append(order, what) }
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Audit:     func(_ context.Context, done httpx.Done) { note(fmt.Sprint("audit ", done.Path, " ", done.Status)) },
	})
	require.NoError(t, err)
	ask := func(path string) []string {
		order = nil
		handler.ServeHTTP(departure{httptest.NewRecorder(), note}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		return order
	}
	for path := range sizes {
		require.Equal(t, []string{"audit " + path + " 200", "left"}, ask(path))
	}
	require.Equal(t, []string{"audit /nowhere 404", "left"}, ask("/nowhere"))
	require.Panics(t, func() { ask("/cut") })
	require.Equal(t, []string{"audit /cut 200", "left", "audit /cut 0"}, order)
	require.Panics(t, func() { ask("/never") })
	require.Equal(t, []string{"audit /never 0"}, order)
}
