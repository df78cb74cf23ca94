package access_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

const (
	malformed     = "Bearer token is malformed"
	unverifiable  = "Bearer token can't be verified"
	badSignature  = "Signature of bearer token isn't valid"
	expired       = "Bearer token is expired"
	future        = "Bearer token was issued in the future"
	notYet        = "Bearer token isn't valid yet"
	impersonation = "Impersonation isn't allowed"
)

func missing(claim string) string {
	return "Bearer token doesn't contain required claim '" + claim + "'"
}
func notAllowed(kind string) string { return "Bearer token type '" + kind + "' isn't allowed" }
func illTyped(claim string) string {
	return "Bearer token claim '" + claim + "' has a value of the wrong type"
}

// corpus holds tokens that must be refused, with the reason that clients read.
func corpus(w *world) map[string][2]string {
	all := map[string][2]string{}
	for name, bad := range shapes(w) {
		all[name] = bad
	}
	claimed := func(name, reason string, changes jwt.MapClaims) {
		all[name] = [2]string{w.users.token(with(w.alice(), changes)), reason}
	}
	now := w.now.Load().Unix()
	claimed("expired", expired, jwt.MapClaims{"exp": now - 1})
	claimed("expires this moment", expired, jwt.MapClaims{"exp": now})
	claimed("expired at the epoch", expired, jwt.MapClaims{"exp": 0})
	claimed("expired and of another kind", expired, jwt.MapClaims{"exp": now - 1, "typ": "ID"})
	claimed("from the future", future, jwt.MapClaims{"iat": now + 1})
	claimed("not valid yet", notYet, jwt.MapClaims{"nbf": now + 1})
	claimed("nbf a text", notYet, jwt.MapClaims{"nbf": "now"})
	claimed("no iat", missing("iat"), jwt.MapClaims{"iat": nil})
	claimed("no exp", missing("exp"), jwt.MapClaims{"exp": nil})
	claimed("iat a text", illTyped("iat"), jwt.MapClaims{"iat": "123"})
	claimed("exp a text", illTyped("exp"), jwt.MapClaims{"exp": "99999999999"})
	claimed("exp a list", illTyped("exp"), jwt.MapClaims{"exp": []int{1}})
	for _, kind := range []string{"Offline", "Refresh", "ID", "", "bearer "} {
		claimed("typ "+kind, notAllowed(kind), jwt.MapClaims{"typ": kind})
	}
	claimed("typ a number", illTyped("typ"), jwt.MapClaims{"typ": 1})
	claimed("impersonated", impersonation, jwt.MapClaims{"impersonated": true})
	claimed("impersonated as text", illTyped("impersonated"), jwt.MapClaims{"impersonated": "false"})
	claimed("impersonated as number", illTyped("impersonated"), jwt.MapClaims{"impersonated": 0})
	claimed("no issuer", unverifiable, jwt.MapClaims{"iss": nil})
	claimed("issuer a list", illTyped("iss"), jwt.MapClaims{"iss": []string{w.config.TokenIssuer}})
	claimed("unknown issuer", unverifiable, jwt.MapClaims{"iss": "https://evil.example.test"})
	claimed("issuer but for a slash", unverifiable, jwt.MapClaims{"iss": w.config.TokenIssuer + "/"})
	for claim, values := range map[string][]any{
		"username":     {7, true, []string{"alice"}, map[string]any{"a": 1}, "al\x00ice"},
		"org_id":       {1.5, -3, true, []string{"1"}, 1e30, "1\x00"},
		"account_id":   {false, map[string]any{}, 0.1},
		"is_org_admin": {"true", 1, []bool{true}},
		"clientId":     {5, []string{"agent-c1"}},
		"aud":          {5, []any{"a", 1}, map[string]any{}},
	} {
		for _, value := range values {
			claimed(claim+" "+strings.Repeat("i", len(all)), illTyped(claim), jwt.MapClaims{claim: value})
		}
	}
	return all
}

// shapes holds tokens that are wrong before any claim counts.
func shapes(w *world) map[string][2]string {
	alice, kid := w.alice(), map[string]any{"kid": w.users.kid}
	good := w.users.token(alice)
	parts := strings.Split(good, ".")
	publicKey, err := x509.MarshalPKIXPublicKey(&w.users.key.PublicKey)
	if err != nil {
		panic(err)
	}
	signed := func(header map[string]any) string { return sign(jwt.SigningMethodRS256, w.users.key, header, alice) }
	none := func(header map[string]any) string {
		return sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header, alice)
	}
	return map[string][2]string{
		"text":                    {"hello", malformed},
		"two parts":               {parts[0] + "." + parts[1], malformed},
		"five parts like a JWE":   {"a.b.c.d.e", malformed},
		"8 KiB of dots":           {strings.Repeat(".", 8<<10), malformed},
		"too long":                {good + strings.Repeat("A", 8<<10), malformed},
		"huge header":             {raw(`{"alg":"RS256","kid":"`+strings.Repeat("k", 9<<10)+`"}`, `{}`, "s"), malformed},
		"empty parts":             {"..", malformed},
		"not base64":              {"!." + parts[1] + "." + parts[2], malformed},
		"header not JSON":         {raw("{", "{}", "s"), malformed},
		"header null":             {raw("null", "{}", "s"), unverifiable},
		"claims a list":           {raw(`{"alg":"RS256","kid":"user-key"}`, "[]", "s"), malformed},
		"claims null":             {raw(`{"alg":"RS256","kid":"user-key"}`, "null", "s"), unverifiable},
		"deep claims":             {raw(`{"alg":"RS256","kid":"user-key"}`, strings.Repeat(`{"a":`, 1000), "s"), malformed},
		"no alg":                  {signed(map[string]any{"kid": w.users.kid, "alg": ""}), unverifiable},
		"alg a number":            {signed(map[string]any{"kid": w.users.kid, "alg": 256}), unverifiable},
		"alg unknown":             {signed(map[string]any{"kid": w.users.kid, "alg": "RS1"}), unverifiable},
		"unsigned":                {none(nil), unverifiable},
		"unsigned with a kid":     {none(kid), badSignature},
		"public key as secret":    {sign(jwt.SigningMethodHS256, publicKey, kid, alice), badSignature},
		"elliptic algorithm":      {signed(map[string]any{"kid": w.users.kid, "alg": "ES256"}), badSignature},
		"alg swapped":             {signed(map[string]any{"kid": w.users.kid, "alg": "PS256"}), badSignature},
		"no kid":                  {signed(nil), unverifiable},
		"kid a number":            {signed(map[string]any{"kid": 1}), unverifiable},
		"unknown kid":             {signed(map[string]any{"kid": "../../etc/passwd"}), unverifiable},
		"critical extension":      {signed(map[string]any{"kid": w.users.kid, "crit": []string{"b64"}, "b64": false}), unverifiable},
		"signature cut":           {good[:len(good)-4], badSignature},
		"no signature":            {parts[0] + "." + parts[1] + ".", badSignature},
		"claims changed":          {parts[0] + "." + strings.Split(w.users.token(with(alice, jwt.MapClaims{"username": "bob"})), ".")[1] + "." + parts[2], badSignature},
		"kid of another issuer":   {sign(jwt.SigningMethodRS256, w.sso.key, map[string]any{"kid": w.sso.kid}, alice), unverifiable},
		"key of another issuer":   {sign(jwt.SigningMethodRS256, w.sso.key, kid, alice), badSignature},
		"SSO signs for the staff": {w.sso.token(w.staff()), unverifiable},
		"key brought along": {sign(jwt.SigningMethodRS256, keys()[3], map[string]any{
			"kid": "mine", "jku": w.sso.url, "x5u": w.sso.url, "jwk": map[string]any{"kty": "RSA", "kid": "mine"},
		}, alice), unverifiable},
	}
}

func TestBadTokensAreRefusedOnEveryRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := corpus(w)
	require.Greater(t, len(bad), 70)
	for name, c := range bad {
		for method, template := range map[string]string{http.MethodGet: kafkas, http.MethodPut: cluster + "/status", http.MethodHead: ""} {
			id, err := w.call(method, template, "c1", c[0])
			require.Zero(t, id, name)
			t.Log(name)
			refused(t, err, apierr.Unauthenticated, c[1])
		}
	}
	require.Zero(t, w.lookups.Load(), "no query for a token that is none")
	require.EqualValues(t, 1, w.users.downloads.Load())
	_, err := w.call(http.MethodGet, kafkas, "", w.users.token(w.alice()))
	require.NoError(t, err, "bad tokens leave no trace")
}

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := access.Identity{Issuer: w.config.TokenIssuer, Username: "alice", OrgID: "13640203", AccountID: "501", OrgAdmin: true}
	for name, c := range map[string]struct {
		changes jwt.MapClaims
		want    func(id access.Identity) access.Identity
	}{
		"plain":               {nil, nil},
		"no typ":              {jwt.MapClaims{"typ": nil}, nil},
		"typ in capitals":     {jwt.MapClaims{"typ": "BEARER"}, nil},
		"not impersonated":    {jwt.MapClaims{"impersonated": false}, nil},
		"fractions of time":   {jwt.MapClaims{"exp": float64(w.now.Load().Unix()) + 0.5}, nil},
		"numbers as ids":      {jwt.MapClaims{"org_id": 13640203, "account_id": 501}, nil},
		"other claims":        {jwt.MapClaims{"username": nil, "org_id": nil, "preferred_username": "alice", "rh-org-id": "13640203"}, nil},
		"names are exact":     {jwt.MapClaims{"ISS": "x", "Username": "mallory", "ORG_ID": "1"}, nil},
		"any audience":        {jwt.MapClaims{"aud": []string{"x"}}, nil},
		"no administrator":    {jwt.MapClaims{"is_org_admin": nil}, func(id access.Identity) access.Identity { id.OrgAdmin = false; return id }},
		"client":              {jwt.MapClaims{"azp": "cli"}, func(id access.Identity) access.Identity { id.ClientID = "cli"; return id }},
		"the first client":    {jwt.MapClaims{"azp": "cli", "clientId": "x"}, func(id access.Identity) access.Identity { id.ClientID = "x"; return id }},
		"no account":          {jwt.MapClaims{"account_id": nil}, func(id access.Identity) access.Identity { id.AccountID = ""; return id }},
		"large ids are exact": {jwt.MapClaims{"org_id": uint64(18446744073709551615)}, func(id access.Identity) access.Identity { id.OrgID = "18446744073709551615"; return id }},
	} {
		t.Log(name)
		token := w.users.token(with(w.alice(), c.changes))
		for range 2 { // the second is answered from memory
			id, err := w.call(http.MethodGet, kafkas, "", token)
			require.NoError(t, err)
			expected := want
			if c.want != nil {
				expected = c.want(want)
			}
			require.Equal(t, expected, id)
		}
	}
	for _, method := range []jwt.SigningMethod{
		jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512,
	} {
		_, err := w.call(http.MethodGet, kafkas, "", sign(method, w.users.key, map[string]any{"kid": w.users.kid}, w.alice()))
		require.NoError(t, err, method.Alg())
	}
	twice := sign(jwt.SigningMethodRS256, w.users.key, map[string]any{"kid": w.users.kid}, doubled{w.alice()})
	_, err := w.call(http.MethodGet, kafkas, "", twice)
	require.NoError(t, err, "repeated claims: the last one counts")
}

// doubled writes a claim twice.
type doubled struct{ jwt.MapClaims }

func (d doubled) MarshalJSON() ([]byte, error) {
	return []byte(`{"iss":"x","iss":"` + d.MapClaims["iss"].(string) + `","iat":1,"exp":99999999999,"username":"alice","org_id":"1"}`), nil
}

func TestRememberedTokensExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.users.token(w.alice())
	_, err := w.call(http.MethodGet, kafkas, "", token)
	require.NoError(t, err)
	w.tick(w.now.Load().Add(901 * 1e9))
	_, err = w.call(http.MethodGet, kafkas, "", token)
	refused(t, err, apierr.Unauthenticated, expired)
}

func TestWhereTheTokenIs(t *testing.T) {
	t.Parallel()
	const absent = "Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie"
	w, cookies := newWorld(t), newWorld(t, func(w *world) { w.config.CookieAuth = true })
	for name, c := range map[string]struct {
		w              *world
		header, cookie string
		reason         string
	}{
		"nothing":                 {w, "", "", absent},
		"cookie, not enabled":     {w, "", "token", absent},
		"cookie":                  {cookies, "", "token", ""},
		"scheme in small letters": {w, "bearer token", "", ""},
		"more blanks":             {w, "Bearer   token ", "", ""},
		"other scheme":            {w, "Basic token", "", "Authentication type isn't supported, use Bearer"},
		"no scheme":               {w, "token", "", "Authorization header is malformed"},
		"no token":                {w, "Bearer ", "", "Authorization header is malformed"},
		"bad header, good cookie": {cookies, "Basic x", "token", "Authentication type isn't supported, use Bearer"},
	} {
		t.Log(name)
		token := c.w.users.token(c.w.alice())
		r := httptest.NewRequest(http.MethodGet, kafkas, nil)
		if c.header != "" {
			r.Header.Set("Authorization", strings.Replace(c.header, "token", token, 1))
		}
		if c.cookie != "" {
			r.AddCookie(&http.Cookie{Name: "cs_jwt", Value: token})
		}
		_, err := c.w.Authorize(r, kafkas)
		if c.reason == "" {
			require.NoError(t, err)
			continue
		}
		refused(t, err, apierr.Unauthenticated, c.reason)
		require.NotContains(t, err.Error(), token)
	}
	r := httptest.NewRequest(http.MethodGet, kafkas, nil)
	r.Header["Authorization"] = []string{"Bearer " + w.users.token(w.alice()), "Bearer x"}
	_, err := w.Authorize(r, kafkas)
	refused(t, err, apierr.Unauthenticated, "Authorization header is malformed")
}

func TestHostileSizeCostsLittle(t *testing.T) {
	w := newWorld(t)
	dots := strings.Repeat(".", 8<<10)
	require.Less(t, testing.AllocsPerRun(20, func() { _, _ = w.call(http.MethodGet, kafkas, "", dots) }), 60.0,
		"a hostile token is dropped before it is split")
}

func BenchmarkAuthorize(b *testing.B) {
	w := newWorld(b)
	for name, changes := range map[string]jwt.MapClaims{
		"remembered": nil,
		"verified":   {"typ": "ID"}, // refused behind the signature, so never remembered
	} {
		r := httptest.NewRequest(http.MethodGet, kafkas, nil)
		r.Header.Set("Authorization", "Bearer "+w.users.token(with(w.alice(), changes)))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Authorize(r, kafkas); (err == nil) != (changes == nil) {
					b.Fatal(err)
				}
			}
		})
	}
}
