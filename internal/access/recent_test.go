package access

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	r := newRecent[int, string](100)
	r.put(-1, "used")
	for i := range 10_000 {
		r.put(i, "once")
		value, ok := r.get(-1)
		require.True(t, ok)
		require.Equal(t, "used", value)
	}
	require.LessOrEqual(t, len(r.young)+len(r.old), 100)
	_, ok := r.get(0)
	require.False(t, ok)
	_, ok = r.get(9_999)
	require.True(t, ok)
}
