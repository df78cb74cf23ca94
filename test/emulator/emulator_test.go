package emulator_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
)

const bound = 10 * time.Second

// counter is an upstream whose whole state is how often it took effect.
type counter struct{ effects atomic.Int64 }

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.effects.Add(1)
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
}

func serve(t *testing.T) (*counter, *emulator.Emulated, *httptest.Server) {
	t.Helper()
	upstream := &counter{}
	wrapped := emulator.Wrap("counter", upstream).ShowState(func() any {
		return map[string]int64{"effects": upstream.effects.Load()}
	})
	server := httptest.NewServer(wrapped.Handler())
	t.Cleanup(server.Close)
	return upstream, wrapped, server
}

// outcome is what the caller saw.
type outcome struct {
	status     int
	retryAfter string
	body       string
}

func post(ctx context.Context, url string) (outcome, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"name":"one"}`))
	if err != nil {
		return outcome{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	// A connection of its own: the client would silently retry on a kept one that was reset.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Do(request)
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	return outcome{reply.StatusCode, reply.Header.Get("Retry-After"), string(body)}, err
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault   emulator.Fault
		effects int64
		status  int // 0: no reply
	}{
		{emulator.Fault{Mode: emulator.Before, Status: 503, RetryAfter: 7}, 0, 503},
		{emulator.Fault{Mode: emulator.After}, 1, 500},
		{emulator.Fault{Mode: emulator.ResetBefore}, 0, 0},
		{emulator.Fault{Mode: emulator.ResetAfter}, 1, 0},
		{emulator.Fault{Mode: emulator.Hang, Delay: time.Millisecond}, 0, 0},
		{emulator.Fault{Mode: emulator.HangAfter, Delay: time.Millisecond}, 1, 0},
		{emulator.Fault{Mode: emulator.Slow, Delay: time.Millisecond}, 1, 201},
		{emulator.Fault{Mode: emulator.Twice}, 2, 201},
		{emulator.Fault{Mode: emulator.Garbage}, 0, 200},
	} {
		t.Run(string(c.fault.Mode), func(t *testing.T) {
			t.Parallel()
			upstream, wrapped, server := serve(t)
			c.fault.Method, c.fault.Path, c.fault.Times = http.MethodPost, "^/things", 1
			wrapped.Inject(c.fault)
			reply, err := post(t.Context(), server.URL+"/things")
			require.Equal(t, c.effects, upstream.effects.Load())
			if c.status == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				require.Equal(t, c.status, reply.status)
			}
			entry := wrapped.Journal()[0]
			require.Equal(t, c.status, entry.Status)
			require.Equal(t, c.effects > 0, entry.Effect)
			require.Equal(t, string(c.fault.Mode), entry.Fault)
			switch c.fault.Mode {
			case emulator.Before:
				require.Equal(t, "7", reply.retryAfter)
			case emulator.Garbage:
				require.False(t, json.Valid([]byte(reply.body)))
			}

			require.Empty(t, wrapped.Faults(), "fires once")
			reply, err = post(t.Context(), server.URL+"/things")
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, reply.status)
			require.JSONEq(t, `{"name":"one"}`, reply.body)
		})
	}
}

func TestHangEndsWhenCleared(t *testing.T) {
	t.Parallel()
	_, wrapped, server := serve(t)
	wrapped.Inject(emulator.Fault{Mode: emulator.Hang, Times: 1})
	done := make(chan error, 1)
	go func() {
		_, err := post(context.Background(), server.URL)
		done <- err
	}()
	require.Eventually(t, func() bool { return len(wrapped.Journal()) == 1 }, bound, time.Millisecond)
	wrapped.ClearFaults()
	select {
	case err := <-done:
		require.Error(t, err)
	case <-time.After(bound):
		require.Fail(t, "the call still hangs")
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	t.Parallel()
	_, wrapped, server := serve(t)
	wrapped.Inject(emulator.Fault{Mode: emulator.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := post(ctx, server.URL)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestProbabilityFollowsTheSeed(t *testing.T) {
	t.Parallel()
	run := func() (failed []int) {
		_, wrapped, server := serve(t)
		wrapped.Inject(emulator.Fault{Mode: emulator.Before, Probability: 0.5, Seed: 42})
		for i := range 40 {
			reply, err := post(t.Context(), server.URL)
			require.NoError(t, err)
			if reply.status == http.StatusInternalServerError {
				failed = append(failed, i)
			}
		}
		return failed
	}
	first := run()
	require.NotEmpty(t, first)
	require.Less(t, len(first), 40)
	require.Equal(t, first, run())
}

func TestFaultsOfOtherRoutesDoNotFire(t *testing.T) {
	t.Parallel()
	upstream, wrapped, server := serve(t)
	wrapped.Inject(emulator.Fault{Mode: emulator.Before, Method: http.MethodGet})
	wrapped.Inject(emulator.Fault{Mode: emulator.Before, Path: "^/other$"})
	_, err := post(t.Context(), server.URL+"/things")
	require.NoError(t, err)
	require.EqualValues(t, 1, upstream.effects.Load())
	require.Panics(t, func() { wrapped.Inject(emulator.Fault{Mode: "unknown"}) })
}

func TestJournalHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	_, wrapped, server := serve(t)
	for contentType, body := range map[string]string{
		"application/json": `{"secret":"hush1","nested":[{"client_secret":"hush1","id":"sso-secret","value":"hush1"}],` +
			`"parameters":{"items":[{"id":"cluster-id","value":"shown"}]},"name":"shown"}`,
		"application/x-www-form-urlencoded": "client_secret=hush1&refresh_token=hush1&password=hush1&username=shown",
		"text/plain":                        "hush1",
	} {
		reply, err := http.Post(server.URL+"?code=hush1&search=shown", contentType, strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
	}
	require.Len(t, wrapped.JournalOf(http.MethodPost, "^/$"), 3)
	for _, entry := range wrapped.Journal() {
		raw, err := json.Marshal(entry)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "hush1")
		require.Contains(t, string(raw), "shown")
	}
	wrapped.ClearJournal()
	require.Empty(t, wrapped.Journal())
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	_, wrapped, server := serve(t)
	admin := httptest.NewServer(wrapped.Admin())
	t.Cleanup(admin.Close)
	ask := func(method, path, body string, want int) string {
		request, err := http.NewRequestWithContext(t.Context(), method, admin.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		reply, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer func() { _ = reply.Body.Close() }()
		raw, err := io.ReadAll(reply.Body)
		require.NoError(t, err)
		require.Equal(t, want, reply.StatusCode, string(raw))
		return string(raw)
	}
	ask("POST", "/faults", `{"mode":"slow","delay":"1ms","times":2}`, http.StatusCreated)
	ask("POST", "/faults", `[{"mode":"before","status":503,"path":"^/x"}]`, http.StatusCreated)
	ask("POST", "/faults", `{"mode":"slow"}`, http.StatusBadRequest)
	ask("POST", "/faults", `{"mode":"before","path":"("}`, http.StatusBadRequest)
	ask("POST", "/faults", `{"mode":"before","delay":"soon"}`, http.StatusBadRequest)
	_, err := post(t.Context(), server.URL)
	require.NoError(t, err)
	require.JSONEq(t, `[{"mode":"slow","delay":"1ms","times":1,"status":500},{"mode":"before","status":503,"path":"^/x"}]`,
		ask("GET", "/faults", "", http.StatusOK))
	require.JSONEq(t, `{"effects":1}`, ask("GET", "/state", "", http.StatusOK))
	require.Contains(t, ask("GET", "/journal", "", http.StatusOK), `"fault":"slow"`)
	ask("DELETE", "/faults", "", http.StatusNoContent)
	ask("DELETE", "/journal", "", http.StatusNoContent)
	require.JSONEq(t, `[]`, ask("GET", "/faults", "", http.StatusOK))
	require.JSONEq(t, `[]`, ask("GET", "/journal", "", http.StatusOK))
}
