package access_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

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

// bad is a token that must be refused, with the reason that clients read.
type bad struct{ name, token, reason string }

// corpus holds all of them: what is wrong before a claim counts, and what is
// wrong with the claims, in tokens of customers and in tokens of agents.
func corpus(w *world) []bad {
	all := shapes(w)
	all = append(all, headers(w)...)
	all = append(all, forgeries(w)...)
	all = append(all, wrongClaims(w, "customer", w.users, w.alice())...)
	return append(all, wrongClaims(w, "agent", w.sso, w.agent("agent-c1"))...)
}

// shapes are texts that are no tokens, or not of three sound parts.
func shapes(w *world) []bad {
	good := w.users.token(w.alice())
	parts := strings.Split(good, ".")
	const sound = `{"alg":"RS256","kid":"user-key"}`
	return []bad{
		{"text", "hello", malformed},
		{"one dot", parts[0] + "." + parts[1], malformed},
		{"three dots", good + ".x", malformed},
		{"a dot behind", good + ".", malformed},
		{"a dot before", "." + good, malformed},
		{"a JWE", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.b.c.d.e", malformed},
		{"a JWE that is compressed", raw(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`, "", "c", "d", "e"), malformed},
		{"8 KiB of dots", strings.Repeat(".", 8<<10), malformed},
		{"8 KiB of dots behind", good + strings.Repeat(".", 8<<10-len(good)), malformed},
		{"too long", good + strings.Repeat("A", 8<<10), malformed},
		{"a huge header", raw(`{"alg":"RS256","kid":"`+strings.Repeat("k", 9<<10)+`"}`, `{}`, "s"), malformed},
		{"empty parts", "..", malformed},
		{"not base64", "!." + parts[1] + "." + parts[2], malformed},
		{"claims not base64", parts[0] + ".!." + parts[2], malformed},
		{"padded", parts[0] + "=." + parts[1] + "." + parts[2], malformed},
		{"a blank within", parts[0][:4] + " " + parts[0][4:] + "." + parts[1] + "." + parts[2], malformed},
		{"another token type", raw("eyJ", "x", "y"), malformed},
		{"header not JSON", raw("{", "{}", "s"), malformed},
		{"header with more behind", raw(sound+"x", "{}", "s"), malformed},
		{"header after a byte order mark", raw("\ufeff"+sound, "{}", "s"), malformed},
		{"header a list", raw("["+sound+"]", "{}", "s"), malformed},
		{"header a text", raw(`"RS256"`, "{}", "s"), malformed},
		{"header null", raw("null", "{}", "s"), unverifiable},
		{"header empty", raw("{}", "{}", "s"), unverifiable},
		{"deep header", raw(strings.Repeat(`{"a":`, 900), "{}", "s"), malformed},
		{"claims a list", raw(sound, "[]", "s"), malformed},
		{"claims a text", raw(sound, `"x"`, "s"), malformed},
		{"claims a number", raw(sound, "1", "s"), malformed},
		{"claims with more behind", raw(sound, "{}{}", "s"), unverifiable},
		{"claims null", raw(sound, "null", "s"), unverifiable},
		{"claims empty", raw(sound, "{}", "s"), unverifiable},
		{"deep claims", raw(sound, strings.Repeat(`{"a":`, 1000), "s"), malformed},
	}
}

// headers are of tokens that the right key signed.
func headers(w *world) (all []bad) {
	kid := w.users.kid
	signed := func(name, reason string, header map[string]any) {
		all = append(all, bad{"header " + name, sign(jwt.SigningMethodRS256, w.users.key, header, w.alice()), reason})
	}
	for _, alg := range []any{"", 256, nil, true, []string{"RS256"}, map[string]any{"RS256": 1}, "RS1", "rs256", "RS256 ", " RS256", "RS256\x00", "RSA-OAEP", "None", "NONE"} {
		signed(fmt.Sprintf("alg %#v", alg), unverifiable, map[string]any{"kid": kid, "alg": alg})
	}
	for _, alg := range []string{"RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512", "none"} {
		signed("alg swapped for "+alg, badSignature, map[string]any{"kid": kid, "alg": alg})
	}
	signed("no kid", unverifiable, nil)
	for _, other := range []any{
		"", nil, 1, true, []string{kid}, map[string]any{kid: kid}, "../../etc/passwd", "https://169.254.169.254/", "' OR 1=1", strings.Repeat("k", 4<<10),
		strings.ToUpper(kid), kid + " ", kid + "\x00", "\xff", w.sso.kid, w.admins.kid,
	} {
		signed(fmt.Sprintf("kid %.20q", fmt.Sprint(other)), unverifiable, map[string]any{"kid": other})
	}
	for name, critical := range map[string]any{"b64": []string{"b64"}, "exp": []string{"exp"}, "nothing": []string{}, "null": nil, "text": "b64"} {
		signed("critical "+name, unverifiable, map[string]any{"kid": kid, "crit": critical, "b64": false})
	}
	return all
}

// forgeries are tokens that somebody else signed, or nobody.
func forgeries(w *world) (all []bad) {
	alice, kid := w.alice(), map[string]any{"kid": w.users.kid}
	add := func(name, token, reason string) { all = append(all, bad{name, token, reason}) }
	none := func(header map[string]any) string {
		return sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header, alice)
	}
	add("unsigned", none(nil), unverifiable)
	add("unsigned with a kid", none(kid), badSignature)
	der, err := x509.MarshalPKIXPublicKey(&w.users.key.PublicKey)
	if err != nil {
		panic(err)
	}
	for name, secret := range map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "modulus": w.users.key.N.Bytes(), "nothing": {},
		"PKCS1": x509.MarshalPKCS1PublicKey(&w.users.key.PublicKey),
	} {
		for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
			add("public key as secret, "+name+" "+method.Alg(), sign(method, secret, kid, alice), badSignature)
		}
	}
	own := map[string]any{"kty": "RSA", "kid": "mine", "n": "AQAB", "e": "AQAB"}
	for name, value := range map[string]any{
		"jku": w.sso.url, "x5u": w.sso.url, "jwk": own, "x5c": []string{"MIIB"}, "x5t": "x", "x5t#S256": "x", "url": w.sso.url, "keys": []any{own},
	} {
		add("key brought along by "+name, sign(jwt.SigningMethodRS256, keys()[3], map[string]any{"kid": "mine", name: value}, alice), unverifiable)
		add("key replaced by "+name, sign(jwt.SigningMethodRS256, keys()[3], map[string]any{"kid": w.users.kid, name: value}, alice), badSignature)
	}
	good := w.users.token(alice)
	parts := strings.Split(good, ".")
	promoted := strings.Split(w.users.token(with(alice, jwt.MapClaims{"username": "bob"})), ".")
	add("signature cut", good[:len(good)-4], badSignature)
	add("no signature", parts[0]+"."+parts[1]+".", badSignature)
	add("signature of another token", parts[0]+"."+parts[1]+"."+promoted[2], badSignature)
	add("claims changed", parts[0]+"."+promoted[1]+"."+parts[2], badSignature)
	add("header changed", raw(`{"alg":"RS256","kid":"user-key","typ":"JWT","x":1}`)+"."+parts[1]+"."+parts[2], badSignature)
	add("kid of another issuer", sign(jwt.SigningMethodRS256, w.sso.key, map[string]any{"kid": w.sso.kid}, alice), unverifiable)
	add("key of another issuer", sign(jwt.SigningMethodRS256, w.sso.key, kid, alice), badSignature)
	add("customers sign for the SSO", w.users.token(w.agent("agent-c1")), unverifiable)
	add("staff sign for customers", w.admins.token(alice), unverifiable)
	add("SSO signs for the staff", w.sso.token(w.staff()), unverifiable)
	add("staff sign for the SSO", w.admins.token(w.agent("agent-c1")), unverifiable)
	return all
}

// wrongClaims are of tokens that their issuer signed.
func wrongClaims(w *world, of string, by *issuer, sound jwt.MapClaims) (all []bad) {
	now := w.now.Load().Unix()
	claimed := func(name, reason string, changes jwt.MapClaims) {
		all = append(all, bad{of + ", " + name, by.token(with(sound, changes)), reason})
	}
	claimed("expired", expired, jwt.MapClaims{"exp": now - 1})
	claimed("expires this moment", expired, jwt.MapClaims{"exp": now})
	claimed("expired at the epoch", expired, jwt.MapClaims{"exp": 0})
	claimed("expired before it", expired, jwt.MapClaims{"exp": -1e18})
	claimed("expired and of another kind", expired, jwt.MapClaims{"exp": now - 1, "typ": "ID"})
	claimed("from the future", future, jwt.MapClaims{"iat": now + 1})
	claimed("from the far future", future, jwt.MapClaims{"iat": 1e300})
	claimed("not valid yet", notYet, jwt.MapClaims{"nbf": now + 1})
	for _, value := range []any{"now", true, []int{1}, map[string]any{}, json.Number("1e999")} {
		claimed(fmt.Sprintf("nbf %v", value), notYet, jwt.MapClaims{"nbf": value})
		claimed(fmt.Sprintf("iat %v", value), illTyped("iat"), jwt.MapClaims{"iat": value})
		claimed(fmt.Sprintf("exp %v", value), illTyped("exp"), jwt.MapClaims{"exp": value})
	}
	for _, claim := range []string{"iat", "exp"} {
		claimed("no "+claim, missing(claim), jwt.MapClaims{claim: nil})
		claimed(claim+" null", missing(claim), jwt.MapClaims{claim: json.RawMessage("null")})
	}
	for _, kind := range []string{"Offline", "Refresh", "ID", "", "bearer ", "JWT", "access", "Bearer\x00"} {
		claimed("typ "+kind, notAllowed(kind), jwt.MapClaims{"typ": kind})
	}
	for _, value := range []any{1, true, []string{"Bearer"}, map[string]any{}, json.RawMessage("null")} {
		claimed(fmt.Sprintf("typ %v", value), illTyped("typ"), jwt.MapClaims{"typ": value})
	}
	claimed("impersonated", impersonation, jwt.MapClaims{"impersonated": true})
	for _, value := range []any{"false", "", 0, []bool{false}, json.RawMessage("null")} {
		claimed(fmt.Sprintf("impersonated %v", value), illTyped("impersonated"), jwt.MapClaims{"impersonated": value})
	}
	issuer, _ := sound["iss"].(string)
	for _, other := range []any{
		nil, json.RawMessage("null"), "", "https://evil.example.test", issuer + "/", issuer + " ", strings.ToUpper(issuer), issuer[:len(issuer)-1],
		strings.Replace(issuer, "http:", "https:", 1),
	} {
		claimed(fmt.Sprintf("issuer %.80q", fmt.Sprint(other)), unverifiable, jwt.MapClaims{"iss": other})
	}
	for claim, values := range map[string][]any{
		"iss":          {1, true, []string{issuer}, map[string]any{}, issuer + "\x00"},
		"username":     {7, true, []string{"alice"}, map[string]any{"a": 1}, "al\x00ice"},
		"org_id":       {1.5, -3, true, []string{"1"}, 1e30, "1\x00"},
		"account_id":   {false, map[string]any{}, 0.1},
		"is_org_admin": {"true", 1, []bool{true}},
		"clientId":     {5, []string{"agent-c1"}, "agent-c1\x00"},
		"aud":          {5, []any{"a", 1}, map[string]any{}},
	} {
		for i, value := range values {
			claimed(fmt.Sprintf("%s %d", claim, i), illTyped(claim), jwt.MapClaims{claim: value})
		}
	}
	twice := func(name, reason, claims string) {
		token := sign(jwt.SigningMethodRS256, by.key, map[string]any{"kid": by.kid}, written(claims))
		all = append(all, bad{of + ", twice " + name, token, reason})
	}
	// Of repeated claims the last one counts.
	twice("iss", unverifiable, `{"iss":"`+issuer+`","iss":"x","iat":1,"exp":99999999999}`)
	twice("exp", expired, `{"iss":"`+issuer+`","iat":1,"exp":99999999999,"exp":1}`)
	twice("typ", notAllowed("ID"), `{"iss":"`+issuer+`","iat":1,"exp":99999999999,"typ":"Bearer","typ":"ID"}`)
	return all
}

// written is the claims' text as it is signed.
type written string

func (c written) Valid() error                 { return nil }
func (c written) MarshalJSON() ([]byte, error) { return []byte(c), nil }

// groups are routes of every kind, and none.
func groups() [][2]string {
	return [][2]string{
		{http.MethodGet, kafkas}, {http.MethodPost, kafkas}, {http.MethodDelete, kafkas + "/{id}"}, {http.MethodGet, api + "/service_accounts"},
		{http.MethodGet, cluster}, {http.MethodPut, cluster + "/status"}, {http.MethodHead, ""},
	}
}

func TestBadTokensAreRefusedOnEveryRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all, names := corpus(w), map[string]bool{}
	for _, c := range all {
		require.False(t, names[c.name], "%s twice", c.name)
		names[c.name] = true
		for _, route := range groups() {
			id, err := w.call(route[0], route[1], "c1", c.token)
			require.Zero(t, id, c.name)
			if apierr.From(err).Code != apierr.Unauthenticated || apierr.From(err).Reason != c.reason {
				t.Errorf("%s on %s %s: %v, expected %q", c.name, route[0], route[1], err, c.reason)
			}
		}
	}
	require.Greater(t, len(all), 250)
	t.Logf("%d tokens on %d routes", len(all), len(groups()))
	require.Zero(t, w.lookups.Load(), "no query for a token that is none")
	for _, by := range []*issuer{w.users, w.sso, w.admins} {
		require.LessOrEqual(t, by.downloads.Load(), int32(1))
	}
	_, err := w.call(http.MethodGet, kafkas, "", w.users.token(w.alice()))
	require.NoError(t, err, "bad tokens leave no trace")
	_, err = w.call(http.MethodGet, cluster, "c1", w.sso.token(w.agent("agent-c1")))
	require.NoError(t, err)
}

// No token may cost much more than a good one. Not parallel: it looks at the
// memory of the whole process.
func TestBadTokensCostLittle(t *testing.T) {
	w := newWorld(t)
	all := corpus(w)
	_, _ = w.call(http.MethodGet, kafkas, "", w.users.token(w.alice())) // the keys are there
	_, _ = w.call(http.MethodGet, cluster, "c1", w.sso.token(w.agent("agent-c1")))
	var mostBytes uint64
	var longest time.Duration
	for _, c := range all {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		took := time.Hour
		for range 3 { // the best of them: the machine has other work too
			began := time.Now()
			_, _ = w.call(http.MethodGet, kafkas, "", c.token)
			took = min(took, time.Since(began))
		}
		runtime.ReadMemStats(&after)
		bytes := (after.TotalAlloc - before.TotalAlloc) / 3
		require.Less(t, bytes, uint64(1<<20), c.name)
		mostBytes, longest = max(mostBytes, bytes), max(longest, took)
	}
	t.Logf("at most %d bytes and %s each", mostBytes, longest)
	require.Less(t, longest, 10*time.Millisecond)
}
