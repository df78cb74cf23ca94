package scenario

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Each test here stands in one of the numbered windows in which fleet managers
// have been seen to fail: between two steps, or between two actors.
// This file has those on the way to a running instance.

func TestWindow03TwoReplicasNeverGiveMoreThanThereIs(t *testing.T) {
	t.Parallel()
	t.Run("room on a cluster", func(t *testing.T) {
		t.Parallel()
		const units = 4
		h := harness.New(t, harness.Replicas(2), harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: units}))
		counts := together(orders(h, 2*units, func(i int) (string, harness.Order) {
			return harness.Alice, harness.Order{Name: "kafka-" + strconv.Itoa(i)}
		})...)
		require.Equal(t, map[outcome]int{accepted: units, refused(403, 24): units}, counts)
		require.Equal(t, units, h.Cluster(harness.ClusterOne).CapacityUsed)
	})
	t.Run("a name", func(t *testing.T) {
		t.Parallel()
		h := harness.New(t, harness.Replicas(2))
		counts := together(orders(h, 8, func(i int) (string, harness.Order) {
			return []string{harness.Alice, harness.Bob}[i/4], harness.Order{Name: "same"}
		})...)
		require.Equal(t, map[outcome]int{accepted: 1, refused(409, 36): 7}, counts)
		require.Equal(t, 1, h.Cluster(harness.ClusterOne).CapacityUsed)
	})
	t.Run("quota", func(t *testing.T) {
		t.Parallel()
		h := harness.New(t, harness.Replicas(2))
		counts := together(orders(h, 6, func(i int) (string, harness.Order) {
			return []string{harness.Dave, harness.Erin}[i/3], harness.Order{Name: "kafka-" + strconv.Itoa(i)}
		})...)
		require.Equal(t, map[outcome]int{accepted: 1, refused(403, 5): 5}, counts)

		dave := h.As(harness.Dave)
		mine := dave.List().Items[0]
		h.WaitStatus(mine.ID, kafka.Ready)
		h.As(mine.Owner).Delete(mine.ID)
		h.WaitGone(mine.ID)
		dave.CreateKafka("again") // what was deleted is free again
	})
}

func TestWindow04ASlowUpstreamHoldsUpNoOrder(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SSO.Inject(emulator.Fault{Path: ssoAdmin, Mode: emulator.Hang})
	alice := h.As(harness.Alice)
	h.WaitStatus(alice.CreateKafka("stuck").ID, kafka.Preparing)
	began := time.Now()
	for i := range 10 {
		alice.CreateKafka("kafka-" + strconv.Itoa(i))
	}
	require.Less(t, time.Since(began), 5*time.Second)
	h.SSO.ClearFaults()
}

func TestWindow05AnInstanceWhoseClusterVanishedIsPlacedAgain(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents(), twoClusters)
	withoutVersions(h)
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitRow(k.ID, "a try", func(k kafka.Kafka) bool { return k.Status == kafka.Accepted && k.Attempts > 0 })
	// An operator gives the cluster up: first in the list, then for good.
	h.Rewrite("dataplane-cluster-config-file", "clusters:\n- {name: mk-c2, cluster_id: "+harness.ClusterTwo+
		", cloud_provider: aws, region: us-east-1, multi_az: true, schedulable: true, kafka_instance_limit: 5}\n")
	h.Until("the new list", func() (bool, string) { return !h.Cluster(harness.ClusterOne).Schedulable, "the old one" })
	h.Exec("UPDATE clusters SET deleted_at = now() WHERE cluster_id = ?", harness.ClusterOne)
	two := h.Agent(harness.ClusterTwo)
	require.NoError(t, h.Within(func(ctx context.Context) error { return two.PushClusterStatus(ctx, true) }))
	require.Equal(t, harness.ClusterTwo, h.WaitStatus(k.ID, kafka.Provisioning).ClusterID)
	two.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
}

func TestWindow06WhatTheLoopPlacesTakesItsRoom(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2), harness.ManualAgents(), harness.Clusters(
		harness.Cluster{ID: harness.ClusterOne, Units: 1}, harness.Cluster{ID: harness.ClusterTwo, Units: 1}))
	one, two := h.Agent(harness.ClusterOne), h.Agent(harness.ClusterTwo)
	alice := h.As(harness.Alice)
	a := alice.CreateKafka("a")
	require.Equal(t, harness.ClusterOne, h.Row(a.ID).ClusterID, "an order is answered when its room is taken")
	require.Equal(t, 1, h.Cluster(harness.ClusterOne).CapacityUsed)
	b := alice.CreateKafka("b")
	alice.Create(harness.Order{Name: "c"}).MustFail(403, 24)
	h.WaitStatus(a.ID, kafka.Provisioning)
	h.WaitStatus(b.ID, kafka.Provisioning)

	// The first cluster has less room than it said, so its instance waits for the second's.
	one.Says(a.ID, "False", "Rejected", noRoom)
	h.WaitRow(a.ID, "a try", func(k kafka.Kafka) bool { return k.Attempts > 0 })
	alice.Delete(b.ID)
	two.Gone(b.ID)
	h.WaitRow(a.ID, "the other cluster", func(k kafka.Kafka) bool { return k.ClusterID == harness.ClusterTwo })
	counts := together(orders(h, 4, func(i int) (string, harness.Order) {
		return harness.Alice, harness.Order{Name: "kafka-" + strconv.Itoa(i)}
	})...)
	require.Equal(t, map[outcome]int{accepted: 1, refused(403, 24): 3}, counts)
	require.Equal(t, 1, h.Cluster(harness.ClusterOne).CapacityUsed)
	require.Equal(t, 1, h.Cluster(harness.ClusterTwo).CapacityUsed)
}

func TestWindow07ACanaryMadeByACallThatWasGivenUpIsFoundAgain(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	// The client is made, and then the replica that made it stops before it hears of it.
	h.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: "/admin/realms/rhoas/clients$", Mode: emulator.HangAfter, Times: 1})
	k := h.As(harness.Alice).CreateKafka("one")
	h.Until("the client in the SSO", func() (bool, string) { return canaries(h) == 1, "none" })
	require.Equal(t, kafka.Preparing, h.Row(k.ID).Status)
	h.WaitLeader(kafkaLease).Stop()
	h.WaitStatus(k.ID, kafka.Ready)
	require.Equal(t, 1, canaries(h))
}

func TestWindow08ACanaryMadeForADeletedInstanceGoesToo(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: "/admin/realms/rhoas/clients$", Mode: emulator.HangAfter, Times: 1})
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.Until("the client in the SSO", func() (bool, string) { return canaries(h) == 1, "none" })
	alice.Delete(k.ID)
	h.SSO.ClearFaults()
	h.WaitGone(k.ID)
	require.Zero(t, canaries(h))
}

func TestWindow09APreparationThatNeverEndsFails(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SSO.Inject(adminDown)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitRow(k.ID, "a try", func(k kafka.Kafka) bool { return k.Status == kafka.Preparing && k.Attempts > 0 })
	h.Age(k.ID, 6*time.Minute)
	require.Equal(t, kafka.FailedPreparing, h.WaitStatus(k.ID, kafka.Failed).FailedCode)
	require.NotEmpty(t, alice.Get(k.ID).FailedReason, "the customer is told")
	h.SSO.ClearFaults()
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow11AnInstanceWhoseAgentIsSilentFails(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	h.Age(k.ID, 2*time.Hour)
	require.Equal(t, kafka.FailedTimedOut, h.WaitStatus(k.ID, kafka.Failed).FailedCode)
	require.NotEmpty(t, alice.Get(k.ID).FailedReason, "the customer is told")
	one := h.Agent(harness.ClusterOne)
	one.Ready(k.ID) // it was only slow
	require.Empty(t, h.WaitStatus(k.ID, kafka.Ready).FailedReason)
}

func TestWindow12ARejectionEndsInAnotherPlaceOrInAFailure(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	for range 5 {
		one.Says(k.ID, "False", "Rejected", "no")
	}
	require.Equal(t, []string{"created", "placed", "prepared", "rejected"}, h.History(k.ID))
	one.Says(k.ID, "False", "Rejected", noRoom)
	row := h.WaitRow(k.ID, "a try", func(k kafka.Kafka) bool { return k.Attempts > 0 })
	require.Empty(t, row.PlacementID)
	require.Empty(t, row.ClusterID)
	require.NotEmpty(t, row.CanaryServiceAccountClientID, "what belongs to no cluster stays")
	h.Age(k.ID, 2*time.Hour)
	require.NotEmpty(t, h.WaitStatus(k.ID, kafka.Failed).FailedReason)
	h.As(harness.Alice).Delete(k.ID)
	h.WaitGone(k.ID)
}
