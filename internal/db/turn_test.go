package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// Who waits longer for its turn than a connection waits for a lock stands in line
// again: for orders it once was an error of the service.
func TestATurnOutlivesTheLockTimeout(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	held, release := make(chan struct{}), make(chan struct{})
	holder := make(chan error, 1)
	go func() {
		holder <- d.Tx(within(t), func(tx db.Tx) error {
			if err := tx.Lock("queue"); err != nil {
				return err
			}
			close(held)
			for { // a transaction that did nothing for long would be ended by the server
				select {
				case <-release:
					return nil
				case <-time.After(100 * time.Millisecond):
					if err := tx.Gorm().Exec("SELECT 1").Error; err != nil {
						return err
					}
				}
			}
		})
	}()
	<-held
	timedOut := d.Tx(within(t), func(tx db.Tx) error { return tx.Lock("queue") })
	require.True(t, db.IsLockTimeout(timedOut), "the lock is held for longer than a connection waits: %v", timedOut)
	tries := 0
	done := make(chan error, 1)
	go func() {
		arrival := db.Statement{SQL: "SELECT 1", Read: func(db.Row) error {
			if tries++; tries == 2 {
				close(release)
			}
			return nil
		}}
		done <- d.TxInTurn(within(t), []db.Statement{arrival, db.OpenLock("queue")}, func(db.Tx) error { return nil })
	}()
	require.NoError(t, <-done)
	require.NoError(t, <-holder)
	require.GreaterOrEqual(t, tries, 2)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, d.TxInTurn(ended, nil, func(db.Tx) error { return nil }), "not beyond the request's time")
}

// Two transactions that wait for each other are not the customer's mistake: the one
// that the server gives up, which is the one that began to wait first, goes again.
func TestATurnOutlivesADeadlock(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	mine, theirs := make(chan struct{}), make(chan struct{})
	other := make(chan error, 1)
	go func() {
		other <- d.Tx(within(t), func(tx db.Tx) error {
			if err := tx.Lock("second"); err != nil {
				return err
			}
			close(theirs)
			<-mine
			for waits := false; !waits; { // until the turn waits for what this one has
				err := tx.Gorm().Raw("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted " +
					"AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))").Scan(&waits).Error
				if err != nil {
					return err
				}
			}
			return tx.Lock("first")
		})
	}()
	<-theirs
	tries := 0
	require.NoError(t, d.TxInTurn(within(t), []db.Statement{db.OpenLock("first")}, func(tx db.Tx) error {
		if tries++; tries == 1 {
			close(mine)
		}
		return tx.Lock("second")
	}))
	require.NoError(t, <-other)
	require.Equal(t, 2, tries)
}
