package db

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	sealVersion = "v1"
	keySize     = 32
)

// Keyring seals secret columns with AES-256-GCM. Its first key seals and every
// key opens, so a new key goes in front, rows are sealed again, and then the old
// key leaves. A sealed text is bound to its table, column and row: copied to
// another place it does not open.
type Keyring struct {
	first string
	keys  map[string]cipher.AEAD
}

// ParseKeyring reads lines "key id:base64 of 32 bytes". Empty lines and lines
// that begin with # are skipped.
func ParseKeyring(text string) (*Keyring, error) {
	ring := &Keyring{keys: map[string]cipher.AEAD{}}
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, encoded, found := strings.Cut(line, ":")
		if !found || id == "" {
			return nil, fmt.Errorf("reading keyring: line %d is not \"key id:base64\"", number+1)
		}
		if _, twice := ring.keys[id]; twice {
			return nil, fmt.Errorf("reading keyring: line %d repeats key id %q", number+1, id)
		}
		aead, err := newAEAD(encoded)
		if err != nil {
			return nil, fmt.Errorf("reading keyring: line %d, key %q: %w", number+1, id, err)
		}
		if ring.first == "" {
			ring.first = id
		}
		ring.keys[id] = aead
	}
	if ring.first == "" {
		return nil, errors.New("reading keyring: it holds no key")
	}
	return ring, nil
}

func newAEAD(encoded string) (cipher.AEAD, error) {
	// The decoder's error would quote a character of the key.
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return nil, errors.New("not base64")
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%d bytes instead of %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.New("not an AES key")
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal encrypts the value for one place. The empty value stays empty.
func (k *Keyring) Seal(plain log.Secret, table, column, id string) (string, error) {
	if plain == "" {
		return "", nil
	}
	sealed := k.keys[k.first].Seal(nil, nil, []byte(plain.Reveal()), place(table, column, id)) //nolint:gosec // this AEAD makes its nonce itself
	return sealVersion + ":" + k.first + ":" + base64.StdEncoding.EncodeToString(sealed), nil
}

// Open decrypts a value that was sealed for that place.
func (k *Keyring) Open(sealed, table, column, id string) (log.Secret, error) {
	if sealed == "" {
		return "", nil
	}
	plain, err := k.open(sealed, place(table, column, id))
	if err != nil {
		return "", fmt.Errorf("opening sealed %s.%s of %s: %w", table, column, id, err)
	}
	return log.Secret(plain), nil
}

func (k *Keyring) open(sealed string, where []byte) ([]byte, error) {
	parts := strings.Split(sealed, ":")
	if len(parts) != 3 || parts[0] != sealVersion {
		return nil, errors.New("not a sealed text")
	}
	aead, known := k.keys[parts[1]]
	if !known {
		return nil, fmt.Errorf("the keyring has no key %q", parts[1])
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, errors.New("not a sealed text")
	}
	plain, err := aead.Open(nil, nil, raw, where)
	if err != nil {
		return nil, errors.New("wrong key, wrong place or changed text")
	}
	return plain, nil
}

func place(table, column, id string) []byte { return []byte(table + "|" + column + "|" + id) }
