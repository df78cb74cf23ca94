package cluster

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzVersion: what is taken for a version has a place in one total order.
func FuzzVersion(f *testing.F) {
	for _, seed := range [][3]string{
		{"2.7.0", "v2.7", "2.7.0+build"}, {"1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-1.x"}, {"", "v", "1..2"}, {"1.0.0-01", "1.0.0-1", "1.0.0-0x1"},
		{"999999999999999999.0.0", "1000000000000000000", "1.0.0-99999999999999999999"}, {"1-...", "1--", "1+."},
		{"strimzi-cluster-operator.v0.23.0-4", "strimzi-cluster-operator.v0.23.0-0", "x.1.2.3-4.5.6-7"}, {"1.2.3-4\n", "\xff", "１.２"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, parse := range []func(string) (version, bool){parseVersion, parseOperator} {
			x, okX := parse(a)
			y, okY := parse(b)
			z, okZ := parse(c)
			if !okX || !okY {
				continue
			}
			require.NotContains(t, a, "\x00")
			require.Zero(t, x.compare(x))
			require.Equal(t, x.compare(y), -y.compare(x))
			if okZ && x.compare(y) <= 0 && y.compare(z) <= 0 {
				require.LessOrEqual(t, x.compare(z), 0, "%q <= %q <= %q", a, b, c)
			}
		}
		require.False(t, func() bool { _, ok := parseOperator(strings.Repeat("x", 254) + a); return ok }(), "no name is so long")
	})
}
