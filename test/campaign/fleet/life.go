package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
	"github.com/kas-fleet/kas-fleet-manager/test/invariant"
)

// checking bounds one run of the checker.
const checking = 30 * time.Second

// Together runs n of something at the same time.
func Together(n int, do func(i int) error) error {
	failed := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { failed[i] = do(i) })
	}
	running.Wait()
	return errors.Join(failed...)
}

// Pause lets some time pass.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// User gives one of those who may order.
func User(i int) string { return []string{harness.Alice, harness.Bob}[i%2] }

// Lives takes n instances from the order to ready to gone.
func (f *Fleet) Lives(ctx context.Context, n int) error {
	return Together(n, func(i int) error {
		c := f.Customer(User(i))
		id, err := c.Order(ctx, f.Name("life"))
		if err != nil {
			return err
		}
		if err := c.AwaitReady(ctx, id); err != nil {
			return err
		}
		if err := c.Delete(ctx, id); err != nil {
			return err
		}
		return c.AwaitGone(ctx, id)
	})
}

// EarlyDeletes removes n instances at any moment of their coming. They may stay in
// doubt for longer than a round lasts; Settle waits for them.
func (f *Fleet) EarlyDeletes(ctx context.Context, r *rand.Rand, n int) error {
	pauses := make([]time.Duration, n)
	for i := range pauses {
		pauses[i] = time.Duration(r.Int64N(int64(400 * time.Millisecond)))
	}
	return Together(n, func(i int) error {
		c := f.Customer(User(i))
		id, err := c.Order(ctx, f.Name("early"))
		if err != nil {
			return err
		}
		Pause(ctx, pauses[i])
		return c.Delete(ctx, id)
	})
}

// Settle waits until nothing is under way any more, and says how long that took.
func (f *Fleet) Settle() {
	f.t.Helper()
	began := time.Now()
	f.Until("rest", func() (bool, string) {
		var restless []string
		f.Scan(&restless, "SELECT id || ' ' || status || ' ' || last_error FROM kafka_requests WHERE deleted_at IS NULL AND status NOT IN (?, ?, ?)",
			kafka.Ready, kafka.Failed, kafka.Suspended)
		return len(restless) == 0, fmt.Sprint(restless)
	})
	f.t.Logf("at rest after %.1f s", time.Since(began).Seconds())
}

// Healthy tells whether no invariant is broken, and fails the test where one is. At
// rest it wants everything to be done.
func (f *Fleet) Healthy(rest bool) bool {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), checking)
	defer cancel()
	seen := f.World.Fleet()
	seen.Replies, seen.Rest = f.Replies, rest
	found, err := invariant.Check(ctx, seen)
	if err != nil {
		f.t.Error(err)
	}
	for _, violation := range found {
		f.t.Error(violation)
	}
	return err == nil && len(found) == 0
}

// TakenOver waits for the end of a replica's pause, and tells how long each lease
// that it held was without another leader.
func (f *Fleet) TakenOver(ctx context.Context, victim *harness.Replica, pause time.Duration) (waited []time.Duration, err error) {
	began := time.Now()
	var open []string
	for _, lease := range []string{KafkaLease, ClusterLease} {
		if victim.Leads(lease) {
			open = append(open, lease)
		}
	}
	err = f.Await(ctx, "the end of the pause", func() (bool, error) {
		for i, lease := range open {
			if now := f.Leader(lease); now != "" && !victim.Leads(lease) {
				waited = append(waited, time.Since(began))
				open = append(open[:i:i], open[i+1:]...)
				break
			}
		}
		return time.Since(began) >= pause, nil
	})
	if err == nil && len(open) > 0 && pause > TTL+3*time.Second {
		err = fmt.Errorf("nobody took over %v within %s", open, pause)
	}
	return waited, err
}

// Age lets time pass for what was left half way, and for some instances that are
// gone: they may be forgotten now. Of some closed intents it is not known any more
// whether their things were ever seen.
func (f *Fleet) Age(instances int) {
	f.t.Helper()
	f.Exec("UPDATE external_resources SET updated_at = updated_at - interval '2 minutes' WHERE owner_kind = 'service_account' AND state IN ('wanted', 'deleting')")
	f.Exec("UPDATE external_resources SET updated_at = now(), last_error = 'closed without having been seen created' WHERE id IN "+
		"(SELECT id FROM external_resources WHERE owner_kind = 'kafka' AND state = 'gone' LIMIT ?)", instances)
	var old []string
	f.Scan(&old, "SELECT id FROM kafka_requests WHERE deleted_at IS NOT NULL LIMIT ?", instances)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range old {
		f.Exec("UPDATE kafka_requests SET deleted_at = deleted_at - interval '32 days' WHERE id = ?", id)
		f.replies = slices.DeleteFunc(f.replies, func(r invariant.Reply) bool { return r.ID == id })
	}
}
