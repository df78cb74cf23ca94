package migrations

import _ "embed"

//go:embed baseline.sql
var baselineUp string

func baseline() migration {
	return migration{
		id: "202611220900",
		up: baselineUp,
		down: `
DROP TABLE idempotency_keys;
DROP TABLE leader_leases;
DROP TABLE external_resources;
DROP TABLE kafka_events;
DROP TABLE kafka_requests;
DROP TABLE clusters;`,
	}
}
