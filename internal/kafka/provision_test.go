package kafka

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

func preparing() Kafka {
	return Kafka{ID: "cb0b8ss5m2vs73f1jk2g", Name: "one", Status: Preparing, ClusterID: "c1", StatusChangedAt: noon}
}

func prepareFacts() PrepareFacts {
	return PrepareFacts{Domain: "kafka.test", ClusterDNS: "apps.c1.example.test", CNAMEs: true, SSO: true, NewPlacement: "p1", Now: noon}
}

func TestPlanPrepare(t *testing.T) {
	t.Parallel()
	whole := Plan{
		Event: Prepared, Reason: "host name and SSO client exist",
		Ensure: []ledger.Intent{{OwnerKind: "kafka", OwnerID: "cb0b8ss5m2vs73f1jk2g", Kind: "sso_client", Key: "canary-cb0b8ss5m2vs73f1jk2g"}},
		Set: Columns{
			"namespace": "kafka-cb0b8ss5m2vs73f1jk2g", "bootstrap_server_host": "one-cb0b8ss5m2vs73f1jk2g.kafka.test",
			"kafkas_routes_base_domain_name": "kafka.test", "placement_id": "p1",
		},
	}
	require.Equal(t, whole, PlanPrepare(preparing(), prepareFacts()))
	f := prepareFacts()
	f.CNAMEs, f.SSO = false, false
	bare := PlanPrepare(preparing(), f)
	require.Empty(t, bare.Ensure, "without authentication nobody needs a client")
	require.Equal(t, "one-cb0b8ss5m2vs73f1jk2g.kas.c1.example.test", bare.Set["bootstrap_server_host"])
}

func TestPlanAssign(t *testing.T) {
	t.Parallel()
	k := preparing()
	k.Status, k.ClusterID = Accepted, ""
	versions := Columns{
		"cluster_id": "c2", "desired_strimzi_version": "strimzi-1", "desired_kafka_version": "3.3.1", "desired_kafka_ibp_version": "3.3",
	}
	require.Equal(t, Plan{Event: Placed, Set: versions, Reason: "placed on cluster c2"}, PlanAssign(k, roomy("c2"), prepareFacts()))

	k.Status = Provisioning
	f := prepareFacts()
	f.CNAMEs, f.NewPlacement = false, "p2"
	again := PlanAssign(k, roomy("c2"), f)
	require.Equal(t, Reassigned, again.Event)
	require.Equal(t, "p2", again.Set["placement_id"], "the placement that was rejected is not offered again")
	require.Equal(t, "one-cb0b8ss5m2vs73f1jk2g.kas.c2.example.test", again.Set["bootstrap_server_host"], "below the new cluster")
	require.NotContains(t, again.Set, "namespace")
}

func TestPlanFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status Status
		code   FailedCode
		age    time.Duration
		event  Event // empty: not yet
	}{
		"no cluster for 59 minutes":       {Accepted, FailedNoCluster, 59 * time.Minute, ""},
		"no cluster for an hour":          {Accepted, FailedNoCluster, time.Hour, Unplaceable},
		"no version for nearly 5 minutes": {Accepted, FailedNoVersion, 5*time.Minute - time.Second, ""},
		"no version for 5 minutes":        {Accepted, FailedNoVersion, 5 * time.Minute, Unplaceable},
		"preparing for nearly 5 minutes":  {Preparing, FailedPreparing, 5*time.Minute - time.Second, ""},
		"preparing for 5 minutes":         {Preparing, FailedPreparing, 5 * time.Minute, PrepareFailed},
		"provisioning for nearly an hour": {Provisioning, FailedTimedOut, time.Hour - time.Second, ""},
		"provisioning for an hour":        {Provisioning, FailedTimedOut, time.Hour, TimedOut},
		"nowhere to go for an hour":       {Provisioning, FailedNoCluster, time.Hour, TimedOut},
		"resuming for an hour":            {Resuming, FailedTimedOut, time.Hour, TimedOut},
		"ready for years":                 {Ready, FailedTimedOut, 100000 * time.Hour, ""},
		"being deleted for years":         {Deleting, FailedTimedOut, 100000 * time.Hour, ""},
	} {
		k := Kafka{Status: c.status, CreatedAt: noon.Add(-1000 * time.Hour), StatusChangedAt: noon.Add(-c.age), LastError: "upstream said so"}
		plan, over := PlanFailure(k, c.code, "a reason", noon)
		require.Equal(t, c.event != "", over, name)
		if over {
			require.Equal(t, Plan{Event: c.event, Reason: "a reason", Set: Columns{
				"failed_code": c.code, "failed_reason": "a reason", "failed_detail": "upstream said so",
			}}, plan, name)
			tr, _ := transitionOf(plan.Event)
			require.Contains(t, tr.From, c.status, name)
		}
	}
	refusal := PlanRefusal("refused", "403")
	require.Equal(t, PrepareFailed, refusal.Event)
	require.Equal(t, FailedPreparing, refusal.Set["failed_code"])
}

func TestPlanRoutesCreated(t *testing.T) {
	t.Parallel()
	for _, info := range Statuses() {
		for _, class := range []Class{"", ClassReady, ClassInstalling, ClassError} {
			plan := PlanRoutesCreated(Kafka{Status: info.Status, ReportedClass: class})
			require.Equal(t, true, plan.Set["routes_created"])
			if class == ClassReady && slices.Contains([]Status{Provisioning, Resuming, Failed}, info.Status) {
				require.Equal(t, BecameReady, plan.Event, info.Status)
				require.Equal(t, Columns{
					"routes_created": true, "failed_reason": "", "failed_code": FailedCode(""), "failed_detail": "", "placement_exclusions": Exclusions{},
				}, plan.Set)
				continue
			}
			require.Empty(t, plan.Event, "%s %s", info.Status, class)
			require.Len(t, plan.Set, 1)
		}
	}
}

func TestPlanRetire(t *testing.T) {
	t.Parallel()
	intents := []ledger.Intent{
		{ID: "1", State: ledger.Created}, {ID: "2", State: ledger.Gone}, {ID: "3", State: ledger.Wanted}, {ID: "4", State: ledger.Deleting},
	}
	k := Kafka{Status: Deprovision, ClusterID: "c1", BootstrapServerHost: "h"}
	open, plan := PlanRetire(k, intents)
	require.Empty(t, open, "its agent has it")
	require.Empty(t, plan.Event)
	for _, never := range []Kafka{{Status: Deprovision}, {Status: Deprovision, ClusterID: "c1"}, {Status: Deprovision, BootstrapServerHost: "h"}} {
		open, plan = PlanRetire(never, intents)
		require.Empty(t, open)
		require.Equal(t, NeverPlaced, plan.Event, "no agent can have it")
	}

	k.Status = Deleting
	open, plan = PlanRetire(k, intents)
	require.Equal(t, []ledger.Intent{intents[3], intents[2], intents[0]}, open, "newest first, without what is gone")
	require.Empty(t, plan.Event)
	for _, closed := range [][]ledger.Intent{nil, intents[1:2]} {
		open, plan = PlanRetire(k, closed)
		require.Empty(t, open)
		require.Equal(t, Erased, plan.Event)
	}
}
