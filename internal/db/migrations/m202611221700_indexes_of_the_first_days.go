package migrations

// indexesOfTheFirstDays brings the indexes to databases that were migrated before
// the baseline had them. Where it did, there is nothing to do, and nothing to undo.
func indexesOfTheFirstDays() migration {
	return migration{
		id: "202611221700",
		up: `
CREATE INDEX IF NOT EXISTS kafka_requests_deleted ON kafka_requests (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS kafka_requests_units ON kafka_requests (organisation_id, instance_type, actual_kafka_billing_model, desired_kafka_billing_model)
    INCLUDE (capacity_consumed) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS kafka_requests_status_count ON kafka_requests (status) INCLUDE (status_changed_at) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS kafka_events_age ON kafka_events (at);
CREATE INDEX IF NOT EXISTS external_resources_gone ON external_resources (updated_at) WHERE state = 'gone';
DROP INDEX IF EXISTS external_resources_doubted;`,
		down: "SELECT 1;",
	}
}
