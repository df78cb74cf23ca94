package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/xid"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func bound(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// row is an instance that the database takes.
func row(name string, status Status) Kafka {
	now := clock.System()
	return Kafka{
		ID: ID(xid.New().String()), CreatedAt: now, UpdatedAt: now, Version: 1, Name: name, Status: status, StatusChangedAt: now,
		NextAttemptAt: now, CloudProvider: "aws", Region: "us-east-1", Owner: "alice", OrganisationID: "org1",
		InstanceType: "standard", SizeID: "x1", CapacityConsumed: 1, QuotaConsumed: 1, QuotaType: "quota-management-list",
		MaxDataRetentionSize: "1000Gi", ReauthenticationEnabled: true,
	}
}

func put(t *testing.T, d *db.DB, k Kafka) Kafka {
	t.Helper()
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error { return insert(tx, k) }))
	return k
}

func TestEveryColumnSurvives(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	k := row("one", Provisioning)
	at := clock.System()
	k.Routes = Routes{{"a.test", "b.test"}}
	k.PlacementExclusions = Exclusions{"c1": at}
	k.SizeSnapshot = SizeSnapshot{InstanceTypeName: "Standard", MaxPartitions: 5}
	k.ReportedClass, k.ReportedAt, k.ExpiresAt = ClassReady, &at, &at
	k.FailedCode, k.AdminAPIServerURL, k.DesiredKafkaIBPVersion = FailedTimedOut, "https://x", "3.3"
	put(t, d, k)
	got, err := NewStore(d).Live(bound(t), k.ID)
	require.NoError(t, err)
	require.Equal(t, k, got)
}

// A wave of orders comes faster than the database counts anew how many rows have
// which status. A change read every instance of its status then, so that each cost
// more than the one before.
func TestAChangeReadsItsOwnRowOnly(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	var k Kafka
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		for n := range 500 {
			k = row("wave-"+strconv.Itoa(n), Ready)
			if err := insert(tx, k); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, sql := range []string{
		"ALTER TABLE kafka_requests SET (autovacuum_enabled = false)",
		"ANALYZE kafka_requests", // nothing is being provisioned
		"UPDATE kafka_requests SET status = 'provisioning'",
	} {
		require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error { return tx.Gorm().Exec(sql).Error }))
	}
	k.Status = Provisioning
	var before, after int64
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		const rowsRead = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'kafka_requests'"
		if err := tx.Gorm().Raw(rowsRead).Scan(&before).Error; err != nil {
			return err
		}
		if _, err := Apply(tx, k, Change{Event: BecameReady, Actor: ByAgent, Now: clock.System()}); err != nil {
			return err
		}
		return tx.Gorm().Raw(rowsRead).Scan(&after).Error
	}))
	require.LessOrEqual(t, after-before, int64(2))
}

// A loop that is woken reads the row: one that has to wait is left in peace.
func TestOnlyARowThatIsDueWakesItsLoop(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx, cancel := context.WithCancel(t.Context())
	listening, heard, ended := make(chan struct{}, 8), make(chan string, 8), make(chan error, 1)
	go func() {
		ended <- d.Listen(ctx, NotifyChannel, func() { listening <- struct{}{} }, func(payload string) { heard <- payload })
	}()
	<-listening
	next := func() string {
		select {
		case payload := <-heard:
			return payload
		case <-bound(t).Done():
			return "nothing"
		}
	}
	k := put(t, d, row("one", Preparing))
	require.Equal(t, "preparing "+string(k.ID), next())
	apply := func(c Change) {
		t.Helper()
		c.Now = clock.System()
		require.NoError(t, d.Tx(bound(t), func(tx db.Tx) (err error) {
			k, err = Apply(tx, k, c)
			return err
		}))
	}
	apply(Change{Event: Prepared, Actor: ByLoop})
	apply(Change{Event: RejectedFull, Actor: ByAgent, Set: Columns{"next_attempt_at": clock.System()}})
	require.Equal(t, "provisioning "+string(k.ID), next(), "its agent has no room for it")
	apply(Change{Event: DeleteAsked, Actor: ByUser})
	require.Equal(t, "deprovision "+string(k.ID), next())
	require.Empty(t, heard)
	cancel()
	require.NoError(t, <-ended)
}

// A newer version's migration adds columns while this version goes on.
func TestAColumnThatAppearsHurtsNoRead(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	k := put(t, d, row("one", Ready))
	live := func() (Kafka, error) { return NewStore(d).Live(bound(t), k.ID) }
	_, err := live()
	require.NoError(t, err)
	for _, table := range []string{"kafka_requests", "external_resources"} {
		require.NoError(t, d.Gorm(bound(t)).Exec("ALTER TABLE "+table+" ADD COLUMN from_tomorrow text").Error)
	}
	_, err = live()
	require.NoError(t, err)
}

func TestApplyComparesAndSets(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	k := put(t, d, row("one", Accepted))
	apply := func(k Kafka, event Event, actor Actor) (out Kafka, err error) {
		err = d.Tx(bound(t), func(tx db.Tx) error {
			out, err = Apply(tx, k, Change{Event: event, Actor: actor, Now: clock.System()})
			return err
		})
		return out, err
	}
	next, err := apply(k, Placed, ByLoop)
	require.NoError(t, err)
	require.Equal(t, Preparing, next.Status)
	require.Equal(t, k.Version+1, next.Version)

	_, err = apply(k, Placed, ByLoop)
	require.ErrorIs(t, err, ErrStale, "somebody else was faster")
	_, err = apply(next, Placed, ByLoop)
	require.ErrorIs(t, err, ErrStale, "not allowed from preparing")
	_, err = apply(next, Prepared, ByUser)
	require.ErrorContains(t, err, "not in the transition table")

	history, err := NewStore(d).History(bound(t), k.ID)
	require.NoError(t, err)
	require.Len(t, history, 2)
	require.Equal(t, Placed, history[1].Event)
	require.Equal(t, next.Version, history[1].Version)
}

func TestNoteNeverWritesAStatus(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	k := put(t, d, row("one", Ready))
	err := d.Tx(bound(t), func(tx db.Tx) error {
		_, err := Note(tx, k, Columns{"status": Failed}, clock.System(), "")
		return err
	})
	require.Error(t, err)
}

// Window 3 and 16: names are unique among live rows, whoever inserts when.
func TestWindow03NamesAreUniqueAmongLiveRows(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	var wins int
	var lock sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := d.Tx(bound(t), func(tx db.Tx) error { return insert(tx, row("same", Accepted)) })
			lock.Lock()
			defer lock.Unlock()
			if err == nil {
				wins++
			} else if !apierr.Is(err, apierr.NameTaken) {
				t.Errorf("unexpected: %v", err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, wins)
}

func TestErasedRowFreesNameAndLeavesLists(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	store := NewStore(d)
	k := put(t, d, row("one", Deleting))
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		_, err := Apply(tx, k, Change{Event: Erased, Actor: ByLoop, Now: clock.System()})
		return err
	}))
	_, err := store.Live(bound(t), k.ID)
	require.ErrorIs(t, err, ErrNotFound)
	put(t, d, row("one", Accepted))
	page, err := store.List(bound(t), Filter{OrganisationID: "org1", Order: "name ASC, id ASC", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Stamps, 1)
	require.Equal(t, 1, page.Total)
}

func TestDesiredAndItsMark(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	store := NewStore(d)
	marks := map[Mark]bool{}
	mark := func() []ID {
		m, err := store.DesiredMark(bound(t), "c1")
		require.NoError(t, err)
		stamps, again, err := store.DesiredStamps(bound(t), "c1")
		require.NoError(t, err)
		require.Equal(t, m, again)
		require.False(t, marks[m], "a change gave a mark that was there before")
		marks[m] = true
		return idsOf(stamps)
	}
	mark()
	for i, status := range []Status{Accepted, Preparing, Provisioning, Ready, Failed, Deprovision, Deleting, Suspending, Suspended, Resuming} {
		k := row(fmt.Sprintf("k%d", i), status)
		k.ClusterID, k.BootstrapServerHost = "c1", k.Name+".test"
		put(t, d, k)
	}
	other := row("elsewhere", Ready)
	other.ClusterID, other.BootstrapServerHost = "c2", "x.test"
	put(t, d, other)
	hostless := row("hostless", Provisioning)
	hostless.ClusterID = "c1"
	put(t, d, hostless)
	ids := mark()
	require.True(t, slices.IsSorted(ids))
	rows, err := store.Desired(bound(t), "c1", append(ids, other.ID, hostless.ID))
	require.NoError(t, err)
	require.Len(t, rows, 7)
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		_, err := Note(tx, rows[0].Kafka, Columns{"owner": "bob"}, clock.System(), "")
		return err
	}))
	mark()
}

func usage(t *testing.T, d *db.DB, c Counted) (u Usage) {
	t.Helper()
	require.NoError(t, d.TxOpened(bound(t), []db.Statement{usageOf(c, &u)}, func(db.Tx) error { return nil }))
	return u
}

func TestUnitsCountWhatTheGrantSays(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	for i, c := range []struct{ org, owner, actual, desired string }{
		{"org1", "alice", "standard", "standard"}, {"org1", "bob", "eval", "standard"}, {"org1", "bob", "eval", "eval"}, {"org2", "alice", "standard", "standard"},
	} {
		k := row(fmt.Sprintf("k%d", i), Ready)
		k.OrganisationID, k.Owner, k.ActualKafkaBillingModel, k.DesiredKafkaBillingModel = c.org, c.owner, c.actual, c.desired
		k.CapacityConsumed = 2
		put(t, d, k)
	}
	for want, counted := range map[int]Counted{
		4: {InstanceType: "standard", BillingModel: "standard", OrganisationID: "org1"},
		8: {InstanceType: "standard"},
		2: {InstanceType: "standard", OrganisationID: "org1", Owner: "alice"},
		0: {InstanceType: "developer"},
	} {
		require.Equal(t, Usage{Units: want, Instances: want / 2}, usage(t, d, counted))
	}
}

func TestSnapshotsThatAreKeptAreNotMixedUp(t *testing.T) {
	t.Parallel()
	var kept snapshots
	for range 2 {
		for i := range maxSnapshots + 10 {
			got, err := kept.read(fmt.Appendf(nil, `{"max_partitions": %d}`, i))
			require.NoError(t, err)
			require.Equal(t, SizeSnapshot{MaxPartitions: i}, got)
		}
	}
	require.LessOrEqual(t, len(kept.known), maxSnapshots)
	_, err := kept.read([]byte("{"))
	require.Error(t, err)
	_, err = kept.read([]byte("{"))
	require.Error(t, err, "what cannot be read is not kept")
}

func TestPostponeIsNotAChange(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	k := put(t, d, row("one", Accepted))
	next := clock.System().Add(time.Hour)
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error { return Postpone(tx, k.ID, k.Version, next, "no room") }))
	got, err := NewStore(d).Live(bound(t), k.ID)
	require.NoError(t, err)
	require.Equal(t, k.Version, got.Version)
	require.Equal(t, k.UpdatedAt, got.UpdatedAt)
	require.Equal(t, 1, got.Attempts)
	ids, err := NewStore(d).Due(bound(t), clock.System(), 10, Accepted)
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestNotFoundIsTellable(t *testing.T) {
	t.Parallel()
	_, err := NewStore(postgres.Database(t)).InOrganisation(bound(t), "org1", "nope")
	require.True(t, errors.Is(err, ErrNotFound))
}

func idsOf(stamps []Stamp) (ids []ID) {
	for _, s := range stamps {
		ids = append(ids, s.ID)
	}
	return ids
}

// A list shows the other rows, and of the bad one all that can be read.
func TestARowThatWasSpoiltByHandFailsNoList(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	store := NewStore(d)
	good, bad := put(t, d, row("good", Ready)), put(t, d, row("bad", Ready))
	for raw, want := range map[string]SizeSnapshot{
		`{"max_partitions": "many", "max_data_retention_period": "P14D"}`: {MaxDataRetentionPeriod: "P14D"},
		`{"max_partitions": 1.5, "instance_type_name": "Standard"}`:       {InstanceTypeName: "Standard"},
		`[]`: {}, `"x"`: {}, `null`: {},
	} {
		require.NoError(t, d.Gorm(bound(t)).Exec("UPDATE kafka_requests SET size_snapshot = ?::jsonb WHERE id = ?", raw, bad.ID).Error)
		rows, err := store.Shown(bound(t), "org1", []ID{good.ID, bad.ID})
		require.NoError(t, err, raw)
		require.Len(t, rows, 2)
		found, err := store.List(bound(t), Filter{OrganisationID: "org1", Where: "(name LIKE ?)", Args: []any{"%d"}, Order: "name ASC", Limit: 10})
		require.NoError(t, err, raw)
		require.Equal(t, 2, found.Total)
		require.Equal(t, want, found.Rows[0].SizeSnapshot, raw)
		shown, err := store.InOrganisation(bound(t), "org1", bad.ID)
		require.NoError(t, err, raw)
		require.Equal(t, want, shown.SizeSnapshot)
	}
}

func TestAStampChangesWithEveryWrite(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	store := NewStore(d)
	k := put(t, d, row("one", Ready))
	stamp := func() Stamp {
		page, err := store.List(bound(t), Filter{OrganisationID: "org1", Order: "id ASC", Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Stamps, 1)
		rows, err := store.Shown(bound(t), "org1", []ID{k.ID})
		require.NoError(t, err)
		require.Equal(t, page.Stamps[0], rows[0].Stamp)
		found, err := store.List(bound(t), Filter{OrganisationID: "org1", Where: "(name = ?)", Args: []any{k.Name}, Order: "id ASC", Limit: 10})
		require.NoError(t, err)
		require.Equal(t, rows, found.Rows)
		require.Equal(t, page.Stamps, found.Stamps)
		return page.Stamps[0]
	}
	first := stamp()
	require.Equal(t, first, stamp())
	require.NoError(t, d.Gorm(bound(t)).Exec("UPDATE kafka_requests SET failed_reason = 'by hand' WHERE id = ?", k.ID).Error)
	second := stamp()
	require.NotEqual(t, first, second, "an operator's write counts too")
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		_, err := Note(tx, k, Columns{"owner": "bob"}, clock.System(), "")
		return err
	}))
	require.NotEqual(t, second, stamp())
	foreign, err := store.Shown(bound(t), "org2", []ID{k.ID})
	require.NoError(t, err)
	require.Empty(t, foreign)
}
