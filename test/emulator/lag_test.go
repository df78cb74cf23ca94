package emulator_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
)

// shelf is an upstream that lists what was put there.
func shelf(t *testing.T) (*emulator.Emulated, string) {
	t.Helper()
	var things atomic.Int64
	wrapped := emulator.Wrap("shelf", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			things.Add(1)
			w.WriteHeader(http.StatusCreated)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strconv.FormatInt(things.Load(), 10))
	}))
	server := httptest.NewServer(wrapped.Handler())
	t.Cleanup(server.Close)
	return wrapped, server.URL
}

func list(t *testing.T, url string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	reply, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return reply.StatusCode, string(text)
}

func TestAListThatLagsShowsWhatWas(t *testing.T) {
	t.Parallel()
	wrapped, url := shelf(t)
	shown := func() string { _, body := list(t, url+"/things"); return body }
	wrapped.Inject(emulator.Fault{Method: http.MethodGet, Mode: emulator.Lag, Delay: 300 * time.Millisecond})
	began := time.Now()
	require.Equal(t, "0", shown())
	_, err := post(t.Context(), url)
	require.NoError(t, err)
	if stale := shown(); time.Since(began) < 300*time.Millisecond {
		require.Equal(t, "0", stale)
	}
	require.Eventually(t, func() bool { return shown() == "1" }, bound, 10*time.Millisecond)
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	wrapped.ClearFaults()
	_, err = post(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, "2", shown())
	require.Panics(t, func() { wrapped.Inject(emulator.Fault{Mode: emulator.Lag}) }, "for how long?")
}

func TestRepliesThatNobodyShouldFollowOrRead(t *testing.T) {
	t.Parallel()
	wrapped, url := shelf(t)
	wrapped.Inject(emulator.Fault{Mode: emulator.Oversize, Times: 1})
	wrapped.Inject(emulator.Fault{Mode: emulator.Redirect, Times: 1})
	status, body := list(t, url)
	require.Equal(t, http.StatusOK, status)
	require.Greater(t, len(body), 10<<20)
	require.True(t, json.Valid([]byte(body)))
	status, body = list(t, url)
	require.Equal(t, http.StatusTemporaryRedirect, status)
	require.Contains(t, body, emulator.LinkLocal)
	for _, entry := range wrapped.Journal() {
		require.False(t, entry.Effect)
	}
	status, _ = list(t, url)
	require.Equal(t, http.StatusOK, status)
}
