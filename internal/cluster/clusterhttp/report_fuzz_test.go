package clusterhttp

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
)

// FuzzClusterReport: whatever an agent says of its cluster is refused in the
// catalogue's words or gives a verdict, which is empty when it is said again.
func FuzzClusterReport(f *testing.F) {
	for _, seed := range []string{
		`{"conditions":[{"type":"Ready","status":"True"}],"strimzi":[{"ready":true,"version":"strimzi-cluster-operator.v0.23.0-4",` +
			`"kafkaVersions":["2.8.1","2.7.0"],"kafkaIbpVersions":["2.8"]}],"capacity":{"standard":{"maxUnits":7,"remainingUnits":-3}}}`,
		`{"conditions":[{"type":"Ready","status":"true"},{"type":"Ready","status":"False"}]}`, `{}`, `null`, `{"strimzi":[{}]}`,
		`{"strimzi":[{"version":"x","kafkaVersions":["1"],"kafkaIbpVersions":["1"]}]}`, `{"capacity":{"standard":{"maxUnits":2147483647},"":{}}}`,
		`{"strimzi":[{"version":"a.1.2.3-4","kafkaVersions":["1","v1.0.0"],"kafkaIbpVersions":["1-a","1"]},{"version":"1.2.3-4"}]}`,
	} {
		f.Add([]byte(seed), byte(3))
	}
	statuses := cluster.Statuses()
	f.Fuzz(func(t *testing.T, raw []byte, in byte) {
		var wire agent.DataPlaneClusterUpdateStatusRequest
		if json.Unmarshal(raw, &wire) != nil {
			return
		}
		report := fromAgent(wire)
		versions, err := report.Versions()
		if err != nil {
			require.Less(t, apierr.From(err).Status(), 500)
			return
		}
		c := cluster.Cluster{
			Status:              statuses[int(in)%len(statuses)].Status,
			DynamicCapacityInfo: cluster.Capacities{"standard": {}, "developer": {MaxUnits: 1}},
		}
		verdict := cluster.ReadReport(c, report, versions)
		for column, value := range verdict.Set {
			switch column {
			case "dynamic_capacity_info":
				c.DynamicCapacityInfo = value.(cluster.Capacities)
				require.Len(t, c.DynamicCapacityInfo, 2, "an agent adds no instance type")
			case "available_strimzi_versions":
				c.AvailableStrimziVersions = value.(cluster.StrimziVersions)
			default:
				t.Fatalf("a report sets %s", column)
			}
		}
		switch verdict.Event {
		case cluster.AgentReady:
			c.Status = cluster.Ready
		case cluster.AgentNotReady:
			c.Status = cluster.WaitingForAgent
		}
		require.False(t, cluster.ReadReport(c, report, versions).Changes(), "the same again says nothing new")
	})
}
