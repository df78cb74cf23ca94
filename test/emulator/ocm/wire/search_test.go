package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	row := map[string]string{"name": "o'neil", "id": "1"}
	for text, want := range map[string]bool{
		"":                                  true,
		"name = 'o''neil'":                  true,
		"name='o''neil'":                    true,
		"name = 'o''neil' and id = '1'":     true,
		"name = 'o''neil' AND id = '2'":     false,
		"id = '2' or name = 'o''neil'":      true,
		"id = '2' or id = '3'":              false,
		"name = 'x'' or ''1'' = ''1'":       false,
		"name = 'x' and id = 'y' or id='1'": true,
	} {
		search, err := wire.ParseSearch(text, "name", "id")
		require.NoError(t, err, text)
		require.Equal(t, want, search.Matches(row), text)
	}
	for _, text := range []string{"name", "name = x", "name = 'x", "other = 'x'", "name = 'x' xor id = '1'", "name = 'x' and", "name = 'x''"} {
		_, err := wire.ParseSearch(text, "name", "id")
		require.Error(t, err, text)
	}
}
