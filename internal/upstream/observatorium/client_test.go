package observatorium_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	emulated "github.com/kas-fleet/kas-fleet-manager/test/emulator/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	*observatorium.Client
	store    *emulated.Observatorium
	calls    *emulator.Emulated
	url      string
	registry *prometheus.Registry
}

func newWorld(t *testing.T, change ...func(*observatorium.Config, string)) *world {
	t.Helper()
	w := &world{store: emulated.New(), registry: prometheus.NewRegistry()}
	w.calls = emulator.Wrap("observatorium", w.store.Handler())
	server := httptest.NewServer(w.calls)
	t.Cleanup(server.Close)
	t.Cleanup(w.calls.ClearFaults)
	w.url = server.URL
	c := observatorium.Config{RefresherURL: server.URL, Timeout: 5 * time.Second}
	for _, fn := range change {
		fn(&c, server.URL)
	}
	var err error
	w.Client, err = observatorium.New(c, observatorium.NewMetrics(w.registry), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

var now = time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC)

func (w *world) put(value float64, namespace string) {
	w.store.Put(emulated.Series{
		Labels:  map[string]string{"__name__": "m", "namespace": namespace},
		Samples: []emulated.Sample{{At: now.Add(-time.Minute), Value: value}},
	})
}

const question = `{__name__=~"m",namespace="a"}`

func TestQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(7, "a")
	w.put(math.NaN(), "a")
	w.put(8, "b")
	found, err := w.Query(t.Context(), question, now)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, observatorium.Series{
		Labels: map[string]string{"__name__": "m", "namespace": "a"}, Samples: []observatorium.Sample{{Milliseconds: now.UnixMilli(), Value: 7}},
	}, found[0])
	require.True(t, math.IsNaN(found[1].Samples[0].Value), "what to make of it is the caller's business")
	found, err = w.QueryRange(t.Context(), question, now.Add(-2*time.Minute), now, 30*time.Second)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Len(t, found[0].Samples, 3, "nothing was known in the first half")
	require.Equal(t, now.UnixMilli(), found[0].Samples[2].Milliseconds)
	found, err = w.Query(t.Context(), `{__name__=~"other"}`, now)
	require.NoError(t, err)
	require.Empty(t, found)
	require.Len(t, w.calls.JournalOf(http.MethodPost, "/api/v1/query$"), 2, "a query goes in a body, not into access logs")
	require.Equal(t, map[string]float64{"200 POST /query": 2, "200 POST /query_range": 1}, counted(t, w.registry))
}

// counted gives the calls by code, method and path.
func counted(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			if family.GetName() == "kas_fleet_manager_observatorium_request_count" {
				out[one.GetLabel()[0].GetValue()+" "+one.GetLabel()[1].GetValue()+" "+one.GetLabel()[2].GetValue()] = one.GetCounter().GetValue()
			}
		}
	}
	return out
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault emulator.Fault
		want  error
		pause time.Duration // 0: no use
	}{
		"throttled":          {emulator.Fault{Mode: emulator.Before, Status: 429, RetryAfter: 7}, observatorium.ErrThrottled, 7 * time.Second},
		"throttled for ever": {emulator.Fault{Mode: emulator.Before, Status: 429, RetryAfter: 86400}, observatorium.ErrThrottled, time.Minute},
		"throttled, no hint": {emulator.Fault{Mode: emulator.Before, Status: 429}, observatorium.ErrThrottled, 5 * time.Second},
		"not let in":         {emulator.Fault{Mode: emulator.Before, Status: 401}, observatorium.ErrUnauthorised, 0},
		"forbidden":          {emulator.Fault{Mode: emulator.Before, Status: 403}, observatorium.ErrUnauthorised, 0},
		"not understood":     {emulator.Fault{Mode: emulator.Before, Status: 422}, observatorium.ErrRefused, 0},
		"broken":             {emulator.Fault{Mode: emulator.Before, Status: 500}, observatorium.ErrUnavailable, 5 * time.Second},
		"away":               {emulator.Fault{Mode: emulator.Before, Status: 503, RetryAfter: 2}, observatorium.ErrUnavailable, 2 * time.Second},
		"cut off":            {emulator.Fault{Mode: emulator.ResetBefore}, observatorium.ErrUnavailable, 5 * time.Second},
		"garbage":            {emulator.Fault{Mode: emulator.Garbage}, observatorium.ErrUnavailable, 5 * time.Second},
		"slow":               {emulator.Fault{Mode: emulator.Hang}, context.DeadlineExceeded, 5 * time.Second},
		"redirects":          {emulator.Fault{Mode: emulator.Redirect}, observatorium.ErrUnavailable, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *observatorium.Config, _ string) { c.Timeout = 2 * time.Second })
			w.calls.Inject(c.fault)
			_, err := w.Query(t.Context(), question, now)
			require.ErrorIs(t, err, c.want)
			_, rangeErr := w.QueryRange(t.Context(), question, now.Add(-time.Minute), now, time.Second)
			require.ErrorIs(t, rangeErr, c.want)
			var patient interface{ RetryAfter() time.Duration }
			require.Equal(t, c.pause > 0, errors.As(err, &patient), "%v", err)
			if c.pause > 0 {
				require.Equal(t, c.pause, patient.RetryAfter())
			}
			w.calls.ClearFaults()
			_, err = w.Query(t.Context(), question, now)
			require.NoError(t, err, "it recovers")
		})
	}
}

// Some gateways take GET only.
func TestAServerThatWantsGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(7, "a")
	w.calls.Inject(emulator.Fault{Method: http.MethodPost, Mode: emulator.Before, Status: http.StatusMethodNotAllowed})
	found, err := w.Query(t.Context(), question, now)
	require.NoError(t, err)
	require.Len(t, found, 1)
	w.calls.Inject(emulator.Fault{Method: http.MethodGet, Mode: emulator.ResetBefore})
	_, err = w.Query(t.Context(), question, now)
	require.ErrorIs(t, err, observatorium.ErrUnavailable)
	require.NotContains(t, err.Error(), "query=", "the URL of a GET holds the whole question")
}

// An answer of the largest size that a store may send, and one that never ends.
func TestAnswersThatAreTooLong(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[`))
		for row := []byte(strings.Repeat(`{"metric":{},"value":[1,"1"]},`, 1000)); r.Context().Err() == nil; {
			if _, err := w.Write(row); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	client, err := observatorium.New(observatorium.Config{RefresherURL: server.URL}, observatorium.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Query(t.Context(), question, now)
	require.ErrorIs(t, err, observatorium.ErrTooLarge)
}

// Each answer may be as long as this, all that one customer waits for may not.
func TestAnswersThatAreTooLongTogether(t *testing.T) {
	t.Parallel()
	row := []byte(`{"metric":{"topic":"` + strings.Repeat("x", 1<<20) + `"},"value":[1,"1"]}`)
	long := []byte(`{"status":"success","data":{"resultType":"vector","result":[`)
	for range 11 {
		long = append(append(long, row...), ',')
	}
	long = append(append(long, row...), `]}}`...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(long) }))
	defer server.Close()
	client, err := observatorium.New(observatorium.Config{RefresherURL: server.URL}, observatorium.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer client.Close()
	one, other := observatorium.Together(t.Context()), observatorium.Together(t.Context())
	for _, c := range []struct {
		of   context.Context
		want error
	}{{one, nil}, {one, nil}, {one, observatorium.ErrTooLarge}, {other, nil}, {t.Context(), nil}} {
		_, err := client.Query(c.of, question, now)
		require.ErrorIs(t, err, c.want)
	}
}

func TestNoCallOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.calls.Inject(emulator.Fault{Mode: emulator.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := w.Query(ctx, question, now)
		ended <- err
	}()
	require.Eventually(t, func() bool { return len(w.calls.Journal()) == 1 }, 5*time.Second, 5*time.Millisecond)
	cancel()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(5 * time.Second):
		t.Fatal("the call goes on")
	}
}

func TestNoMoreCallsAtATimeThanAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *observatorium.Config, _ string) { c.Timeout = time.Second })
	w.calls.Inject(emulator.Fault{Mode: emulator.Hang})
	var running sync.WaitGroup
	for range 150 {
		running.Go(func() { _, _ = w.Query(t.Context(), question, now) })
	}
	running.Wait()
	// All waited for the same second, so none took over the place of another.
	require.LessOrEqual(t, len(w.calls.Journal()), 2*64)
	require.GreaterOrEqual(t, len(w.calls.Journal()), 64)
}

func TestWithoutBackend(t *testing.T) {
	t.Parallel()
	client, err := observatorium.New(observatorium.Config{}, observatorium.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.False(t, client.Configured())
	_, err = client.Query(t.Context(), question, now)
	require.ErrorIs(t, err, observatorium.ErrUnconfigured)
}

// A certificate that nobody vouches for is refused, unless the operator says otherwise; then the log says so.
func TestCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(emulated.New().Handler())
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ask := func(ignore bool) (string, error) {
		var logged bytes.Buffer
		client, err := observatorium.New(observatorium.Config{RefresherURL: server.URL, IgnoreTLS: ignore},
			observatorium.NewMetrics(prometheus.NewRegistry()), slog.New(slog.NewTextHandler(&logged, nil)))
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Query(t.Context(), question, now)
		return logged.String(), err
	}
	logged, err := ask(false)
	require.ErrorContains(t, err, "certificate")
	require.Empty(t, logged)
	logged, err = ask(true)
	require.NoError(t, err)
	require.Contains(t, logged, "observatorium-ignore-ssl")
}

// gated is a gateway that lets tokens of an issuer in.
func gated(t *testing.T, lifetime time.Duration) (*world, *emulator.Emulated, *sync.Map) {
	t.Helper()
	issuer, err := sso.New(sso.Options{TokenLifetime: lifetime, Clients: []sso.Client{
		{Realm: "rhoas", ClientID: "fleet", Secret: "marker-of-the-client", ServiceAccount: true},
	}})
	require.NoError(t, err)
	tokens := emulator.Wrap("sso", issuer.Handler())
	server := httptest.NewServer(tokens)
	t.Cleanup(server.Close)
	issuer.SetBaseURL(server.URL)
	refused := &sync.Map{}
	w := &world{store: emulated.New(), registry: prometheus.NewRegistry()}
	w.calls = emulator.Wrap("observatorium", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, bad := refused.Load(token); !ok || token == "" || bad {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		refused.Store("last", token)
		w.store.Handler().ServeHTTP(rw, r)
	}))
	gateway := httptest.NewServer(w.calls)
	t.Cleanup(gateway.Close)
	w.Client, err = observatorium.New(observatorium.Config{
		GatewayURL: gateway.URL, Tenant: "managed kafka", TokenURL: server.URL + "/auth/realms/rhoas/protocol/openid-connect/token",
		ClientID: "fleet", ClientSecret: "marker-of-the-client", Audience: "observatorium-telemeter", Timeout: 5 * time.Second,
	}, observatorium.NewMetrics(w.registry), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w, tokens, refused
}

func TestTheGatewayIsShownAToken(t *testing.T) {
	t.Parallel()
	w, tokens, refused := gated(t, time.Hour)
	var running sync.WaitGroup
	for range 10 {
		running.Go(func() {
			_, err := w.Query(t.Context(), question, now)
			require.NoError(t, err)
		})
	}
	running.Wait()
	require.Len(t, tokens.Journal(), 1, "one token serves all")
	require.Contains(t, tokens.Journal()[0].Body, "audience=observatorium-telemeter")
	require.Equal(t, "/api/metrics/v1/managed kafka/api/v1/query", w.calls.Journal()[0].Path)

	last, _ := refused.Load("last")
	refused.Store(last, true)
	_, err := w.Query(t.Context(), question, now)
	require.NoError(t, err, "a token that is not good any more is replaced")
	require.Len(t, tokens.Journal(), 2)
}

func TestTokensAreReplacedBeforeTheyEnd(t *testing.T) {
	t.Parallel()
	w, tokens, _ := gated(t, 2*time.Second)
	_, err := w.Query(t.Context(), question, now)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := w.Query(t.Context(), question, now)
		return err == nil && len(tokens.Journal()) == 2
	}, 5*time.Second, 50*time.Millisecond)
}

func TestAnIssuerThatGivesNoToken(t *testing.T) {
	t.Parallel()
	w, tokens, _ := gated(t, time.Hour)
	for status, want := range map[int]error{401: observatorium.ErrUnauthorised, 400: observatorium.ErrUnauthorised, 429: observatorium.ErrThrottled, 503: observatorium.ErrUnavailable} {
		tokens.Inject(emulator.Fault{Mode: emulator.Before, Status: status})
		_, err := w.Query(t.Context(), question, now)
		require.ErrorIs(t, err, want)
		require.NotContains(t, err.Error(), "marker-of-the-client")
		tokens.ClearFaults()
	}
	require.Empty(t, w.calls.Journal())
}

func TestSettings(t *testing.T) {
	t.Parallel()
	parse := func(args ...string) error {
		var c observatorium.Config
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		c.Flags(fs)
		require.NoError(t, fs.Parse(args))
		return c.Validate()
	}
	require.NoError(t, parse(), "metrics are optional, and credentials need not exist")
	require.NoError(t, parse("--observability-red-hat-sso-token-refresher-url=http://token-refresher", "--observability-red-hat-sso-tenant=managedkafka", "--observatorium-timeout=120s"))
	for args, want := range map[string]string{
		"--observability-red-hat-sso-token-refresher-url=nonsense": "not an http or https URL",
		"--observatorium-timeout=0s":                               "observatorium-timeout",
		"--observatorium-gateway-url=https://gateway":              "observability-red-hat-sso-tenant",
		"--observatorium-gateway-url=ftp://gateway":                "observatorium-gateway-url",
		"--observatorium-gateway-url=https://gateway --observability-red-hat-sso-token-refresher-url=http://refresher":  "only one of them",
		"--observatorium-gateway-url=https://gateway --observatorium-client-id-file=" + filepath.Join(t.TempDir(), "x"): "observatorium-client-id-file",
	} {
		require.ErrorContains(t, parse(strings.Fields(args)...), want, args)
	}
}
