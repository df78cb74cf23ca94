package broker

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v4"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// maxReply bounds what is read from the identity provider.
const maxReply = 1 << 20

// keySet is the identity provider of an instance: it grants tokens and its keys verify them.
type keySet struct {
	url    string
	client *http.Client
	mu     sync.Mutex
	keys   map[string]*rsa.PublicKey
}

func newKeySet(url string) *keySet {
	return &keySet{
		url: url,
		// No kept connections: logins are rare, and an instance that is gone must leave nothing open.
		client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
		keys:   map[string]*rsa.PublicKey{},
	}
}

// grant asks for a token with a client's own credentials.
func (s *keySet) grant(ctx context.Context, tokenURL, id string, secret log.Secret) (log.Secret, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret.Reveal()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	if err := s.ask(req, &reply); err != nil {
		return "", err
	}
	if reply.AccessToken == "" {
		return "", errors.New("reading reply: no token")
	}
	return log.Secret(reply.AccessToken), nil
}

// verify gives the claims of a token that the provider signed and that is valid now.
func (s *keySet) verify(ctx context.Context, token log.Secret, issuer string) (map[string]any, error) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}))
	_, err := parser.ParseWithClaims(token.Reveal(), claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return s.key(ctx, kid)
	})
	if err != nil {
		return nil, err
	}
	if !claims.VerifyExpiresAt(time.Now().Unix(), true) {
		return nil, errors.New("token has no end")
	}
	if issuer != "" && !claims.VerifyIssuer(issuer, true) {
		return nil, errors.New("token is of another issuer")
	}
	return claims, nil
}

// key looks a key up and fetches the set again when it is new.
func (s *keySet) key(ctx context.Context, kid string) (*rsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.keys[kid]; ok {
		return key, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct {
			Kty string `json:"kty"`
			Kid string `json:"kid"`
			N   string `json:"n"`
			E   string `json:"e"`
		} `json:"keys"`
	}
	if err := s.ask(req, &set); err != nil {
		return nil, fmt.Errorf("fetching keys: %w", err)
	}
	for _, k := range set.Keys {
		if k.Kty != "RSA" {
			continue
		}
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if err := errors.Join(errN, errE); err != nil {
			return nil, fmt.Errorf("reading keys: %w", err)
		}
		s.keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	if key, ok := s.keys[kid]; ok {
		return key, nil
	}
	return nil, errors.New("unknown key id")
}

// ask sends a request and decodes its JSON answer.
func (s *keySet) ask(req *http.Request, into any) error {
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(into)
}
