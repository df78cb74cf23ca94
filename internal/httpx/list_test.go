package httpx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

func TestParseList(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page, size string
		want       httpx.List
		reason     string
	}{
		"absent":            {"", "", httpx.List{Page: 1, Size: 100}, ""},
		"given":             {"3", "10", httpx.List{Page: 3, Size: 10, Offset: 20}, ""},
		"page 0":            {"0", "", httpx.List{Page: 0, Size: 100}, ""},
		"largest page":      {"2147483647", "1", httpx.List{Page: 2147483647, Size: 1, Offset: 2147483646}, ""},
		"page of int64":     {"4294967298", "", httpx.List{}, "page is too large"},
		"page of no type":   {"99999999999999999999", "", httpx.List{}, "page is too large"},
		"page negative":     {"-1", "", httpx.List{}, "page must be equal or greater than 0"},
		"page far negative": {"-99999999999999999999", "", httpx.List{}, "page must be equal or greater than 0"},
		"page junk":         {"one", "", httpx.List{}, "page must be a number"},
		"size 0":            {"", "0", httpx.List{}, "size must be equal or greater than 1"},
		"size of all":       {"", "-1", httpx.List{Page: 1, Size: 1000}, ""},
		"size far negative": {"2", "-99999999999999999999", httpx.List{Page: 2, Size: 1000, Offset: 1000}, ""},
		"size junk":         {"", "1x", httpx.List{}, "size must be equal or greater than 1"},
		"size cut":          {"2", "65500", httpx.List{Page: 2, Size: 1000, Offset: 1000}, ""},
		"size overflow":     {"", "99999999999999999999", httpx.List{Page: 1, Size: 1000}, ""},
	} {
		got, err := httpx.ParseList("unable to list kafka requests", c.page, c.size)
		if c.reason != "" {
			require.True(t, apierr.Is(err, apierr.Malformed), name)
			require.Equal(t, "unable to list kafka requests: "+c.reason, apierr.From(err).Reason, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	page, size, total := httpx.List{Page: 2, Size: 100, Offset: 100}.Echo(150)
	require.Equal(t, []int32{2, 100, 150}, []int32{page, size, total})
	_, size, total = httpx.List{Page: 1, Size: 100}.Echo(0)
	require.Equal(t, []int32{0, 0}, []int32{size, total})
}
