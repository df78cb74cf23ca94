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

// visitors hold places of a lane until they are told to leave.
type visitors struct {
	*lane
	mu     sync.Mutex
	inside map[string][]chan<- chan<- struct{} // each is told where to say that it has left
}

func visit(t *testing.T, l *lane) *visitors {
	t.Helper()
	v := &visitors{lane: l, inside: map[string][]chan<- chan<- struct{}{}}
	t.Cleanup(func() { // nobody waits any more
		for key, all := range v.inside {
			for range all {
				v.leave(key)
			}
		}
	})
	return v
}

// enter waits for a turn, which lasts until somebody of the tenant leaves, and tells whether it came.
func (v *visitors) enter(ctx context.Context, key string, patience time.Duration) bool {
	came := make(chan bool, 1)
	go func() {
		var left chan<- struct{}
		if !v.do(ctx, key, patience, func() {
			end := make(chan chan<- struct{})
			v.mu.Lock()
			v.inside[key] = append(v.inside[key], end)
			v.mu.Unlock()
			came <- true
			left = <-end
		}) {
			came <- false
			return
		}
		close(left)
	}()
	return <-came
}

// leave ends the tenant's oldest turn, and comes back when its place was passed on.
func (v *visitors) leave(key string) {
	v.mu.Lock()
	end := v.inside[key][0]
	v.inside[key] = v.inside[key][1:]
	v.mu.Unlock()
	left := make(chan struct{})
	end <- left
	<-left
}

// queueUp starts a request that has to wait, and gives the channel that closes when its turn comes.
func queueUp(t *testing.T, l *visitors, key string) <-chan struct{} {
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
	l := visit(t, newLane("reads", 3, 2, 10))
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
	l := visit(t, newLane("reads", 2, 2, 10))
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
	l.serving = 1
	came := make(chan bool, 1)
	const patience = 200 * time.Millisecond
	go func() { came <- l.do(t.Context(), "b", patience, func() {}) }()
	require.Eventually(t, func() bool { _, waiting := l.count(); return waiting == 1 }, long, time.Millisecond)
	l.mu.Lock()
	<-time.After(2 * patience) // it cannot give up its place now
	l.serving--
	next := l.callNext()
	l.mu.Unlock()
	go l.serve(next)
	require.True(t, <-came)
	require.Zero(t, l.serving)
}

func TestNobodyWaitsForEver(t *testing.T) {
	t.Parallel()
	l := visit(t, newLane("writes", 1, 1, 1))
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

// Who has the reply may ask again at once, and finds the place free.
func TestAPlaceIsFreeBeforeTheReplyLeaves(t *testing.T) {
	t.Parallel()
	l := visit(t, newLane("reads", 1, 1, 1))
	require.True(t, l.enter(t.Context(), "a", 0))
	working, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		l.do(t.Context(), "a", long, func() {
			l.lane.mu.Lock() // the place cannot be passed on now
			close(working)
		})
	}()
	require.Eventually(t, func() bool { _, waiting := l.count(); return waiting == 1 }, long, time.Millisecond)
	l.leave("a")
	<-working
	early := came(over)
	l.lane.mu.Unlock()
	require.False(t, early)
	wait(t, over)
	require.Zero(t, l.serving)
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
				served := false
				came := l.do(context.Background(), key, patience, func() {
					mu.Lock()
					inside[key]++
					total++
					most, mostTotal = max(most, inside[key]), max(mostTotal, total)
					mu.Unlock()
					mu.Lock()
					served = true
					inside[key]--
					total--
					mu.Unlock()
				})
				if came != served {
					t.Errorf("told %t, served %t", came, served)
				}
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
	ask := func(method string, by Caller) error { return l.do(t.Context(), method, by, ready, func() {}) }
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
