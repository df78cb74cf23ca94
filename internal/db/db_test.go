package db_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

const newLease = "INSERT INTO leader_leases (lease_type, expires) VALUES (?, now())"

func TestEveryConnectionHasTheServersLimits(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	for setting, want := range map[string]string{
		"idle_in_transaction_session_timeout": "2s", "statement_timeout": "5s", "lock_timeout": "2s",
		"application_name": "kas-fleet-manager", "timezone": "UTC",
	} {
		var got string
		require.NoError(t, d.Gorm(within(t)).Raw("SELECT current_setting(?)", setting).Scan(&got).Error)
		require.Equal(t, want, got, setting)
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	insert := func(tx db.Tx) error { return tx.Gorm().Exec(newLease, "x").Error }
	refused := errors.New("no")
	require.ErrorIs(t, d.Tx(ctx, func(tx db.Tx) error { return errors.Join(insert(tx), refused) }), refused)
	require.Panics(t, func() {
		_ = d.Tx(ctx, func(tx db.Tx) error {
			require.NoError(t, insert(tx))
			panic("in the middle")
		})
	})
	require.NoError(t, d.Tx(ctx, insert), "neither of the two before committed")
	err := d.Tx(ctx, insert)
	require.True(t, db.IsUniqueViolation(err, "leader_leases_pkey"))
	require.True(t, db.IsUniqueViolation(err, ""))
	require.False(t, db.IsUniqueViolation(err, "another"))
	require.False(t, db.IsUniqueViolation(nil, ""))
}

func TestLockAdmitsOneAtATime(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	free := func(key string) (ok bool) {
		require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
			return tx.Gorm().Raw("SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0))", key).Scan(&ok).Error
		}))
		return ok
	}
	require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
		require.NoError(t, tx.Lock("org:1"))
		require.False(t, free("org:1"))
		require.True(t, free("org:2"))
		return nil
	}))
	require.True(t, free("org:1"), "it ends with its transaction")
	shared := []db.Statement{db.OpenLockShared("org:1")}
	require.NoError(t, d.TxOpened(ctx, shared, func(db.Tx) error {
		require.False(t, free("org:1"))
		return d.TxOpened(ctx, shared, func(db.Tx) error { return nil })
	}))
	require.NoError(t, d.TxOpened(ctx, []db.Statement{db.OpenLock("org:1")}, func(db.Tx) error {
		require.False(t, free("org:1"))
		return nil
	}))
	require.True(t, free("org:1"))
}

func TestIdleTransactionLosesItsLocks(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	held, released := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- d.Tx(ctx, func(tx db.Tx) error {
			require.NoError(t, tx.Lock("busy"))
			close(held)
			<-released // like a paused process
			return nil
		})
	}()
	<-held
	start := time.Now()
	var err error
	for range 3 { // a successor waits for two seconds at a time
		if err = d.Tx(ctx, func(tx db.Tx) error { return tx.Lock("busy") }); !db.IsLockTimeout(err) {
			break
		}
	}
	require.NoError(t, err)
	require.Less(t, time.Since(start), 5*time.Second)
	close(released)
	require.Error(t, <-done, "the paused one must not believe that it committed")
}

func TestTimesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	want := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	var got struct{ T time.Time }
	require.NoError(t, d.Gorm(within(t)).Raw("SELECT ?::timestamptz AS t", want).Scan(&got).Error)
	require.Equal(t, want, got.T)
}

func TestReadOnlyServerIsRefused(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	ctx := within(t)
	d := postgres.OpenURL(t, where)
	name := strings.TrimPrefix(pathOf(t, where), "/")
	require.NoError(t, d.Gorm(ctx).Exec("ALTER DATABASE "+name+" SET default_transaction_read_only = on").Error)
	_, err := db.Open(ctx, db.Config{URL: log.Secret(where), MaxOpenConnections: 1}, nil, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "read only")
}

func pathOf(t *testing.T, where string) string {
	u, err := url.Parse(where)
	require.NoError(t, err)
	return u.Path
}

func TestConnectionThatTurnedReadOnlyIsReplaced(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx := within(t)
	// A pool of one idle connection: the next user would get this one again.
	require.NoError(t, d.Gorm(ctx).Exec("SET default_transaction_read_only = on").Error)
	require.NoError(t, d.Gorm(ctx).Exec(newLease, "after the fail-over").Error)
}

func TestStatementsAreCountedAndTimed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	ctx := within(t)
	d, err := db.Open(ctx, db.Config{URL: log.Secret(postgres.URL(t)), MaxOpenConnections: 2}, reg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	require.NoError(t, d.Gorm(ctx).Exec(newLease, "x").Error)
	require.Error(t, d.Gorm(ctx).Exec(newLease, "x").Error)
	require.NoError(t, d.Gorm(ctx).Exec("/* odd */ VALUES (1)").Error)
	families, err := reg.Gather()
	require.NoError(t, err)
	names := map[string]bool{}
	counts := map[string]float64{}
	for _, f := range families {
		names[f.GetName()] = true
		if f.GetName() != "kas_fleet_manager_database_query_count" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := m.GetLabel()
			counts[labels[0].GetValue()+" "+labels[1].GetValue()] = m.GetCounter().GetValue()
		}
	}
	require.Equal(t, 1.0, counts["INSERT success"])
	require.Equal(t, 1.0, counts["INSERT failure"])
	require.GreaterOrEqual(t, counts["OTHER success"], 1.0)
	require.Contains(t, counts, "DELETE failure", "a series exists before its first event")
	require.True(t, names["go_sql_max_open_connections"])
	require.True(t, names["kas_fleet_manager_database_query_duration"])
}

func TestDebugLogShowsStatementsWithoutValues(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	ctx := within(t)
	c := db.Config{URL: log.Secret(postgres.URL(t)), MaxOpenConnections: 1, Debug: true}
	d, err := db.Open(ctx, c, nil, log.New(&out, slog.LevelDebug))
	require.NoError(t, err)
	require.NoError(t, d.Gorm(ctx).Exec(newLease, "hunter2").Error)
	require.NoError(t, d.Close())
	require.Contains(t, out.String(), "INSERT INTO leader_leases")
	require.NotContains(t, out.String(), "hunter2")
}
