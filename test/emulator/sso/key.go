package sso

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
)

const keyBits = 2048

// pool holds one key per place in the list of realms for the whole process: a
// test binary makes hundreds of worlds, and making a key costs more than all
// the rest of one. Realms of one world never share a key.
var pool = [3]func() (*rsa.PrivateKey, error){
	sync.OnceValues(generate), sync.OnceValues(generate), sync.OnceValues(generate),
}

func generate() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, keyBits) }

func keyAt(i int) (*rsa.PrivateKey, error) {
	if i < len(pool) {
		return pool[i]()
	}
	return generate()
}

// keyID is a digest of the public key, so that it stays the same as long as the key does.
func keyID(key *rsa.PrivateKey) string {
	digest := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func jwks(key *rsa.PrivateKey, kid string) map[string]any {
	return map[string]any{"keys": []map[string]string{{
		"kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}}}
}

// SigningKeyPEM gives the realm's private key (PKCS #8), for callers that sign tokens of their own.
func (s *SSO) SigningKeyPEM(realm string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.realm(realm)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(r.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// SigningKID gives the id of the realm's key as the JWKS shows it; empty for an unknown realm.
func (s *SSO) SigningKID(realm string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.realm(realm)
	if err != nil {
		return ""
	}
	return r.kid
}
