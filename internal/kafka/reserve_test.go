package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	accountsquota "github.com/kas-fleet/kas-fleet-manager/internal/quota/ams"
	upstream "github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
)

// accounts has accounts management grant the quota.
type accounts struct {
	*emulator.Emulated
	state *ams.AMS

	mu     sync.Mutex
	during func(call int) // runs while a reservation is under way, before anything comes of it
	calls  int
}

const authorisations = "/cluster_authorizations$"

func (a *accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		a.mu.Lock()
		a.calls++
		call, during := a.calls, a.during
		a.mu.Unlock()
		if during != nil {
			during(call)
		}
	}
	a.Emulated.ServeHTTP(w, r)
}

func (a *accounts) meanwhile(during func(call int)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.during, a.calls = during, 0
}

// outside has the office's quota granted by accounts management.
func (o office) outside() *accounts {
	o.t.Helper()
	state := ams.New(ams.Options{
		Accounts: []ams.Account{{Username: "alice", OrgExternalID: "org1"}, {Username: "bob", OrgExternalID: "org2"}},
		Organisations: []ams.Organisation{
			{ExternalID: "org1", Quota: []ams.Quota{{Product: "RHOSAK", BillingModel: "standard", Allowed: 99}}},
			{ExternalID: "org2", Quota: []ams.Quota{{Product: "RHOSAK", BillingModel: "standard", Allowed: 99}}},
		},
	})
	a := &accounts{Emulated: emulator.Wrap("ams", state.Handler()), state: state}
	server := httptest.NewServer(a)
	o.t.Cleanup(server.Close)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"typ": "Bearer", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte("key"))
	require.NoError(o.t, err)
	client, err := upstream.New(ocm.Config{AMSBaseURL: server.URL, TokenURL: server.URL, Token: log.Secret(token), Timeout: 5 * time.Second}, slog.New(slog.DiscardHandler))
	require.NoError(o.t, err)
	o.t.Cleanup(func() { _ = client.Close() })
	o.Service.Quota = accountsquota.New(client, shipped(o.t))
	return a
}

// An order may stand in line for long before its row is written. Its time begins then.
func TestTheTimeOfAnOrderBeginsWhenItsRowIsWritten(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	outside := o.outside()
	var due, begun time.Time
	outside.meanwhile(func(int) {
		query := o.d.Gorm(bound(t)).Raw("SELECT next_attempt_at, r.updated_at FROM kafka_requests k JOIN external_resources r ON r.owner_id = k.id")
		if err := query.Row().Scan(&due, &begun); err != nil {
			t.Errorf("looking at the order: %v", err)
		}
	})
	var began time.Time
	locked, free := make(chan struct{}), make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() {
		err := o.d.Tx(bound(t), func(tx db.Tx) error {
			if err := tx.Gorm().Exec("SELECT 1 FROM clusters FOR UPDATE").Error; err != nil {
				return err
			}
			close(locked)
			<-free
			return nil
		})
		if err != nil {
			t.Errorf("holding the cluster: %v", err)
		}
	})
	<-locked
	holder.Go(func() {
		o.waiting(1)
		began = o.Clock()
		close(free)
	})
	_, err := o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: "one"})
	require.NoError(t, err)
	holder.Wait()
	require.False(t, due.Before(Reserving.dueAt(began)), "due at %s, %s after it was free to go on", due, due.Sub(began))
	require.False(t, begun.Before(began), "the call counts from when it is made")
}

// waiting waits until so many connections wait for a lock.
func (o office) waiting(n int) {
	o.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		var have int
		err := o.d.Gorm(bound(o.t)).Raw("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&have).Error
		if err != nil {
			o.t.Errorf("looking who waits: %v", err)
			return
		}
		if have >= n {
			return
		}
	}
	o.t.Errorf("nobody waits for a lock")
}

// While nobody answers, one organisation must not take the room of the others.
func TestOrdersOfOneOrganisationThatWaitForTheirQuotaAreFew(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	require.NoError(t, o.d.Gorm(bound(t)).Exec("UPDATE clusters SET capacity_limit = ?", mostReserving+1).Error)
	outside := o.outside()
	outside.Inject(emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.Before, Status: 503})
	var all sync.WaitGroup
	var mu sync.Mutex
	counts := map[apierr.Code]int{}
	for i := range mostReserving + 8 {
		all.Go(func() {
			_, err := o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: fmt.Sprintf("kafka-%d", i)})
			mu.Lock()
			defer mu.Unlock()
			code := apierr.General
			var patient interface{ RetryAfter() time.Duration }
			if apierr.Is(err, apierr.TooManyRequests) && errors.As(err, &patient) && patient.RetryAfter() > 0 {
				code = apierr.TooManyRequests
			}
			counts[code]++
		})
	}
	all.Wait()
	require.Equal(t, map[apierr.Code]int{apierr.General: mostReserving, apierr.TooManyRequests: 8}, counts)
	outside.ClearFaults()
	_, err := o.Create(bound(t), of("bob", "org2"), Request{Async: "true", Name: "mine"})
	require.NoError(t, err, "there is room for another")

	waiting, err := o.Store.CountByStatus(bound(t), o.Clock())
	require.NoError(t, err)
	o.Metrics.ShowCounts(waiting)
	shown := map[string]int{}
	families, err := o.metrics.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if name := family.GetName(); strings.HasSuffix(name, "_kafka_orders_reserving") {
			shown[name] = int(family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	require.Equal(t, map[string]int{"kas_fleet_manager_kafka_orders_reserving": mostReserving}, shown)
}

// Until the loop has undone an order of which nobody knows, its name is taken. Who asks
// again when told to must not read that somebody else has it.
func TestWhoIsToldToTryAgainFindsTheNameFree(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	outside := o.outside()
	outside.Inject(emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.Before, Status: http.StatusServiceUnavailable})
	pause := func(name string, key *string) time.Duration {
		_, err := o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: name, IdempotencyKey: key})
		require.Equal(t, apierr.General, apierr.From(err).Code, "%v", err)
		var patient interface{ RetryAfter() time.Duration }
		require.ErrorAs(t, err, &patient)
		return patient.RetryAfter()
	}
	require.Greater(t, pause("one", nil), Reserving.Info().Deadline)
	_, err := o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: "one"})
	require.True(t, apierr.Is(err, apierr.NameTaken), "%v", err)

	key := "key"
	require.Less(t, pause("two", &key), Reserving.Info().Deadline, "who has a key finishes the order by asking again")
	require.NoError(t, o.d.Gorm(bound(t)).Exec("UPDATE external_resources SET state = ?", ledger.Deleting).Error)
	_, err = o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: "two", IdempotencyKey: &key})
	require.True(t, apierr.Is(err, apierr.Conflict), "%v", err)
	var patient interface{ RetryAfter() time.Duration }
	require.ErrorAs(t, err, &patient, "it says to try again, and has to say when")
	require.Greater(t, patient.RetryAfter(), Reserving.Info().Deadline)
}

// Twins read the same, whichever of them came through.
func TestTwinsAgreeOnWhatCameOfTheirOrder(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"refused": http.StatusTooManyRequests, "nobody knows": http.StatusServiceUnavailable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, "")
			outside := o.outside()
			under, second := make(chan struct{}), make(chan struct{})
			key := "key"
			order := Request{Async: "true", Name: "one", IdempotencyKey: &key}
			create := func() error { _, err := o.Create(bound(t), of("alice", "org1"), order); return err }
			accepted := make(chan error, 1)
			outside.meanwhile(func(call int) {
				if call == 1 { // the first waits until the second is at it
					close(under)
					<-second
					return
				}
				close(second)
				if err := <-accepted; err != nil { // and the second fails when the first is through
					t.Errorf("the first: %v", err)
				}
				outside.Inject(emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.Before, Status: status, Times: 1})
			})
			go func() { accepted <- create() }()
			<-under
			require.NoError(t, create())
			require.Len(t, outside.state.Subscriptions(), 1)
		})
	}
}

// A verdict is the last word. An error may hide that something was reserved.
func TestWhatWasDeniedWithAnErrorIsLookedForAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	outside := o.outside()
	doubted := func() int {
		found, err := o.Ledger.ClosedInDoubt(bound(t), OwnerKind, o.Clock().Add(-time.Hour), ledger.Intent{}, 10)
		require.NoError(t, err)
		return len(found)
	}
	refused := func() {
		_, err := o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: "one"})
		require.True(t, apierr.Is(err, apierr.InsufficientQuota), "%v", err)
		var rows int
		require.NoError(t, o.d.Gorm(bound(t)).Raw("SELECT count(*) FROM kafka_requests WHERE deleted_at IS NULL").Scan(&rows).Error)
		require.Zero(t, rows)
	}
	outside.meanwhile(func(int) {
		outside.state.SetAllowed("org1", ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 0})
	})
	refused()
	require.Zero(t, doubted(), "it said that nothing is reserved")
	outside.meanwhile(nil)
	outside.state.SetAllowed("org1", ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 1})
	outside.Inject(emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.After, Status: http.StatusTooManyRequests, Times: 1})
	refused()
	require.Len(t, outside.state.Subscriptions(), 1)
	require.Equal(t, 1, doubted())
}

// Who takes over an expired key waits for the row's name after it. Whoever has the
// row while it waits for the key would wait for ever.
func TestAnOrderIsUndoneInTheOrderOfItsMaking(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	k := put(t, o.d, row("one", Reserving))
	require.NoError(t, o.d.Gorm(bound(t)).Exec("INSERT INTO idempotency_keys VALUES ('org1', 'alice', 'key', 'hash', ?, ?)", k.ID, o.Clock()).Error)
	var undoing sync.WaitGroup
	require.NoError(t, o.d.Tx(bound(t), func(tx db.Tx) error {
		if err := tx.Gorm().Exec("SELECT 1 FROM idempotency_keys FOR UPDATE").Error; err != nil {
			return err
		}
		undoing.Go(func() {
			err := o.d.Tx(bound(t), func(tx db.Tx) error {
				return Unreserve(tx, k, Change{Actor: ByLoop, Now: o.Clock()}, func() error { return nil })
			})
			if err != nil {
				t.Errorf("undoing the order: %v", err)
			}
		})
		o.waiting(1)
		return tx.Gorm().Exec("SELECT 1 FROM kafka_requests FOR UPDATE NOWAIT").Error
	}))
	undoing.Wait()
	_, err := o.Store.Live(bound(t), k.ID)
	require.ErrorIs(t, err, ErrNotFound)
}

// Asking again finishes an order, and does not keep one alive that comes to nothing.
func TestAnOrderThatIsNeverFinishedIsNotKeptByAskingAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	outside := o.outside()
	later := time.Duration(0)
	o.Service.Clock = func() time.Time { return clock.System().Add(later) }
	due := func() (at time.Time) {
		require.NoError(t, o.d.Gorm(bound(t)).Raw("SELECT next_attempt_at FROM kafka_requests WHERE deleted_at IS NULL").Row().Scan(&at))
		return at
	}
	key := "key"
	order := Request{Async: "true", Name: "one", IdempotencyKey: &key}
	outside.Inject(emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.Before, Status: http.StatusServiceUnavailable})
	for _, later = range []time.Duration{0, resumeWithin - 10*time.Second} {
		_, err := o.Create(bound(t), of("alice", "org1"), order)
		require.Error(t, err)
		require.False(t, apierr.Is(err, apierr.Conflict), "%v", err)
		require.True(t, due().After(o.Clock()), "it may be finished")
	}
	before := due()
	later = resumeWithin + time.Second
	_, err := o.Create(bound(t), of("alice", "org1"), order)
	require.True(t, apierr.Is(err, apierr.Conflict), "%v", err)
	require.Equal(t, before, due())

	later -= 30 * time.Second
	outside.ClearFaults()
	outside.meanwhile(func(int) {
		outside.state.SetAllowed("org1", ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 0})
	})
	_, err = o.Create(bound(t), of("alice", "org1"), order)
	require.True(t, apierr.Is(err, apierr.InsufficientQuota), "%v", err)
	require.False(t, due().After(o.Clock()), "the answer is no: it is undone at once")
}
