package database

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// tick is the safety net under the notifications, as these campaigns set it.
const tick = 700 * time.Millisecond

// losses are the ways in which wake-ups go astray. Each gives a function that
// tells how often it happened, and ends with the context.
var losses = []struct {
	name  string
	begin func(ctx context.Context, p *faultproxy.Proxy, running *sync.WaitGroup) (lost func() int)
}{
	{"on their way to the listeners", func(_ context.Context, p *faultproxy.Proxy, _ *sync.WaitGroup) func() int {
		p.Deafen(true)
		return func() int { return p.Counts().Swallowed }
	}},
	{"on their way from the sender", func(_ context.Context, p *faultproxy.Proxy, _ *sync.WaitGroup) func() int {
		return p.Trap(faultproxy.Cut{At: faultproxy.BeforeStatement, Match: statement(`pg_notify`), Times: -1}).Fired
	}},
	{"with their connections", func(ctx context.Context, p *faultproxy.Proxy, running *sync.WaitGroup) func() int {
		var mu sync.Mutex
		broken := 0
		running.Go(func() {
			ticker := time.NewTicker(60 * time.Millisecond)
			defer ticker.Stop()
			for ctx.Err() == nil {
				n := p.ResetListeners()
				mu.Lock()
				broken += n
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
		return func() int {
			mu.Lock()
			defer mu.Unlock()
			return broken
		}
	}},
}

func TestALostNotificationCostsOneTick(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 100})
	for i := range run.Rounds() {
		for _, loss := range losses {
			t.Run(strconv.Itoa(i)+" "+loss.name, func(t *testing.T) {
				t.Parallel()
				// One leads and hears itself; what the other writes, it must be told.
				w := harness.New(t, patient, harness.Proxied(), harness.Replicas(2), harness.Set("reconciler-repeat-interval", tick.String()))
				led := w.Replica(1)
				if w.WaitLeader(kafkaLease) == led {
					led = w.Replica(0)
				}
				alice := w.As(harness.Alice).At(led)
				calm := alice.CreateKafka("calm").ID
				ready(w, calm)
				ends(t, w, alice, calm)
				_, usual := hops(t, w, calm)
				slack := 4 * usual
				ctx, end := context.WithCancel(t.Context())
				var running sync.WaitGroup
				lost := []func() int{loss.begin(ctx, w.Replica(0).Database, &running), loss.begin(ctx, w.Replica(1).Database, &running)}
				var ids []string
				for n := range 3 + run.Rand(i).IntN(3) {
					ids = append(ids, alice.CreateKafka("kafka-"+strconv.Itoa(n)).ID)
				}
				for _, id := range ids {
					ready(w, id)
				}
				for _, id := range ids {
					ends(t, w, alice, id)
				}
				end()
				running.Wait()
				require.Positive(t, lost[0]()+lost[1]())
				for _, id := range ids {
					n, longest := hops(t, w, id)
					require.LessOrEqual(t, longest, tick*11/10+time.Second+slack, "with %s for a busy machine", slack)
					run.Count("hops", n)
				}
			})
		}
	}
}

// hops counts the steps that were not up to a customer, and gives the longest wait
// before one of them.
func hops(t *testing.T, w *harness.World, id string) (n int, longest time.Duration) {
	t.Helper()
	var events []kafka.HistoryEntry
	require.NoError(t, w.Within(func(ctx context.Context) (err error) {
		events, err = w.Kafkas.History(ctx, kafka.ID(id))
		return err
	}))
	require.Len(t, events, len(undisturbed))
	for i := 1; i < len(events); i++ {
		if events[i].Actor != kafka.ByUser { // they ask when they like
			n++
			longest = max(longest, events[i].At.Sub(events[i-1].At))
		}
	}
	return n, longest
}
