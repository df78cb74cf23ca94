package reconcile_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/lease"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// The pieces together: a handler's commit wakes the leader's loop through the
// database, and the loop writes with the leader's fenced transaction.
func TestNotifiedRowIsWorkedOnByTheLeader(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, d.Gorm(ctx).Exec("CREATE TABLE jobs (id text PRIMARY KEY, done_at timestamptz)").Error)
	worked := make(chan string, 10)
	l := reconcile.Loop{
		Name: "jobs", Workers: 2, Tick: time.Hour, Timeout: 5 * time.Second,
		Due: func(ctx context.Context, limit int) (ids []string, err error) {
			err = d.Gorm(ctx).Raw("SELECT id FROM jobs WHERE done_at IS NULL ORDER BY id LIMIT ?", limit).Scan(&ids).Error
			return ids, err
		},
		Wakes: func(payload string) (string, bool) { return strings.CutPrefix(payload, "new ") },
		Work: func(ctx context.Context, tx db.TxFunc, id string) (time.Duration, error) {
			defer func() { worked <- id }()
			return 0, tx(ctx, func(tx db.Tx) error {
				return tx.Gorm().Exec("UPDATE jobs SET done_at = now() WHERE id = ?", id).Error
			})
		},
	}
	require.NoError(t, d.Gorm(ctx).Exec("INSERT INTO jobs (id) VALUES ('before')").Error)
	stop := lead(t, d, l)
	require.Equal(t, "before", <-worked, "found by the first list")
	require.NoError(t, d.Tx(ctx, func(tx db.Tx) error {
		if err := tx.Gorm().Exec("INSERT INTO jobs (id) VALUES ('k1')").Error; err != nil {
			return err
		}
		tx.Notify("kafka", "new k1")
		return nil
	}))
	require.Equal(t, "k1", <-worked)
	stop()
	var left int64
	require.NoError(t, d.Gorm(ctx).Table("jobs").Where("done_at IS NULL").Count(&left).Error)
	require.Zero(t, left)
}

func lead(t *testing.T, d *db.DB, l reconcile.Loop) (stop func()) {
	logger := slog.New(slog.DiscardHandler)
	m, err := reconcile.NewMetrics(prometheus.NewRegistry(), l.Name)
	require.NoError(t, err)
	engine := reconcile.New(logger, m, func(_ context.Context, err error) { t.Error(err) })
	elected := lease.New(d, "kafka_reconciler", "a", lease.Options{TTL: 3 * time.Second, Renew: time.Second}, logger)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = d.Listen(ctx, "kafka", engine.WakeAll, engine.Wake) })
	group.Go(func() {
		_ = elected.Run(ctx, func(ctx context.Context, term *lease.Term) error {
			return engine.Run(ctx, term.Tx, []reconcile.Loop{l})
		})
	})
	stop = func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	return stop
}
