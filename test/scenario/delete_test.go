package scenario

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// ssoAdmin is the part of the SSO that makes and removes clients.
const ssoAdmin = "/admin/realms/"

// lives brings an instance into a status. The returned function takes away what
// keeps it there, so that its deletion can end.
type lives func(h *harness.World, id string) (letGo func())

func nothing() {}

// becomes is for statuses into which an instance comes by itself.
func becomes(status kafka.Status) lives {
	return func(h *harness.World, id string) func() {
		h.WaitStatus(id, status)
		return nothing
	}
}

// fated is for statuses into which the data plane brings an instance.
func fated(fate agent.Fate, status kafka.Status) lives {
	return func(h *harness.World, id string) func() {
		h.Agent(harness.ClusterOne).SetFate(fate)
		return becomes(status)(h, id)
	}
}

// silenced makes the agent speak no more, does something, and lets it speak again at the end.
func silenced(h *harness.World, do func()) func() {
	one := h.Agent(harness.ClusterOne)
	one.SetManner(agent.Silent)
	do()
	return func() { one.SetManner(agent.Honest) }
}

func suspending(h *harness.World, id string) func() {
	h.WaitStatus(id, kafka.Ready)
	return silenced(h, func() { h.Suspend(id) })
}

func suspended(h *harness.World, id string) func() {
	h.WaitStatus(id, kafka.Ready)
	h.Suspend(id)
	h.WaitStatus(id, kafka.Suspended)
	return nothing
}

func resuming(h *harness.World, id string) func() {
	suspended(h, id)
	return silenced(h, func() { h.Resume(id) })
}

func TestAnInstanceCanBeDeletedInEveryStatus(t *testing.T) {
	t.Parallel()
	for status, live := range map[kafka.Status]lives{
		kafka.Accepted: becomes(kafka.Accepted), kafka.Preparing: becomes(kafka.Preparing),
		kafka.Provisioning: fated(agent.Stuck, kafka.Provisioning), kafka.Failed: fated(agent.Broken, kafka.Failed),
		kafka.Ready: becomes(kafka.Ready), kafka.Suspending: suspending, kafka.Suspended: suspended, kafka.Resuming: resuming,
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			var manual []harness.Option
			if status == kafka.Accepted {
				manual = append(manual, harness.ManualAgents()) // or it would tell its versions again
			}
			h := harness.New(t, manual...)
			alice := h.As(harness.Alice)
			hold := nothing
			switch status {
			case kafka.Accepted:
				withoutVersions(h)
			case kafka.Preparing:
				h.SSO.Inject(emulator.Fault{Path: ssoAdmin, Mode: emulator.Before, Status: 503})
				hold = h.SSO.ClearFaults
			case kafka.Provisioning:
				h.Agent(harness.ClusterOne).SetFate(agent.Stuck)
			case kafka.Failed:
				h.Agent(harness.ClusterOne).SetFate(agent.Broken)
			}
			k := alice.CreateKafka("one")
			letGo := live(h, k.ID)
			require.Equal(t, status, h.Row(k.ID).Status)

			alice.Delete(k.ID)
			require.True(t, h.Row(k.ID).Status.InDeletion() || h.Row(k.ID).DeletedAt != nil)
			hold()
			letGo()
			h.WaitGone(k.ID)
			require.Zero(t, h.Cluster(harness.ClusterOne).CapacityUsed)
			require.NotContains(t, h.Agent(harness.ClusterOne).Lists(), k.ID)
		})
	}
}

// withoutVersions leaves the clusters without an operator that could run an
// instance, until their agents speak again.
func withoutVersions(h *harness.World) {
	h.Exec("UPDATE clusters SET available_strimzi_versions = '[]', version = version + 1")
}

func TestDeletingTwiceIsDeletingOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	speakAgain := silenced(h, func() { alice.Delete(k.ID) })
	before := h.Row(k.ID)
	require.Equal(t, kafka.Deprovision, before.Status)
	alice.Delete(k.ID)
	require.Equal(t, before.Version, h.Row(k.ID).Version)

	h.DNS.Inject(emulator.Fault{Mode: emulator.Before, Status: 503})
	speakAgain()
	h.WaitStatus(k.ID, kafka.Deleting)
	alice.Delete(k.ID)
	require.Equal(t, kafka.Deleting, h.Row(k.ID).Status)
	require.Equal(t, "deleting", alice.Get(k.ID).Status)
	h.As(harness.Bob).Do(http.MethodPost, "/kafkas?async=true", harness.Order{Name: "one"}).MustFail(409, 36)

	h.DNS.ClearFaults()
	h.WaitGone(k.ID)
	require.Equal(t, []string{"created", "placed", "prepared", "became_ready", "delete_asked", "reported_deleted", "erased"}, h.History(k.ID))
}

func TestAnInstanceInDeletionIsNotChangedAnyMore(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	silenced(h, func() { alice.Delete(k.ID) })
	alice.Do(http.MethodPatch, "/kafkas/"+k.ID, map[string]any{"reauthentication_enabled": false}).MustFail(400, 21)
	require.True(t, alice.Get(k.ID).ReauthenticationEnabled)
}
