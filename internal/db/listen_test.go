package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestNotificationsComeWithTheirCommit(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	l := listen(t, d)
	receive(t, l.connects)
	require.NoError(t, d.Tx(l.ctx, func(tx db.Tx) error {
		tx.Notify("kafka", "ready k1")
		require.Empty(t, l.payloads, "not before the commit")
		tx.Notify("elsewhere", "not for us")
		return nil
	}))
	require.ErrorIs(t, d.Tx(l.ctx, func(tx db.Tx) error {
		tx.Notify("kafka", "rolled back")
		return context.Canceled
	}), context.Canceled)
	require.NoError(t, d.Tx(l.ctx, func(tx db.Tx) error { tx.Notify("kafka", "ready k2"); return nil }))
	require.Equal(t, "ready k1", receive(t, l.payloads))
	require.Equal(t, "ready k2", receive(t, l.payloads))
	l.cancel()
	require.NoError(t, receive(t, l.ended))
}

func TestListenerComesBackAfterItsConnectionBroke(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	l := listen(t, d)
	receive(t, l.connects)
	require.NoError(t, d.Gorm(l.ctx).Exec(
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'").Error)
	receive(t, l.connects)
	require.NoError(t, d.Tx(l.ctx, func(tx db.Tx) error { tx.Notify("kafka", "again"); return nil }))
	require.Equal(t, "again", receive(t, l.payloads))
	l.cancel()
	require.NoError(t, receive(t, l.ended))
}

func TestNotificationsComeThoughTheirConnectionBroke(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	l := listen(t, d)
	receive(t, l.connects)
	announce := func(payload string) func(db.Tx) error {
		return func(tx db.Tx) error { tx.Notify("kafka", payload); return nil }
	}
	require.NoError(t, d.Tx(l.ctx, announce("first")))
	require.Equal(t, "first", receive(t, l.payloads))
	require.NoError(t, d.Gorm(l.ctx).Exec(
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_notify%'").Error)
	require.NoError(t, d.Tx(l.ctx, announce("second")))
	require.Equal(t, "second", receive(t, l.payloads))
}

// Where the loops run in the process that wrote, nobody else has to know; and what
// they refuse goes to everybody.
func TestNotificationsAreTakenByTheirOwnProcessFirst(t *testing.T) {
	t.Parallel()
	url := postgres.URL(t)
	l := listen(t, postgres.OpenURL(t, url))
	receive(t, l.connects)
	d := postgres.OpenURL(t, url)
	here := make(chan string, 10)
	d.TakeHere("kafka", func(payload string) bool {
		if payload == "refused" {
			return false
		}
		here <- payload
		return true
	})
	require.NoError(t, d.Tx(l.ctx, func(tx db.Tx) error {
		tx.Notify("kafka", "taken")
		require.Empty(t, here, "not before the commit")
		tx.Notify("other", "of another channel")
		tx.Notify("kafka", "refused")
		return nil
	}))
	require.Equal(t, "taken", receive(t, here))
	require.Equal(t, "refused", receive(t, l.payloads), "and not what was taken")
	require.Empty(t, here)
}

func TestTheLastNotificationsAreSentBeforeTheEnd(t *testing.T) {
	t.Parallel()
	url := postgres.URL(t)
	l := listen(t, postgres.OpenURL(t, url))
	receive(t, l.connects)
	last := postgres.OpenURL(t, url)
	require.NoError(t, last.Tx(l.ctx, func(tx db.Tx) error { tx.Notify("kafka", "farewell"); return nil }))
	require.NoError(t, last.Close())
	require.Equal(t, "farewell", receive(t, l.payloads))
}

type listening struct {
	ctx      context.Context
	cancel   context.CancelFunc
	connects chan struct{}
	payloads chan string
	ended    chan error
}

func listen(t *testing.T, d *db.DB) listening {
	ctx, cancel := context.WithCancel(within(t))
	t.Cleanup(cancel)
	l := listening{ctx, cancel, make(chan struct{}, 10), make(chan string, 10), make(chan error, 1)}
	go func() {
		l.ended <- d.Listen(ctx, "kafka", func() { l.connects <- struct{}{} }, func(p string) { l.payloads <- p })
	}()
	return l
}

func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(10 * time.Second):
		require.Fail(t, "nothing came")
	}
	return got
}
