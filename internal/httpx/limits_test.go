package httpx

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// When an upstream hangs, so do the requests that wait for it, until their time is over. Nobody else may.
func TestWhoWaitsForAnUpstreamTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitConfig{ReadsInFlight: 1, WritesInFlight: 1})
	slow := Caller{Slow: true, Key: "one"}
	for range slowInFlight {
		_, err := l.enter(t.Context(), http.MethodGet, slow, ready)
		require.NoError(t, err)
	}
	_, err := l.enter(t.Context(), http.MethodGet, slow, ready)
	require.Error(t, err)
	for _, free := range []struct {
		method string
		by     Caller
	}{
		{http.MethodGet, Caller{Key: "one"}}, {http.MethodPost, Caller{Key: "one"}}, {http.MethodGet, Caller{Slow: true, Key: "two"}},
		{http.MethodGet, Caller{Agent: true, Key: "one"}},
	} {
		leave, err := l.enter(t.Context(), free.method, free.by, ready)
		require.NoError(t, err, "%+v", free)
		leave()
	}
}

func ready() error { return nil }
