package scenario

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestAnInstanceLivesFromOrderToEnd(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)

	ordered := alice.CreateKafka("one")
	require.Equal(t, "accepted", ordered.Status)
	require.Empty(t, ordered.BootstrapServerHost)

	h.WaitStatus(ordered.ID, kafka.Ready)
	k := alice.Get(ordered.ID)
	require.Equal(t, "one-"+k.ID+"."+harness.Domain+":443", k.BootstrapServerHost)
	require.Equal(t, "https://admin-server-one-"+k.ID+"."+harness.Domain, k.AdminAPIServerURL)
	require.Equal(t, "3.0.0", k.Version)
	require.Equal(t, "standard", k.BillingModel)
	require.Nil(t, k.ExpiresAt)
	require.Len(t, h.DNS.Of(k.ID), 5)
	for _, r := range h.DNS.Of(k.ID) {
		require.Equal(t, int64(300), r.TTL)
		require.Contains(t, r.Values[0], ".mk-c1.example.test")
	}
	canary, found := h.SSO.Client(harness.Realm, "canary-"+k.ID)
	require.True(t, found)
	require.Equal(t, harness.Organisation, canary.Attributes["rh-org-id"])
	require.Equal(t, 1, h.Cluster(harness.ClusterOne).CapacityUsed)
	for _, in := range h.Intents(k.ID) {
		require.Equal(t, ledger.Created, in.State, in.Key)
	}

	alice.Delete(k.ID)
	require.Contains(t, []string{"deprovision", "deleting"}, alice.Get(k.ID).Status)
	h.WaitGone(k.ID)
	alice.Do(http.MethodGet, "/kafkas/"+k.ID, nil).MustFail(404, 7)
	require.Zero(t, h.Cluster(harness.ClusterOne).CapacityUsed)
	require.Equal(t, []string{
		"created", "placed", "prepared", "became_ready", "delete_asked", "reported_deleted", "erased",
	}, h.History(k.ID))

	again := alice.CreateKafka("one") // the name is free again
	require.NotEqual(t, k.ID, again.ID)
}
