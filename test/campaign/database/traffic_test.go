package database

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// traffic is customers who go on calling whatever happens, and what they were told.
type traffic struct {
	w       *harness.World
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	answers []answer
	ordered []string // ids of accepted orders
}

// answer is one reply.
type answer struct {
	what     string
	sent     time.Time
	took     time.Duration
	status   int
	code     string
	accepted string
}

func (a answer) failed() bool { return a.status >= http.StatusInternalServerError }

func (a answer) String() string {
	return fmt.Sprintf("%s answered %d %s after %s", a.what, a.status, a.code, a.took)
}

// callers is how many customers call at a time: more than a pool has connections
// where each call takes long.
const (
	callers = 16
	pause   = 40 * time.Millisecond
)

// begin lets customers call all replicas in turn until stop is called. As many of
// them as there are steady instances only write, each to its own; the others read,
// and order now and then.
func begin(t *testing.T, w *harness.World, seed uint64, steady []string) *traffic {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	f := &traffic{w: w, end: end}
	for i := range callers {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		replica := w.Replica(i % replicas)
		alice := replica.As(harness.Alice)
		f.running.Go(func() {
			ticker := time.NewTicker(pause)
			defer ticker.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				r := f.next(random, fmt.Sprintf("kafka-%d-%d", i, n))
				if i < len(steady) {
					r = request{http.MethodPatch, "/kafkas/" + steady[i], map[string]any{"reauthentication_enabled": n%2 == 0}}
				}
				f.call(ctx, alice, r)
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
	}
	return f
}

// most is how many instances the customers order in one outage.
const most = 8

type request struct {
	method, path string
	body         any
}

func (f *traffic) next(random *rand.Rand, name string) request {
	if random.IntN(24) == 0 && len(f.accepted()) < most {
		return request{http.MethodPost, "/kafkas?async=true", harness.Order{Name: name}}
	}
	return request{http.MethodGet, "/kafkas?" + harness.Query("search", "name = "+name), nil}
}

func (f *traffic) call(ctx context.Context, c *harness.Caller, r request) {
	a := answer{what: r.method, sent: time.Now()}
	reply, err := c.Try(context.WithoutCancel(ctx), r.method, r.path, r.body)
	a.took = time.Since(a.sent)
	a.status, a.code = reply.Status, reply.Error().Code
	if err != nil {
		a.status, a.code = http.StatusGatewayTimeout, err.Error()
	}
	if a.what == http.MethodPost && a.status == http.StatusAccepted {
		var k harness.Kafka
		reply.Into(&k)
		a.accepted = k.ID
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = append(f.answers, a)
	if a.accepted != "" {
		f.ordered = append(f.ordered, a.accepted)
	}
}

func (f *traffic) stop() {
	f.end()
	f.running.Wait()
}

func (f *traffic) accepted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.ordered...)
}

func (f *traffic) count(which func(answer) bool) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.answers {
		if which(a) {
			n++
		}
	}
	return n
}

// since counts successes of calls that were made after a moment.
func (f *traffic) since(at time.Time, failed bool) int {
	return f.count(func(a answer) bool { return a.sent.After(at) && a.failed() == failed })
}

// well tells whether so many calls that were made since then were all successes at
// the end, writes among them: no connection that is left can only fail.
func (f *traffic) well(since time.Time, streak int) (bool, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	writes := 0
	for i := range streak {
		n := len(f.answers) - 1 - i
		if n < 0 || !f.answers[n].sent.After(since) || f.answers[n].failed() {
			return false, fmt.Sprintf("a streak of %d", i)
		}
		if f.answers[n].what == http.MethodPatch {
			writes++
		}
	}
	return writes >= streak/8, fmt.Sprintf("%d writes", writes)
}

// flows waits until so many calls that were made from now on have succeeded.
func (f *traffic) flows(n int) {
	from := time.Now()
	f.w.Until("calls that succeed", func() (bool, string) { got := f.since(from, false); return got >= n, strconv.Itoa(got) })
}

// usual is how long nine of ten calls took at most, so far.
func (f *traffic) usual() time.Duration {
	took := f.times()
	return took[len(took)*9/10]
}

func (f *traffic) longest() time.Duration {
	took := f.times()
	return took[len(took)-1]
}

func (f *traffic) times() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	took := make([]time.Duration, 0, len(f.answers))
	for _, a := range f.answers {
		took = append(took, a.took)
	}
	slices.Sort(took)
	return took
}

// judge holds every answer of an outage against what is promised.
func (f *traffic) judge(t *testing.T, bound time.Duration, over time.Time) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.answers {
		require.LessOrEqual(t, a.took, bound, "%s", a)
		if a.failed() {
			require.Equal(t, http.StatusInternalServerError, a.status, "%s", a)
			require.Equal(t, "KAFKAS-MGMT-9", a.code, "%s", a)
			require.False(t, a.sent.After(over), "%s, sent %s after the service was to be well again", a, a.sent.Sub(over))
		}
	}
}
