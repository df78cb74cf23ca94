package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func names(versions ...string) []VersionName {
	out := []VersionName{}
	for _, v := range versions {
		out = append(out, VersionName{Version: v})
	}
	return out
}

func TestVersionsAreOrderedByValue(t *testing.T) {
	t.Parallel()
	got := names("2.10.0", "2.7", "2.7.1", "v2.8.0", "2.8.0-rc.10", "2.8.0-rc.2", "2.8.0-rc", "2.8.0+b", "2.8.0+a", "2.8.0-1", "3")
	sortVersions(got)
	require.Equal(t, names("2.7", "2.7.1", "2.8.0-1", "2.8.0-rc", "2.8.0-rc.2", "2.8.0-rc.10", "v2.8.0", "2.8.0+a", "2.8.0+b", "2.10.0", "3"), got)
}

func TestOperatorsAreOrderedByTheVersionAtTheEnd(t *testing.T) {
	t.Parallel()
	got := StrimziVersions{{Version: "a.v0.23.0-10"}, {Version: "z.v0.23.0-9"}, {Version: "strimzi-cluster-operator.v0.9.0-1"}, {Version: "1.0.0-0"}}
	sortOperators(got)
	require.Equal(t, StrimziVersions{{Version: "strimzi-cluster-operator.v0.9.0-1"}, {Version: "z.v0.23.0-9"}, {Version: "a.v0.23.0-10"}, {Version: "1.0.0-0"}}, got)
}

func TestWhatIsNoVersion(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "1.2.3.4", "1..2", "-1", "1.2.3-", "1.2.3+", " 1.2", "1.2\n", "99999999999999999999"} {
		_, ok := parseVersion(text)
		require.False(t, ok, text)
	}
	for _, text := range []string{"", "0.23.0", "strimzi", "strimzi.v0.23.0-4-x", "strimzi v0.23.0-4", "\x00v0.23.0-4", "v0.23.0-99999999999999999999999999999999999999999999999999999999999999999"} {
		_, ok := parseOperator(text)
		require.False(t, ok, text)
	}
}

// TestOrderDoesNotDependOnTheInput: the same set always gives the same list, so
// that an unchanged report is seen to be one.
func TestOrderDoesNotDependOnTheInput(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`v?[0-9]{1,2}(\.[0-9]{1,2}){0,2}(-[0-9a-z]{1,2}(\.[0-9a-z]{1,2})?)?(\+[a-z])?`)
	rapid.Check(t, func(r *rapid.T) {
		some := rapid.SliceOfN(text, 0, 8).Draw(r, "versions")
		one, other := names(some...), names(rapid.Permutation(some).Draw(r, "shuffled")...)
		sortVersions(one)
		sortVersions(other)
		require.Equal(r, one, other)
	})
}
