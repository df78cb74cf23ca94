package app

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

func TestErrorsReachTheReporterBeforeTheProcessEnds(t *testing.T) {
	t.Parallel()
	events := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			if unzipped, err := gzip.NewReader(r.Body); err == nil {
				body = unzipped
			}
		}
		text, _ := io.ReadAll(body)
		events <- string(text)
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()
	c := config.Config{}
	c.Sentry.Enabled, c.Sentry.Timeout = true, 5*time.Second
	c.Sentry.DSN = log.Secret(strings.Replace(server.URL, "http://", "http://key@", 1) + "/1")
	a := &App{config: &c, commit: "abc123"}
	require.NoError(t, a.openReporter(t.Context()))
	a.report(context.Background(), errors.New("something broke"))
	require.NoError(t, a.Close())
	select {
	case event := <-events:
		require.Contains(t, event, "something broke")
		require.Contains(t, event, "abc123")
	case <-time.After(5 * time.Second):
		t.Fatal("no event arrived")
	}
}

func TestNothingIsReportedUnlessAskedFor(t *testing.T) {
	t.Parallel()
	a := &App{config: &config.Config{}}
	require.NoError(t, a.openReporter(t.Context()))
	a.report(t.Context(), errors.New("x"))
	require.Empty(t, a.closers)
}
