package database

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const (
	// back is how long after its database the service may need to be well again.
	back = 5 * time.Second
	// patience is the longest that a call may take while the database is away: the
	// time that every request has, and a second.
	patience = 26 * time.Second
	// prompt is the same where the database is known to be away.
	prompt = 11 * time.Second
)

// outage is a way in which the database is away for a while.
type outage struct {
	name  string
	bound time.Duration // for every call
	quiet bool          // may pass without a call that fails
	// strike begins and ends it; during is called in the middle.
	strike func(t *testing.T, w *harness.World, during func())
	tidy   func(w *harness.World) // when all is judged; may be nil
}

// ofTheServer need a server of the world's own.
var ofTheServer = []outage{
	{name: "restart", bound: prompt, quiet: true, strike: func(_ *testing.T, w *harness.World, _ func()) { w.RestartDatabase() }},
	{name: "crash", bound: prompt, strike: func(_ *testing.T, w *harness.World, during func()) {
		w.CrashDatabase()
		during()
		w.ReturnDatabase()
	}},
	{name: "fail-over", bound: prompt, strike: failOver, tidy: func(w *harness.World) {
		w.FreezeDatabase(false)
		w.OnServer("ALTER DATABASE " + databaseName(w) + " RESET default_transaction_read_only")
	}},
	{name: "read-only", bound: prompt, strike: func(_ *testing.T, w *harness.World, during func()) {
		w.FreezeDatabase(true)
		during()
		w.FreezeDatabase(false)
	}},
	{name: "full", bound: prompt, strike: func(t *testing.T, w *harness.World, during func()) {
		everyProxy(w, func(r *harness.Replica) { r.Database.Refuse(); r.Database.ResetAll() })
		taken, leave := w.OccupyDatabase()
		require.Positive(t, taken)
		everyProxy(w, func(r *harness.Replica) { r.Database.Pass() })
		during()
		leave()
	}},
}

// ofTheWay are faults between the replicas and the server.
var ofTheWay = []outage{
	{name: "reset", bound: prompt, quiet: true, strike: func(t *testing.T, w *harness.World, _ func()) {
		everyProxy(w, func(r *harness.Replica) { require.Positive(t, r.Database.ResetAll()) })
	}},
	{name: "refused", bound: prompt, strike: func(_ *testing.T, w *harness.World, during func()) {
		everyProxy(w, func(r *harness.Replica) { r.Database.Refuse(); r.Database.ResetAll() })
		during()
		everyProxy(w, func(r *harness.Replica) { r.Database.Pass() })
	}},
	{name: "silence", bound: patience, quiet: true, strike: func(t *testing.T, w *harness.World, _ func()) {
		everyProxy(w, func(r *harness.Replica) { r.Database.Blackhole() })
		w.Until("readiness to end", func() (bool, string) { return readiness(w) == http.StatusServiceUnavailable, "ready" })
		everyProxy(w, func(r *harness.Replica) {
			r.Database.Pass()
			require.Positive(t, r.Database.Counts().Lost)
		})
	}},
	{name: "slowness", bound: patience, quiet: true, strike: func(t *testing.T, w *harness.World, _ func()) {
		before := waits(w)
		everyProxy(w, func(r *harness.Replica) { r.Database.Delay(200 * time.Millisecond) })
		w.Until("an exhausted pool", func() (bool, string) { now := waits(w); return now > before+20, strconv.Itoa(now - before) })
		everyProxy(w, func(r *harness.Replica) {
			r.Database.Pass()
			require.Positive(t, r.Database.Counts().Delayed)
		})
	}},
}

// failOver makes the server read-only for the sessions that are there and writable
// for new ones: as an old primary that came back and a new one beside it.
func failOver(t *testing.T, w *harness.World, during func()) {
	t.Helper()
	name := databaseName(w)
	w.FreezeDatabase(true)
	during()
	w.OnServer("ALTER DATABASE " + name + " SET default_transaction_read_only = off")
}

func databaseName(w *harness.World) (name string) {
	w.Scan(&name, "SELECT current_database()")
	return name
}

func everyProxy(w *harness.World, do func(r *harness.Replica)) {
	for i := range replicas {
		do(w.Replica(i))
	}
}

// waits counts how often somebody waited for a connection of the first replica's pool.
func waits(w *harness.World) int {
	_, page := w.Replica(0).Page(w.Replica(0).Metrics)
	for line := range strings.SplitSeq(page, "\n") {
		if rest, ok := strings.CutPrefix(line, `go_sql_wait_count_total{db_name="kas_fleet_manager"} `); ok {
			n, err := strconv.Atoi(rest)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

func readiness(w *harness.World) int {
	status, _ := w.Replica(0).Page(w.Replica(0).Health + "/readyz")
	return status
}

const replicas = 2

func TestTheServiceIsBackSoonAfterItsServer(t *testing.T) {
	t.Parallel()
	outages(t, ofTheServer, harness.OwnServer(80))
}

func TestTheServiceIsBackSoonAfterTheWayToItsDatabase(t *testing.T) {
	t.Parallel()
	outages(t, ofTheWay)
}

// outages lets one outage after the other come over a world in use.
func outages(t *testing.T, all []outage, choices ...harness.Option) {
	t.Helper()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 40})
	for i := range run.Rounds() {
		random := run.Rand(i)
		w := harness.New(t, append(choices, harness.Proxied(), harness.Replicas(replicas), harness.Faulty())...)
		seed := random.Uint64()
		steady := steadyOnes(w)
		for _, n := range random.Perm(len(all)) {
			suffer(t, w, all[n], seed+uint64(n), steady)
			run.Count("outages", 1)
		}
	}
}

// steadyOnes gives instances that stay for all outages.
func steadyOnes(w *harness.World) (ids []string) {
	alice := w.As(harness.Alice)
	for i := range 4 {
		ids = append(ids, alice.CreateKafka("steady-"+strconv.Itoa(i)).ID)
	}
	for _, id := range ids {
		ready(w, id)
	}
	return ids
}

// suffer lives through one outage and demands what is promised for it. The bounds
// are those of the promise and, for a machine that others use too, twenty times
// what a call took before the outage.
func suffer(t *testing.T, w *harness.World, o outage, seed uint64, steady []string) {
	t.Helper()
	f := begin(t, w, seed, steady)
	defer f.stop()
	f.flows(40)
	began := time.Now()
	slack := 20 * f.usual()
	o.strike(t, w, func() {
		w.Until("calls that fail", func() (bool, string) { return f.since(began, true) > 5, "none" })
		w.Until("readiness to end", func() (bool, string) { return readiness(w) == http.StatusServiceUnavailable, "ready" })
		live, _ := w.Replica(0).Page(w.Replica(0).Health + "/livez")
		require.Equal(t, http.StatusOK, live, "an outage of the database is no reason to restart")
	})
	over := time.Now()
	recovers(t, w, "readiness", back+slack, func() (bool, string) { return readiness(w) == http.StatusOK, "not ready" })
	recovers(t, w, "calls that all succeed", back+slack, func() (bool, string) { return f.well(over, 80) })
	well := time.Since(over)
	recovers(t, w, "a leader", ttl+time.Second+slack, func() (bool, string) { return w.Leader(kafkaLease) != "", "none" })
	f.stop()
	f.judge(t, o.bound+slack, over.Add(back+slack))
	failed := f.since(began, true)
	require.True(t, o.quiet || failed > 0, "nobody noticed the outage")
	t.Logf("%s: lasted %s, %d calls failed, well again after %s, longest call %s, allowance for a busy machine %s", o.name,
		over.Sub(began).Round(time.Millisecond), failed, well.Round(time.Millisecond), f.longest().Round(time.Millisecond), slack.Round(time.Millisecond))

	w.SettleDatabase()
	if o.tidy != nil {
		o.tidy(w)
	}
	converge(t, w, f.accepted())
}

// converge demands that what was ordered becomes ready and can be deleted, as
// if nothing had happened. Orders that failed although they were committed count too.
func converge(t *testing.T, w *harness.World, accepted []string) {
	t.Helper()
	alice := w.As(harness.Alice)
	var ids []string
	for _, k := range alice.List("size", "200", "search", "name like kafka-%").Items {
		ids = append(ids, k.ID)
	}
	require.Subset(t, ids, accepted, "what was accepted is there")
	for _, id := range ids {
		ready(w, id)
	}
	for _, id := range ids {
		alice.Delete(id)
	}
	for _, id := range ids {
		w.WaitGone(id)
		require.Equal(t, undisturbed, w.History(id))
	}
}
