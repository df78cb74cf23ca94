package ocm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	emulated "github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
)

const (
	one   = "1sandbox0000000000000000000000c1"
	bare  = "1sandbox0000000000000000000000c2"
	fleet = "kas-fleetshard-operator"
)

// tokens issues tokens to the client "fleet" with the secret "s3cr3t".
func tokens(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	id, secret, _ := r.BasicAuth()
	if id != "fleet" || secret != "s3cr3t" || r.FormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return
	}
	claims := jwt.MapClaims{"typ": "Bearer", "exp": time.Now().Add(15 * time.Minute).Unix()}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("key"))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": text, "token_type": "bearer", "expires_in": 900})
}

type world struct {
	state  *emulated.OCM
	faults *emulator.Emulated
	sso    *emulator.Emulated
	client *ocm.Client
	lines  *lines
}

// lines is a log that several calls write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newWorld(t *testing.T, changes ...func(*ocm.Config)) world {
	t.Helper()
	w := world{lines: &lines{}}
	w.state = emulated.New(emulated.Options{Clusters: []emulated.Cluster{
		{ID: one, Name: "mk-one", ExternalID: "ext-1", CloudProvider: "aws", Region: "us-east-1", MultiAZ: true, DNS: "apps.mk-one.example.test"},
		{ID: bare, Name: "mk-two", State: "error", ProvisionError: "no quota"},
	}})
	w.faults = emulator.Wrap("ocm", w.state.Handler())
	w.sso = emulator.Wrap("sso", http.HandlerFunc(tokens))
	api, sso := httptest.NewServer(w.faults), httptest.NewServer(w.sso)
	t.Cleanup(api.Close)
	t.Cleanup(sso.Close)
	t.Cleanup(w.faults.ClearFaults)
	t.Cleanup(w.sso.ClearFaults)
	config := ocm.Config{
		BaseURL: api.URL, TokenURL: sso.URL + "/token", ClientID: "fleet", ClientSecret: "s3cr3t",
		Debug: true, Timeout: 5 * time.Second,
	}
	for _, change := range changes {
		change(&config)
	}
	client, err := ocm.New(config, log.New(w.lines, slog.LevelDebug))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	w.client = client
	return w
}

func params(pairs ...string) []ocm.Param {
	all := []ocm.Param{}
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, ocm.Param{ID: pairs[i], Value: log.Secret(pairs[i+1])})
	}
	return all
}

func TestCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.client.Cluster(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, ocm.Cluster{ID: one, ExternalID: "ext-1", State: ocm.StateReady, MultiAZ: true, CloudProvider: "aws", Region: "us-east-1"}, got)
	got, err = w.client.Cluster(t.Context(), bare)
	require.NoError(t, err)
	require.Equal(t, "error", got.State)
	require.Equal(t, "no quota", got.ProvisionError)
	_, err = w.client.Cluster(t.Context(), "unknown")
	require.ErrorIs(t, err, ocm.ErrNotFound)

	dns, err := w.client.DefaultIngressDNS(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, "apps.mk-one.example.test", dns)
	_, err = w.client.DefaultIngressDNS(t.Context(), bare)
	require.ErrorIs(t, err, ocm.ErrNotFound)
	require.Len(t, w.sso.Journal(), 1, "one token serves many calls")
}

func TestIdsThatAddressSomethingElseAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"", ".", "..", "a/b", "../" + one, "a?b"} {
		_, err := w.client.Cluster(t.Context(), id)
		require.ErrorIs(t, err, ocm.ErrRefused, id)
		_, err = w.client.Addon(t.Context(), one, id)
		require.ErrorIs(t, err, ocm.ErrRefused, id)
	}
	require.Empty(t, w.faults.Journal())
}

func TestEnsureAddon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	state, err := w.client.EnsureAddon(t.Context(), one, fleet, params("cluster-id", one, "sso-secret", "hush"))
	require.NoError(t, err)
	require.Equal(t, "pending", state)
	state, err = w.client.EnsureAddon(t.Context(), one, fleet, params("sso-secret", "hush", "cluster-id", one))
	require.NoError(t, err)
	require.Equal(t, ocm.StateReady, state)
	require.Len(t, w.faults.JournalOf(http.MethodPost, "addons"), 1)
	require.Empty(t, w.faults.JournalOf(http.MethodPatch, ""), "another order is no difference")

	state, err = w.client.EnsureAddon(t.Context(), one, fleet, params("sso-secret", "new"))
	require.NoError(t, err)
	require.Equal(t, ocm.StateReady, state)
	require.Len(t, w.faults.JournalOf(http.MethodPatch, ""), 1)
	got, ok := w.state.AddonParameters(one, fleet)
	require.True(t, ok)
	require.Equal(t, map[string]string{"sso-secret": "new"}, got)

	require.True(t, w.state.SetAddonState(one, fleet, "failed"))
	addon, err := w.client.Addon(t.Context(), one, fleet)
	require.NoError(t, err)
	require.Equal(t, "failed", addon.State)
	require.NotContains(t, w.lines.String(), "hush")
	require.NotContains(t, fmt.Sprintf("%+v", addon), "new")
	require.Contains(t, w.lines.String(), "called OCM")

	_, err = w.client.EnsureAddon(t.Context(), bare, fleet, nil)
	require.ErrorIs(t, err, ocm.ErrRefused)
}

func TestEffectThenErrorIsHealed(t *testing.T) {
	t.Parallel()
	for _, mode := range []emulator.Mode{emulator.After, emulator.ResetAfter, emulator.Twice} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.faults.Inject(emulator.Fault{Method: http.MethodPost, Mode: mode, Status: http.StatusServiceUnavailable, Times: 1})
			state, err := w.client.EnsureAddon(t.Context(), one, fleet, params("a", "1"))
			if mode == emulator.Twice { // the reply is a conflict with our own first delivery
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ocm.ErrUnavailable)
				require.Len(t, w.faults.JournalOf(http.MethodPost, ""), 1, "sent once")
				state, err = w.client.EnsureAddon(t.Context(), one, fleet, params("a", "1"))
				require.NoError(t, err)
			}
			require.Equal(t, ocm.StateReady, state)
			require.Len(t, w.faults.JournalOf(http.MethodPost, ""), 1)

			w.faults.Inject(emulator.Fault{Method: http.MethodPatch, Mode: emulator.ResetAfter, Times: 1})
			_, err = w.client.EnsureAddon(t.Context(), one, fleet, params("a", "2"))
			require.ErrorIs(t, err, ocm.ErrUnavailable)
			_, err = w.client.EnsureAddon(t.Context(), one, fleet, params("a", "2"))
			require.NoError(t, err)
			require.Len(t, w.faults.JournalOf(http.MethodPatch, ""), 1)
		})
	}
}

func TestFailuresAreClassified(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		http.StatusBadRequest: ocm.ErrRefused, http.StatusUnauthorized: ocm.ErrUnauthorised, http.StatusForbidden: ocm.ErrUnauthorised,
		http.StatusNotFound: ocm.ErrNotFound, http.StatusConflict: ocm.ErrConflict, http.StatusTooManyRequests: ocm.ErrThrottled,
		http.StatusInternalServerError: ocm.ErrUnavailable, http.StatusServiceUnavailable: ocm.ErrUnavailable, http.StatusFound: ocm.ErrUnavailable,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.faults.Inject(emulator.Fault{Mode: emulator.Before, Status: status})
			_, err := w.client.Cluster(t.Context(), one)
			require.ErrorIs(t, err, want)
			require.Len(t, w.faults.Journal(), 1, "sent once")
		})
	}
	t.Run("garbage", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.faults.Inject(emulator.Fault{Mode: emulator.Garbage})
		_, err := w.client.Cluster(t.Context(), one)
		require.ErrorIs(t, err, ocm.ErrUnavailable)
		_, err = w.client.EnsureAddon(t.Context(), one, fleet, nil)
		require.ErrorIs(t, err, ocm.ErrUnavailable)
	})
	t.Run("a page that is not JSON is not an absence", func(t *testing.T) {
		t.Parallel()
		for _, kind := range []string{"text/html", "application/json"} {
			page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(http.StatusBadGateway)
			}))
			t.Cleanup(page.Close)
			w := newWorld(t, func(c *ocm.Config) { c.BaseURL = page.URL })
			_, err := w.client.Cluster(t.Context(), one)
			require.ErrorIs(t, err, ocm.ErrUnavailable)
		}
	})
	t.Run("wrong secret", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *ocm.Config) { c.ClientSecret = "wr0ng" })
		_, err := w.client.Cluster(t.Context(), one)
		require.ErrorIs(t, err, ocm.ErrUnavailable)
		require.NotContains(t, err.Error(), "wr0ng")
	})
}

func TestRedirectDoesNotTakeTheTokenAway(t *testing.T) {
	t.Parallel()
	stolen := emulator.Wrap("elsewhere", http.NotFoundHandler())
	elsewhere := httptest.NewServer(stolen)
	t.Cleanup(elsewhere.Close)
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirecting.Close)
	w := newWorld(t, func(c *ocm.Config) { c.BaseURL = redirecting.URL })
	_, err := w.client.Cluster(t.Context(), one)
	require.ErrorIs(t, err, ocm.ErrUnavailable)
	require.Empty(t, stolen.Journal())
}

func TestHangEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	for _, hanging := range []string{"ocm", "sso"} {
		t.Run(hanging, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *ocm.Config) { c.Timeout = 300 * time.Millisecond })
			if hanging == "ocm" {
				w.faults.Inject(emulator.Fault{Mode: emulator.Hang})
			} else {
				w.sso.Inject(emulator.Fault{Mode: emulator.Hang})
			}
			start := time.Now()
			var calls sync.WaitGroup
			for range 4 { // they share the SDK's token lock
				calls.Go(func() {
					_, err := w.client.EnsureAddon(context.Background(), one, fleet, nil)
					if err == nil {
						t.Error("the call must fail")
					}
				})
			}
			calls.Wait()
			require.Less(t, time.Since(start), 5*time.Second)
			_, err := w.client.Cluster(t.Context(), one)
			require.ErrorIs(t, err, ocm.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

// Who has little time does not wait until somebody with much has got a token, or not.
func TestNoCallWaitsForTheTokenOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *ocm.Config) { c.Timeout = time.Minute })
	w.sso.Inject(emulator.Fault{Mode: emulator.Hang})
	patient, hangUp := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	calls.Go(func() { _, _ = w.client.Cluster(patient, one) })
	defer calls.Wait()
	defer hangUp()
	require.Eventually(t, func() bool { return len(w.sso.Journal()) == 1 }, 10*time.Second, time.Millisecond)
	hasty, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var err error
	ended := make(chan struct{})
	go func() { _, err = w.client.Cluster(hasty, one); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		require.Fail(t, "it waits")
	}
	require.ErrorIs(t, err, ocm.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	parse := func(args ...string) ocm.Config {
		var c ocm.Config
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		c.Flags(fs)
		require.NoError(t, fs.Parse(args))
		return c
	}
	id, secret, missing := file("id", "fleet\n"), file("secret", "s3cr3t\n"), filepath.Join(dir, "missing")

	c := parse("--ocm-client-id-file", id, "--ocm-client-secret-file", secret, "--self-token-file", missing)
	require.NoError(t, c.Validate(), "the token is not needed")
	require.Equal(t, "fleet", c.ClientID)
	require.Equal(t, "s3cr3t", c.ClientSecret.Reveal())

	c = parse("--ocm-client-id-file", missing, "--ocm-client-secret-file", missing, "--self-token-file", file("token", "offline\n"))
	require.NoError(t, c.Validate())
	require.Equal(t, "offline", c.Token.Reveal())

	c = parse("--ocm-client-id-file", id, "--ocm-client-secret-file", missing, "--self-token-file", missing,
		"--ocm-base-url", "nonsense", "--ams-base-url", "", "--ocm-token-url", "ftp://x")
	err := c.Validate()
	for _, flag := range []string{"ocm-client-secret-file", "self-token-file", "ocm-base-url", "ams-base-url", "ocm-token-url"} {
		require.ErrorContains(t, err, flag)
	}
	_, err = ocm.New(ocm.Config{BaseURL: "http://127.0.0.1"}, slog.New(slog.DiscardHandler))
	require.Error(t, err)
}
