package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/db/migrations"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

const (
	addInstance = `INSERT INTO kafka_requests (id, created_at, updated_at, name, status, status_changed_at, cloud_provider, region, owner, organisation_id,
		instance_type, size_id, capacity_consumed, quota_consumed, quota_type, actual_kafka_billing_model, desired_kafka_billing_model,
		max_data_retention_size, next_attempt_at)
		SELECT id, now(), now(), id, 'ready', now(), 'aws', 'us-east-1', ?, 'org', 'standard', 'x1', 1, 1, 'list', 'standard', 'standard', '1Gi', now()
		FROM unnest(string_to_array(?, ' ')) id`

	// wrongSums is the same question as that of the checker of the campaigns, asked in another way.
	wrongSums = `SELECT count(*) FROM ((SELECT * FROM kafka_usage EXCEPT SELECT * FROM counted) UNION ALL (SELECT * FROM counted EXCEPT SELECT * FROM kafka_usage)) wrong`
	counted   = `WITH counted AS (SELECT organisation_id, instance_type, owner, cloud_provider, region, actual_kafka_billing_model, desired_kafka_billing_model,
		count(*), sum(capacity_consumed) FROM kafka_requests WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7) `
)

func exec(ctx context.Context, t *testing.T, d *db.DB, statement string, args ...any) {
	t.Helper()
	require.NoError(t, d.Gorm(ctx).Exec(statement, args...).Error, statement)
}

func sums(ctx context.Context, t *testing.T, d *db.DB) (rows int) {
	t.Helper()
	var wrong int
	require.NoError(t, d.Gorm(ctx).Raw(counted+wrongSums).Scan(&wrong).Error)
	require.Zero(t, wrong, "sums differ from what there is")
	require.NoError(t, d.Gorm(ctx).Raw("SELECT count(*) FROM kafka_usage").Scan(&rows).Error)
	return rows
}

// beforeTheSums rolls back what keeps sums, and what came after it.
func beforeTheSums(ctx context.Context, t *testing.T, d *db.DB) {
	t.Helper()
	for there := true; there; {
		require.NoError(t, migrations.RollbackLast(ctx, d))
		require.NoError(t, d.Gorm(ctx).Raw("SELECT to_regclass('kafka_usage') IS NOT NULL").Scan(&there).Error)
	}
}

func TestSumsFollowWhateverWrites(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	require.Zero(t, sums(ctx, t, d))
	exec(ctx, t, d, addInstance, "alice", "a b c")
	exec(ctx, t, d, addInstance, "bob", "d")
	require.Equal(t, 2, sums(ctx, t, d))
	for _, column := range []string{
		"organisation_id = 'other'", "instance_type = 'developer'", "owner = 'carol'", "cloud_provider = 'gcp'", "region = 'eu-west-1'",
		"actual_kafka_billing_model = 'eval'", "desired_kafka_billing_model = 'eval'", "capacity_consumed = 3",
		"owner = 'bob', capacity_consumed = 2", "owner = 'aaron'", "deleted_at = now()", "deleted_at = NULL",
	} {
		exec(ctx, t, d, "UPDATE kafka_requests SET "+column+" WHERE id = 'a'")
		sums(ctx, t, d)
	}
	exec(ctx, t, d, "UPDATE kafka_requests SET deleted_at = now() WHERE id = 'b'")
	exec(ctx, t, d, "UPDATE kafka_requests SET deleted_at = now(), owner = 'zoe' WHERE id = 'c'")
	exec(ctx, t, d, "UPDATE kafka_requests SET owner = 'nobody' WHERE id = 'b'")
	sums(ctx, t, d)
	exec(ctx, t, d, "DELETE FROM kafka_requests WHERE id IN ('a', 'b')")
	require.Equal(t, 1, sums(ctx, t, d), "the name of an owner who has nothing any more is kept nowhere")
	exec(ctx, t, d, addInstance, "alice", "e")
	exec(ctx, t, d, "TRUNCATE kafka_requests")
	require.Zero(t, sums(ctx, t, d))
}

func TestOneTransactionMayChangeItsMind(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	change := func(end error) error {
		return d.Tx(ctx, func(tx db.Tx) error {
			for _, statement := range []string{
				"UPDATE kafka_requests SET owner = 'bob' WHERE id = 'b'",
				"UPDATE kafka_requests SET owner = 'carol', capacity_consumed = 5",
				"DELETE FROM kafka_requests WHERE id = 'a'",
			} {
				if err := tx.Gorm().Exec(statement).Error; err != nil {
					return err
				}
			}
			if err := tx.Gorm().Exec(addInstance, "dora", "new").Error; err != nil {
				return err
			}
			if err := tx.Gorm().Exec("DELETE FROM kafka_requests WHERE id = 'new'").Error; err != nil {
				return err
			}
			return end
		})
	}
	exec(ctx, t, d, addInstance, "alice", "a b")
	undone := errors.New("undone")
	require.ErrorIs(t, change(undone), undone)
	require.Equal(t, 1, sums(ctx, t, d))
	require.NoError(t, change(nil))
	require.Equal(t, 1, sums(ctx, t, d))
}

// Whoever has changed a sum and not committed keeps nobody waiting.
func TestASumIsLockedWhileItIsCommittedOnly(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
		if err := tx.Gorm().Exec(addInstance, "alice", "a").Error; err != nil {
			return err
		}
		exec(ctx, t, d, addInstance, "alice", "b")
		return nil
	}))
	require.Equal(t, 1, sums(ctx, t, d))
}

func TestSumsAreRightWhoeverIsFaster(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	owners := []string{"alice", "bob", "carol"}
	var everybody errgroup.Group
	for writer := range 6 {
		everybody.Go(func() error {
			random := rand.New(rand.NewPCG(1, uint64(writer)))
			for turn := range 25 {
				id := fmt.Sprintf("%d-%d", writer, turn)
				if err := d.Gorm(ctx).Exec(addInstance, owners[random.IntN(3)], id).Error; err != nil {
					return err
				}
				statement := []string{
					"UPDATE kafka_requests SET owner = '" + owners[random.IntN(3)] + "' WHERE id = ?",
					"UPDATE kafka_requests SET deleted_at = now() WHERE id = ?",
					"DELETE FROM kafka_requests WHERE id = ?",
				}[random.IntN(3)]
				if err := d.Gorm(ctx).Exec(statement, id).Error; err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, everybody.Wait())
	require.Equal(t, 3, sums(ctx, t, d))
}

// waiting waits until so many wait for a lock.
func waiting(ctx context.Context, t *testing.T, d *db.DB, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		err := d.Gorm(ctx).Raw("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n).Error
		return err == nil && n == want
	}, 10*time.Second, 5*time.Millisecond)
}

func TestOwnersThatSwapWaitInNoCircle(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	exec(ctx, t, d, addInstance, "alice", "a1 a2")
	exec(ctx, t, d, addInstance, "bob", "b1 b2")
	var swaps errgroup.Group
	require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
		if err := tx.Gorm().Exec("SELECT FROM kafka_usage WHERE owner = 'alice' FOR UPDATE").Error; err != nil {
			return err
		}
		for i, statement := range []string{
			"UPDATE kafka_requests SET owner = 'bob' WHERE id = 'a1'", "UPDATE kafka_requests SET owner = 'alice' WHERE id = 'b1'",
		} {
			swaps.Go(func() error { return d.Gorm(ctx).Exec(statement).Error })
			waiting(ctx, t, d, i+1)
		}
		return nil
	}))
	require.NoError(t, swaps.Wait())
	require.Equal(t, 2, sums(ctx, t, d))
}

func TestWhatWasThereBeforeIsCounted(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	beforeTheSums(ctx, t, d)
	exec(ctx, t, d, addInstance, "alice", "a b")
	exec(ctx, t, d, addInstance, "bob", "c")
	exec(ctx, t, d, "UPDATE kafka_requests SET deleted_at = now() WHERE id = 'b'")
	require.NoError(t, migrations.Up(ctx, d))
	require.Equal(t, 2, sums(ctx, t, d))

	exec(ctx, t, d, "ALTER TABLE kafka_requests DISABLE TRIGGER USER")
	exec(ctx, t, d, addInstance, "dora", "d")
	exec(ctx, t, d, "ALTER TABLE kafka_requests ENABLE TRIGGER USER")
	exec(ctx, t, d, "SELECT kafka_usage_recount()")
	require.Equal(t, 3, sums(ctx, t, d))
}

// An order of the version before reads what there is and then writes, while the sums come.
func TestAnOrderUnderWayAndTheSumsWaitInNoCircle(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	beforeTheSums(ctx, t, d)
	var migrating errgroup.Group
	require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
		if err := tx.Gorm().Exec("SELECT sum(capacity_consumed) FROM kafka_requests").Error; err != nil {
			return err
		}
		migrating.Go(func() error { return migrations.Up(ctx, d) })
		waiting(ctx, t, d, 1)
		return tx.Gorm().Exec(addInstance, "alice", "a").Error
	}))
	require.NoError(t, migrating.Wait())
	require.Equal(t, 1, sums(ctx, t, d))
}

func TestWhoWritesAndCountsAnewCountsOnce(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	exec(ctx, t, d, addInstance, "alice", "a b c")
	require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
		for _, statement := range []string{
			"UPDATE kafka_requests SET owner = 'bob' WHERE id = 'a'", "DELETE FROM kafka_requests WHERE id = 'b'",
			"SELECT kafka_usage_recount()", "UPDATE kafka_requests SET owner = 'carol' WHERE id = 'c'",
		} {
			if err := tx.Gorm().Exec(statement).Error; err != nil {
				return err
			}
		}
		return nil
	}))
	require.Equal(t, 2, sums(ctx, t, d))
}

// A tool that restores a dump has no search path.
func TestSumsFollowWithoutASearchPath(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	exec(ctx, t, d, addInstance, "alice", "a")
	require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
		if err := tx.Gorm().Exec("SET LOCAL search_path = ''").Error; err != nil {
			return err
		}
		return tx.Gorm().Exec("UPDATE public.kafka_requests SET owner = 'bob'").Error
	}))
	require.Equal(t, 1, sums(ctx, t, d))
}
