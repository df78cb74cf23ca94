package lease_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/lease"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // these tests wait far more than they work
	goleak.VerifyTestMain(m)
}

const (
	leaseType = "kafka_reconciler"
	// Long enough for a machine that has much else to do.
	ttl = 2 * time.Second
)

var times = lease.Options{TTL: ttl, Renew: ttl / 4}

// replica is one contender whose work only waits for the end of its term.
type replica struct {
	t     *testing.T
	lease *lease.Lease
	terms chan *lease.Term
	ended chan time.Time
	stop  func() // graceful
}

func start(t *testing.T, d *db.DB, name string) *replica { return startWith(t, d, name, times) }

func startWith(t *testing.T, d *db.DB, name string, o lease.Options) *replica {
	r := &replica{t: t, terms: make(chan *lease.Term, 100), ended: make(chan time.Time, 100)}
	r.lease = lease.New(d, leaseType, name, o, slog.New(slog.DiscardHandler))
	r.stop = run(t, r.lease, func(ctx context.Context, term *lease.Term) error {
		r.terms <- term
		<-ctx.Done()
		r.ended <- time.Now()
		return nil
	})
	return r
}

func run(t *testing.T, l *lease.Lease, lead func(context.Context, *lease.Term) error) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := l.Run(ctx, lead); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	return stop
}

func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(15 * time.Second):
		require.FailNow(t, "nothing came")
	}
	return got
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func execute(t *testing.T, d *db.DB, sql string, args ...any) {
	t.Helper()
	require.NoError(t, d.Gorm(within(t)).Exec(sql, args...).Error)
}

func TestOneWinnerAmongMany(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	var contenders []*replica
	for i := range 8 {
		contenders = append(contenders, start(t, postgres.OpenURL(t, where), fmt.Sprint(i)))
	}
	d := postgres.OpenURL(t, where)
	for round := range int64(5) {
		var row struct {
			Term  string
			Epoch int64
		}
		require.Eventually(t, func() bool {
			require.NoError(t, d.Gorm(within(t)).Raw("SELECT term, epoch FROM leader_leases WHERE lease_type = ?", leaseType).Scan(&row).Error)
			return row.Epoch > round
		}, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, round+1, row.Epoch, "two won the same round")
		execute(t, d, "UPDATE leader_leases SET expires = clock_timestamp() WHERE lease_type = ?", leaseType)
		for _, c := range contenders {
			c.lease.WakeAll()
		}
	}
}

func TestLeaderKeepsItsLeaseWhileItRenews(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	first := start(t, d, "a")
	term := receive(t, first.terms)
	second := start(t, d, "b")
	select {
	case <-second.terms:
		require.Fail(t, "two leaders")
	case <-first.ended:
		require.Fail(t, "the leader gave up")
	case <-time.After(2 * ttl):
	}
	require.NoError(t, term.Tx(within(t), func(db.Tx) error { return nil }))
}

func TestFencedTransactionOfAnOldTermIsRefused(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	r := start(t, d, "a")
	term := receive(t, r.terms)
	// Another replica has taken over, and this one was paused and does not know.
	execute(t, d, "UPDATE leader_leases SET term = gen_random_uuid(), expires = clock_timestamp() + '1 minute' WHERE lease_type = ?", leaseType)
	called := false
	err := term.Tx(within(t), func(db.Tx) error { called = true; return nil })
	require.ErrorIs(t, err, lease.ErrLost)
	require.False(t, called)
	receive(t, r.ended)
}

func TestExpiredTermIsRefusedEvenIfNobodyTookOver(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	r := start(t, d, "a")
	term := receive(t, r.terms)
	execute(t, d, "UPDATE leader_leases SET expires = clock_timestamp() WHERE lease_type = ?", leaseType)
	require.ErrorIs(t, term.Tx(within(t), func(db.Tx) error { return nil }), lease.ErrLost)
}

func TestTakeOverWaitsForFencedTransactions(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	first := start(t, d, "a")
	term := receive(t, first.terms)
	second := start(t, d, "b")
	err := term.Tx(within(t), func(tx db.Tx) error {
		execute(t, d, "UPDATE leader_leases SET expires = clock_timestamp() WHERE lease_type = ?", leaseType)
		second.lease.WakeAll()
		// The server keeps the transaction busy; its commit is still safe.
		require.NoError(t, tx.Gorm().Exec("SELECT pg_sleep(0.3)").Error)
		require.Empty(t, second.terms, "a term began while a transaction of the old one could still commit")
		return tx.Gorm().Exec("INSERT INTO leader_leases (lease_type, expires) VALUES ('written', now())").Error
	})
	require.NoError(t, err)
}

func TestRenewalOfAReplacedTermLoses(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	r := start(t, d, "same name")
	term := receive(t, r.terms)
	// The holder's name is the same: only the term tells them apart.
	execute(t, d, "UPDATE leader_leases SET term = gen_random_uuid(), expires = clock_timestamp() + '3 seconds' WHERE lease_type = ?", leaseType)
	receive(t, r.ended)
	again := receive(t, r.terms)
	require.NotEqual(t, term.ID(), again.ID())
}

func TestTakeOverAfterASilentDeath(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	// A holder that was killed a moment after a renewal.
	execute(t, d, "UPDATE leader_leases SET leader = 'dead', expires = clock_timestamp() + make_interval(secs => ?) WHERE lease_type = ?", ttl.Seconds(), leaseType)
	died := time.Now()
	r := start(t, d, "b")
	receive(t, r.terms)
	took := time.Since(died)
	require.Greater(t, took, ttl-50*time.Millisecond)
	require.Less(t, took, ttl+time.Second)
}

func TestTrustEndsWhenTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	d, other := postgres.OpenURL(t, where), postgres.OpenURL(t, where)
	o := lease.Options{TTL: 2 * time.Second, Renew: 250 * time.Millisecond, Margin: 700 * time.Millisecond}
	r := startWith(t, d, "a", o)
	term := receive(t, r.terms)
	require.NoError(t, d.Close(), "from here on no renewal can succeed")
	away := time.Now()
	ended := receive(t, r.ended)
	require.Less(t, ended.Sub(away), o.TTL, "it stops before its lease runs out")
	require.ErrorIs(t, term.Tx(within(t), func(db.Tx) error { return nil }), lease.ErrLost)
	second := start(t, other, "b")
	receive(t, second.terms)
}

func TestGracefulHandOver(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	d := postgres.OpenURL(t, where)
	// So rarely looked at that only the notification can be the reason.
	rarely := lease.Options{TTL: time.Minute, Renew: 20 * time.Second}
	first := startWith(t, postgres.OpenURL(t, where), "a", rarely)
	receive(t, first.terms)
	second := startWith(t, d, "b", rarely)
	connected := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		_ = d.Listen(ctx, lease.Channel, func() { connected <- struct{}{} }, second.lease.Wake)
	})
	defer group.Wait()
	defer cancel()
	receive(t, connected)
	go first.stop()
	ended := receive(t, first.ended)
	receive(t, second.terms)
	require.Less(t, time.Since(ended), 5*time.Second, "the storm measures how fast it is")
}

func TestLeaderThatCannotWorkGivesOthersAChance(t *testing.T) {
	t.Parallel()
	where := postgres.URL(t)
	for name, lead := range map[string]func(context.Context, *lease.Term) error{
		"fails":  func(context.Context, *lease.Term) error { return errors.New("cannot start") },
		"panics": func(context.Context, *lease.Term) error { panic("cannot start") },
		"ends":   func(context.Context, *lease.Term) error { return nil },
	} {
		d := postgres.OpenURL(t, where)
		var changes []bool
		options := seldom
		options.OnChange = func(leading bool) { changes = append(changes, leading) }
		// Who kept the lease without working would not be called again.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		calls := 0
		err := lease.New(d, leaseType, name, options, slog.New(slog.DiscardHandler)).Run(ctx, func(ctx context.Context, term *lease.Term) error {
			if calls++; calls == 2 {
				cancel()
			}
			return lead(ctx, term)
		})
		require.NoError(t, err)
		require.Equal(t, 2, calls, "it is tried again")
		require.Equal(t, []bool{true, false, true, false}, changes)
		var free bool
		require.NoError(t, d.Gorm(within(t)).Raw("SELECT leader = '' AND expires <= clock_timestamp() FROM leader_leases WHERE lease_type = ?", leaseType).Scan(&free).Error)
		require.True(t, free)
	}
}

func TestNewLeaseTypeNeedsNoMigration(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	terms := make(chan *lease.Term, 1)
	run(t, lease.New(d, "connector_reconciler", "a", times, slog.New(slog.DiscardHandler)), func(ctx context.Context, term *lease.Term) error {
		terms <- term
		<-ctx.Done()
		return nil
	})
	receive(t, terms)
}

func TestConfigLeavesRoomForSlowRenewals(t *testing.T) {
	t.Parallel()
	require.NoError(t, (&lease.Config{TTL: 10 * time.Second, Renew: 3 * time.Second}).Validate())
	require.ErrorContains(t, (&lease.Config{TTL: 10 * time.Second, Renew: 4 * time.Second}).Validate(), "leader-lease-expiration-time")
	require.ErrorContains(t, (&lease.Config{TTL: time.Second}).Validate(), "leader-election-reconciler-repeat-interval")
}
