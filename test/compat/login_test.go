package compat

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestRhoasLogsInWithABrowser: discovery, a code with a challenge, an id token that
// is verified, for both ways to write the URL of the SSO.
func TestRhoasLogsInWithABrowser(t *testing.T) {
	t.Parallel()
	h := idle(t)
	browser := newHTTP(t)
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, authURL := range []string{h.SSO.Issuer(harness.UserRealm), h.SSOURL() + "/realms/" + harness.UserRealm} {
		var at struct {
			Issuer        string `json:"issuer"`
			Authorization string `json:"authorization_endpoint"`
			Token         string `json:"token_endpoint"`
			Keys          string `json:"jwks_uri"`
		}
		fetch(t, browser, authURL+"/.well-known/openid-configuration", &at)
		require.Equal(t, authURL, at.Issuer, "to the letter")

		verifier, back := rand.Text()+rand.Text(), "http://localhost:41234/sso-redhat-callback"
		challenge := sha256.Sum256([]byte(verifier))
		query := url.Values{
			"client_id": {cliClient}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
		}
		reply := post(t, browser, at.Authorization+"?"+query.Encode(), url.Values{"username": {harness.Alice}, "password": {harness.Alice}})
		require.Equal(t, http.StatusFound, reply.status, reply.body)
		called, err := url.Parse(reply.header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, "s", called.Query().Get("state"))

		reply = post(t, browser, at.Token, url.Values{
			"grant_type": {"authorization_code"}, "client_id": {cliClient}, "redirect_uri": {back},
			"code": {called.Query().Get("code")}, "code_verifier": {verifier},
		})
		require.Equal(t, http.StatusOK, reply.status, reply.body)
		var tokens struct {
			ID      string `json:"id_token"`
			Refresh string `json:"refresh_token"`
		}
		require.NoError(t, json.Unmarshal([]byte(reply.body), &tokens))
		claims := verified(t, browser, at.Keys, tokens.ID)
		require.Equal(t, at.Issuer, claims["iss"])
		require.Equal(t, cliClient, claims["aud"])

		r := newRhoas(t, h, harness.Bob)
		r.refresh = tokens.Refresh
		require.Equal(t, harness.Alice, r.whoami(), "whoever logged in")
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func post(t *testing.T, client *http.Client, address string, form url.Values) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = got.Body.Close() }()
	raw, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	return answer{got.StatusCode, got.Header, string(raw)}
}

func fetch(t *testing.T, client *http.Client, address string, out any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	got, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = got.Body.Close() }()
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.NoError(t, json.NewDecoder(got.Body).Decode(out))
}

// verified checks a token with the published keys.
func verified(t *testing.T, client *http.Client, keysAt, token string) jwt.MapClaims {
	t.Helper()
	var set struct {
		Keys []jsonKey `json:"keys"`
	}
	fetch(t, client, keysAt, &set)
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"})).ParseWithClaims(token, claims, func(parsed *jwt.Token) (any, error) {
		for _, key := range set.Keys {
			if key.ID == parsed.Header["kid"] {
				return key.public()
			}
		}
		return nil, jwt.ErrTokenUnverifiable
	})
	require.NoError(t, err)
	return claims
}
