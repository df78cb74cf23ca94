package lease_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/lease"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// seldom leaves a test so much time between two renewals that none comes by chance.
var seldom = lease.Options{TTL: time.Minute, Renew: 20 * time.Second}

// usurp gives the lease to a stranger for a minute, whatever was.
func usurp(t *testing.T, d *db.DB) (term string) {
	t.Helper()
	require.NoError(t, d.Gorm(within(t)).Raw(`UPDATE leader_leases SET leader = 'stranger', term = gen_random_uuid(), epoch = epoch + 1,
		expires = clock_timestamp() + '1 minute' WHERE lease_type = ? RETURNING term::text`, leaseType).Scan(&term).Error)
	return term
}

func TestResigningAnOldTermLeavesTheNewOneAlone(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	r := startWith(t, d, "a", seldom)
	receive(t, r.terms)
	stranger := usurp(t, d)
	r.stop()
	var row struct {
		Term, Leader string
		Held         bool
	}
	require.NoError(t, d.Gorm(within(t)).Raw("SELECT term::text, leader, expires > clock_timestamp() AS held FROM leader_leases WHERE lease_type = ?",
		leaseType).Scan(&row).Error)
	require.Equal(t, stranger, row.Term)
	require.Equal(t, "stranger", row.Leader)
	require.True(t, row.Held, "the lease of another was given up")
}

// The holder of both terms is one replica. What it began in the first must not
// end in the second: between the two somebody else may have led.
func TestAnEarlierTermOfTheSameHolderIsRefused(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	r := startWith(t, d, "a", lease.Options{TTL: 20 * time.Second, Renew: 100 * time.Millisecond})
	first := receive(t, r.terms)
	execute(t, d, "UPDATE leader_leases SET expires = clock_timestamp() WHERE lease_type = ?", leaseType)
	second := receive(t, r.terms)
	called := false
	require.ErrorIs(t, first.Tx(within(t), func(db.Tx) error { called = true; return nil }), lease.ErrLost)
	require.False(t, called)
	require.NoError(t, second.Tx(within(t), func(db.Tx) error { return nil }))
}

// The answer to a renewal may come long after the database prolonged the lease.
// Whoever counted from the answer would trust a lease that has run out.
func TestASlowAnswerDoesNotLengthenTheTrust(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	d := postgres.OpenURL(t, where)
	r := startWith(t, postgres.OpenURL(t, where), "a", lease.Options{
		TTL: 4 * time.Second, Renew: 400 * time.Millisecond, Margin: 700 * time.Millisecond,
	})
	receive(t, r.terms)
	// The row is held, so the next renewal is answered late. It is held again as
	// soon as that one is through, so there is no further one.
	held, next := make(chan struct{}), make(chan struct{})
	hold := func(locked chan struct{}, seconds float64) error {
		return d.Tx(within(t), func(tx db.Tx) error {
			if err := tx.Gorm().Exec("SELECT 1 FROM leader_leases WHERE lease_type = ? FOR UPDATE", leaseType).Error; err != nil {
				return err
			}
			close(locked)
			return tx.Gorm().Exec("SELECT pg_sleep(?)", seconds).Error
		})
	}
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { require.NoError(t, hold(held, 1.6)) })
	receive(t, held)
	waits(t, d, 1, "%UPDATE leader_leases SET expires%")
	group.Go(func() { require.NoError(t, hold(next, 3.8)) })
	waits(t, d, 2, "%leader_leases%")
	ended := receive(t, r.ended)
	receive(t, next)
	var expires time.Time
	require.NoError(t, d.Gorm(within(t)).Raw("SELECT expires FROM leader_leases WHERE lease_type = ?", leaseType).Scan(&expires).Error)
	require.True(t, ended.Before(expires), "it believed in its lease %s longer than that lasted", ended.Sub(expires))
}

// waits until so many statements wait for a lock.
func waits(t *testing.T, d *db.DB, n int, like string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, d.Gorm(within(t)).Raw(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE ?`, like).Scan(&waiting).Error)
		return waiting == n
	}, 10*time.Second, 10*time.Millisecond)
}

// A lock of a session ends with the server's side of it, and its holder is not
// told. What counts is the row.
func TestAKilledSessionMakesNoSecondLeader(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	d := postgres.OpenURL(t, where)
	var leading, most atomic.Int64
	lead := func(ctx context.Context, term *lease.Term) error {
		if n := leading.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer leading.Add(-1)
		<-ctx.Done()
		return nil
	}
	for i := range 2 {
		run(t, lease.New(postgres.OpenURL(t, named(t, where, "contender")), leaseType, fmt.Sprint(i), times, slog.New(slog.DiscardHandler)), lead)
	}
	for range 3 {
		require.Eventually(t, func() bool { return leading.Load() > 0 }, 10*time.Second, 5*time.Millisecond)
		terminate(t, d, "contender")
		select {
		case <-t.Context().Done():
		case <-time.After(ttl / 2):
		}
	}
	require.EqualValues(t, 1, most.Load(), "two led at the same time")
}

func terminate(t *testing.T, d *db.DB, application string) {
	t.Helper()
	const theirs = " FROM pg_stat_activity WHERE datname = current_database() AND application_name = ?"
	execute(t, d, "SELECT pg_terminate_backend(pid)"+theirs, application)
	execute(t, d, "SELECT pg_terminate_backend(pid, 5000)"+theirs, application) // until they are gone
}

// named is the database's URL for connections that can be told from others.
func named(t *testing.T, where, application string) string {
	t.Helper()
	u, err := url.Parse(where)
	require.NoError(t, err)
	q := u.Query()
	q.Set("application_name", application)
	u.RawQuery = q.Encode()
	return u.String()
}

// After a restart of the database the pool holds connections that are dead. A
// leader that stops then must not fail over them.
func TestALeaderResignsOverCutConnections(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	d, own := postgres.OpenURL(t, where), postgres.OpenURL(t, named(t, where, "contender"))
	r := startWith(t, own, "a", seldom)
	receive(t, r.terms)
	const pooled = 6
	for range 2 { // one that was used only once would be looked at before it is used again
		var begun, ended sync.WaitGroup
		begun.Add(pooled)
		for range pooled {
			ended.Go(func() {
				require.NoError(t, own.Tx(within(t), func(db.Tx) error {
					begun.Done()
					begun.Wait()
					return nil
				}))
			})
		}
		ended.Wait()
	}
	terminate(t, d, "contender")
	r.stop()
	var free bool
	require.NoError(t, d.Gorm(within(t)).Raw("SELECT leader = '' AND expires <= clock_timestamp() FROM leader_leases WHERE lease_type = ?", leaseType).Scan(&free).Error)
	require.True(t, free, "the others have to wait until the lease expires")
}

// A network can swallow answers without a word. Neither a contender nor a leader
// that stops may wait for them for ever.
func TestNoStatementAboutTheLeaseHangsForEver(t *testing.T) {
	t.Parallel()
	t.Run("of a contender", func(t *testing.T) {
		t.Parallel()
		d, network := behindRelay(t)
		// Somebody else's lease, so that the contender only looks; then nobody's.
		execute(t, d, "INSERT INTO leader_leases (lease_type, leader, expires) VALUES (?, 'dead', clock_timestamp() + '0.5 s') ON CONFLICT (lease_type) DO UPDATE SET expires = EXCLUDED.expires", leaseType)
		network.swallow()
		r := start(t, network.db, "a")
		receive(t, r.terms)
	})
	t.Run("of a leader that stops", func(t *testing.T) {
		t.Parallel()
		_, network := behindRelay(t)
		r := startWith(t, network.db, "a", seldom)
		receive(t, r.terms)
		network.swallow()
		began := time.Now()
		r.stop()
		require.Less(t, time.Since(began), 5*time.Second, "the lease ends by itself, so giving it up is not worth a long wait")
	})
}

// relay is a network between a pool and its server.
type relay struct {
	db *db.DB

	mu   sync.Mutex
	runs []*carried
}

// carried is one connection through the relay.
type carried struct {
	client net.Conn
	silent atomic.Bool // answers are swallowed
}

// swallow drops, from now on, all answers on the connections that there are, and
// the news of their end. New ones work.
func (r *relay) swallow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.runs {
		c.silent.Store(true)
	}
}

// cut ends all connections, so that nobody waits for a farewell.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.runs {
		_ = c.client.Close()
	}
}

// behindRelay gives a database, and a way to it through a relay.
func behindRelay(t *testing.T) (*db.DB, *relay) {
	t.Helper()
	where := postgres.URL(t)
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	target, err := url.Parse(where)
	require.NoError(t, err)
	r := &relay{}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { r.carry(t, client, target.Host) })
		}
	})
	through := *target
	through.Host = listener.Addr().String()
	t.Cleanup(group.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	r.db = postgres.OpenURL(t, through.String())
	t.Cleanup(r.cut)
	return postgres.OpenURL(t, where), r
}

func (r *relay) carry(t *testing.T, client net.Conn, address string) {
	var dialer net.Dialer
	server, err := dialer.DialContext(context.WithoutCancel(t.Context()), "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	c := &carried{client: client}
	r.mu.Lock()
	r.runs = append(r.runs, c)
	r.mu.Unlock()
	var group sync.WaitGroup
	group.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
		if c.silent.Load() { // the end is swallowed too
			_, _ = io.Copy(io.Discard, client)
		}
	})
	buffer := make([]byte, 32<<10)
	for {
		n, err := server.Read(buffer)
		if n > 0 && !c.silent.Load() {
			_, _ = client.Write(buffer[:n])
		}
		if err != nil {
			break
		}
	}
	if !c.silent.Load() {
		_ = client.Close()
	}
	group.Wait()
	_ = client.Close()
}
