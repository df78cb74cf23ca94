package db_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestOpeningsAreStatementsOfTheTransaction(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	var first, second string
	id := func(into *string) db.Opening {
		return db.Opening{SQL: "SELECT txid_current()::text || $1", Args: []any{"!"}, Read: func(row db.Row) error { return row.Scan(into) }}
	}
	require.NoError(t, d.TxOpened(within(t), []db.Opening{id(&first), {SQL: "SELECT 1, 2"}, id(&second)}, func(tx db.Tx) error {
		var third string
		require.NoError(t, tx.Gorm().Raw("SELECT txid_current()::text || '!'").Scan(&third).Error)
		require.Equal(t, []string{first, second}, []string{third, third})
		return nil
	}))
}

func TestAnOpeningThatFailsEndsTheTransaction(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	refused := errors.New("no")
	never := func(db.Tx) error {
		t.Error("the work began")
		return nil
	}
	insert := db.Opening{SQL: "INSERT INTO leader_leases (lease_type, expires) VALUES ($1, now())", Args: []any{"x"}}
	no := db.Opening{SQL: "SELECT 1", Read: func(db.Row) error { return refused }}
	require.ErrorIs(t, d.TxOpened(within(t), []db.Opening{insert, no, no}, never), refused)
	require.ErrorContains(t, d.TxOpened(within(t), []db.Opening{insert, {SQL: "SELECT nonsense"}}, never), "nonsense")
	broken := db.Opening{SQL: "SELECT 1 / (CASE WHEN count(*) > 0 THEN 0 ELSE 1 END) FROM leader_leases"}
	require.ErrorContains(t, d.TxOpened(within(t), []db.Opening{insert, broken, no}, never), "division by zero")
	require.NoError(t, d.TxOpened(within(t), []db.Opening{insert}, func(db.Tx) error { return nil }), "nothing of the others stayed")
}

func TestASpoiltTransactionDoesNotSeemCommitted(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	insert := func(tx db.Tx) error { return tx.Gorm().Exec(newLease, "x").Error }
	require.ErrorIs(t, d.Tx(within(t), func(tx db.Tx) error {
		require.NoError(t, insert(tx))
		require.Error(t, insert(tx))
		return nil // nobody looked
	}), pgx.ErrTxCommitRollback)
	require.NoError(t, d.Tx(within(t), insert))
}

// After a restart of the server all pooled connections are dead.
func TestATransactionBeginsAnewOnADeadConnection(t *testing.T) {
	t.Parallel()
	proxy, err := faultproxy.Start(postgres.URL(t))
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	d := postgres.OpenURL(t, proxy.URL())
	lock := []db.Opening{db.OpenLock("x")}
	done := func(db.Tx) error { return nil }
	require.NoError(t, d.TxOpened(within(t), lock, done))
	require.Positive(t, proxy.ResetAll())
	require.NoError(t, d.TxOpened(within(t), lock, done))
	trap := proxy.Trap(faultproxy.Cut{At: faultproxy.AfterStatement})
	require.NoError(t, d.TxOpened(within(t), lock, done), "what began has done nothing yet")
	require.Equal(t, 1, trap.Fired())
}
