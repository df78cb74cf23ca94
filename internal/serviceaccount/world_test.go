package serviceaccount_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	ssoaccounts "github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/serviceaccountwork"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	realm       = "rhoas"
	ownSecret   = "own"
	clientsPath = "/admin/realms/rhoas/clients$"
)

var (
	alice   = access.Identity{OrgID: "13640203", AccountID: "1", Username: "alice"}
	bob     = access.Identity{OrgID: "13640203", AccountID: "2", Username: "bob"}
	carol   = access.Identity{OrgID: "13640203", AccountID: "3", Username: "carol", OrgAdmin: true}
	mallory = access.Identity{OrgID: "99000001", AccountID: "4", Username: "mallory", OrgAdmin: true}
)

// world is the use cases on a real database and an SSO behind HTTP.
type world struct {
	*serviceaccount.Service
	ctx      context.Context
	url      string // of the database
	sso      *sso.SSO
	emulated *emulator.Emulated
	ahead    *atomic.Int64 // of the real clock
	sweeper  reconcile.Loop
	doubts   reconcile.Loop
}

func newWorld(t *testing.T, clients ...sso.Client) world {
	t.Helper()
	clients = append(clients, sso.Client{Realm: realm, ClientID: "fleet-manager", Secret: ownSecret, Admin: true})
	service, err := sso.New(sso.Options{Clients: clients})
	require.NoError(t, err)
	emulated := emulator.Wrap("sso", service.Handler())
	server := httptest.NewServer(emulated.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(emulated.ClearFaults)
	service.SetBaseURL(server.URL)
	admin, err := keycloak.New(keycloak.Config{
		Realm: keycloak.Realm{BaseURL: server.URL, Name: realm}, ClientID: "fleet-manager", ClientSecret: ownSecret,
	})
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ahead := &atomic.Int64{}
	url := postgres.URL(t)
	s := serviceaccount.NewService(serviceaccount.Deps{
		DB: postgres.OpenURL(t, url), Provider: ssoaccounts.New(admin),
		Config: serviceaccount.Config{MaxPerOrg: 50, PageSize: 100},
		Exempt: configfile.Fixed(serviceaccount.Exempt{"free": true}),
		Clock:  func() time.Time { return clock.System().Add(time.Duration(ahead.Load())) },
		Logger: slog.New(slog.DiscardHandler),
	})
	loops := serviceaccountwork.Loops(s, serviceaccountwork.Timing{Tick: time.Minute, Sweep: time.Minute, Kept: 30 * 24 * time.Hour})
	return world{
		Service: s, ctx: ctx, url: url, sso: service, emulated: emulated, ahead: ahead,
		sweeper: loops[0], doubts: loops[1],
	}
}

// with gives the same world with another provider around its own.
func (w world) with(wrap func(serviceaccount.Provider) serviceaccount.Provider) world {
	deps := w.Deps
	deps.Provider = wrap(deps.Provider)
	w.Service = serviceaccount.NewService(deps)
	return w
}

func (w world) later(d time.Duration) { w.ahead.Add(int64(d)) }

func (w world) create(t *testing.T, who access.Identity, name string) serviceaccount.Account {
	t.Helper()
	made, err := w.Create(w.ctx, who, serviceaccount.Request{Name: name})
	require.NoError(t, err)
	return made
}

// atSSO gives the client ids of all customers' accounts.
func (w world) atSSO() []string {
	ids := []string{}
	for _, c := range w.sso.Clients(realm) {
		if len(c.ClientID) > len(serviceaccount.ClientIDPrefix) && c.ClientID[:len(serviceaccount.ClientIDPrefix)] == serviceaccount.ClientIDPrefix {
			ids = append(ids, c.ClientID)
		}
	}
	return ids
}

// states gives the states of an organisation's intents.
func (w world) states(t *testing.T, org string) []ledger.State {
	t.Helper()
	found, err := ledger.NewStore(w.DB).Of(w.ctx, "service_account", org)
	require.NoError(t, err)
	states := []ledger.State{}
	for _, i := range found {
		states = append(states, i.State)
	}
	return states
}

// sweep does what the engine does with the loop, and gives how many keys were due.
func (w world) sweep(t *testing.T) int {
	t.Helper()
	keys, err := w.sweeper.Due(w.ctx, 100)
	require.NoError(t, err)
	for _, key := range keys {
		if _, err := w.sweeper.Work(w.ctx, w.DB.Tx, key); err != nil {
			_, err = w.sweeper.Failed(w.ctx, w.DB.Tx, key, err)
			require.NoError(t, err)
		}
	}
	return len(keys)
}

// sweepDoubted does what the engine does with the loop of doubts.
func (w world) sweepDoubted(t *testing.T) {
	t.Helper()
	_, err := w.doubts.Work(w.ctx, w.DB.Tx, "doubts")
	require.NoError(t, err)
}

func (w world) record(t *testing.T, in ledger.Intent) {
	t.Helper()
	require.NoError(t, w.DB.Tx(w.ctx, func(tx db.Tx) error { return ledger.Want(tx, w.Clock(), in) }))
}

// refused says that the error has the code and the code's own text, which hides the cause.
func refused(t *testing.T, err error, code apierr.Code, about string) {
	t.Helper()
	require.Error(t, err, about)
	found := apierr.From(err)
	require.Equal(t, code, found.Code, "%s: %v", about, err)
	if found.Status() >= 500 {
		require.Equal(t, code.Entry().Reason, found.Reason, about)
	}
}
