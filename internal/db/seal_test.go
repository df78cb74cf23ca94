package db_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

func keyLine(id, letter string) string {
	return id + ":" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))) + "\n"
}

func keyring(t *testing.T, text string) *db.Keyring {
	ring, err := db.ParseKeyring(text)
	require.NoError(t, err)
	return ring
}

func TestSealedValueOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	ring := keyring(t, "# comment\n\n"+keyLine("k1", "a"))
	sealed, err := ring.Seal("hunter2", "clusters", "client_secret", "c1")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(sealed, "v1:k1:"))
	require.NotContains(t, sealed, "hunter2")
	plain, err := ring.Open(sealed, "clusters", "client_secret", "c1")
	require.NoError(t, err)
	require.Equal(t, "hunter2", plain.Reveal())

	again, err := ring.Seal("hunter2", "clusters", "client_secret", "c1")
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "equal secrets must not look equal")

	for _, place := range [][3]string{{"kafka_requests", "client_secret", "c1"}, {"clusters", "other", "c1"}, {"clusters", "client_secret", "c2"}} {
		_, err := ring.Open(sealed, place[0], place[1], place[2])
		require.Error(t, err, place)
	}
	for _, broken := range []string{"hunter2", sealed[:len(sealed)-4], "v2" + sealed[2:], "v1:k1:", "v1:k1:AAAA", strings.Replace(sealed, "k1", "k9", 1)} {
		_, err := ring.Open(broken, "clusters", "client_secret", "c1")
		require.ErrorContains(t, err, "opening sealed clusters.client_secret of c1", broken)
	}
}

func TestEmptySecretStaysEmpty(t *testing.T) {
	t.Parallel()
	ring := keyring(t, keyLine("k1", "a"))
	sealed, err := ring.Seal("", "t", "c", "1")
	require.NoError(t, err)
	require.Empty(t, sealed)
	plain, err := ring.Open("", "t", "c", "1")
	require.NoError(t, err)
	require.Empty(t, plain)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old := keyring(t, keyLine("k1", "a"))
	sealed, err := old.Seal("hunter2", "t", "c", "1")
	require.NoError(t, err)

	both := keyring(t, keyLine("k2", "b")+keyLine("k1", "a"))
	plain, err := both.Open(sealed, "t", "c", "1")
	require.NoError(t, err)
	resealed, err := both.Seal(plain, "t", "c", "1")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(resealed, "v1:k2:"))

	next := keyring(t, keyLine("k2", "b"))
	_, err = next.Open(resealed, "t", "c", "1")
	require.NoError(t, err)
	_, err = next.Open(sealed, "t", "c", "1")
	require.ErrorContains(t, err, `no key "k1"`)
}

func TestKeyringProblemsNameTheLineAndNotTheKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "no key",
		"hunter2hunter2":                   "line 1",
		keyLine("k1", "a") + "k2:hunter2!": "line 2",
		"k1:" + base64.StdEncoding.EncodeToString([]byte("hunter2")): "7 bytes",
		keyLine("k1", "a") + keyLine("k1", "b"):                      "repeats",
	} {
		_, err := db.ParseKeyring(text)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
