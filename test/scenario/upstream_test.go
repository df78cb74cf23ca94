package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

var adminDown = emulator.Fault{Path: ssoAdmin, Mode: emulator.Before, Status: 503}

// misfortunes are the ways in which one call goes wrong. Those that hang take the
// whole deadline of a call.
func misfortunes() map[string]emulator.Fault {
	all := map[string]emulator.Fault{}
	for _, f := range []emulator.Fault{
		{Mode: emulator.Before, Status: 503, Times: 3}, {Mode: emulator.Before, Status: 429, Times: 1, RetryAfter: 1},
		{Mode: emulator.After, Status: 500, Times: 1}, {Mode: emulator.After, Status: 500, Times: 4},
		{Mode: emulator.ResetBefore, Times: 2}, {Mode: emulator.ResetAfter, Times: 1},
		{Mode: emulator.HangAfter, Times: 1, Delay: 12 * time.Second},
		{Mode: emulator.Slow, Delay: 300 * time.Millisecond, Times: 3}, {Mode: emulator.Twice, Times: 1}, {Mode: emulator.Garbage, Times: 1},
	} {
		all[fmt.Sprintf("%s %d times %d", f.Mode, f.Status, f.Times)] = f
	}
	return all
}

func on(method, path string, f emulator.Fault) emulator.Fault {
	f.Method, f.Path = method, path
	return f
}

func TestThereIsOneCanaryWhateverTheSSODoes(t *testing.T) {
	t.Parallel()
	create := map[string]string{harness.MasSSO: "/admin/realms/rhoas/clients$", harness.RedHatSSO: "/apis/service_accounts/v1$"}
	remove := map[string]string{harness.MasSSO: ssoAdmin, harness.RedHatSSO: "/apis/service_accounts/v1/"}
	for _, provider := range harness.SSOProviders() {
		for name, fault := range misfortunes() {
			if provider == harness.RedHatSSO && fault.Mode == emulator.Twice {
				continue // one call that is delivered twice makes two accounts there, and nobody is told of the first
			}
			t.Run(provider+" "+name, func(t *testing.T) {
				t.Parallel()
				h := harness.New(t, harness.SSOProvider(provider))
				h.SSO.Inject(on(http.MethodPost, create[provider], fault))
				alice := h.As(harness.Alice)
				k := alice.CreateKafka("one")
				h.WaitStatus(k.ID, kafka.Ready)
				require.Equal(t, 1, canaries(h))
				desired := h.Agent(harness.ClusterOne).Lists()[k.ID].Spec
				canary := desired.ServiceAccounts[0]
				client, _ := h.SSO.Client(h.AccountRealm(), canary.Principal)
				require.Equal(t, client.Secret, canary.Password.Reveal(), "the agent knows the secret that counts")
				require.Equal(t, "canary-"+k.ID, client.Name)
				if provider == harness.MasSSO {
					require.Equal(t, harness.Organisation, client.Claims["rh-org-id"])
				} else {
					require.Contains(t, desired.OAuth.CustomClaimCheck, "@.clientId == '"+canary.Principal+"'", "or its own token would not open it")
				}

				h.SSO.Inject(on(http.MethodDelete, remove[provider], fault))
				alice.Delete(k.ID)
				h.WaitGone(k.ID)
				require.Zero(t, canaries(h))
			})
		}
	}
}

func canaries(h *harness.World) int {
	n := 0
	for _, c := range h.SSO.Clients(h.AccountRealm()) {
		if strings.HasPrefix(c.Name, "canary-") {
			n++
		}
	}
	return n
}

func TestTheRecordsAreRightWhateverTheDNSDoes(t *testing.T) {
	t.Parallel()
	for name, fault := range misfortunes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.DNS.Inject(on(http.MethodPost, "/rrset", fault))
			alice := h.As(harness.Alice)
			k := alice.CreateKafka("one")
			h.WaitStatus(k.ID, kafka.Ready)
			require.Len(t, h.DNS.Of(k.ID), 5)
			alice.Delete(k.ID)
			h.DNS.Inject(on(http.MethodPost, "/rrset", fault))
			h.WaitGone(k.ID)
		})
	}
}

func TestAnInstanceIsReadyOnlyWhenAllNameServersKnowIt(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.SyncAfter(time.Second))
	k := h.As(harness.Alice).CreateKafka("one")
	row := h.WaitRow(k.ID, "records on their way", func(k kafka.Kafka) bool { return k.RoutesCreationID != "" })
	require.Equal(t, kafka.Provisioning, row.Status)
	require.False(t, row.RoutesCreated)
	h.WaitStatus(k.ID, kafka.Ready)
}

func TestAForgottenDNSChangeIsMadeAgain(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.SyncAfter(time.Hour))
	k := h.As(harness.Alice).CreateKafka("one")
	first := h.WaitRow(k.ID, "records on their way", func(k kafka.Kafka) bool { return k.RoutesCreationID != "" }).RoutesCreationID
	h.DNS.ForgetChanges()
	h.WaitRow(k.ID, "another change", func(k kafka.Kafka) bool { return k.RoutesCreationID != "" && k.RoutesCreationID != first })
	require.Len(t, h.DNS.Of(k.ID), 5)
}

func TestAClusterIsEquippedWhateverItsProviderDoes(t *testing.T) {
	t.Parallel()
	for name, fault := range misfortunes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t, harness.Before(func(h *harness.World) {
				h.OCM.Inject(on("", "/clusters/", fault))
				h.SSO.Inject(on(http.MethodPost, "/admin/realms/rhoas/clients$", fault))
			}))
			require.Equal(t, cluster.Ready, h.Cluster(harness.ClusterOne).Status)
			parameters, ok := h.OCM.AddonParameters(harness.ClusterOne, "kas-fleetshard-operator")
			require.True(t, ok)
			client, _ := h.SSO.Client(harness.Realm, "kas-fleetshard-agent-"+harness.ClusterOne)
			require.Equal(t, client.Secret, parameters["sso-secret"])
		})
	}
}

func TestAClusterIsUsedOnceItsProviderHasInstalledIt(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 3, Pending: true}))
	h.WaitCluster(harness.ClusterOne, cluster.Provisioning)
	alice := h.As(harness.Alice)
	alice.Create(harness.Order{Name: "one"}).MustFail(403, 24)
	h.OCM.SetClusterState(harness.ClusterOne, "ready", "")
	h.WaitCluster(harness.ClusterOne, cluster.Ready)
	h.WaitStatus(alice.CreateKafka("one").ID, kafka.Ready)
}

func TestTheAPIGoesOnWhileUpstreamsHang(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice, bob := h.As(harness.Alice), h.As(harness.Bob)
	first := alice.CreateKafka("first")
	h.WaitStatus(first.ID, kafka.Ready)
	hang := emulator.Fault{Mode: emulator.Hang}
	h.SSO.Inject(on("", ssoAdmin, hang))
	for _, upstream := range []*emulator.Emulated{h.DNS.Emulated, h.OCM.Emulated, h.AMS.Emulated} {
		upstream.Inject(hang)
	}
	second := alice.CreateKafka("second")
	h.WaitStatus(second.ID, kafka.Preparing)
	began := time.Now()
	require.Equal(t, []string{"first", "second"}, harness.Names(bob.List()))
	require.Equal(t, "ready", bob.Get(first.ID).Status)
	require.False(t, alice.Patch(first.ID, map[string]any{"reauthentication_enabled": false}).ReauthenticationEnabled)
	alice.CreateKafka("third")
	alice.Delete(first.ID)
	require.Less(t, time.Since(began), 5*time.Second, "no call waits for an upstream")

	h.SSO.ClearFaults()
	h.DNS.ClearFaults()
	h.OCM.ClearFaults()
	h.AMS.ClearFaults()
	h.WaitGone(first.ID)
	h.WaitStatus(second.ID, kafka.Ready)
}

func TestTheOwnerChangesOnlyIfTheAccountServiceAgrees(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Faulty())
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	give := func(to string) harness.Response {
		return alice.Do(http.MethodPatch, "/kafkas/"+k.ID, map[string]any{"owner": to})
	}
	give("").MustFail(400, 33)
	give("nobody").MustFail(400, 21)
	give(harness.Mallory).MustFail(400, 21)
	give(harness.Eve).MustFail(400, 21) // who may not use the service
	h.AMS.Inject(emulator.Fault{Mode: emulator.Before, Status: 500})
	require.Equal(t, "5", give(harness.Bob).MustFail(500, 9).Header.Get("Retry-After"))
	require.Equal(t, harness.Alice, alice.Get(k.ID).Owner)
	h.AMS.ClearFaults()
	give(harness.Bob).Must(200)
	require.Equal(t, "account-bob", h.Row(k.ID).OwnerAccountID)
	give(harness.Alice).MustFail(403, 11)
	h.WaitStatus(k.ID, kafka.Ready)
	require.Equal(t, []string{harness.Bob}, h.Agent(harness.ClusterOne).Lists()[k.ID].Spec.Owners)
}
