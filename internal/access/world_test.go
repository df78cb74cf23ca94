package access_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

const (
	api     = "/api/kafkas_mgmt/v1"
	kafkas  = api + "/kafkas"
	cluster = api + "/agent-clusters/{id}"
)

// Making RSA keys is slow, so all tests of the process share them.
var keys = sync.OnceValue(func() (all [4]*rsa.PrivateKey) {
	var making sync.WaitGroup
	for i := range all {
		making.Go(func() {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			all[i] = key
		})
	}
	making.Wait()
	return all
})

// issuer is an SSO realm: a key, a server that publishes it, and a count of downloads.
type issuer struct {
	url       string
	kid       string
	key       *rsa.PrivateKey
	downloads atomic.Int32
	answer    atomic.Pointer[http.HandlerFunc]
}

func newIssuer(t testing.TB, kid string, key *rsa.PrivateKey) *issuer {
	t.Helper()
	i := &issuer{kid: kid, key: key}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.downloads.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(server.Close)
	i.url = server.URL
	i.publish(jwks(map[string]*rsa.PrivateKey{kid: key}))
	return i
}

func (i *issuer) publish(document string) {
	i.answerWith(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) })
}

func (i *issuer) answerWith(h http.HandlerFunc) { i.answer.Store(&h) }

func jwks(keys map[string]*rsa.PrivateKey) string {
	var entries []map[string]string
	for kid, key := range keys {
		entries = append(entries, map[string]string{
			"kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		})
	}
	raw, err := json.Marshal(map[string]any{"keys": entries})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// world is a guard with three issuers around it and a clock that stands still.
type world struct {
	*access.Guard

	users, sso, admins *issuer
	now                atomic.Pointer[time.Time]
	clients            map[string]string // agent by cluster
	lookups            atomic.Int32
	lookupErr          error
	terms              func(username string) (bool, string, error)
	dir                string
	config             access.Config
	pace               access.Pace
}

func newWorld(t testing.TB, options ...func(*world)) *world {
	t.Helper()
	w := &world{
		users: newIssuer(t, "user-key", keys()[0]), sso: newIssuer(t, "sso-key", keys()[1]), admins: newIssuer(t, "admin-key", keys()[2]),
		clients: map[string]string{"c1": "agent-c1", "c2": "agent-c2", "fresh": ""},
		dir:     t.TempDir(),
		pace:    access.Pace{Refresh: time.Hour, Cooldown: time.Hour, Timeout: 5 * time.Second},
	}
	w.tick(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	w.config = defaults()
	w.config.TokenIssuer, w.config.KeysURL = w.users.url+"/customers", w.users.url+"/certs"
	w.config.AdminBaseURL, w.config.AdminRealm = w.admins.url, "staff"
	w.config.AllowPlainKeys = true
	for _, option := range options {
		option(w)
	}
	require.NoError(t, w.config.Validate())
	guard, err := access.NewPaced(w.config, access.Surroundings{
		SSO: access.KeycloakRealm(w.sso.url, "rhoas"),
		ClientOf: func(_ context.Context, id string) (string, error) {
			w.lookups.Add(1)
			client, ok := w.clients[id]
			switch {
			case w.lookupErr != nil:
				return "", w.lookupErr
			case !ok:
				return "", apierr.New(apierr.NotFound, "no cluster "+id)
			}
			return client, nil
		},
		Terms:  func(_ context.Context, username string) (bool, string, error) { return w.terms(username) },
		Clock:  func() time.Time { return *w.now.Load() },
		Logger: slog.New(slog.DiscardHandler),
	}, w.pace)
	require.NoError(t, err)
	w.Guard = guard
	return w
}

func defaults() (c access.Config) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags(fs)
	return c
}

func (w *world) tick(now time.Time) { w.now.Store(&now) }

// run keeps the guard fresh until the test ends.
func (w *world) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

func (w *world) file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
	return path
}

// with gives a copy of claims with changes; nil removes a claim.
func with(claims jwt.MapClaims, changes jwt.MapClaims) jwt.MapClaims {
	out := jwt.MapClaims{}
	for _, from := range []jwt.MapClaims{claims, changes} {
		for name, value := range from {
			out[name] = value
			if value == nil {
				delete(out, name)
			}
		}
	}
	return out
}

func (w *world) times() jwt.MapClaims {
	now := w.now.Load().Unix()
	return jwt.MapClaims{"iat": now - 60, "exp": now + 900, "typ": "Bearer"}
}

func (w *world) alice() jwt.MapClaims {
	return with(w.times(), jwt.MapClaims{"iss": w.config.TokenIssuer, "username": "alice", "org_id": "13640203", "account_id": "501", "is_org_admin": true})
}

func (w *world) agent(client string) jwt.MapClaims {
	return with(w.times(), jwt.MapClaims{"iss": w.sso.url + "/auth/realms/rhoas", "clientId": client, "preferred_username": "service-account-" + client})
}

func (w *world) staff() jwt.MapClaims {
	return with(w.times(), jwt.MapClaims{
		"iss": w.admins.url + "/auth/realms/staff", "username": "root", "org_id": "1",
		"realm_access": map[string]any{"roles": []string{"kas-fleet-manager-admin-full"}},
	})
}

// sign makes a token in any shape, sound or not.
func sign(method jwt.SigningMethod, key any, header map[string]any, claims jwt.Claims) string {
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

func (i *issuer) token(claims jwt.MapClaims) string {
	return sign(jwt.SigningMethodRS256, i.key, map[string]any{"kid": i.kid}, claims)
}

// raw joins parts that need not be JSON at all.
func raw(parts ...string) string {
	for i, part := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(part))
	}
	return strings.Join(parts, ".")
}

// call asks the guard about a request with a token; no template: no such route.
func (w *world) call(method, template, id, token string) (access.Identity, error) {
	path := strings.ReplaceAll(template, "{id}", id)
	if path == "" {
		path = "/nowhere"
	}
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	ctx, err := w.Authorize(r, template)
	if err == nil {
		err = w.Admit(ctx, method, template)
	}
	return access.From(ctx), err
}

func refused(t testing.TB, err error, code apierr.Code, reason string) {
	t.Helper()
	require.Error(t, err)
	if reason == "" {
		reason = code.Entry().Reason
	}
	require.Equal(t, code, apierr.From(err).Code, "%v", err)
	require.Equal(t, reason, apierr.From(err).Reason)
}

// newSurroundings is for guards that are made but never asked.
func newSurroundings(sso access.Issuer) access.Surroundings {
	return access.Surroundings{SSO: sso, Logger: slog.New(slog.DiscardHandler)}
}
