package migrations

// recount lets the sums be counted anew by a transaction that has written instances
// itself. What its triggers had still to add came on top of the count.
func recount() migration {
	return migration{
		id: "202611231900",
		up: `
CREATE OR REPLACE FUNCTION kafka_usage_recount() RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    LOCK TABLE kafka_requests IN SHARE ROW EXCLUSIVE MODE;
    SET CONSTRAINTS kafka_usage_insert, kafka_usage_update, kafka_usage_delete IMMEDIATE;
    SET CONSTRAINTS kafka_usage_insert, kafka_usage_update, kafka_usage_delete DEFERRED;
    DELETE FROM kafka_usage;
    INSERT INTO kafka_usage SELECT organisation_id, instance_type, owner, cloud_provider, region,
        actual_kafka_billing_model, desired_kafka_billing_model, count(*), sum(capacity_consumed)
    FROM kafka_requests WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7;
END $$;`,
		down: `
CREATE OR REPLACE FUNCTION kafka_usage_recount() RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    LOCK TABLE kafka_requests IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM kafka_usage;
    INSERT INTO kafka_usage SELECT organisation_id, instance_type, owner, cloud_provider, region,
        actual_kafka_billing_model, desired_kafka_billing_model, count(*), sum(capacity_consumed)
    FROM kafka_requests WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7;
END $$;`,
	}
}
