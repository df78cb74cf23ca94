package redhatsso_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	robots "github.com/kas-fleet/kas-fleet-manager/internal/robot/redhatsso"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/redhatsso"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	realm = "redhat-external"
	api   = "/apis/service_accounts/v1"
)

type world struct {
	*robots.Accounts
	sso      *sso.SSO
	emulated *emulator.Emulated
	client   *redhatsso.Client
}

func newWorld(t *testing.T) world {
	t.Helper()
	service, err := sso.New(sso.Options{Unlimited: []string{"service"}, Clients: []sso.Client{{
		ClientID: "fleet-manager", Secret: "own", ServiceAccount: true, Scopes: []string{"scope", "api.iam.service_accounts"},
		Claims: map[string]string{"rh-org-id": "service"},
	}}})
	require.NoError(t, err)
	emulated := emulator.Wrap("sso", service.Handler())
	server := httptest.NewServer(emulated.Handler())
	t.Cleanup(server.Close)
	service.SetBaseURL(server.URL)
	client, err := redhatsso.New(redhatsso.Config{
		Issuer: service.Issuer(realm), ClientID: "fleet-manager", ClientSecret: "own", Scope: "api.iam.service_accounts",
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return world{robots.New(client), service, emulated, client}
}

// named gives the accounts of a name, as the SSO has them.
func (w world) named(name string) []sso.Client {
	found := []sso.Client{}
	for _, c := range w.sso.Clients(realm) {
		if c.Name == name {
			found = append(found, c)
		}
	}
	return found
}

func (w world) calls(method string) int { return len(w.emulated.JournalOf(method, api)) }

func TestOneAccountHoweverOften(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	spec := robot.Spec{Key: "canary-k1", Name: "canary-k1", Description: "canary", First: true}
	made, err := w.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.Zero(t, w.calls(http.MethodGet), "nothing to look for")
	there := w.named("canary-k1")
	require.Len(t, there, 1)
	require.Equal(t, robot.Account{ID: there[0].ID, ClientID: there[0].ClientID, Secret: made.Secret}, made)
	require.Equal(t, there[0].Secret, made.Secret.Reveal())

	spec.First = false // whoever made it died before anybody heard of it
	again, err := w.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, made.ID, again.ID)
	there = w.named("canary-k1")
	require.Len(t, there, 1)
	require.Equal(t, there[0].Secret, again.Secret.Reveal(), "a secret that nobody knows is replaced")

	w.emulated.ClearJournal()
	spec.Have = again
	same, err := w.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, again, same, "what is known is kept")
	require.Equal(t, 1, w.calls(""), "one call tells that it is there")

	spec.Have.ID = "" // an older version did not remember it
	same, err = w.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, again, same)

	_, err = w.Delete(t.Context(), robot.Ref{Name: "canary-k1"})
	require.NoError(t, err)
	spec.Have = again // somebody removed it at the SSO
	fresh, err := w.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.NotEqual(t, again.ID, fresh.ID)
	require.Len(t, w.named("canary-k1"), 1)
}

func TestTheAccountInUseIsChosenAmongSeveral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []robot.Account
	for range 3 {
		made, err := w.Ensure(t.Context(), robot.Spec{Name: "c1", First: true})
		require.NoError(t, err)
		ids = append(ids, made)
	}
	chosen, err := w.Ensure(t.Context(), robot.Spec{Name: "c1", Have: robot.Account{ClientID: ids[1].ClientID, Secret: ids[1].Secret}})
	require.NoError(t, err)
	require.Equal(t, ids[1], chosen)
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	make3 := func() (last robot.Account) {
		for range 3 {
			var err error
			last, err = w.Ensure(t.Context(), robot.Spec{Name: "canary-k1", First: true})
			require.NoError(t, err)
		}
		return last
	}
	other, err := w.Ensure(t.Context(), robot.Spec{Name: "canary-k12", First: true})
	require.NoError(t, err)
	make3()
	existed, err := w.Delete(t.Context(), robot.Ref{Key: "canary-k1", Name: "canary-k1"})
	require.NoError(t, err)
	require.True(t, existed)
	require.Empty(t, w.named("canary-k1"), "whatever a call that was given up has made")
	existed, err = w.Delete(t.Context(), robot.Ref{Key: "canary-k1", Name: "canary-k1"})
	require.NoError(t, err)
	require.False(t, existed)

	w.emulated.ClearJournal()
	existed, err = w.Delete(t.Context(), robot.Ref{Key: "canary-k12", Name: "canary-k12", ID: other.ID})
	require.NoError(t, err)
	require.True(t, existed)
	require.Zero(t, w.calls(http.MethodGet), "the only one needs no search")
	existed, err = w.Delete(t.Context(), robot.Ref{Key: "canary-k12", Name: "canary-k12", ID: other.ID})
	require.NoError(t, err)
	require.False(t, existed)

	make3()
	w.emulated.Inject(emulator.Fault{Method: http.MethodDelete, Path: api, Mode: emulator.Before, Status: 404, Times: 1})
	_, err = w.Delete(t.Context(), robot.Ref{Name: "canary-k1"})
	require.Error(t, err, "only the SSO's own word tells that one is gone")
	require.Len(t, w.named("canary-k1"), 1, "the others are removed all the same")
}

func TestWhatWouldBeRefusedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for status, refused := range map[int]bool{400: true, 401: false, 404: true, 429: false, 500: false} {
		w.emulated.Inject(emulator.Fault{Method: http.MethodPost, Path: api, Mode: emulator.Before, Status: status, Times: 2})
		_, err := w.Ensure(t.Context(), robot.Spec{Name: "canary-k1", First: true})
		require.Error(t, err)
		if refused {
			require.ErrorIs(t, err, robot.ErrRefused, status)
		} else {
			require.NotErrorIs(t, err, robot.ErrRefused, status)
		}
		w.emulated.ClearFaults()
	}
}
