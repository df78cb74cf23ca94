package access

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

const (
	maxKeys    = 32
	minKeyBits = 2048
	maxKeyBits = 8192 // verifying costs the square of the length
)

// keyMap holds the verification keys of an issuer by kid.
type keyMap map[string]*rsa.PublicKey

// parseKeys reads a JWKS document. Keys for other purposes than RSA signatures
// and unusable ones are skipped: one of them must not cost the others.
func parseKeys(raw []byte) (keyMap, error) {
	var document struct {
		Keys []struct {
			Kid string `json:"kid"`
			Kty string `json:"kty"`
			Use string `json:"use"`
			N   string `json:"n"`
			E   string `json:"e"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, fmt.Errorf("decoding keys: %w", err)
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("decoding keys: %d keys, more than %d", len(document.Keys), maxKeys)
	}
	keys := make(keyMap, len(document.Keys))
	for _, entry := range document.Keys {
		if entry.Kty != "RSA" || entry.Kid == "" || entry.Use == "enc" {
			continue
		}
		if key := publicKey(entry.N, entry.E); key != nil {
			keys[entry.Kid] = key
		}
	}
	return keys, nil
}

// publicKey gives nil for a key that is broken, too weak or too costly.
func publicKey(modulus, exponent string) *rsa.PublicKey {
	rawN, errN := base64.RawURLEncoding.DecodeString(modulus)
	rawE, errE := base64.RawURLEncoding.DecodeString(exponent)
	n, e := new(big.Int).SetBytes(rawN), new(big.Int).SetBytes(rawE)
	switch {
	case errN != nil, errE != nil, n.BitLen() < minKeyBits, n.BitLen() > maxKeyBits:
		return nil
	case e.BitLen() > 31, e.Int64() < 3, e.Bit(0) == 0:
		return nil
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}
}
