package access_test

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

func (w *world) stranger(kid string) string {
	return sign(jwt.SigningMethodRS256, keys()[3], map[string]any{"kid": kid}, w.alice())
}

func TestUnknownKeysCostTheIssuerOneDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var abuse sync.WaitGroup
	for i := range 8 {
		abuse.Go(func() {
			for j := range 50 {
				_, err := w.call(http.MethodGet, kafkas, "", w.stranger(fmt.Sprintf("kid-%d-%d", i, j)))
				if apierr.From(err).Code != apierr.Unauthenticated {
					t.Errorf("unexpected: %v", err)
				}
				if _, err = w.call(http.MethodGet, kafkas, "", w.users.token(w.alice())); err != nil {
					t.Errorf("valid user refused: %v", err)
				}
			}
		})
	}
	abuse.Wait()
	require.EqualValues(t, 1, w.users.downloads.Load())
	require.Zero(t, w.sso.downloads.Load(), "an issuer is asked for its own tokens only")
}

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.pace.Cooldown = time.Millisecond })
	old, next := w.users.token(w.alice()), w.stranger("next")
	accepted := func(token string) bool {
		_, err := w.call(http.MethodGet, kafkas, "", token)
		return err == nil
	}
	require.True(t, accepted(old))
	require.False(t, accepted(next))

	w.users.publish(jwks(map[string]*rsa.PrivateKey{"user-key": keys()[0], "next": keys()[3]}))
	require.Eventually(t, func() bool { return accepted(next) }, 5*time.Second, time.Millisecond)
	require.True(t, accepted(old), "both keys count while both are published")

	w.users.publish(jwks(map[string]*rsa.PrivateKey{"next": keys()[3]}))
	require.Eventually(t, func() bool {
		_ = accepted(w.stranger("provokes a download"))
		return !accepted(old)
	}, 5*time.Second, time.Millisecond)
	require.True(t, accepted(next))

	w.users.publish(jwks(map[string]*rsa.PrivateKey{"next": keys()[0]}))
	require.Eventually(t, func() bool {
		_ = accepted(w.stranger("provokes a download"))
		return !accepted(next)
	}, 5*time.Second, time.Millisecond, "another key under the same name ends remembered tokens too")
}

func TestKeysAreRefreshedInTheBackground(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.pace.Refresh, w.pace.Cooldown = 2*time.Millisecond, time.Millisecond })
	require.False(t, w.KeysLoaded())
	w.run(t)
	require.Eventually(t, w.KeysLoaded, 5*time.Second, time.Millisecond)
	for _, issuer := range []*issuer{w.users, w.sso, w.admins} {
		require.Eventually(t, func() bool { return issuer.downloads.Load() > 2 }, 5*time.Second, time.Millisecond)
	}
}

func TestBadDownloadsKeepTheKeys(t *testing.T) {
	elsewhere := newIssuer(t, "user-key", keys()[0])
	many := map[string]*rsa.PrivateKey{}
	for i := range 33 {
		many[fmt.Sprint("k", i)] = keys()[3]
	}
	many["provoked"] = keys()[3]
	poisoned := jwks(map[string]*rsa.PrivateKey{"provoked": keys()[3]})
	answers := map[string]http.HandlerFunc{
		"down":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, poisoned, http.StatusBadGateway) },
		"cut":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.url, http.StatusFound) },
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(poisoned + strings.Repeat(" ", 64<<10)))
		},
		"too many keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(jwks(many))) },
		"no key":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"garbage":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[{"kid":`)) },
		"slow":          func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	t.Run("answers", func(t *testing.T) { // ends when all of them have
		for name, answer := range answers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(w *world) { w.pace.Cooldown, w.pace.Timeout = time.Nanosecond, 3*time.Second })
				_, err := w.call(http.MethodGet, kafkas, "", w.users.token(w.alice()))
				require.NoError(t, err)
				w.users.answerWith(answer)
				_, err = w.call(http.MethodGet, kafkas, "", w.stranger("provoked"))
				refused(t, err, apierr.Unauthenticated, unverifiable)
				require.EqualValues(t, 2, w.users.downloads.Load(), "the bad answer was asked for")
				_, err = w.call(http.MethodGet, kafkas, "", w.users.token(with(w.alice(), jwt.MapClaims{"jti": "new"})))
				require.NoError(t, err, "the keys known before still count")
			})
		}
	})
	require.Zero(t, elsewhere.downloads.Load(), "redirects are not followed")
}

// A server that hangs holds up those who need a new key, and nobody else.
func TestSlowKeysDoNotHoldUpKnownOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.pace.Cooldown, w.pace.Timeout = time.Nanosecond, time.Minute })
	_, err := w.call(http.MethodGet, kafkas, "", w.users.token(w.alice()))
	require.NoError(t, err)
	asked, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	w.users.answerWith(func(http.ResponseWriter, *http.Request) {
		if once.CompareAndSwap(false, true) {
			close(asked)
		}
		<-release
	})
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _ = w.call(http.MethodGet, kafkas, "", w.stranger("unknown")) })
	<-asked
	_, err = w.call(http.MethodGet, kafkas, "", w.users.token(with(w.alice(), jwt.MapClaims{"jti": "new"})))
	require.NoError(t, err)
	close(release)
	waiting.Wait()
}

// Keys of the file stand in for the customers' issuer, and for no other.
func TestBackupKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.config.KeysFile = w.file(t, "jwks.json", jwks(map[string]*rsa.PrivateKey{"backup": keys()[3]}))
	})
	for _, issuer := range []*issuer{w.users, w.sso} {
		issuer.answerWith(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusInternalServerError) })
	}
	require.True(t, w.KeysLoaded())
	_, err := w.call(http.MethodGet, kafkas, "", w.stranger("backup"))
	require.NoError(t, err)
	forged := sign(jwt.SigningMethodRS256, keys()[3], map[string]any{"kid": "backup"}, w.agent("agent-c1"))
	_, err = w.call(http.MethodGet, cluster, "c1", forged)
	refused(t, err, apierr.Unauthenticated, unverifiable)
}

func TestUselessKeysAreSkipped(t *testing.T) {
	t.Parallel()
	good := strings.TrimSuffix(jwks(map[string]*rsa.PrivateKey{"good": keys()[0]}), "]}")
	count, err := access.ParseKeys([]byte(good + `,
		{"kid":"ec","kty":"EC"}, {"kty":"RSA","n":"AQAB","e":"AQAB"}, {"kid":"enc","kty":"RSA","use":"enc"},
		{"kid":"weak","kty":"RSA","n":"AQAB","e":"AQAB"}, {"kid":"broken","kty":"RSA","n":"!","e":"AQAB"},
		` + strings.Replace(good[len(`{"keys":[`):], `"e":"AQAB"`, `"e":"AQ"`, 1) + `]}`))
	require.NoError(t, err)
	require.Equal(t, 1, count)
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	c := defaults()
	require.NoError(t, c.Validate())
	c.TokenIssuer, c.KeysURL, c.AdminBaseURL, c.AdminRealm = "sso", "http://127.0.0.1/certs", "http://x", ""
	c.Claims = access.ClaimNames{}
	err := c.Validate()
	for _, flag := range []string{
		"token-issuer-url", "admin-api-sso-base-url", "admin-api-sso-realm", "tenant-username-claim", "tenant-id-claim",
		"tenant-user-id-claim", "tenant-org-admin-claim", "client-id-claims",
	} {
		require.ErrorContains(t, err, flag)
	}
	c = defaults()
	c.KeysURL = "http://127.0.0.1/certs"
	require.ErrorContains(t, c.Validate(), "jwks-url: keys must come from an https URL")
	c.AllowPlainKeys = true
	require.NoError(t, c.Validate())

	_, err = access.New(defaults(), newSurroundings(access.KeycloakRealm("http://sso", "rhoas")))
	require.ErrorContains(t, err, "https", "no plain keys for the SSO realm either")
}

// One realm may serve customers and service accounts, but with one set of keys.
func TestOneRealmInTwoParts(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	c := defaults()
	realm := access.KeycloakRealm(server.URL, "both")
	c.TokenIssuer, c.KeysURL, c.AdminBaseURL = realm.URL, realm.KeysURL, ""
	around := newSurroundings(realm)
	_, err := access.New(c, around)
	require.NoError(t, err)
	c.KeysURL += "/others"
	_, err = access.New(c, around)
	require.ErrorContains(t, err, "both")
}
