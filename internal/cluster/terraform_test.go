package cluster

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

func TestPlanInstall(t *testing.T) {
	t.Parallel()
	plan := PlanInstall(Cluster{}, Installation{State: "ready", ExternalID: "e1"})
	require.Equal(t, InstallFinished, plan.Event)
	require.Equal(t, Columns{"external_id": "e1"}, plan.Set)
	require.Empty(t, PlanInstall(Cluster{ExternalID: "e0"}, Installation{State: "ready", ExternalID: "e1"}).Set)

	plan = PlanInstall(Cluster{}, Installation{State: "error", Problem: "no quota left"})
	require.Equal(t, InstallFailed, plan.Event)
	require.Equal(t, Columns{"status_details": "no quota left"}, plan.Set)
	require.NotEmpty(t, PlanInstall(Cluster{}, Installation{State: "error"}).Set["status_details"])

	for _, state := range []string{"pending", "installing", "uninstalling", "hibernating", "unknown", ""} {
		plan = PlanInstall(Cluster{}, Installation{State: state})
		require.Empty(t, plan.Event, state)
		require.NotEmpty(t, plan.Wait, state)
	}
}

func TestPlanAddons(t *testing.T) {
	t.Parallel()
	both := func(one, other string) []Addon { return []Addon{{"strimzi", one}, {"agent", other}} }
	plan := PlanAddons(Cluster{Status: Provisioned}, both("ready", "ready"))
	require.Equal(t, TerraformFinished, plan.Event)
	require.Equal(t, Plan{Set: Columns{}}, PlanAddons(Cluster{Status: Ready}, both("ready", "ready")), "in order")

	plan = PlanAddons(Cluster{Status: Provisioned}, both("ready", "installing"))
	require.Empty(t, plan.Event)
	require.Equal(t, "add-on agent is in state installing", plan.Wait)
	require.Empty(t, plan.Set)

	plan = PlanAddons(Cluster{Status: Provisioned}, both("failed", "pending"))
	require.Empty(t, plan.Event)
	require.Equal(t, Columns{"status_details": "add-on strimzi is in state failed"}, plan.Set)
	require.Equal(t, Columns{"status_details": ""},
		PlanAddons(Cluster{Status: Ready, StatusDetails: "add-on strimzi is in state failed"}, both("ready", "ready")).Set, "it recovered")
}

func TestUnrecorded(t *testing.T) {
	t.Parallel()
	id := "c1"
	wanted := Intents(Cluster{ID: "row", ClusterID: &id}, "a")
	require.Equal(t, "kas-fleetshard-agent-c1", wanted[0].Key)
	require.Equal(t, "c1/a", wanted[1].Key)
	require.True(t, Unrecorded(wanted, nil))
	have := []ledger.Intent{wanted[0], wanted[1]}
	have[0].State, have[1].State = ledger.Created, ledger.Wanted
	require.False(t, Unrecorded(wanted, have))
	have[1].State = ledger.Gone
	require.True(t, Unrecorded(wanted, have))
}

func TestRooms(t *testing.T) {
	t.Parallel()
	regions, err := catalog.Load(catalog.Config{InstanceTypesFile: catalog.DefaultInstanceTypesFile, ProvidersFile: catalog.DefaultProvidersFile})
	require.NoError(t, err)
	provider := regions.DefaultProvider()
	region := provider.DefaultRegion().Name
	at := func(id string, limit, used int, types string) Cluster {
		return Cluster{ClusterID: &id, CloudProvider: provider.Name, Region: region, Status: Ready, Schedulable: true,
			CapacityLimit: limit, CapacityUsed: used, SupportedInstanceType: types}
	}
	closed, failed := at("c3", 5, 0, "standard"), at("c4", 5, 0, "standard")
	closed.Schedulable, failed.Status = false, Failed
	elsewhere := at("c5", 5, 0, "standard")
	elsewhere.Region = "nowhere"
	got := Rooms([]Cluster{at("c1", 5, 4, "standard,developer"), at("c2", -1, 0, "standard"), closed, failed, elsewhere},
		[]Usage{{"c1", "standard", 3, 2}, {"c1", "developer", 1, 1}, {"unknown", "standard", 9, 1}}, regions)
	byKey := map[string][3]float64{}
	for _, r := range got {
		byKey[r.ClusterID+" "+r.InstanceType] = [3]float64{r.Max, r.Used, r.Available}
	}
	require.Equal(t, map[string][3]float64{
		"c1 standard": {5, 3, 1}, "c1 developer": {5, 1, 1}, // the limit is shared
		"c2 standard": {math.Inf(1), 0, math.Inf(1)},
		"c3 standard": {5, 0, 0}, // takes no more
		"c5 standard": {0, 0, 0}, // a region that is not offered
	}, byKey)
}

func TestAgentParametersStandInOrder(t *testing.T) {
	t.Parallel()
	config := Config{PollInterval: "15s", ResyncInterval: "60s"}
	var got []string
	for _, p := range config.AgentParameters("c1", Account{ClientID: "agent", Secret: "s3cret"}, Endpoints{Issuer: "https://sso/realm", ControlPlane: "https://fleet"}) {
		got = append(got, p.ID+"="+p.Value.Reveal())
	}
	require.Equal(t, []string{"sso-auth-server-url=https://sso/realm", "sso-client-id=agent", "sso-secret=s3cret",
		"control-plane-url=https://fleet", "cluster-id=c1", "poll-interval=15s", "resync-interval=60s"}, got)
}

func TestDriftsCompareCountedAndTrueRoom(t *testing.T) {
	t.Parallel()
	one, two := "c1", "c2"
	clusters := []Cluster{{ClusterID: &one, CapacityUsed: 3}, {ClusterID: &two, CapacityUsed: 1}, {}}
	used := []Usage{{"c1", "standard", 2, 2}, {"c1", "developer", 1, 1}, {"gone", "standard", 9, 9}}
	require.Equal(t, map[string]int{"c1": 0, "c2": 1}, Drifts(clusters, used))
}
