package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const noRoom = "Cluster has insufficient resources"

var twoClusters = harness.Clusters(
	harness.Cluster{ID: harness.ClusterOne, Units: 5}, harness.Cluster{ID: harness.ClusterTwo, Units: 5},
)

func TestARejectedInstanceGetsOneNewPlacement(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	k := h.As(harness.Alice).CreateKafka("one")
	first := h.WaitStatus(k.ID, kafka.Provisioning).PlacementID
	require.Equal(t, first, one.Lists()[k.ID].Metadata.Annotations["bf2.org/placementId"])

	one.Says(k.ID, "False", "Rejected", "does not fit")
	second := h.Row(k.ID).PlacementID
	require.NotEqual(t, first, second)
	one.Says(k.ID, "False", "Rejected", "does not fit") // said again at every resync
	require.Equal(t, second, h.Row(k.ID).PlacementID)
	require.Equal(t, second, one.Lists()[k.ID].Metadata.Annotations["bf2.org/placementId"])

	one.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	require.Equal(t, []string{"created", "placed", "prepared", "rejected", "became_ready"}, h.History(k.ID))
}

func TestAnInstanceThatFindsItsClusterFullGoesToAnother(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents(), twoClusters)
	one, two := h.Agent(harness.ClusterOne), h.Agent(harness.ClusterTwo)
	k := h.As(harness.Alice).CreateKafka("one")
	before := h.WaitStatus(k.ID, kafka.Provisioning)
	require.Equal(t, harness.ClusterOne, before.ClusterID)

	one.Says(k.ID, "False", "Rejected", noRoom)
	after := h.WaitRow(k.ID, "the other cluster", func(k kafka.Kafka) bool { return k.ClusterID == harness.ClusterTwo })
	require.Equal(t, kafka.Provisioning, after.Status)
	require.NotEmpty(t, after.PlacementID)
	require.NotEqual(t, before.PlacementID, after.PlacementID)
	require.Zero(t, h.Cluster(harness.ClusterOne).CapacityUsed)
	require.Equal(t, 1, h.Cluster(harness.ClusterTwo).CapacityUsed)
	require.NotContains(t, one.Lists(), k.ID)
	require.Contains(t, two.Lists(), k.ID)

	one.Says(k.ID, "True", "", "") // too late: the instance is not there any more
	require.Equal(t, kafka.Provisioning, h.Row(k.ID).Status)
	two.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	for _, r := range h.DNS.Of(k.ID) {
		require.Contains(t, r.Values[0], ".mk-c2.example.test")
	}
	require.Equal(t, []string{"created", "placed", "prepared", "rejected_full", "reassigned", "became_ready"}, h.History(k.ID))
}

func TestAnInstanceWithoutAnyClusterCanBeDeleted(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	h.Agent(harness.ClusterOne).Says(k.ID, "False", "Rejected", noRoom)
	row := h.WaitRow(k.ID, "an attempt to place it again", func(k kafka.Kafka) bool { return k.Attempts > 0 })
	require.Empty(t, row.ClusterID)
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestAFailedInstanceRecovers(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	one := h.Agent(harness.ClusterOne)
	one.SetFate(agent.Broken)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	row := h.WaitStatus(k.ID, kafka.Failed)
	require.Equal(t, "Kafka reported as failed from the data plane", alice.Get(k.ID).FailedReason)
	require.Equal(t, "the brokers keep crashing", row.FailedDetail)
	require.NotContains(t, alice.Get(k.ID).FailedReason, row.FailedDetail)

	one.SetFate(agent.Healthy)
	h.WaitStatus(k.ID, kafka.Ready)
	require.Empty(t, alice.Get(k.ID).FailedReason)
	one.SetFate(agent.Broken)
	h.WaitStatus(k.ID, kafka.Failed)
	require.NotEmpty(t, alice.Get(k.ID).BootstrapServerHost)
}

func TestAnInstanceWaitsForASilentAgentAndFailsAtTheDeadline(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	one := h.Agent(harness.ClusterOne)
	one.SetManner(agent.Silent)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	h.Age(k.ID, 30*time.Minute)
	require.Equal(t, kafka.Provisioning, h.Row(k.ID).Status)
	h.Age(k.ID, 31*time.Minute)
	row := h.WaitStatus(k.ID, kafka.Failed)
	require.Equal(t, kafka.FailedTimedOut, row.FailedCode)
	require.NotEmpty(t, alice.Get(k.ID).FailedReason)

	one.SetManner(agent.Honest) // better late than never
	h.WaitStatus(k.ID, kafka.Ready)
	require.Empty(t, alice.Get(k.ID).FailedReason)
}

func TestAPreparationThatTakesTooLongFailsTheInstance(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SSO.Inject(adminDown)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Preparing)
	h.Age(k.ID, 6*time.Minute)
	require.Equal(t, kafka.FailedPreparing, h.WaitStatus(k.ID, kafka.Failed).FailedCode)
	h.SSO.ClearFaults()
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestIllBehavedAgentsMoveNothingTheyShouldNot(t *testing.T) {
	t.Parallel()
	for _, manner := range []agent.Manner{agent.Stale, agent.Duplicate, agent.Contradictory, agent.Huge} {
		t.Run(string(manner), func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Agent(harness.ClusterOne).SetManner(manner)
			alice := h.As(harness.Alice)
			k := alice.CreateKafka("one")
			h.WaitStatus(k.ID, kafka.Ready)
			alice.Delete(k.ID)
			h.WaitGone(k.ID)
			require.Equal(t, []string{"created", "placed", "prepared", "became_ready", "delete_asked", "reported_deleted", "erased"}, h.History(k.ID))
		})
	}
}

func TestAClusterSpeaksOnlyOfItsOwnInstances(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents(), twoClusters)
	two := h.Agent(harness.ClusterTwo)
	k := h.As(harness.Alice).CreateKafka("one")
	before := h.WaitStatus(k.ID, kafka.Provisioning)
	require.Equal(t, harness.ClusterOne, before.ClusterID)
	for _, reason := range []string{"", "Error", "Deleted", "Rejected", "Suspended"} {
		two.Says(k.ID, "False", reason, noRoom)
		two.Says("nosuchkafka", "False", reason, noRoom)
	}
	two.Says(k.ID, "True", "", "")
	require.Equal(t, before, h.Row(k.ID))
}

func TestAnOlderReportIsIgnored(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	one.Ready(k.ID)
	before := h.WaitStatus(k.ID, kafka.Ready)
	one.Sends(map[string]agent.Status{k.ID: {
		Conditions:       []agent.Condition{{Type: "Ready", Status: "False", Reason: "Error"}},
		UpdatedTimestamp: time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano),
	}})
	require.Equal(t, before, h.Row(k.ID))
	one.Says(k.ID, "False", "Error", "newer")
	require.Equal(t, kafka.Failed, h.Row(k.ID).Status)
}

func TestNothingBringsADeletedInstanceBack(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	one.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	alice.Delete(k.ID)
	require.True(t, one.Lists()[k.ID].Spec.Deleted)
	one.Ready(k.ID)
	one.Says(k.ID, "False", "Error", "removing it is hard")
	one.Says(k.ID, "Unknown", "Deleted", "")
	one.Says(k.ID, "False", "Suspended", "")
	require.Equal(t, kafka.Deprovision, h.Row(k.ID).Status)
	one.Gone(k.ID)
	one.Says(k.ID, "True", "", "")
	h.WaitGone(k.ID)
	one.Says(k.ID, "True", "", "")
	require.NotNil(t, h.Row(k.ID).DeletedAt)
}
