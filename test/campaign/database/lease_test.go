package database

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// The times of a lease, as the harness sets them.
const (
	ttl   = 3 * time.Second
	renew = 500 * time.Millisecond
)

// leaseCuts are the writes of a lease with what a cut costs: how many terms more
// than without, and how long nobody may lead.
var leaseCuts = []struct {
	name  string
	cut   faultproxy.Cut
	terms int
	gap   time.Duration
}{
	{"take-over, not committed", leaseCut(faultproxy.BeforeCommit, `gen_random_uuid.*"kafka_reconciler"`), 1, ttl + time.Second},
	// Nobody knows of this term, so it has to end by itself.
	{"take-over, committed", leaseCut(faultproxy.AfterCommit, `gen_random_uuid.*"kafka_reconciler"`), 2, ttl + time.Second},
	{"resignation, not committed", leaseCut(faultproxy.BeforeCommit, `SET leader = ''.*"kafka_reconciler"`), 1, ttl + time.Second},
	{"resignation, committed", leaseCut(faultproxy.AfterCommit, `SET leader = ''.*"kafka_reconciler"`), 1, ttl + time.Second},
	{"renewal, not done", leaseCut(faultproxy.BeforeStatement, `SET expires = .*"kafka_reconciler"`), 0, 0},
	{"renewal, done", leaseCut(faultproxy.AfterStatement, `SET expires = .*"kafka_reconciler"`), 0, 0},
}

func leaseCut(at faultproxy.Point, pattern string) faultproxy.Cut {
	return faultproxy.Cut{At: at, Match: statement(pattern)}
}

func TestThereIsALeaderWhateverWriteOfTheLeaseIsCut(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 100})
	for i := range run.Rounds() {
		order := run.Rand(i).Perm(len(leaseCuts))
		w := harness.New(t, harness.Proxied(), harness.Replicas(2), harness.Faulty())
		for _, n := range order {
			c := leaseCuts[n]
			t.Log(c.name)
			cutLease(t, w, c.cut, c.terms, c.gap)
			run.Count("cuts", 1)
		}
		alice := w.As(harness.Alice)
		id := alice.CreateKafka("one").ID
		ready(w, id)
		ends(t, w, alice, id)
		require.Equal(t, undisturbed, w.History(id))
	}
}

// cutLease demands that the leadership survives, or moves on in time, and that as
// many terms began as must. A busy machine may add some.
func cutLease(t *testing.T, w *harness.World, cut faultproxy.Cut, terms int, gap time.Duration) {
	t.Helper()
	leader := w.WaitLeader(kafkaLease)
	before := epoch(w)
	var traps []*faultproxy.Trap
	for i := range 2 {
		traps = append(traps, w.Replica(i).Database.Trap(cut))
	}
	fired := func() (n int) {
		for _, trap := range traps {
			n += trap.Fired()
		}
		return n
	}
	if terms == 0 {
		w.Until("the cut", func() (bool, string) { return fired() > 0, "none" })
		expires := expiry(w)
		w.Until("another renewal", func() (bool, string) { return expiry(w).After(expires), "none" })
		require.True(t, leader.Leads(kafkaLease), "one lost renewal costs no leader its lease")
		require.Equal(t, before, epoch(w))
	} else {
		leader.Stop()
		took := recovers(t, w, "a new leader that works", gap+renew+2*time.Second, func() (bool, string) {
			return w.Replica(0).Leads(kafkaLease) && epoch(w) >= before+terms, "none"
		})
		t.Logf("led again after %s", took)
		w.StartReplica()
	}
	for _, trap := range traps {
		trap.Disarm()
	}
	require.Positive(t, fired())
}

func epoch(w *harness.World) (n int) {
	w.Scan(&n, "SELECT epoch FROM leader_leases WHERE lease_type = ?", kafkaLease)
	return n
}

func expiry(w *harness.World) (at time.Time) {
	w.Scan(&at, "SELECT expires FROM leader_leases WHERE lease_type = ?", kafkaLease)
	return at
}
