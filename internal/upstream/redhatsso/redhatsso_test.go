package redhatsso_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/redhatsso"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	realm     = "redhat-external"
	ownSecret = "own-secret-of-the-service"
	scope     = "api.iam.service_accounts"
	api       = "/apis/service_accounts/v1"
)

type world struct {
	sso      *sso.SSO
	emulated *emulator.Emulated
	client   *redhatsso.Client
}

func newWorld(t *testing.T, o sso.Options) world {
	t.Helper()
	o.Users = append(o.Users, sso.User{Username: "alice", OrgID: "one", AccountID: "1"}, sso.User{Username: "mallory", OrgID: "two", AccountID: "2"})
	o.Clients = append(o.Clients, sso.Client{
		ClientID: "fleet-manager", Secret: ownSecret, ServiceAccount: true, Scopes: []string{scope}, Claims: map[string]string{"rh-org-id": "service"},
	})
	service, err := sso.New(o)
	require.NoError(t, err)
	emulated := emulator.Wrap("sso", service.Handler())
	server := httptest.NewServer(emulated.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(emulated.ClearFaults)
	service.SetBaseURL(server.URL)
	return world{service, emulated, connect(t, redhatsso.Config{
		Issuer: service.Issuer(realm), ClientID: "fleet-manager", ClientSecret: ownSecret, Scope: scope,
	})}
}

func connect(t *testing.T, c redhatsso.Config) *redhatsso.Client {
	t.Helper()
	client, err := redhatsso.New(c)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func (w world) as(t *testing.T, user string) redhatsso.Accounts {
	t.Helper()
	token, err := w.sso.UserToken(user)
	require.NoError(t, err)
	return w.client.As(log.Secret(token))
}

func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	for name, who := range map[string]redhatsso.Accounts{"alice": w.as(t, "alice"), "service-account-fleet-manager": w.client.Own()} {
		made, err := who.Create(t.Context(), "billing", "")
		require.NoError(t, err)
		require.Equal(t, name, made.CreatedBy)
		require.WithinDuration(t, time.Now(), made.CreatedAt, time.Minute)
		there, _ := w.sso.Client(realm, made.ClientID)
		require.Equal(t, there.Secret, made.Secret.Reveal())

		read, err := who.Get(t.Context(), made.ID)
		require.NoError(t, err)
		shown := made
		shown.Secret = ""
		require.Equal(t, shown, read)
		listed, err := who.List(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Equal(t, []redhatsso.Account{shown}, listed)
		reset, err := who.ResetSecret(t.Context(), made.ID)
		require.NoError(t, err)
		require.NotEqual(t, made.Secret.Reveal(), reset.Secret.Reveal())

		_, err = w.as(t, "mallory").Get(t.Context(), made.ID)
		require.ErrorIs(t, err, redhatsso.ErrNotFound)
		require.NoError(t, who.Delete(t.Context(), made.ID))
		require.ErrorIs(t, who.Delete(t.Context(), made.ID), redhatsso.ErrNotFound)
		_, err = who.ResetSecret(t.Context(), made.ID)
		require.ErrorIs(t, err, redhatsso.ErrNotFound)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{AccountLimit: 1000})
	alice := w.as(t, "alice")
	for i := range 230 {
		_, err := alice.Create(t.Context(), fmt.Sprintf("a%d", i), "")
		require.NoError(t, err)
	}
	for _, c := range []struct{ first, limit, count, calls int }{
		{0, 1000, 230, 3}, {0, 100, 100, 1}, {200, 100, 30, 1}, {50, 120, 120, 2}, {230, 10, 0, 1}, {0, 0, 0, 0},
	} {
		w.emulated.ClearJournal()
		found, err := alice.List(t.Context(), c.first, c.limit)
		require.NoError(t, err)
		require.Len(t, found, c.count, c)
		require.Len(t, w.emulated.JournalOf(http.MethodGet, api), c.calls, c)
		if c.count > 0 {
			require.Equal(t, fmt.Sprintf("a%d", c.first), found[0].Name)
		}
	}
	found, err := alice.Search(t.Context(), func(a redhatsso.Account) bool { return strings.HasSuffix(a.Name, "29") }, false)
	require.NoError(t, err)
	require.Len(t, found, 3)
}

// TestNoCallBearsTheTokenOfAnother: the calls of two customers and of the service
// itself cross each other on one client.
func TestNoCallBearsTheTokenOfAnother(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	wrong := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/token") {
			_, _ = io.WriteString(w, `{"access_token":"own","expires_in":300}`)
			return
		}
		var body struct{ Name string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		if r.Header.Get("Authorization") != "Bearer "+body.Name {
			mu.Lock()
			wrong[body.Name]++
			mu.Unlock()
		}
		_, _ = fmt.Fprintf(w, `{"id":"i","clientId":"c","name":%q,"secret":"s"}`, body.Name)
	}))
	t.Cleanup(server.Close)
	client := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"})
	var all sync.WaitGroup
	// All are at hand before the first one calls.
	callers := map[string]redhatsso.Accounts{"alice": client.As("alice"), "own": client.Own(), "mallory": client.As("mallory")}
	for who, accounts := range callers {
		for range 8 {
			all.Go(func() {
				for range 50 {
					if _, err := accounts.Create(t.Context(), who, ""); err != nil {
						t.Errorf("creating: %v", err)
					}
				}
			})
		}
	}
	all.Wait()
	require.Empty(t, wrong)
}

func TestRefusalsHaveTheirKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		kind   error
	}{
		{403, `{"error":"service_account_limit_exceeded","error_description":"too many"}`, redhatsso.ErrLimit},
		{403, `{"error":"service_account_access_invalid"}`, redhatsso.ErrForbidden},
		{404, `{"error":"service_account_not_found"}`, redhatsso.ErrNotFound},
		{401, `{"error":"unauthorized"}`, redhatsso.ErrUnauthorised},
		{503, ``, redhatsso.ErrUnavailable}, {429, `{}`, redhatsso.ErrUnavailable},
		{404, `{"error":"not_found"}`, nil}, {404, `no such page`, nil}, {400, `{"error":"invalid_field"}`, nil},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		t.Cleanup(server.Close)
		err := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"}).As("t").Delete(t.Context(), "i")
		var refusal *redhatsso.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, c.status, refusal.Status)
		for _, kind := range []error{
			redhatsso.ErrLimit, redhatsso.ErrForbidden, redhatsso.ErrNotFound, redhatsso.ErrUnauthorised, redhatsso.ErrUnavailable,
		} {
			require.Equal(t, errors.Is(c.kind, kind), errors.Is(err, kind), "%d %s is %v", c.status, c.body, kind)
		}
	}
}

func TestStrangeRepliesAreFailures(t *testing.T) {
	t.Parallel()
	const good = `{"id":"i","clientId":"c","name":"n","secret":"s"}`
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"a page": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") },
		"half":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good[:20]) },
		"null":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `null`) },
		"no id": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"clientId":"c","name":"n","secret":"s"}`)
		},
		"a line in an id": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Replace(good, `"i"`, `"i\n"`, 1))
		},
		"another account": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.NewReplacer(`"i"`, `"j"`, `"n"`, `"m"`).Replace(good))
		},
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Replace(good, "{", `{"x":"`+strings.Repeat("x", 2<<20)+`",`, 1))
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/elsewhere", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/elsewhere" {
					t.Error("a redirect was followed")
				}
				answer(w, r)
			}))
			t.Cleanup(server.Close)
			accounts := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"}).As("hush")
			_, err := accounts.Create(t.Context(), "n", "")
			require.ErrorIs(t, err, redhatsso.ErrUnavailable)
			require.NotContains(t, err.Error(), "hush")
			_, err = accounts.Get(t.Context(), "i")
			require.ErrorIs(t, err, redhatsso.ErrUnavailable)
			_, err = accounts.List(t.Context(), 0, 10)
			require.ErrorIs(t, err, redhatsso.ErrUnavailable)
			_, err = accounts.ResetSecret(t.Context(), "i")
			require.ErrorIs(t, err, redhatsso.ErrUnavailable)
			require.ErrorIs(t, accounts.Delete(t.Context(), "i"), redhatsso.ErrUnavailable)
		})
	}
}

// Ids become part of paths, of rows and of what customers see.
func TestNotEveryTextIsAnID(t *testing.T) {
	t.Parallel()
	var account map[string]string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			assert.NoError(t, json.NewEncoder(w).Encode(account))
			return
		}
		assert.NoError(t, json.NewEncoder(w).Encode([]map[string]string{account}))
	}))
	t.Cleanup(server.Close)
	accounts := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"}).As("hush")
	for _, strange := range []string{"", "../../admin?x=%2e%2e#", "<script>", "two\nlines", "nul\x00", "'; DROP TABLE kafka_requests; --", "a.host.example.test", strings.Repeat("x", 256)} {
		for _, field := range []string{"id", "clientId"} {
			account = map[string]string{"id": "4f0c", "clientId": "srvc-acct-4f0c", "name": "n", "secret": "s"}
			account[field] = strange
			_, err := accounts.List(t.Context(), 0, 10)
			require.ErrorIs(t, err, redhatsso.ErrUnavailable, "%s %q", field, strange)
			_, err = accounts.Create(t.Context(), "n", "")
			require.ErrorIs(t, err, redhatsso.ErrUnavailable, "%s %q", field, strange)
		}
	}
	account = map[string]string{"id": "4f0c", "clientId": "srvc-acct-4f0c", "name": "n", "secret": "s"}
	_, err := accounts.List(t.Context(), 0, 10)
	require.NoError(t, err)
}

// One time that cannot be shown must not take the whole list with it.
func TestTimesThatCannotBeShownAreAbsent(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `[{"id":"a","clientId":"a","createdAt":1700000000},{"id":"b","clientId":"b","createdAt":1700000000000},
			{"id":"c","clientId":"c","createdAt":-70000000000},{"id":"d","clientId":"d"}]`)
	}))
	t.Cleanup(server.Close)
	listed, err := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"}).As("t").List(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, listed, 4)
	require.Equal(t, time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC), listed[0].CreatedAt)
	for _, account := range listed[1:] {
		require.True(t, account.CreatedAt.IsZero(), account.ID)
	}
}

func TestAListWithoutEndEnds(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		one := `{"id":"i","clientId":"c","name":"n"}`
		_, _ = io.WriteString(w, "["+one+strings.Repeat(","+one, 99)+"]")
	}))
	t.Cleanup(server.Close)
	_, err := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"}).As("t").
		Search(t.Context(), func(redhatsso.Account) bool { return false }, false)
	require.ErrorIs(t, err, redhatsso.ErrUnavailable)
}

// While one reads the pages, another deletes an account that was on the first: the
// rest moves up by one.
func TestASearchMissesNothingWhileOthersDelete(t *testing.T) {
	t.Parallel()
	var all []map[string]any
	for i := range 250 {
		all = append(all, map[string]any{"id": fmt.Sprint("i", i), "clientId": fmt.Sprint("c", i), "name": fmt.Sprint("n", i)})
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _ := strconv.Atoi(r.URL.Query().Get("first"))
		size, _ := strconv.Atoi(r.URL.Query().Get("max"))
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all[min(first, len(all)):min(first+size, len(all))])
		if asked++; asked <= 2 {
			all = all[1:]
		}
	}))
	t.Cleanup(server.Close)
	for _, name := range []string{"n100", "n200", "n249"} {
		found, err := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"}).As("t").
			Search(t.Context(), func(a redhatsso.Account) bool { return a.Name == name }, false)
		require.NoError(t, err)
		require.Len(t, found, 1, name)
	}
}

func TestSlowServersAreGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	quick := connect(t, redhatsso.Config{
		Issuer: w.sso.Issuer(realm), ClientID: "fleet-manager", ClientSecret: ownSecret, Scope: scope, Timeout: 50 * time.Millisecond,
	})
	w.emulated.Inject(emulator.Fault{Path: api, Mode: emulator.Hang, Times: 1})
	_, err := quick.As("t").List(t.Context(), 0, 1)
	require.ErrorIs(t, err, redhatsso.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	w.emulated.Inject(emulator.Fault{Path: "/token$", Mode: emulator.Hang, Times: 1})
	_, err = quick.Own().List(t.Context(), 0, 1)
	require.ErrorIs(t, err, redhatsso.ErrUnavailable)
	require.Eventually(t, func() bool { _, err := quick.Own().List(t.Context(), 0, 1); return err == nil }, 10*time.Second, time.Millisecond)
}

func TestOwnTokenIsKeptAndReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	fetches := func() int { return len(w.emulated.JournalOf(http.MethodPost, "/token$")) }
	list := func() error { _, err := w.client.Own().List(t.Context(), 0, 1); return err }
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := list(); err != nil {
				t.Errorf("listing: %v", err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, fetches())
	w.emulated.Inject(emulator.Fault{Path: api, Mode: emulator.Before, Status: 401, Times: 1})
	require.NoError(t, list(), "a refused token is replaced once")
	require.Equal(t, 2, fetches())
	w.emulated.Inject(emulator.Fault{Path: api, Mode: emulator.Before, Status: 401, Times: 2})
	require.ErrorIs(t, list(), redhatsso.ErrUnauthorised)

	w.emulated.ClearJournal()
	w.emulated.Inject(emulator.Fault{Path: api, Mode: emulator.Before, Status: 401, Times: 1})
	_, err := w.as(t, "alice").List(t.Context(), 0, 1)
	require.ErrorIs(t, err, redhatsso.ErrUnauthorised)
	require.Zero(t, fetches(), "a customer's token is never replaced by another one")
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	for _, c := range []redhatsso.Config{
		{ClientID: "fleet-manager", ClientSecret: "hush-wrong", Scope: scope}, {ClientID: "fleet-manager", ClientSecret: ownSecret},
	} {
		c.Issuer = w.sso.Issuer(realm)
		_, err := connect(t, c).Own().List(t.Context(), 0, 1)
		require.Error(t, err)
		require.NotContains(t, err.Error(), c.ClientSecret.Reveal())
	}
	_, err := redhatsso.New(redhatsso.Config{})
	require.Error(t, err)
}

func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := connect(t, redhatsso.Config{Issuer: server.URL, ClientID: "x"}).As("t").List(t.Context(), 0, 1)
	require.ErrorContains(t, err, "certificate")
}
