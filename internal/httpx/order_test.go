package httpx_test

import (
	"bytes"
	"context"
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
