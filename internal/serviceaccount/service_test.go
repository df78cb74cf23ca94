package serviceaccount_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestLifeOfAnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made, err := w.Create(w.ctx, alice, serviceaccount.Request{Name: "billing", Description: "Reads orders"})
	require.NoError(t, err)
	require.Regexp(t, `^srvc-acct-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, made.ClientID)
	there, ok := w.sso.Client(realm, made.ClientID)
	require.True(t, ok)
	require.True(t, there.ServiceAccount)
	require.False(t, there.Public)
	require.Equal(t, there.ID, made.ID)
	require.Equal(t, there.Secret, made.Secret.Reveal())
	claims := map[string]string{"rh-org-id": "13640203", "rh-user-id": "1", "username": "alice"}
	require.Equal(t, claims, there.Claims)
	for name, value := range claims {
		require.Equal(t, value, there.Attributes[name])
	}
	created, err := time.Parse(time.RFC3339, there.Attributes["created_at"])
	require.NoError(t, err)
	require.Equal(t, created, made.CreatedAt)
	require.Equal(t, []ledger.State{ledger.Created}, w.states(t, alice.OrgID))

	read, err := w.Get(w.ctx, alice, made.ID)
	require.NoError(t, err)
	shown := made
	shown.Secret = ""
	require.Equal(t, shown, read, "a later read says the same, without the secret")
	listed, _, err := w.List(w.ctx, alice, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []serviceaccount.Account{shown}, listed)
	found, err := w.Find(w.ctx, alice, made.ClientID)
	require.NoError(t, err)
	require.Equal(t, listed, found)

	reset, err := w.Reset(w.ctx, alice, made.ID)
	require.NoError(t, err)
	require.NotEqual(t, made.Secret.Reveal(), reset.Secret.Reveal())
	there, _ = w.sso.Client(realm, made.ClientID)
	require.Equal(t, there.Secret, reset.Secret.Reveal())

	require.NoError(t, w.Service.Delete(w.ctx, alice, made.ID))
	require.Empty(t, w.atSSO())
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
	_, err = w.Get(w.ctx, alice, made.ID)
	refused(t, err, apierr.AccountNotFound, "get")
	found, err = w.Find(w.ctx, alice, made.ClientID)
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestTokensOfAnAccountCarryTheOrganisation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, err := w.sso.ClientToken(realm, w.create(t, alice, "billing").ClientID)
	require.NoError(t, err)
	claims := jwt.MapClaims{}
	_, _, err = jwt.NewParser().ParseUnverified(token, claims)
	require.NoError(t, err)
	require.Equal(t, alice.OrgID, claims["rh-org-id"])
	require.Equal(t, alice.AccountID, claims["rh-user-id"])
	require.Equal(t, "alice", claims["username"])
}

func TestRightsOfTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		sso.Client{Realm: realm, ClientID: "canary-1", ServiceAccount: true, Attributes: map[string]string{"rh-org-id": alice.OrgID, "rh-user-id": "1"}},
		sso.Client{Realm: realm, ClientID: "srvc-acct-" + uuid.NewString(), ServiceAccount: true},
	)
	account := w.create(t, alice, "billing")
	w.create(t, mallory, "other")

	for _, who := range []access.Identity{alice, bob, carol} {
		listed, _, err := w.List(w.ctx, who, 0, 10)
		require.NoError(t, err)
		require.Len(t, listed, 1)
		read, err := w.Get(w.ctx, who, account.ID)
		require.NoError(t, err)
		require.Equal(t, "alice", read.CreatedBy)
		require.Equal(t, []serviceaccount.Account{read}, listed)
		found, err := w.Find(w.ctx, who, account.ClientID)
		require.NoError(t, err)
		require.Equal(t, listed, found)
	}
	_, err := w.Get(w.ctx, mallory, account.ID)
	refused(t, err, apierr.Forbidden, "get by a stranger")
	_, err = w.Find(w.ctx, mallory, account.ClientID)
	refused(t, err, apierr.Forbidden, "find by a stranger")
	for _, who := range []access.Identity{bob, mallory} {
		_, err = w.Reset(w.ctx, who, account.ID)
		refused(t, err, apierr.Forbidden, "reset by "+who.Username)
		refused(t, w.Service.Delete(w.ctx, who, account.ID), apierr.Forbidden, "delete by "+who.Username)
	}
	there, _ := w.sso.Client(realm, account.ClientID)
	require.Equal(t, account.Secret.Reveal(), there.Secret)

	canary, _ := w.sso.Client(realm, "canary-1")
	for _, id := range []string{canary.ID, uuid.NewString()} {
		_, err = w.Get(w.ctx, alice, id)
		refused(t, err, apierr.AccountNotFound, "get")
		_, err = w.Reset(w.ctx, carol, id)
		refused(t, err, apierr.AccountNotFound, "reset")
		refused(t, w.Service.Delete(w.ctx, carol, id), apierr.AccountNotFound, "delete")
	}
	_, err = w.Find(w.ctx, alice, "canary-1")
	refused(t, err, apierr.AccountIDMalformed, "find")
	_, err = w.Get(w.ctx, alice, "..")
	refused(t, err, apierr.AccountIDMalformed, "get")

	_, err = w.Reset(w.ctx, carol, account.ID)
	require.NoError(t, err)
	require.NoError(t, w.Service.Delete(w.ctx, carol, account.ID))
	require.Len(t, w.atSSO(), 2, "mallory's and the one of nobody")
}

func TestListIsPagedByAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		w.create(t, alice, name)
		w.later(time.Second)
	}
	var seen []string
	for offset := 0; offset < 6; offset += 2 {
		page, total, err := w.List(w.ctx, alice, offset, 2)
		require.NoError(t, err)
		require.Equal(t, len(names), total)
		for _, a := range page {
			seen = append(seen, a.Name)
		}
	}
	require.Equal(t, names, seen)
	page, total, err := w.List(w.ctx, alice, 500, 2)
	require.NoError(t, err)
	require.Equal(t, len(names), total)
	require.Empty(t, page)
}

func TestFailuresOfTheSSOHaveTheCodesOfTheOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.create(t, alice, "billing")
	fail := func(method, path string, op func() error, code apierr.Code) {
		t.Helper()
		w.emulated.Inject(emulator.Fault{Method: method, Path: path, Mode: emulator.Before, Status: 503})
		defer w.emulated.ClearFaults()
		refused(t, op(), code, method+" "+path)
	}
	get := func() error { _, err := w.Get(w.ctx, alice, account.ID); return err }
	find := func() error { _, err := w.Find(w.ctx, alice, account.ClientID); return err }
	list := func() error { _, _, err := w.List(w.ctx, alice, 0, 10); return err }
	create := func() error {
		_, err := w.Create(w.ctx, alice, serviceaccount.Request{Name: "x"})
		return err
	}
	reset := func() error { _, err := w.Reset(w.ctx, alice, account.ID); return err }
	remove := func() error { return w.Service.Delete(w.ctx, alice, account.ID) }
	fail("", "", get, apierr.AccountNotObtained)
	fail("", "", find, apierr.AccountNotObtained)
	fail("", "", list, apierr.General)
	fail("", "", create, apierr.General)
	fail("", "", reset, apierr.AccountNotObtained)
	fail("", "", remove, apierr.AccountNotObtained)
	fail(http.MethodPost, "client-secret$", reset, apierr.General)
	require.Equal(t, []ledger.State{ledger.Created}, w.states(t, alice.OrgID), "nothing was begun")
	fail(http.MethodDelete, "", remove, apierr.AccountNotDeleted)
	require.Equal(t, []ledger.State{ledger.Deleting}, w.states(t, alice.OrgID))
	require.Zero(t, w.sweep(t), "too early")
	w.later(2 * time.Minute)
	require.Equal(t, 1, w.sweep(t))
	require.Empty(t, w.atSSO(), "a deletion that began ends")
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
}

// pause is a provider that does something right after it has made an account.
type pause struct {
	serviceaccount.Provider
	then func(made serviceaccount.Account)
}

func (p pause) Create(ctx context.Context, a serviceaccount.Account) (serviceaccount.Account, error) {
	made, err := p.Provider.Create(ctx, a)
	p.then(made)
	return made, err
}

func TestFailedCreationLeavesNoAccount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault emulator.Fault
		code  apierr.Code
	}{
		"creation refused":            {emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.Before, Status: 503}, apierr.AccountNotCreated},
		"effect, then an error":       {emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.After}, apierr.AccountNotCreated},
		"effect, then cut off":        {emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.ResetAfter}, apierr.AccountNotCreated},
		"user not read":               {emulator.Fault{Path: "/service-account-user$", Mode: emulator.Garbage}, apierr.AccountNotObtained},
		"claims not given":            {emulator.Fault{Method: "PUT", Path: "/users/", Mode: emulator.ResetBefore}, apierr.AccountNotCreated},
		"claims given, then an error": {emulator.Fault{Method: "PUT", Path: "/users/", Mode: emulator.After}, apierr.AccountNotCreated},
		"secret not read":             {emulator.Fault{Path: "/client-secret$", Mode: emulator.Before}, apierr.SSOSecretNotObtained},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.fault.Times = 1
			w.emulated.Inject(c.fault)
			_, err := w.Create(w.ctx, alice, serviceaccount.Request{Name: "billing"})
			refused(t, err, c.code, name)
			require.Empty(t, w.emulated.Faults(), "the fault fired")
			require.Empty(t, w.atSSO())
			w.later(2 * time.Minute)
			w.sweep(t)
			require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
		})
	}
}

func TestCallerWhoHangsUpLeavesNoAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(w.ctx)
	w = w.with(func(p serviceaccount.Provider) serviceaccount.Provider {
		return pause{p, func(serviceaccount.Account) { cancel() }}
	})
	_, err := w.Create(ctx, alice, serviceaccount.Request{Name: "billing"})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, w.atSSO())
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
}

func TestSweeperRemovesWhatCouldNotBeTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emulated.Inject(emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.After, Times: 1})
	w.emulated.Inject(emulator.Fault{Method: "DELETE", Mode: emulator.Before, Status: 503, Times: 3})
	_, err := w.Create(w.ctx, alice, serviceaccount.Request{Name: "billing"})
	refused(t, err, apierr.AccountNotCreated, "create")
	require.Len(t, w.atSSO(), 1, "taking it back failed too")
	require.Equal(t, []ledger.State{ledger.Deleting}, w.states(t, alice.OrgID))
	require.Zero(t, w.sweep(t), "too early")
	for attempt := 1; attempt <= 2; attempt++ {
		w.later(2 * time.Minute)
		require.Equal(t, 1, w.sweep(t))
		require.Len(t, w.atSSO(), 1, "the SSO is still ill")
		found, err := ledger.NewStore(w.DB).Of(w.ctx, "service_account", alice.OrgID)
		require.NoError(t, err)
		require.Equal(t, attempt, found[0].Attempts, "operators see how often it failed")
		require.NotEmpty(t, found[0].LastError)
		require.Zero(t, w.sweep(t), "not again at once")
	}
	w.later(2 * time.Minute)
	require.Equal(t, 1, w.sweep(t))
	require.Empty(t, w.atSSO())
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
}

func TestSweeperRemovesWhatADeadProcessLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, made := range []bool{true, false} {
		account := serviceaccount.Account{ClientID: "srvc-acct-" + uuid.NewString(), Name: "x", OrgID: alice.OrgID, CreatedAt: w.Clock()}
		w.record(t, ledger.Intent{OwnerKind: "service_account", OwnerID: alice.OrgID, Kind: "sso_client", Key: account.ClientID})
		if made {
			_, err := w.Provider.Create(w.ctx, account)
			require.NoError(t, err)
		}
	}
	// What belongs to others is none of this sweeper's business.
	w.record(t, ledger.Intent{OwnerKind: "kafka", OwnerID: "k1", Kind: "sso_client", Key: "canary-k1"})
	w.later(2 * time.Minute)
	require.Equal(t, 2, w.sweep(t))
	require.Empty(t, w.atSSO())
	require.Equal(t, []ledger.State{ledger.Gone, ledger.Gone}, w.states(t, alice.OrgID))
	require.Zero(t, w.sweep(t))
}

func TestSweeperSparesWhatIsInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.create(t, alice, "billing")
	w.later(time.Hour)
	require.Zero(t, w.sweep(t))
	require.NoError(t, w.Sweep(w.ctx, w.DB.Tx, account.ClientID), "an old list may still name it")
	require.Len(t, w.atSSO(), 1)
	require.Equal(t, []ledger.State{ledger.Created}, w.states(t, alice.OrgID))
}

func TestSweeperSparesWhatIsBeingMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w = w.with(func(p serviceaccount.Provider) serviceaccount.Provider {
		return pause{p, func(made serviceaccount.Account) {
			require.Zero(t, w.sweep(t))
			require.NoError(t, w.Sweep(w.ctx, w.DB.Tx, made.ClientID), "an old list may still name it")
		}}
	})
	w.create(t, alice, "billing")
	require.Len(t, w.atSSO(), 1)
	require.Equal(t, []ledger.State{ledger.Created}, w.states(t, alice.OrgID))
}

func TestCreationInDoubtStaysOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emulated.Inject(emulator.Fault{Method: "POST", Path: clientsPath, Mode: emulator.ResetBefore, Times: 1})
	_, err := w.Create(w.ctx, alice, serviceaccount.Request{Name: "billing"})
	refused(t, err, apierr.AccountNotCreated, "create")
	require.Equal(t, []ledger.State{ledger.Deleting}, w.states(t, alice.OrgID), "the call may yet arrive")
	w.later(2 * time.Minute)
	require.Equal(t, 1, w.sweep(t))
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
}

func TestCreationThatTheSweeperOvertookFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := w.with(func(p serviceaccount.Provider) serviceaccount.Provider {
		return pause{p, func(serviceaccount.Account) {
			w.later(time.Hour)
			require.Equal(t, 1, w.sweep(t))
		}}
	})
	_, err := slow.Create(w.ctx, alice, serviceaccount.Request{Name: "billing"})
	require.Error(t, err, "nobody is given an account that is gone")
	require.Empty(t, w.atSSO())
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
}

func TestLimitHoldsAmongReplicas(t *testing.T) {
	t.Parallel()
	foreign := sso.Client{
		Realm: realm, ClientID: "srvc-acct-" + uuid.NewString(), ServiceAccount: true,
		Attributes: map[string]string{"rh-org-id": alice.OrgID},
	}
	w := newWorld(t, foreign)
	w.Config.MaxPerOrg = 4
	other := w.Deps
	other.DB = postgres.OpenURL(t, w.url)
	replicas := []*serviceaccount.Service{w.Service, serviceaccount.NewService(other)}
	var made, full atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			_, err := replicas[i%2].Create(w.ctx, alice, serviceaccount.Request{Name: "billing"})
			switch {
			case err == nil:
				made.Add(1)
			case apierr.Is(err, apierr.AccountLimitReached):
				full.Add(1)
			default:
				t.Errorf("creating: %v", err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 3, made.Load())
	require.EqualValues(t, 9, full.Load())
	require.Len(t, w.atSSO(), 4)
	w.create(t, mallory, "of-another-organisation")
	for range 6 {
		w.create(t, access.Identity{OrgID: "free", AccountID: "5", Username: "dave"}, "exempt")
	}
}

// Those who wait for their turn for longer than a connection waits for a lock were
// told of an error of the service.
func TestCreationsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	held, waits := make(chan struct{}), make(chan error, 1)
	holder := make(chan error, 1)
	go func() {
		holder <- w.DB.TxOpened(w.ctx, []db.Statement{db.OpenLock("service-accounts/" + alice.OrgID)}, func(tx db.Tx) error {
			close(held)
			// Longer than a lock is waited for, and never idle, which the server would not suffer.
			return tx.Gorm().Exec("SELECT pg_sleep(2.2)").Error
		})
	}()
	<-held
	go func() {
		_, err := w.Create(w.ctx, alice, serviceaccount.Request{Name: "billing"})
		waits <- err
	}()
	require.NoError(t, <-holder)
	require.NoError(t, <-waits)
}

func TestRemovedAccountsMakeRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Config.MaxPerOrg = 1
	request := serviceaccount.Request{Name: "billing"}
	first := w.create(t, alice, "billing")
	_, err := w.Create(w.ctx, bob, request)
	refused(t, err, apierr.AccountLimitReached, "the organisation's limit")
	require.NoError(t, w.Service.Delete(w.ctx, alice, first.ID))
	second := w.create(t, bob, "billing")

	_, err = w.Provider.Delete(w.ctx, second.ClientID) // by somebody at the SSO
	require.NoError(t, err)
	_, err = w.Create(w.ctx, alice, request)
	refused(t, err, apierr.AccountLimitReached, "the list may be late")
	w.later(2 * time.Minute)
	w.create(t, alice, "billing")
	require.Equal(t, []ledger.State{ledger.Gone, ledger.Gone, ledger.Created}, w.states(t, alice.OrgID))
}

func TestDeletingTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.create(t, alice, "billing")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := w.Service.Delete(w.ctx, alice, account.ID); err != nil && !apierr.Is(err, apierr.AccountNotFound) {
				t.Errorf("deleting: %v", err)
			}
		})
	}
	all.Wait()
	require.Empty(t, w.atSSO())
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))
}

// TestWhatAPausedProcessMakesIsRemoved is a process that was paused before its
// call, and died right after it, when everybody had given the call up.
func TestWhatAPausedProcessMakesIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var late serviceaccount.Account
	paused := w.with(func(p serviceaccount.Provider) serviceaccount.Provider {
		return before{p, func(wanted serviceaccount.Account) { late = wanted }}
	})
	_, err := paused.Create(w.ctx, alice, serviceaccount.Request{Name: "billing"})
	require.ErrorIs(t, err, errPaused)
	w.later(2 * time.Minute)
	require.Equal(t, 1, w.sweep(t))
	require.Equal(t, []ledger.State{ledger.Gone}, w.states(t, alice.OrgID))

	appear := func() {
		_, err := w.Provider.Create(w.ctx, late)
		require.NoError(t, err)
	}
	appear()
	w.sweepDoubted(t)
	require.Empty(t, w.atSSO())
	w.later(50 * time.Minute)
	appear()
	w.sweepDoubted(t)
	require.Empty(t, w.atSSO())
	require.Zero(t, w.sweep(t))

	mine := w.create(t, alice, "in-use")
	w.sweepDoubted(t)
	require.Equal(t, []string{mine.ClientID}, w.atSSO())
	w.later(31 * 24 * time.Hour)
	w.sweepDoubted(t)
	require.Equal(t, []ledger.State{ledger.Created}, w.states(t, alice.OrgID), "what is gone for long is forgotten")
}

// before is a provider whose creations never happen: their process is paused.
type before struct {
	serviceaccount.Provider
	note func(wanted serviceaccount.Account)
}

var errPaused = errors.New("paused")

func (p before) Create(_ context.Context, a serviceaccount.Account) (serviceaccount.Account, error) {
	p.note(a)
	return serviceaccount.Account{}, errPaused
}
