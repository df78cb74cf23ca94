package httpx

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

const long = 10 * time.Second

// queueUp starts a request that has to wait, and gives the channel that closes when its turn comes.
func queueUp(t *testing.T, l *lane, key string) <-chan struct{} {
	t.Helper()
	_, before := l.count()
	came := make(chan struct{})
	go func() {
		if l.enter(t.Context(), key, long) {
			close(came)
		}
	}()
	require.Eventually(t, func() bool { _, waiting := l.count(); return waiting == before+1 }, long, time.Millisecond)
	return came
}

func wait(t *testing.T, turn <-chan struct{}) {
	t.Helper()
	select {
	case <-turn:
	case <-time.After(long):
		require.Fail(t, "the turn did not come")
	}
}

func came(turn <-chan struct{}) bool {
	select {
	case <-turn:
		return true
	case <-time.After(20 * time.Millisecond): // long enough for a mistake to show up now and then
		return false
	}
}

func TestOneTenantsFloodDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	l := newLane("reads", 3, 2, 10)
	require.True(t, l.enter(t.Context(), "flood", 0))
	require.True(t, l.enter(t.Context(), "flood", 0))
	third, fourth, fifth := queueUp(t, l, "flood"), queueUp(t, l, "flood"), queueUp(t, l, "flood")
	require.False(t, came(third), "there is room in the lane, not for this tenant")
	require.True(t, l.enter(t.Context(), "calm", 0), "and there it is for another")
	calm := queueUp(t, l, "calm")

	l.leave("flood")
	wait(t, calm) // came last, and is served first: tenants take turns
	require.False(t, came(third))
	l.leave("flood")
	wait(t, third)
	l.leave("calm")
	wait(t, fourth)
	l.leave("flood")
	wait(t, fifth)
	for _, key := range []string{"flood", "flood", "calm"} {
		l.leave(key)
	}
	require.Empty(t, l.tenants)
	require.Zero(t, l.serving+l.waiting+l.ready.Len())
}

func TestTenantsTakeTurns(t *testing.T) {
	t.Parallel()
	l := newLane("reads", 2, 2, 10)
	require.True(t, l.enter(t.Context(), "flood", 0))
	require.True(t, l.enter(t.Context(), "flood", 0))
	calm := []<-chan struct{}{queueUp(t, l, "calm"), queueUp(t, l, "calm")}
	flood := []<-chan struct{}{queueUp(t, l, "flood"), queueUp(t, l, "flood")}
	for i, next := range []<-chan struct{}{calm[0], flood[0], calm[1], flood[1]} {
		l.leave([]string{"flood", "flood", "calm", "flood"}[i])
		wait(t, next)
	}
}

// Patience ends, and the turn comes before the waiting one has noticed.
func TestATurnThatComesAtTheLastMomentCounts(t *testing.T) {
	t.Parallel()
	l := newLane("reads", 1, 1, 10)
	require.True(t, l.enter(t.Context(), "a", 0))
	entered := make(chan bool, 1)
	const patience = 200 * time.Millisecond
	go func() { entered <- l.enter(t.Context(), "b", patience) }()
	require.Eventually(t, func() bool { _, waiting := l.count(); return waiting == 1 }, long, time.Millisecond)
	l.mu.Lock()
	<-time.After(2 * patience) // it cannot give up its place now
	l.serving--
	l.tenants["a"].serving--
	l.serveNext()
	l.mu.Unlock()
	require.True(t, <-entered)
}

func TestNobodyWaitsForEver(t *testing.T) {
	t.Parallel()
	l := newLane("writes", 1, 1, 1)
	require.True(t, l.enter(t.Context(), "a", 0))
	require.False(t, l.enter(t.Context(), "b", time.Millisecond), "patience")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, l.enter(gone, "b", long), "the client went away")
	waits := queueUp(t, l, "a")
	require.False(t, l.enter(t.Context(), "a", long), "the queue is full")
	l.leave("a")
	wait(t, waits)
	l.leave("a")
	require.Empty(t, l.tenants)
}

// However requests come, go and give up: the bounds hold, and in the end nothing is left.
func TestALaneKeepsItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 5).Draw(t, "capacity")
		share := rapid.IntRange(1, capacity).Draw(t, "share")
		l := newLane("reads", capacity, share, 3)
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 40).Draw(t, "keys")
		patience := rapid.SampledFrom([]time.Duration{0, time.Microsecond, time.Second}).Draw(t, "patience")
		var mu sync.Mutex
		inside, most, total, mostTotal := map[string]int{}, 0, 0, 0
		var all sync.WaitGroup
		for _, key := range keys {
			all.Go(func() {
				if !l.enter(context.Background(), key, patience) {
					return
				}
				mu.Lock()
				inside[key]++
				total++
				most, mostTotal = max(most, inside[key]), max(mostTotal, total)
				mu.Unlock()
				mu.Lock()
				inside[key]--
				total--
				mu.Unlock()
				l.leave(key)
			})
		}
		all.Wait()
		require.LessOrEqual(t, most, share)
		require.LessOrEqual(t, mostTotal, capacity)
		require.Empty(t, l.tenants)
		require.Zero(t, l.serving+l.waiting+l.ready.Len())
	})
}

func TestRatesAreCountedForEachCaller(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitConfig{ReadsInFlight: 100, WritesInFlight: 100, ReadRate: 0.5})
	ask := func(method string, by Caller) error {
		leave, err := l.enter(t.Context(), method, by, ready)
		if err == nil {
			leave()
		}
		return err
	}
	for range 5 {
		require.NoError(t, ask("GET", Caller{Key: "org1"}))
	}
	err := ask("GET", Caller{Key: "org1"})
	require.True(t, apierr.Is(err, apierr.TooManyRequests))
	var patient interface{ RetryAfter() time.Duration }
	require.ErrorAs(t, err, &patient)
	require.Positive(t, patient.RetryAfter())
	require.LessOrEqual(t, patient.RetryAfter(), 2*time.Second, "when the next one would pass")
	require.NoError(t, ask("GET", Caller{Key: "org2"}))
	require.NoError(t, ask("POST", Caller{Key: "org1"}), "writes have a rate of their own")
	require.NoError(t, ask("GET", Caller{Key: "org1", Agent: true}))
}
