package httpx

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stay takes a place until the test is over.
func stay(t *testing.T, l *Limits, method string, by Caller) error {
	t.Helper()
	came := make(chan error, 1)
	go func() {
		came <- l.do(t.Context(), method, by, ready, func() {
			came <- nil
			<-t.Context().Done()
		})
	}()
	return <-came
}

// When an upstream hangs, so do the requests that wait for it, until their time is over. Nobody else may.
func TestWhoWaitsForAnUpstreamTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitConfig{ReadsInFlight: 1, WritesInFlight: 1})
	slow := Caller{Slow: true, Key: "one"}
	for range slowInFlight {
		require.NoError(t, stay(t, l, http.MethodGet, slow))
	}
	require.Error(t, stay(t, l, http.MethodGet, slow))
	for _, free := range []struct {
		method string
		by     Caller
	}{
		{http.MethodGet, Caller{Key: "one"}}, {http.MethodPost, Caller{Key: "one"}}, {http.MethodGet, Caller{Slow: true, Key: "two"}},
		{http.MethodGet, Caller{Agent: true, Key: "one"}},
	} {
		require.NoError(t, l.do(t.Context(), free.method, free.by, ready, func() {}), "%+v", free)
	}
}

// A request for metrics has four questions under way at a time, and the store is asked 64 by one replica: however
// many organisations ask, none has more than a quarter of that, and nobody waits for anything else.
func TestTheStoreOfMetricsIsShared(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitConfig{ReadsInFlight: 1, WritesInFlight: 1})
	ask := func(key string) error {
		return stay(t, l, http.MethodGet, Caller{Metrics: true, Key: key})
	}
	for _, key := range []string{"one", "two", "three", "four"} {
		for range 4 {
			require.NoError(t, ask(key))
		}
		require.Error(t, ask(key), "a quarter each")
	}
	require.Error(t, ask("five"), "all 64 questions are under way")
	for _, by := range []Caller{{Slow: true, Key: "one"}, {Key: "one"}} {
		require.NoError(t, stay(t, l, http.MethodGet, by))
	}
}

// Whatever customers and agents do, administrators get in, and one of them cannot keep the others out.
func TestAdministratorsHaveALaneOfTheirOwn(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, ReadRate: 0.001})
	for _, key := range []string{"one", "two", "three", "four"} {
		require.NoError(t, stay(t, l, http.MethodGet, Caller{Key: key}))
	}
	require.Error(t, stay(t, l, http.MethodGet, Caller{Key: "five"}))
	ask := func(key string) error {
		return stay(t, l, http.MethodGet, Caller{Admin: true, Key: key})
	}
	for range adminInFlight {
		require.NoError(t, ask("one"), "no rate is counted")
	}
	require.Error(t, ask("one"))
	require.NoError(t, ask("another"))
}

// What is refused costs its caller nothing, however many of its requests come at a time: it may go on when it
// is told to, and not hours later.
func TestWhoAsksTooFastMayGoOnSoon(t *testing.T) {
	t.Parallel()
	const perSecond = 10
	r := newRates(perSecond)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for range 20_000 {
				r.take("one")
			}
		})
	}
	asking.Wait()
	require.LessOrEqual(t, r.take("one"), time.Second/perSecond)
	require.Zero(t, r.take("another"))
}

func ready() error { return nil }
