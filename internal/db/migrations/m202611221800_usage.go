package migrations

import _ "embed"

//go:embed usage.sql
var usageUp string

// usage keeps sums of what live instances use. Triggers keep them, so they are exact
// whoever writes: this binary, the one before it, or a person by hand.
func usage() migration {
	return migration{
		id: "202611221800",
		up: usageUp,
		down: `
CREATE INDEX kafka_requests_units ON kafka_requests (organisation_id, instance_type, actual_kafka_billing_model, desired_kafka_billing_model)
    INCLUDE (capacity_consumed) WHERE deleted_at IS NULL;
CREATE INDEX kafka_requests_of_region ON kafka_requests (cloud_provider, region, instance_type)
    INCLUDE (capacity_consumed) WHERE deleted_at IS NULL;
DROP TRIGGER kafka_usage_insert ON kafka_requests;
DROP TRIGGER kafka_usage_update ON kafka_requests;
DROP TRIGGER kafka_usage_delete ON kafka_requests;
DROP TRIGGER kafka_usage_truncate ON kafka_requests;
DROP FUNCTION kafka_usage_recount();
DROP FUNCTION kafka_usage_follow();
DROP FUNCTION kafka_usage_add(kafka_requests, integer);
DROP TABLE kafka_usage;`,
	}
}
