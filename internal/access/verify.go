package access

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
)

const (
	maxToken      = 8 << 10
	tokensInCache = 4096
	cookieName    = "cs_jwt"
)

// The client chooses the algorithm of its token, so only those are taken for
// which an RSA public key cannot be abused as a shared secret.
var algorithms = map[string]bool{
	"RS256": true, "RS384": true, "RS512": true, "PS256": true, "PS384": true, "PS512": true,
}

// verifier tells who sent a token.
type verifier struct {
	issuers map[string]*keySet // by claim iss
	names   ClaimNames
	now     clock.Clock
	seen    *recent[[sha256.Size]byte, caller]
}

// caller is a verified token, with what is needed to trust it again.
type caller struct {
	Identity

	audiences []string
	expires   float64
	kid       string
	key       *rsa.PublicKey
}

// bearer takes the token out of a request.
func bearer(r *http.Request, cookies bool) (string, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		if cookies {
			if cookie, err := r.Cookie(cookieName); err == nil && cookie.Value != "" {
				return cookie.Value, nil
			}
		}
		return "", unauthenticated("Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie")
	}
	scheme, token, ok := strings.Cut(header, " ")
	// Of two headers, a proxy before us may have looked at the other one.
	if token = strings.TrimSpace(token); !ok || token == "" || len(r.Header.Values("Authorization")) > 1 {
		return "", unauthenticated("Authorization header is malformed")
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", unauthenticated("Authentication type isn't supported, use Bearer")
	}
	return token, nil
}

// verify checks a token and reads its caller.
func (v *verifier) verify(ctx context.Context, raw string) (caller, error) {
	// Counted before anything is split or decoded: parsing must not cost more than the token is worth.
	if len(raw) > maxToken || strings.Count(raw, ".") != 2 {
		return caller{}, unauthenticated("Bearer token is malformed")
	}
	now := v.now()
	sum := sha256.Sum256([]byte(raw))
	if known, ok := v.seen.get(sum); ok && v.still(known, now) {
		return known, nil
	}
	content := &claims{now: now}
	var fresh caller
	_, err := new(jwt.Parser).ParseWithClaims(raw, content, func(token *jwt.Token) (any, error) {
		var err error
		fresh.kid, fresh.key, err = v.key(ctx, token.Header, content)
		return fresh.key, err
	})
	if err != nil {
		return caller{}, refusal(err)
	}
	if fresh.Identity, err = content.identity(v.names); err != nil {
		return caller{}, err
	}
	if fresh.audiences, err = content.audiences(); err != nil {
		return caller{}, err
	}
	fresh.expires, _, _ = content.number("exp")
	v.seen.put(sum, fresh)
	return fresh, nil
}

// still tells whether a token that was good is so yet: its issuer may have withdrawn the key.
func (v *verifier) still(known caller, now time.Time) bool {
	key := v.issuers[known.Issuer].known(known.kid)
	same := key != nil && (key == known.key || key.Equal(known.key)) // a new download of the same keys makes new pointers
	return same && float64(now.UnixMicro())/1e6 < known.expires
}

// key chooses the key that must have signed a token: by the issuer that the token
// names, then by kid among that issuer's keys only. Keys and their addresses that
// a header brings along (jwk, jku, x5c, x5u) are never looked at.
func (v *verifier) key(ctx context.Context, header map[string]any, content *claims) (string, *rsa.PublicKey, error) {
	issuer, err := content.text("iss")
	if err != nil {
		return "", nil, err
	}
	kid, _ := header["kid"].(string)
	_, critical := header["crit"] // demands extensions, of which none is known here
	set := v.issuers[issuer]
	if set == nil || kid == "" || critical {
		return "", nil, errors.New("no known issuer and key named")
	}
	if algorithm, _ := header["alg"].(string); !algorithms[algorithm] {
		return "", nil, jwt.NewValidationError("signature algorithm is not allowed", jwt.ValidationErrorSignatureInvalid)
	}
	key := set.find(ctx, kid)
	if key == nil {
		return "", nil, errors.New("issuer has no such key")
	}
	return kid, key, nil
}

// refusal says what is wrong with a token in the words that clients know.
func refusal(err error) error {
	var found *apierr.Error
	if errors.As(err, &found) {
		return found
	}
	reason := "Bearer token isn't valid"
	var invalid *jwt.ValidationError
	if errors.As(err, &invalid) {
		switch {
		case invalid.Errors&jwt.ValidationErrorMalformed != 0:
			reason = "Bearer token is malformed"
		case invalid.Errors&jwt.ValidationErrorUnverifiable != 0:
			reason = "Bearer token can't be verified"
		case invalid.Errors&jwt.ValidationErrorSignatureInvalid != 0:
			reason = "Signature of bearer token isn't valid"
		}
	}
	return apierr.Wrap(apierr.Unauthenticated, err, reason)
}
