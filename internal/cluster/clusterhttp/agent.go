// Package clusterhttp serves clusters over HTTP: to their agents.
//
// It decodes, calls one use case and encodes. It is not for rules: those are
// cluster's. Invariant: no row type leaves it and no wire type goes further in.
package clusterhttp

import (
	"context"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
)

// Agent serves the agents of data-plane clusters.
type Agent struct{ service *cluster.Service }

// NewAgent makes the agents' handlers.
func NewAgent(service *cluster.Service) *Agent { return &Agent{service: service} }

// GetKafkaAgent answers GET /agent-clusters/{id}: byte-stable while nothing changes.
func (a *Agent) GetKafkaAgent(ctx context.Context, r agent.GetKafkaAgentRequestObject) (agent.GetKafkaAgentResponseObject, error) {
	c, err := a.service.ForAgent(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return agent.GetKafkaAgent200JSONResponse(toAgent(c, a.service.Config.Observability)), nil
}

// UpdateAgentClusterStatus answers PUT /agent-clusters/{id}/status.
func (a *Agent) UpdateAgentClusterStatus(
	ctx context.Context, r agent.UpdateAgentClusterStatusRequestObject,
) (agent.UpdateAgentClusterStatusResponseObject, error) {
	if err := a.service.Report(ctx, r.ID, fromAgent(*r.Body)); err != nil {
		return nil, err
	}
	return agent.UpdateAgentClusterStatus204Response{}, nil
}

// toAgent shows a cluster to its agent. A type without a limit is left out: the
// agent then neither limits nor reports it.
func toAgent(c cluster.Cluster, o cluster.Observability) agent.DataplaneClusterAgentConfig {
	out := agent.DataplaneClusterAgentConfig{Spec: agent.AgentConfigSpec{
		Net: agent.AgentConfigNet{Private: c.AccessKafkasViaPrivateNetwork},
		Observability: agent.AgentConfigObservability{
			AccessToken: o.Token.Reveal(), Channel: o.Channel, Repository: o.Repository, Tag: o.Tag,
		},
	}}
	if len(c.DynamicCapacityInfo) > 0 {
		out.Spec.Capacity = make(map[string]agent.AgentConfigCapacity, len(c.DynamicCapacityInfo))
	}
	for name, capacity := range c.DynamicCapacityInfo {
		out.Spec.Capacity[name] = agent.AgentConfigCapacity{MaxNodes: capacity.MaxNodes}
	}
	return out
}

func fromAgent(s agent.DataPlaneClusterUpdateStatusRequest) cluster.Report {
	report := cluster.Report{Capacity: make(map[string]cluster.ReportedCapacity, len(s.Capacity))}
	for _, c := range s.Conditions {
		report.Conditions = append(report.Conditions, cluster.Condition{Type: c.Type, Status: c.Status})
	}
	for _, o := range s.Strimzi {
		report.Strimzi = append(report.Strimzi, cluster.ReportedOperator{
			Version: o.Version, Ready: o.Ready, KafkaVersions: o.KafkaVersions, KafkaIBPVersions: o.KafkaIBPVersions,
		})
	}
	for name, c := range s.Capacity {
		report.Capacity[name] = cluster.ReportedCapacity{MaxUnits: c.MaxUnits, RemainingUnits: c.RemainingUnits}
	}
	return report
}
