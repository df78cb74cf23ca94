package scenario

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Each test here stands in one of the numbered windows in which fleet managers
// have been seen to fail: between two steps, or between two actors.

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

func TestWindow07ACanaryMadeByACallThatWasGivenUpIsFoundAgain(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	// The client is made, and then the replica that made it stops before it hears of it.
	h.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: "/admin/realms/rhoas/clients$", Mode: emulator.HangAfter, Times: 1})
	k := h.As(harness.Alice).CreateKafka("one")
	h.Until("the client in the SSO", func() (bool, string) {
		_, found := h.SSO.Client(harness.Realm, "canary-"+k.ID)
		return found, "none"
	})
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

func TestWindow13WhatIsGoneAlreadyIsNoObstacleToADeletion(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	// Both deletions take effect and then seem to fail: the next pass finds nothing.
	h.SSO.Inject(emulator.Fault{Method: http.MethodDelete, Path: ssoAdmin, Mode: emulator.ResetAfter, Times: 1})
	h.DNS.Inject(emulator.Fault{Method: http.MethodPost, Path: "/rrset", Mode: emulator.ResetAfter, Times: 1})
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow14AnInstanceWithoutAClusterLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SSO.Inject(emulator.Fault{Method: http.MethodGet, Path: "/client-secret$", Mode: emulator.Before, Status: 503})
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.Until("the client in the SSO", func() (bool, string) { return canaries(h) == 1, "none" })
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
	require.Zero(t, canaries(h))
}

func TestWindow17RecordsThatExistAlreadyAreTakenOver(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	row := h.WaitStatus(k.ID, kafka.Provisioning)
	// As a process leaves it that died between the call and the row.
	h.DNS.PutRecord(route53.Record{Name: row.BootstrapServerHost, Type: "CNAME", TTL: 60, Values: []string{"kas.mk-c1.example.test"}})
	one.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	require.Len(t, h.DNS.Of(k.ID), 5)
	alice.Delete(k.ID)
	one.Gone(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow18AnInstanceDeletedBeforeItsRecordsExist(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.DNS.Inject(emulator.Fault{Mode: emulator.Before, Status: 503})
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitRow(k.ID, "routes", func(k kafka.Kafka) bool { return k.Routes != nil && k.RoutesAttempts > 0 })
	alice.Delete(k.ID)
	h.WaitStatus(k.ID, kafka.Deleting)
	h.DNS.ClearFaults()
	h.WaitGone(k.ID)
	h.WaitStatus(alice.CreateKafka("two").ID, kafka.Ready) // nobody was hurt
}

func TestWindow20OfSeveralRecordsThoseThatExistAreDeleted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	h.DNS.Remove(t, h.DNS.Of(k.ID)[2])
	require.Len(t, h.DNS.Of(k.ID), 4)
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow21AChangedRecordIsNoObstacleToADeletion(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	own := h.DNS.Of(k.ID)[0]
	own.TTL = 60
	h.DNS.PutRecord(own)
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow21WhatSomebodyElseWroteIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	taken := h.DNS.Of(k.ID)[0]
	taken.Values = []string{"elsewhere.example.test"}
	h.DNS.PutRecord(taken)
	alice.Delete(k.ID)
	h.WaitRow(k.ID, "the end", func(k kafka.Kafka) bool { return k.DeletedAt != nil })
	require.Equal(t, []route53.Record{taken}, h.DNS.Of(k.ID))
	h.DNS.Remove(t, taken)
}

func TestWindow25ASuspendedInstanceIsNotMadeReadyByALateReport(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	one.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	h.Suspend(k.ID)
	one.Ready(k.ID)
	one.Says(k.ID, "False", "Error", "no brokers")
	require.Equal(t, kafka.Suspending, h.Row(k.ID).Status)
	require.Equal(t, "true", one.Lists()[k.ID].Metadata.Labels["bf2.org/suspended"])
	one.Says(k.ID, "False", "Suspended", "")
	require.Equal(t, kafka.Suspended, h.Row(k.ID).Status)
	one.Ready(k.ID)
	require.Equal(t, kafka.Suspended, h.Row(k.ID).Status)
	h.Resume(k.ID)
	one.Says(k.ID, "False", "Suspended", "")
	require.Equal(t, kafka.Resuming, h.Row(k.ID).Status)
	one.Ready(k.ID)
	require.Equal(t, kafka.Ready, h.Row(k.ID).Status)
}

func TestWindow26AChangeNeverUndoesADeletion(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	h.Agent(harness.ClusterOne).SetFate(agent.Stuck)
	alice, carol := h.Replica(0).As(harness.Alice), h.Replica(1).As(harness.Carol)
	for i := range 5 {
		k := alice.CreateKafka("kafka-" + strconv.Itoa(i))
		h.WaitStatus(k.ID, kafka.Provisioning)
		var calls []func() harness.Response
		for j := range 4 {
			calls = append(calls, func() harness.Response {
				return carol.Do(http.MethodPatch, "/kafkas/"+k.ID, map[string]any{"reauthentication_enabled": j%2 == 0})
			})
		}
		calls = append(calls, func() harness.Response { return alice.Do(http.MethodDelete, "/kafkas/"+k.ID+"?async=true", nil) })
		require.Equal(t, 1, together(calls...)[accepted])
		h.WaitGone(k.ID)
	}
}

func TestWindow27DeletingAgainIsCountedOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	h.DNS.Inject(emulator.Fault{Mode: emulator.Before, Status: 503})
	var calls []func() harness.Response
	for i := range 6 {
		caller := h.Replica(i % 2).As(harness.Alice)
		calls = append(calls, func() harness.Response { return caller.Do(http.MethodDelete, "/kafkas/"+k.ID+"?async=true", nil) })
	}
	require.Equal(t, map[outcome]int{accepted: 6}, together(calls...))
	h.WaitStatus(k.ID, kafka.Deleting)
	require.Equal(t, map[outcome]int{accepted: 6}, together(calls...))
	require.Equal(t, kafka.Deleting, h.Row(k.ID).Status)
	h.DNS.ClearFaults()
	h.WaitGone(k.ID)
	require.Equal(t, []string{"created", "placed", "prepared", "became_ready", "delete_asked", "reported_deleted", "erased"}, h.History(k.ID))
}

// strangersAddress is that of a replica which the test does not run.
const strangersAddress = "192.0.2.1:8000"

func TestWindow31AnUsurpedLeaderWritesNothing(t *testing.T) {
	t.Parallel()
	// So seldom a renewal that the leader does not learn from it that it was replaced.
	h := harness.New(t, harness.Set("leader-lease-expiration-time", "20s"), harness.Set("leader-election-reconciler-repeat-interval", "5s"))
	h.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: "/admin/realms/rhoas/clients$", Mode: emulator.Slow, Delay: 300 * time.Millisecond})
	k := h.As(harness.Alice).CreateKafka("one")
	h.Until("the call that takes long", func() (bool, string) {
		return len(h.SSO.JournalOf(http.MethodPost, "/admin/realms/rhoas/clients$")) > 1, "none" // the first was the agent's
	})
	h.Exec(`UPDATE leader_leases SET term = gen_random_uuid(), epoch = epoch + 1, leader = ?, expires = clock_timestamp() + interval '3 seconds'
		WHERE lease_type = ?`, "host "+strangersAddress, kafkaLease)
	h.Until("the end of the stranger's lease", func() (bool, string) {
		row, over := h.Row(k.ID), h.Leader(kafkaLease) != strangersAddress
		require.True(t, over || row.Status == kafka.Preparing, "the lease is not ours, so nothing is")
		return over, "none"
	})
	require.Equal(t, 1, canaries(h), "the call itself could not be stopped")
	h.WaitStatus(k.ID, kafka.Ready)
	require.Equal(t, 1, canaries(h))
}

func TestWindow35WithoutNotificationsTheTickGoesOn(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Agent(harness.ClusterOne).SetFate(agent.Stuck)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	h.Age(k.ID, 2*time.Hour) // it comes due, and nobody is told
	h.WaitStatus(k.ID, kafka.Failed)

	h.Agent(harness.ClusterOne).SetFate(agent.Healthy)
	for i := range 3 { // and listeners that lose their connections
		h.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'listen %'")
		h.WaitStatus(alice.CreateKafka("kafka-"+strconv.Itoa(i)).ID, kafka.Ready)
	}
}

func TestWindow36OneBadEntryOfAReportHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	alice := h.As(harness.Alice)
	a, b := alice.CreateKafka("a"), alice.CreateKafka("b")
	h.WaitStatus(a.ID, kafka.Provisioning)
	h.WaitStatus(b.ID, kafka.Provisioning)
	ready := []agent.Condition{{Type: "Ready", Status: "True"}}
	report := map[string]agent.Status{
		"unknown": {Conditions: ready},
		"":        {Conditions: ready},
		a.ID:      {Conditions: ready, Routes: []agent.Route{{Name: "bootstrap", Router: "router.of.somebody.else"}}},
		b.ID:      {Conditions: ready, Routes: []agent.Route{{Name: "bootstrap", Router: "kas.mk-c1.example.test"}}},
	}
	one.Sends(report)
	h.WaitStatus(b.ID, kafka.Ready)
	require.Equal(t, kafka.Provisioning, h.Row(a.ID).Status)
	require.Empty(t, h.DNS.Of(a.ID))
	one.Ready(a.ID) // and said rightly it counts
	h.WaitStatus(a.ID, kafka.Ready)
}

func TestWindow38ASizeThatIsNoLongerOfferedHarmsNoInstance(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	before := h.AsAgent(harness.ClusterOne).Do(http.MethodGet, "/agent-clusters/"+harness.ClusterOne+"/kafkas", nil)
	h.Exec("UPDATE kafka_requests SET size_id = 'x9', instance_type = 'gone', max_data_retention_size = 'not a quantity' WHERE id = ?", k.ID)
	other := alice.CreateKafka("two")
	require.Equal(t, []string{"one", "two"}, harness.Names(alice.List()))
	require.Equal(t, "50Mi", alice.Get(k.ID).IngressThroughputPerSec)
	h.WaitStatus(other.ID, kafka.Ready)
	require.Contains(t, h.Agent(harness.ClusterOne).Lists(), k.ID)
	require.Contains(t, string(before.Body), k.ID)
}

func TestWindow39ALeaseWithoutARowIsTakenNevertheless(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Unequipped(), harness.Before(func(h *harness.World) { h.Exec("DELETE FROM leader_leases") }))
	h.WaitCluster(harness.ClusterOne, cluster.Ready)
	h.WaitStatus(h.As(harness.Alice).CreateKafka("one").ID, kafka.Ready)
}

// A foreign intent for the same key would mean that two instances share a client.
func TestAKeyOfTheLedgerHasOneOwner(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	err := h.Within(func(ctx context.Context) error {
		return h.DB.Tx(ctx, func(tx db.Tx) error {
			return ledger.Want(tx, time.Now(), ledger.Intent{OwnerKind: "kafka", OwnerID: "another", Kind: "sso_client", Key: "canary-" + k.ID})
		})
	})
	require.Error(t, err)
}
