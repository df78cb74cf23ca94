package migrations

// toldToAgents lets an agent that asks again and again be told "unchanged" from an
// index alone: it holds what the mark of its list is made of, and only rows that are
// on that list. The predicate is the agents' query's own.
func toldToAgents() migration {
	return migration{
		id: "202611232000",
		up: `
CREATE INDEX kafka_requests_told_to_agents ON kafka_requests (cluster_id, id) INCLUDE (version)
    WHERE deleted_at IS NULL AND bootstrap_server_host <> ''
    AND status IN ('provisioning', 'ready', 'failed', 'deprovision', 'suspending', 'suspended', 'resuming');`,
		down: "DROP INDEX kafka_requests_told_to_agents;",
	}
}
