package faultproxy_test

import (
	"context"
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a table behind a proxy, and a way past the proxy.
type stage struct {
	*testing.T
	*faultproxy.Proxy
	url    string // through the proxy
	direct *pgx.Conn
}

func newStage(t *testing.T) *stage {
	t.Helper()
	t.Parallel()
	where := postgres.EmptyURL(t)
	p, err := faultproxy.Start(where)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	s := &stage{T: t, Proxy: p, url: p.URL()}
	s.direct, err = pgx.Connect(t.Context(), where)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.direct.Close(context.WithoutCancel(t.Context()))) })
	_, err = s.direct.Exec(t.Context(), "CREATE TABLE kept (id text PRIMARY KEY)")
	require.NoError(t, err)
	return s
}

func (s *stage) connect() *pgx.Conn {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.url)
	require.NoError(s, err)
	s.Cleanup(func() { _ = conn.Close(context.WithoutCancel(s.Context())) })
	return conn
}

// insert writes an id in a transaction of its own.
func (s *stage) insert(conn *pgx.Conn, id string) error {
	return pgx.BeginFunc(s.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(s.Context(), "INSERT INTO kept (id) VALUES ($1)", id)
		return err
	})
}

func (s *stage) ids() []string {
	rows, err := s.direct.Query(s.Context(), "SELECT id FROM kept ORDER BY id")
	require.NoError(s, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s, err)
	return ids
}

// within gives a context that a silent server does not outlast.
func (s *stage) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), d)
	s.Cleanup(cancel)
	return ctx
}

func TestNothingChangesByItself(t *testing.T) {
	s := newStage(t)
	conn := s.connect()
	for i := range 20 {
		require.NoError(t, s.insert(conn, strconv.Itoa(i)))
	}
	require.Len(t, s.ids(), 20)
	require.Equal(t, faultproxy.Counts{Connections: 1}, s.Counts())
	require.Equal(t, 1, s.Open())
}

func TestACutAfterCommitLeavesTheEffectAndHidesIt(t *testing.T) {
	s := newStage(t)
	trap := s.Trap(faultproxy.Cut{At: faultproxy.AfterCommit, Match: regexp.MustCompile(`INSERT INTO kept.*"second"`)})
	conn := s.connect()
	require.NoError(t, s.insert(conn, "first"))
	require.Zero(t, trap.Fired())
	require.Error(t, s.insert(conn, "second"))
	require.Equal(t, 1, trap.Fired())
	require.True(t, conn.IsClosed())
	require.Equal(t, []string{"first", "second"}, s.ids())
	require.ErrorContains(t, s.insert(s.connect(), "second"), "23505", "the trap is spent")
}

// Others may see what was committed before the reply has come to the proxy: who
// then asks whether the trap sprang must hear of it.
func TestACutIsCountedOnceItsEffectIsSeen(t *testing.T) {
	s := newStage(t)
	watcher := s.connect()
	for i := range 100 {
		id := strconv.Itoa(i)
		trap := s.Trap(faultproxy.Cut{At: faultproxy.AfterCommit, Match: regexp.MustCompile(`INSERT`)})
		conn, done := s.connect(), make(chan error, 1)
		go func() { done <- s.insert(conn, id) }()
		for seen := 0; seen == 0; {
			require.NoError(t, watcher.QueryRow(t.Context(), "SELECT count(*) FROM kept WHERE id = $1", id).Scan(&seen))
		}
		require.Equal(t, 1, trap.Fired())
		require.Error(t, <-done)
	}
}

func TestACutBeforeCommitLeavesNothing(t *testing.T) {
	s := newStage(t)
	trap := s.Trap(faultproxy.Cut{At: faultproxy.BeforeCommit, Times: 2})
	require.Error(t, s.insert(s.connect(), "one"))
	require.Error(t, s.insert(s.connect(), "one"))
	require.NoError(t, s.insert(s.connect(), "one"))
	require.Equal(t, 2, trap.Fired())
	require.Equal(t, []string{"one"}, s.ids())
}

func TestACutAtTheNthStatement(t *testing.T) {
	s := newStage(t)
	insert := regexp.MustCompile(`^INSERT`)
	run := func(id string) error {
		_, err := s.connect().Exec(t.Context(), "INSERT INTO kept (id) VALUES ($1)", id)
		return err
	}
	after := s.Trap(faultproxy.Cut{At: faultproxy.AfterStatement, Match: insert, Nth: 2})
	require.NoError(t, run("1"))
	require.Error(t, run("2"))
	require.NoError(t, run("3"))
	require.Equal(t, 1, after.Fired())
	before := s.Trap(faultproxy.Cut{At: faultproxy.BeforeStatement, Match: insert, Times: -1})
	require.Error(t, run("4"))
	require.Error(t, run("5"))
	before.Disarm()
	require.NoError(t, run("6"))
	require.Equal(t, 2, before.Fired())
	require.Equal(t, []string{"1", "2", "3", "6"}, s.ids())
}

func TestAMuteCutSaysNothing(t *testing.T) {
	s := newStage(t)
	trap := s.Trap(faultproxy.Cut{At: faultproxy.AfterStatement, Match: regexp.MustCompile(`INSERT`), Mute: true})
	conn := s.connect()
	_, err := conn.Exec(s.within(100*time.Millisecond), "INSERT INTO kept (id) VALUES ('one')")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, trap.Fired())
	require.Equal(t, []string{"one"}, s.ids())
}

func TestSilenceLosesWhatIsSent(t *testing.T) {
	s := newStage(t)
	idle, busy := s.connect(), s.connect()
	s.Blackhole()
	require.ErrorIs(t, busy.Ping(s.within(50*time.Millisecond)), context.DeadlineExceeded)
	_, err := pgx.Connect(s.within(50*time.Millisecond), s.url)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	s.Pass()
	require.NoError(t, idle.Ping(t.Context()), "it never noticed")
	require.Positive(t, s.Counts().Lost)
	require.NoError(t, s.connect().Ping(t.Context()))
}

func TestRefusalAndReset(t *testing.T) {
	s := newStage(t)
	conn := s.connect()
	s.Refuse()
	_, err := pgx.Connect(t.Context(), s.url)
	require.Error(t, err)
	require.Positive(t, s.Counts().Refused)
	require.NoError(t, conn.Ping(t.Context()))
	require.Equal(t, 1, s.ResetAll())
	require.Error(t, conn.Ping(t.Context()))
	s.Pass()
	require.NoError(t, s.connect().Ping(t.Context()))
}

func TestEveryRoundTripIsDelayed(t *testing.T) {
	s := newStage(t)
	conn := s.connect()
	s.Delay(30 * time.Millisecond)
	began := time.Now()
	require.NoError(t, conn.Ping(t.Context()))
	require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	require.Equal(t, 1, s.Counts().Delayed)
	s.Delay(time.Hour)
	require.ErrorIs(t, conn.Ping(s.within(30*time.Millisecond)), context.DeadlineExceeded)
	s.Pass()
	require.NoError(t, s.connect().Ping(t.Context()))
}

func TestNotificationsAreSwallowed(t *testing.T) {
	s := newStage(t)
	listener, other := s.connect(), s.connect()
	_, err := listener.Exec(t.Context(), "LISTEN news")
	require.NoError(t, err)
	tell := func(text string) {
		_, err := s.direct.Exec(t.Context(), "SELECT pg_notify('news', $1)", text)
		require.NoError(t, err)
	}
	s.Deafen(true)
	tell("lost")
	require.Eventually(t, func() bool { return s.Counts().Swallowed == 1 }, 5*time.Second, 5*time.Millisecond)
	s.Deafen(false)
	tell("heard")
	n, err := listener.WaitForNotification(s.within(5 * time.Second))
	require.NoError(t, err)
	require.Equal(t, "heard", n.Payload)

	require.Equal(t, 1, s.ResetListeners())
	_, err = listener.WaitForNotification(s.within(5 * time.Second))
	require.Error(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, other.Ping(t.Context()))
}

func TestAServerThatIsAway(t *testing.T) {
	t.Parallel()
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	p, err := faultproxy.Start("postgres://me@" + closed.Addr().String() + "/x")
	require.NoError(t, err)
	defer p.Close()
	_, err = pgx.Connect(t.Context(), "postgres://me@"+p.Address()+"/x")
	require.Error(t, err)
	require.Zero(t, p.Counts().Connections)
	_, err = faultproxy.Start("no address at all")
	require.Error(t, err)
}
