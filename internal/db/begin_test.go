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
	id := func(into *string) db.Statement {
		return db.Statement{SQL: "SELECT txid_current()::text || $1", Args: []any{"!"}, Read: func(row db.Row) error { return row.Scan(into) }}
	}
	require.NoError(t, d.TxOpened(within(t), []db.Statement{id(&first), {SQL: "SELECT 1, 2"}, id(&second)}, func(tx db.Tx) error {
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
	insert := db.Statement{SQL: "INSERT INTO leader_leases (lease_type, expires) VALUES ($1, now())", Args: []any{"x"}}
	no := db.Statement{SQL: "SELECT 1", Read: func(db.Row) error { return refused }}
	require.ErrorIs(t, d.TxOpened(within(t), []db.Statement{insert, no, no}, never), refused)
	require.ErrorContains(t, d.TxOpened(within(t), []db.Statement{insert, {SQL: "SELECT nonsense"}}, never), "nonsense")
	broken := db.Statement{SQL: "SELECT 1 / (CASE WHEN count(*) > 0 THEN 0 ELSE 1 END) FROM leader_leases"}
	require.ErrorContains(t, d.TxOpened(within(t), []db.Statement{insert, broken, no}, never), "division by zero")
	require.NoError(t, d.TxOpened(within(t), []db.Statement{insert}, func(db.Tx) error { return nil }), "nothing of the others stayed")
}

func TestStatementsThatGoTogether(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	insert := func(name string) db.Statement {
		s := db.Asking("INSERT INTO leader_leases (lease_type, expires) VALUES (?, now())", name)
		s.Doing = "inserting " + name
		return s
	}
	refused, judged := errors.New("no"), int64(-1)
	judge := insert("judged")
	judge.Done = func(rows int64) error { judged = rows; return nil }
	names := []string{"what was there before"}
	list := db.Listing(func(row db.Row) (name string, err error) { return name, row.Scan(&name) }, &names,
		"SELECT lease_type FROM leader_leases WHERE lease_type <> ? AND lease_type NOT LIKE '%reconciler' ORDER BY 1", "other")
	require.NoError(t, d.Tx(within(t), func(tx db.Tx) error { return tx.Send(insert("first"), insert("other"), judge, list) }))
	require.EqualValues(t, 1, judged)
	require.Equal(t, []string{"first", "judged"}, names, "each sees what those before it wrote")

	refuse := insert("refused")
	refuse.Done = func(int64) error { return refused }
	none := db.Statement{SQL: "SELECT 1 WHERE false", Read: func(row db.Row) error {
		var one int
		return row.Scan(&one)
	}}
	for want, statements := range map[string][]db.Statement{
		"no":                {insert("a"), refuse, insert("b")},
		"inserting first: ": {insert("a"), insert("first"), judge},
		"no rows":           {insert("a"), none},
		`column "nonsense"`: {insert("a"), {SQL: "SELECT nonsense"}},
	} {
		require.ErrorContains(t, d.Tx(within(t), func(tx db.Tx) error { return tx.Send(statements...) }), want)
	}
	require.True(t, db.IsUniqueViolation(d.Tx(within(t), func(tx db.Tx) error { return tx.Send(insert("first")) }), "leader_leases_pkey"))
	require.NoError(t, d.Tx(within(t), func(tx db.Tx) error { return tx.Send(list) }))
	require.Equal(t, []string{"first", "judged"}, names, "nothing of those that failed stayed")
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
	lock := []db.Statement{db.OpenLock("x")}
	done := func(db.Tx) error { return nil }
	require.NoError(t, d.TxOpened(within(t), lock, done))
	require.Positive(t, proxy.ResetAll())
	require.NoError(t, d.TxOpened(within(t), lock, done))
	trap := proxy.Trap(faultproxy.Cut{At: faultproxy.AfterStatement})
	require.NoError(t, d.TxOpened(within(t), lock, done), "what began has done nothing yet")
	require.Equal(t, 1, trap.Fired())
}
