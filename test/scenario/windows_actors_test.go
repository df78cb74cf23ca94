package scenario

import (
	"context"
	"net/http"
	"regexp"
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
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// The windows between actors: agents, customers, replicas; see windows_test.go.

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

func TestWindow32ACallThatHangsStopsItsOwnInstanceOnly(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	const stuck = 4
	h.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: "/admin/realms/rhoas/clients$", Mode: emulator.Hang, Times: stuck})
	alice := h.As(harness.Alice)
	var waiting []string
	for i := range stuck {
		waiting = append(waiting, alice.CreateKafka("stuck-"+strconv.Itoa(i)).ID)
	}
	h.Until("the calls that hang", func() (bool, string) {
		n := len(h.SSO.JournalOf(http.MethodPost, "/admin/realms/rhoas/clients$")) - 1 // the first was the agent's
		return n == stuck, strconv.Itoa(n)
	})
	began := time.Now()
	h.WaitStatus(alice.CreateKafka("one").ID, kafka.Ready)
	require.Less(t, time.Since(began), 8*time.Second, "it waited for the others")
	for _, id := range waiting {
		require.Equal(t, kafka.Preparing, h.Row(id).Status)
	}
	h.SSO.ClearFaults()
	for _, id := range waiting {
		h.WaitStatus(id, kafka.Ready)
	}
}

func TestWindow33WhatFailedCanBeDeletedAndGivesItsQuotaBack(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one, dave := h.Agent(harness.ClusterOne), h.As(harness.Dave)
	k := dave.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	h.Age(k.ID, 2*time.Hour)
	h.WaitStatus(k.ID, kafka.Failed)
	dave.Create(harness.Order{Name: "two"}).MustFail(403, 5)
	dave.Delete(k.ID)
	one.Gone(k.ID)
	h.WaitGone(k.ID)
	require.Zero(t, h.Cluster(harness.ClusterOne).CapacityUsed)
	dave.CreateKafka("two")
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
	_, page := h.Replica(0).Page(h.Replica(0).Metrics)
	counted := regexp.MustCompile(`refused_total\{reason="(\w+)"\} [1-9].*`).FindAllString(page, -1)
	require.Equal(t, []string{`refused_total{reason="not_believed"} 1`, `refused_total{reason="unknown_instance"} 2`}, counted)
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
