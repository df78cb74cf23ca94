package db_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

type pair struct {
	n    int
	text string
}

func readPair(row db.Row) (p pair, err error) {
	err = row.Scan(&p.n, &p.text)
	return p, err
}

func TestCollectReadsRowsInOrder(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	got, err := db.Collect(within(t), d, readPair, "SELECT n, ? || n FROM generate_series(1, ?::int) AS n ORDER BY n DESC", "row ", 3)
	require.NoError(t, err)
	require.Equal(t, []pair{{3, "row 3"}, {2, "row 2"}, {1, "row 1"}}, got)
	got, err = db.Collect(within(t), d, readPair, "SELECT 1, 'x' WHERE false")
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = db.Collect(within(t), d, readPair, "SELECT 1 / 0, 'x'")
	require.ErrorContains(t, err, "division by zero")
	_, err = db.Collect(within(t), d, readPair, "SELECT 'not a number', 'x'")
	require.Error(t, err)
}

// A restart of the server kills all connections of the pool at once.
func TestCollectTriesAgainOnADeadConnection(t *testing.T) {
	t.Parallel()
	url := postgres.URL(t)
	d, other := postgres.OpenURL(t, url), postgres.OpenURL(t, url)
	_, err := db.Collect(within(t), d, readPair, "SELECT 1, 'x'")
	require.NoError(t, err)
	require.NoError(t, other.Gorm(within(t)).Exec(
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Error)
	got, err := db.Collect(within(t), d, readPair, "SELECT 2, 'y'")
	require.NoError(t, err)
	require.Equal(t, []pair{{2, "y"}}, got)
}
