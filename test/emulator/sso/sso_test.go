package sso_test

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

const (
	people = "redhat-external"
	robots = "rhoas"
)

type world struct {
	t   *testing.T
	sso *sso.SSO
	url string
}

func newWorld(t *testing.T) world {
	t.Helper()
	service, err := sso.New(sso.Options{
		Users: []sso.User{
			{Username: "alice", Password: "alice-pw", OrgID: "1", AccountID: "a", Roles: []string{"reader"}},
			{Username: "bob", Password: "bob-pw", OrgID: "1", AccountID: "b"},
			{Username: "carol", Password: "carol-pw", OrgID: "1", AccountID: "c", OrgAdmin: true},
			{Username: "mallory", Password: "mallory-pw", OrgID: "2", AccountID: "m"},
			{Username: "nora", Password: "nora-pw", AccountID: "n"},
		},
		Clients: []sso.Client{
			{Realm: robots, ClientID: "manager", Secret: "manager-secret", Admin: true},
			{Realm: robots, ClientID: "srvc-acct-1", Secret: "one", ServiceAccount: true, Claims: map[string]string{"rh-org-id": "1"}},
			{Realm: robots, ClientID: "web", Secret: "web-secret", RedirectURIs: []string{"https://web.test/back"}},
		},
	})
	require.NoError(t, err)
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	service.SetBaseURL(server.URL)
	return world{t: t, sso: service, url: server.URL}
}

// send makes a request and gives the status and the JSON object of the reply.
func (w world) send(method, path, token string, form url.Values) (int, map[string]any) {
	w.t.Helper()
	status, raw := w.raw(method, path, token, "application/x-www-form-urlencoded", form.Encode())
	body := map[string]any{}
	_ = json.Unmarshal(raw, &body)
	return status, body
}

func (w world) raw(method, path, token, contentType, body string) (int, []byte) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	request.Header.Set("Content-Type", contentType)
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := client.Do(request)
	require.NoError(w.t, err)
	defer func() { _ = reply.Body.Close() }()
	raw, err := io.ReadAll(reply.Body)
	require.NoError(w.t, err)
	if location := reply.Header.Get("Location"); location != "" && len(raw) < 1000 && reply.StatusCode == http.StatusFound {
		return reply.StatusCode, []byte(location)
	}
	return reply.StatusCode, raw
}

func (w world) token(realm string, form url.Values) (int, map[string]any) {
	w.t.Helper()
	return w.send(http.MethodPost, "/auth/realms/"+realm+"/protocol/openid-connect/token", "", form)
}

// claims verifies a token with the key that the realm publishes.
func (w world) claims(realm, token string) jwt.MapClaims {
	w.t.Helper()
	status, raw := w.raw(http.MethodGet, "/auth/realms/"+realm+"/protocol/openid-connect/certs", "", "", "")
	require.Equal(w.t, http.StatusOK, status)
	var set struct{ Keys []map[string]string }
	require.NoError(w.t, json.Unmarshal(raw, &set))
	require.Len(w.t, set.Keys, 1)
	key := set.Keys[0]
	require.Equal(w.t, w.sso.SigningKID(realm), key["kid"])
	n, err := base64.RawURLEncoding.DecodeString(key["n"])
	require.NoError(w.t, err)
	e, err := base64.RawURLEncoding.DecodeString(key["e"])
	require.NoError(w.t, err)
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		require.Equal(w.t, key["kid"], t.Header["kid"])
		return public, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	require.NoError(w.t, err)
	return claims
}

func text(w world, value any) string {
	w.t.Helper()
	s, ok := value.(string)
	require.True(w.t, ok, "%v is no text", value)
	return s
}

func TestUserToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, err := w.sso.UserToken("alice")
	require.NoError(t, err)
	claims := w.claims(people, token)
	require.Equal(t, w.url+"/auth/realms/redhat-external", claims["iss"])
	require.Equal(t, w.sso.Issuer(people), claims["iss"])
	require.Equal(t, "Bearer", claims["typ"])
	require.Equal(t, "alice", claims["username"])
	require.Equal(t, "alice", claims["preferred_username"])
	require.Equal(t, "1", claims["org_id"])
	require.Equal(t, "a", claims["account_id"])
	require.Equal(t, false, claims["is_org_admin"])
	require.Equal(t, map[string]any{"roles": []any{"reader"}}, claims["realm_access"])
	require.IsType(t, float64(0), claims["exp"])
	token, err = w.sso.UserToken("nora")
	require.NoError(t, err)
	require.NotContains(t, w.claims(people, token), "org_id")
	_, err = w.sso.UserToken("nobody")
	require.Error(t, err)
}

func TestMintTakesAnyClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, err := w.sso.Mint(robots, map[string]any{"typ": "ID", "iat": nil, "odd": 7})
	require.NoError(t, err)
	claims := w.claims(robots, token)
	require.Equal(t, "ID", claims["typ"])
	require.NotContains(t, claims, "iat")
	require.EqualValues(t, 7, claims["odd"])
	_, err = w.sso.Mint("nowhere", nil)
	require.Error(t, err)
}

func TestSigningKeyCanBeGivenAndTaken(t *testing.T) {
	t.Parallel()
	first, err := sso.New(sso.Options{})
	require.NoError(t, err)
	raw, err := first.SigningKeyPEM(people)
	require.NoError(t, err)
	block, _ := pem.Decode(raw)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	key, ok := parsed.(*rsa.PrivateKey)
	require.True(t, ok)
	second, err := sso.New(sso.Options{Keys: map[string]*rsa.PrivateKey{people: key}})
	require.NoError(t, err)
	require.Equal(t, first.SigningKID(people), second.SigningKID(people))
	kids := map[string]bool{}
	for _, realm := range []string{people, robots, "rhoas-kafka-sre"} {
		kids[first.SigningKID(realm)] = true
	}
	require.Len(t, kids, 3, "each realm has its own")
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	grant := url.Values{"grant_type": {"client_credentials"}}
	path := "/realms/rhoas/protocol/openid-connect/token"
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	status, body := w.send(http.MethodPost, path, basic("srvc-acct-1", "one"), grant)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 300, body["expires_in"])
	claims := w.claims(robots, text(w, body["access_token"]))
	require.Equal(t, "srvc-acct-1", claims["clientId"])
	require.Equal(t, "srvc-acct-1", claims["azp"])
	require.Equal(t, "service-account-srvc-acct-1", claims["preferred_username"])
	require.Equal(t, "1", claims["rh-org-id"])
	require.Equal(t, w.sso.Issuer(robots), claims["iss"], "one issuer for both layouts")

	status, _ = w.send(http.MethodPost, path, basic("srvc-acct-1", "wrong"), grant)
	require.Equal(t, http.StatusUnauthorized, status)
	for _, c := range []struct {
		id, secret string
		status     int
	}{{"srvc-acct-1", "one", 200}, {"srvc-acct-1", "", 401}, {"unknown", "", 401}, {"cloud-services", "", 401}, {"web", "web-secret", 401}} {
		status, _ = w.token(robots, url.Values{"grant_type": grant["grant_type"], "client_id": {c.id}, "client_secret": {c.secret}})
		require.Equal(t, c.status, status, c.id)
	}
	status, _ = w.token("nowhere", grant)
	require.Equal(t, http.StatusNotFound, status)
}

func TestPasswordRefreshAndLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	login := url.Values{"grant_type": {"password"}, "client_id": {"rhoas-cli-prod"}, "username": {"bob"}, "password": {"bob-pw"}}
	status, body := w.token(people, login)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "bob", w.claims(people, text(w, body["access_token"]))["username"])
	renewal := text(w, body["refresh_token"])
	require.Equal(t, "Refresh", w.claims(people, renewal)["typ"])

	again := url.Values{"grant_type": {"refresh_token"}, "client_id": {"rhoas-cli-prod"}, "refresh_token": {renewal}}
	status, body = w.token(people, again)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "b", w.claims(people, text(w, body["access_token"]))["account_id"])
	status, _ = w.token(robots, again)
	require.Equal(t, http.StatusBadRequest, status, "another realm's token")
	status, _ = w.send(http.MethodPost, "/auth/realms/redhat-external/protocol/openid-connect/logout", "", again)
	require.Equal(t, http.StatusNoContent, status)
	status, _ = w.token(people, again)
	require.Equal(t, http.StatusBadRequest, status, "the session is over")

	login.Set("password", "wrong")
	status, body = w.token(people, login)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "invalid_grant", body["error"])
}

func TestOfflineTokenIsAJWTThatOnlyRefreshes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, err := w.sso.OfflineToken("alice")
	require.NoError(t, err)
	claims := w.claims(people, token)
	require.Equal(t, "Offline", claims["typ"])
	require.NotContains(t, claims, "exp")
	for _, clientID := range []string{"cloud-services", "rhoas-cli-prod"} {
		status, body := w.token(people, url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {token}})
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "Bearer", w.claims(people, text(w, body["access_token"]))["typ"])
		require.Equal(t, "Offline", w.claims(people, text(w, body["refresh_token"]))["typ"])
	}
	status, _ := w.send(http.MethodGet, "/auth/realms/redhat-external/protocol/openid-connect/userinfo", "Bearer "+token, nil)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestDiscoveryAndUserinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, prefix := range []string{"/auth/realms/", "/realms/"} {
		status, body := w.send(http.MethodGet, prefix+"redhat-external/.well-known/openid-configuration", "", nil)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, w.url+prefix+"redhat-external", body["issuer"])
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
			require.True(t, strings.HasPrefix(text(w, body[name]), w.url+prefix+"redhat-external/protocol/"))
		}
	}
	token, err := w.sso.UserToken("alice")
	require.NoError(t, err)
	status, body := w.send(http.MethodGet, "/realms/redhat-external/protocol/openid-connect/userinfo", "bearer "+token, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "alice", body["preferred_username"])
	status, _ = w.send(http.MethodGet, "/realms/rhoas/protocol/openid-connect/userinfo", "bearer "+token, nil)
	require.Equal(t, http.StatusUnauthorized, status, "a token of another realm")
}

func TestCodeFlowWithPKCE(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const verifier = "a-verifier-that-is-long-enough-to-be-one-of-them"
	digest := sha256.Sum256([]byte(verifier))
	ask := url.Values{
		"client_id": {"rhoas-cli-prod"}, "redirect_uri": {"http://localhost:40123/sso-redhat-callback"}, "response_type": {"code"},
		"scope": {"openid"}, "state": {"st"}, "nonce": {"no"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"},
	}
	const auth = "/realms/redhat-external/protocol/openid-connect/auth?"
	status, page := w.raw(http.MethodGet, auth+ask.Encode(), "", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(page), `type="password"`)
	login := func(password string) (int, []byte) {
		form := url.Values{"username": {"alice"}, "password": {password}}
		return w.raw(http.MethodPost, auth+ask.Encode(), "", "application/x-www-form-urlencoded", form.Encode())
	}
	status, _ = login("wrong")
	require.Equal(t, http.StatusUnauthorized, status)
	exchange := func(verifier string) (int, map[string]any) {
		status, location := login("alice-pw")
		require.Equal(t, http.StatusFound, status)
		back, err := url.Parse(string(location))
		require.NoError(t, err)
		require.Equal(t, "localhost:40123", back.Host)
		require.Equal(t, "st", back.Query().Get("state"))
		form := url.Values{
			"grant_type": {"authorization_code"}, "client_id": ask["client_id"], "redirect_uri": ask["redirect_uri"],
			"code": {back.Query().Get("code")}, "code_verifier": {verifier},
		}
		const token = "/realms/redhat-external/protocol/openid-connect/token"
		status, body := w.send(http.MethodPost, token, "", form)
		again, _ := w.send(http.MethodPost, token, "", form)
		require.Equal(t, http.StatusBadRequest, again, "a code is good for once")
		return status, body
	}
	status, _ = exchange("another-verifier")
	require.Equal(t, http.StatusBadRequest, status)
	status, body := exchange(verifier)
	require.Equal(t, http.StatusOK, status)
	id := w.claims(people, text(w, body["id_token"]))
	require.Equal(t, w.url+"/realms/redhat-external", id["iss"], "as discovery of this layout says")
	require.Equal(t, "rhoas-cli-prod", id["aud"])
	require.Equal(t, "no", id["nonce"])
	require.Equal(t, w.sso.Issuer(people), w.claims(people, text(w, body["access_token"]))["iss"])

	for name, value := range map[string]string{
		"redirect_uri": "https://evil.test/", "client_id": "unknown", "response_type": "token", "code_challenge_method": "plain",
	} {
		wrong := url.Values{}
		for key := range ask {
			wrong.Set(key, ask.Get(key))
		}
		wrong.Set(name, value)
		status, _ = w.raw(http.MethodGet, auth+wrong.Encode(), "", "", "")
		require.Equal(t, http.StatusBadRequest, status, name)
	}
}

func TestAdminNeedsTheRightToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const clients = "/auth/admin/realms/rhoas/clients"
	robot, err := w.sso.ClientToken(robots, "srvc-acct-1")
	require.NoError(t, err)
	user, err := w.sso.UserToken("carol")
	require.NoError(t, err)
	over, err := w.sso.Mint(robots, map[string]any{"clientId": "manager", "exp": time.Now().Add(-time.Minute).Unix()})
	require.NoError(t, err)
	for want, tokens := range map[int][]string{401: {"", "Bearer x.y.z", "Bearer " + user, "Bearer " + over}, 403: {"Bearer " + robot}} {
		for _, token := range tokens {
			status, _ := w.send(http.MethodGet, clients, token, nil)
			require.Equal(t, want, status)
		}
	}
}

func TestAdminSearch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, err := w.sso.ClientToken(robots, "manager")
	require.NoError(t, err)
	const clients = "/auth/admin/realms/rhoas/clients"
	create := func(clientID, org, note string) int {
		status, _ := w.raw(http.MethodPost, clients, "Bearer "+token, "application/json",
			`{"clientId":"`+clientID+`","attributes":{"rh-org-id":"`+org+`","note":"`+note+`"}}`)
		return status
	}
	for _, id := range []string{"b-1", "a-1", "c-1"} {
		require.Equal(t, http.StatusCreated, create(id, "1", "two words"))
	}
	require.Equal(t, http.StatusCreated, create("a-2", "12", "one"))
	require.Equal(t, http.StatusConflict, create("a-2", "1", "one"))
	list := func(query string) (found []string) {
		status, raw := w.raw(http.MethodGet, clients+"?"+query, "Bearer "+token, "", "")
		require.Equal(t, http.StatusOK, status)
		var all []struct{ ClientID string }
		require.NoError(t, json.Unmarshal(raw, &all))
		for _, one := range all {
			found = append(found, one.ClientID)
		}
		return found
	}
	require.Equal(t, []string{"a-1", "b-1", "c-1"}, list("q=rh-org-id:1"))
	require.Equal(t, []string{"b-1"}, list("q=rh-org-id:1&first=1&max=1"))
	require.Equal(t, []string{"a-2"}, list(url.Values{"q": {`"rh-org-id":"12" note:one`}}.Encode()))
	require.Equal(t, []string{"a-1", "b-1", "c-1"}, list(url.Values{"q": {`note:"two words"`}}.Encode()))
	require.Empty(t, list("q=rh-org-id:13"))
	require.Equal(t, []string{"a-1"}, list("clientId=a-1"))
	require.Empty(t, list("clientId=a-"))
	require.Equal(t, []string{"a-1", "a-2"}, list("clientId=A-&search=true"))
	require.Len(t, list(""), 10, "three public ones, three from the start, four made here")
	shown, err := json.Marshal(w.sso.State())
	require.NoError(t, err)
	require.Contains(t, string(shown), "a-2")
	require.NotContains(t, string(shown), "manager-secret")
}

// TestPagesOfOtherOriginsMayCall: a browser's client exchanges its code for tokens.
func TestPagesOfOtherOriginsMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, method := range []string{http.MethodOptions, http.MethodGet} {
		request, err := http.NewRequestWithContext(t.Context(), method, w.url+"/auth/realms/"+people+"/.well-known/openid-configuration", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Origin", "http://127.0.0.1:8000")
		request.Header.Set("Access-Control-Request-Headers", "authorization")
		reply, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Less(t, reply.StatusCode, 300)
		require.Equal(t, "http://127.0.0.1:8000", reply.Header.Get("Access-Control-Allow-Origin"))
		if method == http.MethodOptions {
			require.Contains(t, reply.Header.Get("Access-Control-Allow-Headers"), "Authorization")
		}
	}
}
