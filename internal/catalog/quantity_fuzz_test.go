package catalog_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
)

// FuzzQuantity: what is taken for an amount keeps its text, is the same amount
// when that text is read again, and is nothing only where the text says so.
func FuzzQuantity(f *testing.F) {
	for _, seed := range []string{"", "10Mi", "1Gi", "-5", "1e3", "1E", "0.5Ki", "1.1", "9223372036854775808", "1e19", "+1", "0x10", "1 Gi", "1n", "[1]", "~", "1e1000", "1e99", "9E"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var q, again catalog.Quantity
		if yaml.Unmarshal([]byte(text), &q) != nil || q == (catalog.Quantity{}) {
			return
		}
		raw, err := yaml.Marshal(q.Text)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(raw, &again))
		require.Equal(t, q, again)
		digits := q.Text[:len(q.Text)-len(strings.TrimLeft(q.Text, "+.0123456789"))]
		require.Equal(t, strings.ContainsAny(digits, "123456789"), q.Bytes > 0, "%q is %d bytes", q.Text, q.Bytes)
	})
}
