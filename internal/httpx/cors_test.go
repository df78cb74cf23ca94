package httpx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"simple preflight":   {[]string{"Access-Control-Request-Method", "GET"}, 200},
		"patch":              {[]string{"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization, content-type"}, 200},
		"standard header":    {[]string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "Accept-Language"}, 200},
		"no method asked":    {nil, 400},
		"method not allowed": {[]string{"Access-Control-Request-Method", "PUT"}, 405},
		"header not allowed": {[]string{"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "X-Own"}, 403},
	} {
		headers := append([]string{"Origin", "https://console.example.test", "Authorization", ""}, c.headers...)
		got := e.send("OPTIONS", base+"/kafkas/k1", nil, headers...)
		require.Equal(t, c.status, got.StatusCode, name)
		require.NotEmpty(t, got.Header.Get("X-Operation-ID"))
		if c.status == 200 {
			require.Equal(t, "*", got.Header.Get("Access-Control-Allow-Origin"), name)
			require.Equal(t, "600", got.Header.Get("Access-Control-Max-Age"), name)
			require.Empty(t, got.Header.Get("Access-Control-Allow-Credentials"))
		}
	}
	got := e.send("GET", base+"/kafkas/k1", nil, "Origin", "https://console.example.test")
	require.Equal(t, "*", got.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "X-Operation-Id,Etag,Retry-After", got.Header.Get("Access-Control-Expose-Headers"))
	require.Empty(t, e.send("GET", base+"/kafkas/k1", nil).Header.Get("Access-Control-Allow-Origin"))
	got = e.send("GET", base+"/kafkas/k1", nil, "Origin", "https://x.example.test", "Authorization", "")
	require.Equal(t, "*", got.Header.Get("Access-Control-Allow-Origin"), "a browser may read the refusal")
	e.refused(got, 401, apierr.Unauthenticated)
}
