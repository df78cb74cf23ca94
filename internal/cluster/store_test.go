package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a database with one cluster and a clock that the test moves.
type bench struct {
	t        *testing.T
	ctx      context.Context
	d        *db.DB
	store    *cluster.Store
	service  *cluster.Service
	registry *prometheus.Registry
	now      atomic.Pointer[time.Time]
}

func setup(t *testing.T, change func(*cluster.Cluster)) *bench {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	b := &bench{t: t, ctx: ctx, d: postgres.Database(t), registry: prometheus.NewRegistry()}
	b.at(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	b.store = cluster.NewStore(b.d)
	b.service = cluster.NewService(cluster.Deps{
		DB: b.d, Store: b.store, Metrics: cluster.NewMetrics(b.registry, cluster.Config{}), Clock: b.clock, Logger: slog.New(slog.DiscardHandler),
	})
	id := "c1"
	c := cluster.Cluster{
		ID: "row1", CreatedAt: b.clock(), UpdatedAt: b.clock(), Version: 1, CloudProvider: "aws", Region: "us-east-1", ClusterID: &id,
		Status: cluster.WaitingForAgent, StatusChangedAt: b.clock(), NextAttemptAt: b.clock().Add(time.Minute), ProviderType: "ocm",
		ClusterType: "managed", SupportedInstanceType: "standard", Schedulable: true, CapacityLimit: 5,
	}
	change(&c)
	require.NoError(t, b.tx(func(tx db.Tx) error { return cluster.Insert(tx, c) }))
	return b
}

func asIs(*cluster.Cluster) {}

func TestPlacesAreThoseOfManagedClusters(t *testing.T) {
	b := setup(t, func(c *cluster.Cluster) { c.Status, c.CapacityUsed, c.MultiAZ = cluster.Ready, 2, true })
	more := func(id string, change func(*cluster.Cluster)) {
		at := b.clock()
		c := cluster.Cluster{
			ID: cluster.ID(id), CreatedAt: at, UpdatedAt: at, Version: 1, CloudProvider: "gcp", Region: id, Status: cluster.Ready, StatusChangedAt: at,
			NextAttemptAt: at, ProviderType: "ocm", ClusterType: "managed", SupportedInstanceType: "standard, developer", Schedulable: true, CapacityLimit: -1,
		}
		change(&c)
		require.NoError(t, b.tx(func(tx db.Tx) error { return cluster.Insert(tx, c) }))
	}
	at := b.clock()
	more("waiting", func(c *cluster.Cluster) { c.Status = cluster.WaitingForAgent })
	more("closed", func(c *cluster.Cluster) { c.Schedulable = false })
	more("own", func(c *cluster.Cluster) { c.ClusterType = "enterprise" })
	more("gone", func(c *cluster.Cluster) { c.DeletedAt = &at })
	places, err := b.store.Places(b.ctx)
	require.NoError(t, err)
	both := []string{"standard", "developer"}
	require.ElementsMatch(t, []catalog.Place{
		{Provider: "aws", Region: "us-east-1", Types: []string{"standard"}, MultiAZ: true, Open: true, Limit: 5, Used: 2},
		{Provider: "gcp", Region: "waiting", Types: both, Limit: -1},
		{Provider: "gcp", Region: "closed", Types: both, Limit: -1},
	}, places)
}

func TestOnlyClustersWithRoomAreLookedAt(t *testing.T) {
	b := setup(t, func(c *cluster.Cluster) {
		c.Status, c.Schedulable, c.CapacityLimit, c.CapacityUsed = cluster.Ready, true, 5, 3
	})
	for _, c := range []struct {
		set   string
		units int
		want  int
	}{
		{"capacity_used = 3", 2, 1},
		{"capacity_used = 3", 3, 0},
		{"capacity_used = 9", 1, 0},
		{"capacity_limit = -1", 100, 1},
		{"schedulable = false", 1, 0},
	} {
		require.NoError(t, b.d.Gorm(b.ctx).Exec("UPDATE clusters SET "+c.set).Error)
		rows, err := b.store.Placeable(b.ctx, "aws", "us-east-1", c.units)
		require.NoError(t, err)
		require.Len(t, rows, c.want, "%s, %d units", c.set, c.units)
	}
}

// The lists are kept between orders: what an agent reports must be seen all the same.
func TestPlaceableShowsTheVersionsOfNow(t *testing.T) {
	b := setup(t, func(c *cluster.Cluster) { c.Status = cluster.Ready })
	versions := func(from *cluster.Store) (names []string) {
		rows, err := from.Placeable(b.ctx, "aws", "us-east-1", 1)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, 5, rows[0].CapacityLimit)
		for _, v := range rows[0].AvailableStrimziVersions {
			names = append(names, v.Version)
		}
		return names
	}
	require.Empty(t, versions(b.store))
	require.NoError(t, b.service.Report(b.ctx, "c1", report("True")))
	require.Equal(t, []string{"so.v0.23.0-4"}, versions(b.store))
	next := report("True")
	next.Strimzi[0].Version = "so.v0.24.0-0"
	b.later(time.Minute)
	require.NoError(t, b.service.Report(b.ctx, "c1", next))
	require.Equal(t, []string{"so.v0.24.0-0"}, versions(b.store))
	require.NoError(t, b.tx(func(tx db.Tx) error {
		taken, err := cluster.Reserve(tx, "c1", 1)
		require.True(t, taken)
		return err
	}))
	require.Equal(t, []string{"so.v0.24.0-0"}, versions(b.store))
	require.Equal(t, []string{"so.v0.24.0-0"}, versions(cluster.NewStore(b.d)))
	of, err := cluster.NewStore(b.d).PlaceOf(b.ctx, "c1")
	require.NoError(t, err)
	require.Equal(t, "so.v0.24.0-0", of.AvailableStrimziVersions[0].Version)
	_, err = b.store.PlaceOf(b.ctx, "c2")
	require.ErrorIs(t, err, cluster.ErrNotFound)
}

func (b *bench) clock() time.Time              { return *b.now.Load() }
func (b *bench) at(now time.Time)              { b.now.Store(&now) }
func (b *bench) later(d time.Duration)         { b.at(b.clock().Add(d)) }
func (b *bench) tx(fn func(db.Tx) error) error { return b.d.Tx(b.ctx, fn) }

func (b *bench) row() cluster.Cluster {
	b.t.Helper()
	c, err := b.store.ByClusterID(b.ctx, "c1")
	require.NoError(b.t, err)
	return c
}

func (b *bench) apply(c cluster.Cluster, event cluster.Event, actor cluster.Actor) error {
	return b.tx(func(tx db.Tx) error {
		_, err := cluster.Apply(tx, c, cluster.Change{Event: event, Actor: actor, Now: b.clock()})
		return err
	})
}

func report(status string) cluster.Report {
	return cluster.Report{
		Conditions: []cluster.Condition{{Type: "Ready", Status: status}},
		Strimzi:    []cluster.ReportedOperator{{Version: "so.v0.23.0-4", Ready: true, KafkaVersions: []string{"3.3.1"}, KafkaIBPVersions: []string{"3.3"}}},
	}
}

// series gives the values of all series of a metric, ordered by their labels.
func series(t *testing.T, registry *prometheus.Registry, name string) (values []float64) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kas_fleet_manager_"+name {
				values = append(values, m.GetCounter().GetValue()+m.GetGauge().GetValue())
			}
		}
	}
	return values
}

func TestReportMakesReadyAndBack(t *testing.T) {
	b := setup(t, asIs)
	b.later(time.Minute)
	require.NoError(t, b.service.Report(b.ctx, "c1", report("True")))
	c := b.row()
	require.Equal(t, cluster.Ready, c.Status)
	require.Equal(t, b.clock(), c.StatusChangedAt.UTC())
	require.Equal(t, b.clock(), c.HeartbeatAt.UTC())
	require.Equal(t, "so.v0.23.0-4", c.AvailableStrimziVersions[0].Version)
	require.Equal(t, b.clock(), c.NextAttemptAt.UTC(), "the rhythm of the checks goes on")

	require.NoError(t, b.service.Report(b.ctx, "c1", report("Unknown")))
	require.Equal(t, cluster.WaitingForAgent, b.row().Status)
	require.NoError(t, b.service.Report(b.ctx, "c1", report("True")))
	require.Equal(t, []float64{1, 0, 0}, series(t, b.registry, "cluster_operations_success_count"), "a recovery is no creation")
}

func TestUnchangedReportWritesNothing(t *testing.T) {
	b := setup(t, asIs)
	require.NoError(t, b.service.Report(b.ctx, "c1", report("True")))
	before := b.row()
	b.later(19 * time.Second)
	require.NoError(t, b.service.Report(b.ctx, "c1", report("True")))
	require.Equal(t, before, b.row())
	b.later(time.Second)
	require.NoError(t, b.service.Report(b.ctx, "c1", report("True")))
	after := b.row()
	require.Equal(t, b.clock(), after.HeartbeatAt.UTC())
	require.Equal(t, before.Version, after.Version)
	require.Equal(t, before.UpdatedAt, after.UpdatedAt)
}

func TestReportsThatAreRefusedOrIgnored(t *testing.T) {
	b := setup(t, func(c *cluster.Cluster) { c.Status = cluster.Deprovisioning })
	require.True(t, apierr.Is(b.service.Report(b.ctx, "gone", report("True")), apierr.BadRequest))
	bad := report("True")
	bad.Strimzi[0].Version = ""
	require.True(t, apierr.Is(b.service.Report(b.ctx, "gone", bad), apierr.FieldInvalid), "the body is checked first")
	require.NoError(t, b.service.Report(b.ctx, "c1", report("True")))
	require.Equal(t, cluster.Deprovisioning, b.row().Status, "a late report does not bring a cluster back")
}

func TestApplyRefusesWhatIsStaleOrNotInTheTable(t *testing.T) {
	b := setup(t, asIs)
	read := b.row()
	require.NoError(t, b.apply(read, cluster.AgentReady, cluster.ByAgent))
	require.ErrorIs(t, b.apply(read, cluster.AgentReady, cluster.ByAgent), cluster.ErrStale)
	now := b.row()
	require.ErrorIs(t, b.apply(now, cluster.TerraformFinished, cluster.ByLoop), cluster.ErrStale, "the table has no such way")
	require.ErrorContains(t, b.apply(now, cluster.AgentNotReady, cluster.ByLoop), "not in the transition table")
	require.ErrorIs(t, b.tx(func(tx db.Tx) error {
		_, err := cluster.Note(tx, read, cluster.Columns{"name": "late"}, b.clock(), "")
		return err
	}), cluster.ErrStale)
	require.Error(t, b.tx(func(tx db.Tx) error {
		_, err := cluster.Note(tx, now, cluster.Columns{"status": "ready"}, b.clock(), "")
		return err
	}))
	require.NoError(t, b.tx(func(tx db.Tx) error { return cluster.Postpone(tx, read, b.clock(), "late") }))
	require.Empty(t, b.row().LastError, "a stale plan for the next attempt is dropped")
}

func TestPostponeAndRest(t *testing.T) {
	b := setup(t, asIs)
	c := b.row()
	require.NoError(t, b.tx(func(tx db.Tx) error { return cluster.Postpone(tx, c, b.clock().Add(time.Hour), "no\x00 luck") }))
	got := b.row()
	require.Equal(t, 1, got.Attempts)
	require.Equal(t, "no luck", got.LastError)
	require.Equal(t, c.Version, got.Version)
	due, err := b.store.Due(b.ctx, b.clock(), 10, cluster.WaitingForAgent)
	require.NoError(t, err)
	require.Empty(t, due)
	require.NoError(t, b.tx(func(tx db.Tx) error { return cluster.Rest(tx, c, b.clock()) }))
	got = b.row()
	require.Zero(t, got.Attempts)
	require.Empty(t, got.LastError)
	due, err = b.store.Due(b.ctx, b.clock(), 10, cluster.WaitingForAgent)
	require.NoError(t, err)
	require.Equal(t, []string{"row1"}, due)
}

func TestAClusterIsRegisteredOnce(t *testing.T) {
	b := setup(t, asIs)
	again := b.row()
	again.ID = "row2"
	require.ErrorIs(t, b.tx(func(tx db.Tx) error { return cluster.Insert(tx, again) }), cluster.ErrRegistered)
	require.NoError(t, b.tx(func(tx db.Tx) error { return tx.Gorm().Exec("UPDATE clusters SET deleted_at = now()").Error }))
	require.NoError(t, b.tx(func(tx db.Tx) error { return cluster.Insert(tx, again) }), "its id is free again once it is gone")
}

func TestReserveNeverExceedsTheLimit(t *testing.T) {
	b := setup(t, func(c *cluster.Cluster) { c.Status = cluster.Ready })
	version := b.row().Version
	var taken atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			err := b.tx(func(tx db.Tx) error {
				ok, err := cluster.Reserve(tx, "c1", 1+i%2)
				if ok {
					taken.Add(int64(1 + i%2))
				}
				return err
			})
			if err != nil {
				b.t.Error(err)
			}
		})
	}
	all.Wait()
	c := b.row()
	require.LessOrEqual(t, c.CapacityUsed, c.CapacityLimit)
	require.Equal(t, int(taken.Load()), c.CapacityUsed)
	require.Equal(t, c.CapacityLimit, c.CapacityUsed, "more was asked for than there is")
	require.Equal(t, version, c.Version, "room is no reason for anybody's write to be stale")
	require.NoError(t, b.tx(func(tx db.Tx) error { return cluster.Release(tx, "c1", 99) }))
	require.Zero(t, b.row().CapacityUsed)
}

func TestWritesAreAnnounced(t *testing.T) {
	b := setup(t, asIs)
	ctx, stop := context.WithCancel(b.ctx)
	heard, listening := make(chan string, 8), make(chan struct{}, 1)
	var ended sync.WaitGroup
	ended.Go(func() {
		_ = b.d.Listen(ctx, cluster.NotifyChannel, func() { listening <- struct{}{} }, func(payload string) { heard <- payload })
	})
	defer ended.Wait()
	defer stop()
	<-listening
	hear := func(payload string) { // what was written before may be announced as late as now
		t.Helper()
		for got := ""; got != payload; {
			select {
			case got = <-heard:
			case <-b.ctx.Done():
				require.Fail(t, "not announced: "+payload)
			}
		}
	}
	require.NoError(t, b.apply(b.row(), cluster.AgentReady, cluster.ByAgent))
	hear("ready row1")
	require.NoError(t, b.tx(func(tx db.Tx) error {
		_, err := cluster.Note(tx, b.row(), cluster.Columns{"name": "x"}, b.clock(), cluster.WakeRecheck)
		return err
	}))
	hear("recheck row1")
}

// TestRacingReportsAllSucceed: whoever loses a race reads again.
func TestRacingReportsAllSucceed(t *testing.T) {
	b := setup(t, asIs)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			r := report("True")
			r.Strimzi[0].KafkaVersions = []string{fmt.Sprintf("3.%d.0", i%2)}
			if err := b.service.Report(b.ctx, "c1", r); err != nil {
				b.t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, cluster.Ready, b.row().Status)
}

func TestGaugesFollowTheClustersAndGoWithTheLeader(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := cluster.NewMetrics(registry, cluster.Config{StrimziAddon: "strimzi", FleetshardAddon: "agent"})
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	one, other, heard := "c1", "c2", noon.Add(-30*time.Second)
	clusters := []cluster.Cluster{
		{ClusterID: &one, Status: cluster.Ready, CreatedAt: noon.Add(-time.Hour), HeartbeatAt: &heard},
		{ClusterID: &other, Status: cluster.WaitingForAgent, CreatedAt: noon.Add(-time.Hour), StatusChangedAt: noon.Add(-time.Hour)},
	}
	count := func(name string) int { return len(series(t, registry, name)) }
	require.Zero(t, count("cluster_status_count"), "only a leader shows gauges")
	require.Equal(t, 2, count("cluster_addon_failures_total"))
	m.ShowClusters(clusters, noon)
	m.ShowRooms([]cluster.Room{{ClusterID: one, InstanceType: "standard"}, {ClusterID: other, InstanceType: "standard"}})
	require.Equal(t, 8, count("cluster_status_count"))
	require.Equal(t, 2, count("cluster_heartbeat_age_seconds"))
	require.Equal(t, 2, count("cluster_status_capacity_max"))
	m.ShowClusters(clusters[:1], noon)
	m.ShowRooms([]cluster.Room{{ClusterID: one, InstanceType: "standard"}})
	require.Equal(t, 1, count("cluster_heartbeat_age_seconds"))
	require.Equal(t, 1, count("cluster_status_capacity_used"))
	m.HideCounts()
	for _, name := range []string{"cluster_status_count", "cluster_status_overdue", "cluster_heartbeat_age_seconds", "cluster_status_capacity_available"} {
		require.Zero(t, count(name), name)
	}
}
