package migrations_test

import (
	"context"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/db/migrations"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

const golden = "schema.sql"

var update = flag.Bool("update", false, "write the golden schema anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSchemaIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	got := "-- The schema after all migrations, for readers and reviews. A test writes it.\n\n" + schema(t, postgres.Database(t)) + "\n"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run the test with -update if the change is meant")
}

func TestDownAndUpAgainGivesTheSameSchema(t *testing.T) {
	t.Parallel()
	d := postgres.OpenURL(t, postgres.EmptyURL(t))
	ctx := within(t)
	require.ErrorIs(t, migrations.Check(ctx, d), migrations.ErrPending, "no migration ran yet")
	require.ErrorContains(t, migrations.RollbackLast(ctx, d), "rolling back", "there is nothing to roll back")
	require.Empty(t, schema(t, d))
	require.NoError(t, migrations.Up(ctx, d))
	first := schema(t, d)
	require.NoError(t, migrations.Check(ctx, d))

	require.NoError(t, migrations.RollbackAll(ctx, d))
	require.Empty(t, schema(t, d), "everything that went up must come down")
	require.NoError(t, migrations.Up(ctx, d))
	require.Equal(t, first, schema(t, d))
	require.NoError(t, migrations.Up(ctx, d), "a second run has nothing to do")
}

func TestStatusTellsWhatIsApplied(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	entries, err := migrations.Status(ctx, d)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	require.True(t, slices.IsSortedFunc(entries, func(a, b migrations.Entry) int { return strings.Compare(a.ID, b.ID) }))
	for _, e := range entries {
		require.True(t, e.Applied, e.ID)
	}
	require.NoError(t, migrations.RollbackLast(ctx, d))
	entries, err = migrations.Status(ctx, d)
	require.NoError(t, err)
	require.False(t, entries[len(entries)-1].Applied)
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	before := schema(t, d)
	err := migrations.UpWith(ctx, d, "999901010000", "CREATE TABLE half_done (id text); SELECT 1/0")
	require.ErrorContains(t, err, "999901010000")
	require.Equal(t, before, schema(t, d))
	require.NoError(t, migrations.UpWith(ctx, d, "999901010000", "CREATE TABLE done (id text)"), "its id is not noted as applied")
	require.NoError(t, migrations.Up(ctx, d), "an older binary accepts what a newer one applied")
	require.NoError(t, migrations.Check(ctx, d))
}

func TestConcurrentMigratorsDoEachStepOnce(t *testing.T) {
	t.Parallel()
	where := postgres.EmptyURL(t)
	ctx := within(t)
	var group errgroup.Group
	for range 4 {
		d := postgres.OpenURL(t, where)
		group.Go(func() error {
			return migrations.UpWith(ctx, d, "999901010000", "SELECT pg_sleep(0.2); CREATE TABLE once (id text)")
		})
	}
	require.NoError(t, group.Wait())
}

func TestMigrationWaitsForABusyTable(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	d, other := postgres.OpenURL(t, where), postgres.OpenURL(t, where)
	ctx := within(t)
	locked, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- other.Tx(ctx, func(tx db.Tx) error {
			if err := tx.Gorm().Exec("LOCK TABLE clusters").Error; err != nil {
				return err
			}
			close(locked)
			// Longer than a migration waits at once; the server does the waiting.
			return tx.Gorm().Exec("SELECT pg_sleep(1.5)").Error
		})
	}()
	<-locked
	require.NoError(t, migrations.UpWith(ctx, d, "999901010000", "ALTER TABLE clusters ADD COLUMN later text"))
	require.NoError(t, <-done)
}

func TestMigrationThatWaitedInACircleIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	var migrating, writing errgroup.Group
	require.NoError(t, d.Tx(ctx, func(gate db.Tx) error {
		if err := gate.Lock("gate"); err != nil {
			return err
		}
		migrating.Go(func() error {
			return migrations.UpWith(ctx, d, "999901010000", `LOCK TABLE clusters IN SHARE MODE;
				SELECT pg_advisory_xact_lock(hashtextextended('gate', 0)); LOCK TABLE clusters`)
		})
		waiting(ctx, t, d, 1)
		writing.Go(func() error {
			return d.Tx(ctx, func(tx db.Tx) error {
				return tx.Gorm().Exec("SELECT count(*) FROM clusters; LOCK TABLE clusters IN ROW EXCLUSIVE MODE").Error
			})
		})
		waiting(ctx, t, d, 2)
		return nil
	}))
	require.NoError(t, writing.Wait())
	require.NoError(t, migrating.Wait())
}

// The first databases were migrated before the baseline had all its indexes.
func TestADatabaseOfTheFirstDaysGetsItsIndexes(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	want := schema(t, d)
	beforeTheSums(ctx, t, d)
	require.NoError(t, d.Gorm(ctx).Exec(`
		DROP INDEX kafka_requests_deleted, kafka_requests_units, kafka_requests_status_count, kafka_events_age, external_resources_gone;
		CREATE INDEX external_resources_doubted ON external_resources (updated_at) WHERE state = 'gone' AND last_error <> '';
		DELETE FROM migrations WHERE id >= '202611221700'`).Error)
	require.NotEqual(t, want, schema(t, d))
	require.NoError(t, migrations.Up(ctx, d))
	require.Equal(t, want, schema(t, d))
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// schema renders tables, constraints, indexes, triggers and functions in words that
// do not depend on the version of PostgreSQL.
func schema(t *testing.T, d *db.DB) string {
	var statements []string
	err := d.Gorm(within(t)).Raw(`
		WITH lines AS (
			SELECT attrelid AS of, 1 AS part, attnum AS place, format('%I %s%s%s%s', attname, format_type(atttypid, atttypmod),
				CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END,
				CASE WHEN attidentity <> '' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE '' END,
				' DEFAULT ' || pg_get_expr(adbin, adrelid)) AS line
			FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
			WHERE attnum > 0 AND NOT attisdropped
			UNION ALL
			SELECT conrelid, 2, 0, format('CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
			FROM pg_constraint WHERE contype NOT IN ('n', 't') -- a trigger is told below
		)
		SELECT statement FROM (
			SELECT relname AS name, 1 AS part, format(E'CREATE TABLE %I (\n%s\n);', relname,
				string_agg('    ' || line, E',\n' ORDER BY part, place, line)) AS statement
			FROM pg_class JOIN lines ON of = pg_class.oid
			WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' GROUP BY relname
			UNION ALL
			SELECT tablename, 2, indexdef || ';' FROM pg_indexes
			WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint)
			UNION ALL
			SELECT relname, 3, format('TRIGGER %I CALLS %I%s;', tgname, proname, CASE WHEN tginitdeferred THEN ' AT COMMIT' ELSE '' END)
			FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal
			UNION ALL
			SELECT 'function ' || proname, 4, format('FUNCTION %I $$%s$$;', proname, prosrc) FROM pg_proc
			WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
		) AS statements WHERE name <> 'migrations' ORDER BY name, part, statement`).Scan(&statements).Error
	require.NoError(t, err)
	return strings.Join(statements, "\n")
}
