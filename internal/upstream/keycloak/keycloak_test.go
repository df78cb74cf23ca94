package keycloak_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

const (
	realm       = "rhoas"
	clientsPath = "/admin/realms/rhoas/clients$"
	ownSecret   = "s3cret%+&="
)

// world is the SSO emulator behind HTTP and a client of its admin API.
type world struct {
	sso      *sso.SSO
	emulated *emulator.Emulated
	url      string
	admin    *keycloak.Admin
}

func newWorld(t *testing.T, o sso.Options) world {
	t.Helper()
	o.Clients = append(o.Clients, sso.Client{Realm: realm, ClientID: "fleet-manager", Secret: ownSecret, Admin: true})
	service, err := sso.New(o)
	require.NoError(t, err)
	emulated := emulator.Wrap("sso", service.Handler())
	server := httptest.NewServer(emulated.Handler())
	t.Cleanup(server.Close)
	service.SetBaseURL(server.URL)
	w := world{sso: service, emulated: emulated, url: server.URL}
	w.admin = w.connect(t, keycloak.Config{ClientSecret: ownSecret})
	return w
}

func (w world) connect(t *testing.T, c keycloak.Config) *keycloak.Admin {
	t.Helper()
	c.Realm, c.ClientID = keycloak.Realm{BaseURL: w.url, Name: realm}, "fleet-manager"
	admin, err := keycloak.New(c)
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	return admin
}

func canary(id string) keycloak.ClientSpec {
	claims := map[string]string{"rh-org-id": "13640203", "rh-user-id": "42", "username": "alice"}
	return keycloak.ClientSpec{
		ClientID: "canary-" + id, Name: "canary-" + id, Description: "canary of " + id,
		Attributes: claims, Once: map[string]string{"created_at": time.Now().UTC().Format(time.RFC3339Nano)}, TokenClaims: claims,
	}
}

// complete says that exactly one client is there and has all that the spec asks for.
func (w world) complete(t *testing.T, spec keycloak.ClientSpec) {
	t.Helper()
	all := w.sso.Clients(realm)
	require.Len(t, all, 2, "the fleet manager's own and one more")
	made, ok := w.sso.Client(realm, spec.ClientID)
	require.True(t, ok)
	require.True(t, made.ServiceAccount)
	require.False(t, made.Public)
	require.False(t, made.Admin)
	require.Equal(t, spec.TokenClaims, made.Claims)
	for name, value := range spec.Attributes {
		require.Equal(t, value, made.Attributes[name])
	}
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	spec := canary("k1")
	made, err := w.admin.Ensure(t.Context(), spec)
	require.NoError(t, err)
	w.complete(t, spec)
	there, _ := w.sso.Client(realm, spec.ClientID)
	require.Equal(t, there.ID, made.ID)
	require.Equal(t, there.Secret, made.Secret.Reveal())
	require.Equal(t, spec.Once["created_at"], made.Attributes["created_at"])

	later := canary("k1")
	w.emulated.ClearJournal()
	again, err := w.admin.Ensure(t.Context(), later)
	require.NoError(t, err)
	require.Equal(t, made, again, "the time of creation stays")
	require.Empty(t, w.emulated.JournalOf(http.MethodPut, ""), "nothing to repair, nothing written")
	require.Empty(t, w.emulated.JournalOf(http.MethodPost, ""))

	later.Attributes = map[string]string{"rh-org-id": "99000001", "rh-user-id": "43", "username": "mallory"}
	later.TokenClaims = later.Attributes
	_, err = w.admin.Ensure(t.Context(), later)
	require.NoError(t, err)
	w.complete(t, later)
}

func TestEnsuredClientGetsATokenWithItsClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	made, err := w.admin.Ensure(t.Context(), canary("k1"))
	require.NoError(t, err)
	token, err := w.sso.ClientToken(realm, made.ClientID)
	require.NoError(t, err)
	claims := jwt.MapClaims{}
	_, _, err = jwt.NewParser().ParseUnverified(token, claims)
	require.NoError(t, err)
	require.Equal(t, "13640203", claims["rh-org-id"])
	require.Equal(t, "42", claims["rh-user-id"])
	require.Equal(t, "alice", claims["username"])
	require.Equal(t, "canary-k1", claims["clientId"])
	require.Equal(t, w.admin.Realm().Issuer(), claims["iss"])
}

func TestEnsureHealsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	for _, cut := range []struct {
		name  string
		fault emulator.Fault
	}{
		{"before the creation", emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.Before, Status: 503}},
		{"after the creation", emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.After, Status: 500}},
		{"creation cut off after the effect", emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.ResetAfter}},
		{"creation delivered twice", emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.Twice}},
		{"before the claims", emulator.Fault{Method: "PUT", Path: "/users/", Mode: emulator.ResetBefore}},
		{"after the claims", emulator.Fault{Method: "PUT", Path: "/users/", Mode: emulator.After}},
		{"reading the user", emulator.Fault{Method: "GET", Path: "/service-account-user$", Mode: emulator.Garbage}},
		{"reading the secret", emulator.Fault{Method: "GET", Path: "/client-secret$", Mode: emulator.Before}},
		{"looking it up", emulator.Fault{Method: "GET", Path: clientsPath, Mode: emulator.Garbage}},
	} {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sso.Options{})
			cut.fault.Times = 1
			w.emulated.Inject(cut.fault)
			spec := canary("k1")
			_, err := w.admin.Ensure(t.Context(), spec)
			if cut.fault.Mode != emulator.Twice {
				require.ErrorIs(t, err, keycloak.ErrUnavailable)
				_, err = w.admin.Ensure(t.Context(), spec)
			}
			require.NoError(t, err)
			require.Empty(t, w.emulated.Faults(), "the fault fired")
			w.complete(t, spec)
		})
	}
}

func TestEnsureByManyMakesOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	spec := canary("k1")
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			made, err := w.admin.Ensure(t.Context(), spec)
			if err == nil {
				ids[i] = made.ID
			}
		})
	}
	all.Wait()
	w.complete(t, spec)
	there, _ := w.sso.Client(realm, spec.ClientID)
	for _, id := range ids {
		require.Equal(t, there.ID, id)
	}
	require.Len(t, w.emulated.JournalOf(http.MethodPost, "/token$"), 1, "one fetch of the token for all")
}

func TestEnsureClosesOtherWaysToLogIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{Clients: []sso.Client{{
		Realm: realm, ClientID: "canary-k1", Public: true, RedirectURIs: []string{"http://elsewhere.test/*"},
	}}})
	spec := canary("k1")
	made, err := w.admin.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.NotEmpty(t, made.Secret)
	w.complete(t, spec)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	made, err := w.admin.Ensure(t.Context(), canary("k1"))
	require.NoError(t, err)

	w.emulated.Inject(emulator.Fault{Method: "GET", Path: clientsPath, Mode: emulator.Garbage, Times: 1})
	_, err = w.admin.Delete(t.Context(), made.ClientID)
	require.ErrorIs(t, err, keycloak.ErrUnavailable, "not to be taken for an absent client")
	w.emulated.Inject(emulator.Fault{Method: "DELETE", Mode: emulator.After, Times: 1})
	_, err = w.admin.Delete(t.Context(), made.ClientID)
	require.ErrorIs(t, err, keycloak.ErrUnavailable)
	existed, err := w.admin.Delete(t.Context(), made.ClientID)
	require.NoError(t, err)
	require.False(t, existed, "the first try had its effect")

	made, err = w.admin.Ensure(t.Context(), canary("k1"))
	require.NoError(t, err)
	existed, err = w.admin.DeleteByID(t.Context(), made.ID)
	require.NoError(t, err)
	require.True(t, existed)
	existed, err = w.admin.DeleteByID(t.Context(), made.ID)
	require.NoError(t, err)
	require.False(t, existed)
	require.Len(t, w.sso.Clients(realm), 1)
}

func TestFindAndGetAndSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	made, err := w.admin.Ensure(t.Context(), canary("k1"))
	require.NoError(t, err)
	found, err := w.admin.Find(t.Context(), made.ClientID)
	require.NoError(t, err)
	require.Equal(t, made.ID, found.ID)
	require.Empty(t, found.Secret)
	read, err := w.admin.Get(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, found, read)
	renewed, err := w.admin.Regenerate(t.Context(), made.ID)
	require.NoError(t, err)
	require.NotEqual(t, made.Secret.Reveal(), renewed.Reveal())
	kept, err := w.admin.Secret(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, renewed, kept)

	for _, id := range []string{"", "unknown", "../users/x", "?max=1"} {
		_, err = w.admin.Get(t.Context(), id)
		require.ErrorIs(t, err, keycloak.ErrNotFound, id)
		_, err = w.admin.Find(t.Context(), id)
		require.ErrorIs(t, err, keycloak.ErrNotFound, id)
		_, err = w.admin.Secret(t.Context(), id)
		require.ErrorIs(t, err, keycloak.ErrNotFound, id)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	var seeds []sso.Client
	for i := range 450 {
		org, prefix := "one", "srvc-acct-"
		if i%3 == 0 {
			org = "two"
		}
		if i%5 == 0 {
			prefix = "canary-"
		}
		seeds = append(seeds, sso.Client{
			Realm: realm, ClientID: fmt.Sprintf("%s%03d", prefix, i), Attributes: map[string]string{"rh-org-id": org},
		})
	}
	w := newWorld(t, sso.Options{Clients: seeds})
	ofTwo := keycloak.Query{Attribute: "rh-org-id", Value: "two", Prefix: "srvc-acct-"}
	count, err := w.admin.Count(t.Context(), ofTwo)
	require.NoError(t, err)
	require.Equal(t, 120, count)
	ofTwo.First, ofTwo.Max = 10, 5
	page, err := w.admin.List(t.Context(), ofTwo)
	require.NoError(t, err)
	require.Len(t, page, 5)
	require.Equal(t, "srvc-acct-039", page[0].ClientID)
	ofTwo.First = 500
	page, err = w.admin.List(t.Context(), ofTwo)
	require.NoError(t, err)
	require.Empty(t, page)
	count, err = w.admin.Count(t.Context(), keycloak.Query{Prefix: "srvc-acct-"})
	require.NoError(t, err)
	require.Equal(t, 360, count, "more than one page of the server")
	count, err = w.admin.Count(t.Context(), keycloak.Query{Attribute: "rh-org-id", Value: ""})
	require.NoError(t, err)
	require.Equal(t, 4, count, "the fleet manager's own and the realm's public ones have none")
	_, err = w.admin.Count(t.Context(), keycloak.Query{Attribute: "rh-org-id", Value: `x" other:"y`})
	require.Error(t, err)
}

func TestKindsOfFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	for status, kind := range map[int]error{
		403: keycloak.ErrUnauthorised, 404: keycloak.ErrNotFound, 409: keycloak.ErrConflict,
		429: keycloak.ErrUnavailable, 500: keycloak.ErrUnavailable, 503: keycloak.ErrUnavailable,
	} {
		w.emulated.Inject(emulator.Fault{Path: "/clients", Mode: emulator.Before, Status: status, Times: 1})
		_, err := w.admin.Get(t.Context(), "any")
		require.ErrorIs(t, err, kind, status)
	}
	w.emulated.Inject(emulator.Fault{Path: clientsPath, Mode: emulator.Before, Status: 400, Times: 1})
	_, err := w.admin.Find(t.Context(), "any")
	require.Error(t, err)
	for _, kind := range []error{keycloak.ErrNotFound, keycloak.ErrConflict, keycloak.ErrUnauthorised, keycloak.ErrUnavailable} {
		require.NotErrorIs(t, err, kind)
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	hasty := w.connect(t, keycloak.Config{ClientSecret: ownSecret, Timeout: 50 * time.Millisecond})
	w.emulated.Inject(emulator.Fault{Path: clientsPath, Mode: emulator.Hang})
	_, err := hasty.Find(t.Context(), "any")
	require.ErrorIs(t, err, keycloak.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestServerDown(t *testing.T) {
	t.Parallel()
	const nobody = "http://127.0.0.1:1" // a port that no other test is given when it asks for any
	admin, err := keycloak.New(keycloak.Config{Realm: keycloak.Realm{BaseURL: nobody, Name: realm}, ClientID: "x"})
	require.NoError(t, err)
	_, err = admin.Ensure(t.Context(), canary("k1"))
	require.ErrorIs(t, err, keycloak.ErrUnavailable)
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	wrong := w.connect(t, keycloak.Config{ClientSecret: "hush-wrong"})
	_, err := wrong.Find(t.Context(), "any")
	require.ErrorIs(t, err, keycloak.ErrUnauthorised)
	require.NotContains(t, err.Error(), "hush-wrong")
	require.NotContains(t, fmt.Sprintf("%+v", keycloak.Config{ClientSecret: log.Secret("hush-wrong")}), "hush-wrong")
}

func TestTokenIsKeptAndReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	for range 3 {
		_, err := w.admin.List(t.Context(), keycloak.Query{})
		require.NoError(t, err)
	}
	fetches := func() int { return len(w.emulated.JournalOf(http.MethodPost, "/token$")) }
	require.Equal(t, 1, fetches())
	w.emulated.Inject(emulator.Fault{Path: clientsPath, Mode: emulator.Before, Status: 401, Times: 1})
	_, err := w.admin.List(t.Context(), keycloak.Query{})
	require.NoError(t, err, "a refused token is replaced once")
	require.Equal(t, 2, fetches())
	w.emulated.Inject(emulator.Fault{Path: clientsPath, Mode: emulator.Before, Status: 401, Times: 2})
	_, err = w.admin.List(t.Context(), keycloak.Query{})
	require.ErrorIs(t, err, keycloak.ErrUnauthorised)
}

func TestTokenThatEndsIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{TokenLifetime: time.Nanosecond})
	for range 2 {
		// The emulator refuses the token too, as it is over on arrival.
		_, err := w.admin.List(t.Context(), keycloak.Query{})
		require.ErrorIs(t, err, keycloak.ErrUnauthorised)
	}
	require.Len(t, w.emulated.JournalOf(http.MethodPost, "/token$"), 4)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	service, err := sso.New(sso.Options{Clients: []sso.Client{{Realm: realm, ClientID: "fleet-manager", Secret: "s", Admin: true}}})
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(service.Handler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	t.Cleanup(server.Close)
	service.SetBaseURL(server.URL)
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	w := world{url: server.URL}
	for _, c := range []struct {
		config  keycloak.Config
		trusted bool
	}{
		{keycloak.Config{ClientSecret: "s"}, false},
		{keycloak.Config{ClientSecret: "s", CAFile: file + ".absent"}, false},
		{keycloak.Config{ClientSecret: "s", CAFile: file}, true},
		{keycloak.Config{ClientSecret: "s", Insecure: true}, true},
	} {
		_, err := w.connect(t, c.config).List(t.Context(), keycloak.Query{})
		if c.trusted {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, keycloak.ErrUnavailable)
		}
	}
	require.NoError(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	_, err = keycloak.New(keycloak.Config{Realm: keycloak.Realm{BaseURL: w.url, Name: realm}, ClientID: "x", CAFile: file})
	require.Error(t, err)
}

func TestRealm(t *testing.T) {
	t.Parallel()
	r := keycloak.Realm{BaseURL: "https://sso.example.test/", Name: "rhoas"}
	require.Equal(t, "https://sso.example.test/auth/realms/rhoas", r.Issuer())
	require.Equal(t, r.Issuer()+"/protocol/openid-connect/certs", r.CertsURL())
	require.Equal(t, r.Issuer()+"/protocol/openid-connect/token", r.TokenURL())
	_, err := keycloak.New(keycloak.Config{})
	require.Error(t, err)
}
