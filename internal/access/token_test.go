package access_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

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
