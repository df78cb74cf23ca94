package server_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/postgres/server"
)

func TestServerKeepsItsDataUntilItIsRemoved(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// A folder deep enough that no socket fits into its path, and closed to others.
	o := server.Options{Dir: filepath.Join(t.TempDir(), "a-name-that-is-longer-than-the-path-of-a-socket-may-be-on-any-system-that-we-know"), Fast: true}
	s, err := server.Start(ctx, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Remove(context.WithoutCancel(ctx))) })
	execute(ctx, t, s, "CREATE TABLE kept (id text)")
	again, err := server.Start(ctx, o)
	require.NoError(t, err)
	require.Equal(t, s.URL(), again.URL(), "a running server is left as it is")

	require.NoError(t, s.Stop(ctx))
	require.NoError(t, s.Stop(ctx), "stopping twice is no error")
	_, err = pgx.Connect(ctx, s.URL())
	require.Error(t, err)

	s, err = server.Start(ctx, o)
	require.NoError(t, err)
	execute(ctx, t, s, "INSERT INTO kept VALUES ('x')")
	opened, err := server.Open(ctx, o.Dir)
	require.NoError(t, err)
	require.Equal(t, s.URL(), opened.URL())
	pid, err := opened.PID()
	require.NoError(t, err)
	require.Positive(t, pid)
	require.NoError(t, s.Remove(ctx))
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = server.Open(ctx, o.Dir)
	require.Error(t, err)
}

func execute(ctx context.Context, t *testing.T, s *server.Server, sql string) {
	conn, err := pgx.Connect(ctx, s.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	require.NoError(t, err)
}

func TestWhatWasAcknowledgedOutlivesACrash(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := server.StartDurable(ctx, 20)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Remove(context.WithoutCancel(ctx))) })
	execute(ctx, t, p.Server, "CREATE TABLE kept (id text)")
	require.NoError(t, p.Crash(ctx))
	require.False(t, p.Running(ctx))
	require.NoError(t, p.Return(ctx))
	execute(ctx, t, p.Server, "INSERT INTO kept VALUES ('x')")

	conn, err := pgx.Connect(ctx, p.URL())
	require.NoError(t, err)
	require.NoError(t, p.Restart(ctx))
	require.Error(t, conn.Ping(ctx))
	var kept, connections string
	conn, err = pgx.Connect(ctx, p.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	require.NoError(t, conn.QueryRow(ctx, "SELECT id, current_setting('max_connections') FROM kept").Scan(&kept, &connections))
	require.Equal(t, []string{"x", "20"}, []string{kept, connections})
}
