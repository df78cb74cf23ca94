package access_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// judged demands of any outcome that it is either a refusal that a client may
// read, or a caller of the one issuer whose key may sign for this route.
func judged(t *testing.T, w *world, id access.Identity, err error) {
	t.Helper()
	if err != nil {
		code := apierr.From(err).Code
		require.Contains(t, []apierr.Code{apierr.Unauthenticated, apierr.NotFound, apierr.Forbidden}, code)
		return
	}
	require.Equal(t, w.config.TokenIssuer, id.Issuer)
	require.NotEmpty(t, id.OrgID)
	require.NotEmpty(t, id.Username)
	require.NotContains(t, id.Username+id.OrgID+id.AccountID+id.ClientID, "\x00")
}

// FuzzAuthorizationHeader: no header lets anybody in unless it holds a token that
// the customers' issuer signed.
func FuzzAuthorizationHeader(f *testing.F) {
	w := newWorld(f)
	good := "Bearer " + w.users.token(w.alice())
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "bearer x", "Basic eA==", "Bearer a.b.c", "Bearer ..", "Bearer " + strings.Repeat(".", 8<<10),
		"Bearer " + raw(`{"alg":"none","kid":"user-key"}`, `{"iss":"x"}`, ""), "Bearer " + w.sso.token(w.alice()), "Bearer\ta.b.c", "\x00",
	} {
		f.Add(seed)
	}
	for i, c := range corpus(w) {
		if i%10 == 0 { // some of them; all are in the corpus test
			f.Add("Bearer " + c.token)
		}
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, kafkas, nil)
		r.Header["Authorization"] = []string{header}
		ctx, err := w.Authorize(r, kafkas)
		judged(t, w, access.From(ctx), err)
		if err == nil { // only what the issuer signed
			require.Equal(t, good, header)
		}
	})
}

// FuzzSignedToken: whatever an issuer signs, the reader of headers and claims
// refuses or understands it; it never panics.
func FuzzSignedToken(f *testing.F) {
	w := newWorld(f)
	issuer := `"iss":"` + w.config.TokenIssuer + `","iat":1,"exp":99999999999`
	for _, seed := range [][2]string{
		{`{"alg":"RS256","kid":"user-key"}`, `{` + issuer + `,"username":"alice","org_id":"1"}`},
		{`{"alg":"RS256","kid":"user-key"}`, `{` + issuer + `,"preferred_username":"alice","rh-org-id":13640203,"is_org_admin":true}`},
		{`{"alg":"RS256","kid":"user-key"}`, `{` + issuer + `,"username":null,"org_id":{}}`},
		{`{"alg":"RS256","kid":"user-key"}`, `{` + issuer + `,"typ":"ID","impersonated":"x","aud":[1]}`},
		{`{"alg":"RS256","kid":"user-key","typ":7}`, `{"iss":"x",` + issuer + `,"exp":1e999}`},
		{`{"alg":"RS256","kid":null,"crit":[]}`, `null`}, {`[]`, `[]`}, {`{"alg":["RS256"]}`, `{"iss":[]}`}, {"\xff", "\x00"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, content string) {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(content))
		sum := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(rand.Reader, w.users.key, crypto.SHA256, sum[:])
		require.NoError(t, err)
		id, err := w.call(http.MethodGet, kafkas, "", text+"."+base64.RawURLEncoding.EncodeToString(signature))
		judged(t, w, id, err)
	})
}

// FuzzKeys: a key document is refused, or gives at most 32 keys that are fit for use.
func FuzzKeys(f *testing.F) {
	good := jwks(map[string]*rsa.PrivateKey{"good": keys()[0]})
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, `"AQAB"`, `""`, 1)))
	f.Add([]byte(strings.Replace(good, `"RSA"`, `"EC"`, 1)))
	f.Add([]byte(`{"keys":[{"kid":7}]}`))
	f.Add([]byte(`{"keys":{}}`))
	f.Add([]byte(`{"keys":[` + strings.Repeat(`{},`, 40) + `{}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		count, err := access.ParseKeys(document)
		require.LessOrEqual(t, count, 32)
		if err != nil {
			require.Zero(t, count)
		}
	})
}
