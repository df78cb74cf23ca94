-- All of the lock that the end needs is taken first. Who has read instances and goes on
-- to write one would else wait for the triggers, and the indexes for him.
LOCK TABLE kafka_requests IN ACCESS EXCLUSIVE MODE;

-- What live instances use, by all that a limit may ask for. A row stands for many
-- instances, so what a limit costs to count does not grow with the fleet.
CREATE TABLE kafka_usage (
    organisation_id             text   NOT NULL,
    instance_type               text   NOT NULL,
    owner                       text   NOT NULL,
    cloud_provider              text   NOT NULL,
    region                      text   NOT NULL,
    actual_kafka_billing_model  text   NOT NULL,
    desired_kafka_billing_model text   NOT NULL,
    instances                   bigint NOT NULL,
    units                       bigint NOT NULL,
    CONSTRAINT kafka_usage_pkey PRIMARY KEY (organisation_id, instance_type, owner, cloud_provider, region,
        actual_kafka_billing_model, desired_kafka_billing_model)
) WITH (fillfactor = 50); -- the next version of a row finds room beside it, so no index changes with a sum
CREATE INDEX kafka_usage_of_owner ON kafka_usage (owner, instance_type);
CREATE INDEX kafka_usage_of_region ON kafka_usage (cloud_provider, region, instance_type);

-- A row that counts nothing goes: it would keep the name of an owner who has left.
CREATE FUNCTION kafka_usage_add(k kafka_requests, more integer) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    have bigint;
BEGIN
    INSERT INTO kafka_usage AS u VALUES (k.organisation_id, k.instance_type, k.owner, k.cloud_provider, k.region,
        k.actual_kafka_billing_model, k.desired_kafka_billing_model, more, more * k.capacity_consumed)
    ON CONFLICT ON CONSTRAINT kafka_usage_pkey DO UPDATE
        SET instances = u.instances + EXCLUDED.instances, units = u.units + EXCLUDED.units
    RETURNING u.instances INTO have;
    IF have = 0 THEN
        DELETE FROM kafka_usage u WHERE u.instances = 0
            AND (u.organisation_id, u.instance_type, u.owner, u.cloud_provider, u.region,
                u.actual_kafka_billing_model, u.desired_kafka_billing_model)
            = (k.organisation_id, k.instance_type, k.owner, k.cloud_provider, k.region,
                k.actual_kafka_billing_model, k.desired_kafka_billing_model);
    END IF;
END $$;

CREATE FUNCTION kafka_usage_follow() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    -- Sums are changed in their order, or two that swap owners would wait in a circle.
    after_first boolean := TG_OP = 'UPDATE' AND
        (NEW.organisation_id, NEW.instance_type, NEW.owner, NEW.cloud_provider, NEW.region,
            NEW.actual_kafka_billing_model, NEW.desired_kafka_billing_model)
        < (OLD.organisation_id, OLD.instance_type, OLD.owner, OLD.cloud_provider, OLD.region,
            OLD.actual_kafka_billing_model, OLD.desired_kafka_billing_model);
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM kafka_usage;
        RETURN NULL;
    END IF;
    IF after_first AND NEW.deleted_at IS NULL THEN
        PERFORM kafka_usage_add(NEW, 1);
    END IF;
    IF TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL THEN
        PERFORM kafka_usage_add(OLD, -1);
    END IF;
    IF NOT after_first AND TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
        PERFORM kafka_usage_add(NEW, 1);
    END IF;
    RETURN NULL;
END $$;

-- They run while the transaction commits, so nobody waits for a sum that a client
-- holds who takes his time.
CREATE CONSTRAINT TRIGGER kafka_usage_insert AFTER INSERT ON kafka_requests DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.deleted_at IS NULL) EXECUTE FUNCTION kafka_usage_follow();
CREATE CONSTRAINT TRIGGER kafka_usage_delete AFTER DELETE ON kafka_requests DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION kafka_usage_follow();
CREATE CONSTRAINT TRIGGER kafka_usage_update AFTER UPDATE ON kafka_requests DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (
        (OLD.deleted_at IS NULL, OLD.capacity_consumed, OLD.organisation_id, OLD.instance_type, OLD.owner, OLD.cloud_provider,
            OLD.region, OLD.actual_kafka_billing_model, OLD.desired_kafka_billing_model)
        IS DISTINCT FROM
        (NEW.deleted_at IS NULL, NEW.capacity_consumed, NEW.organisation_id, NEW.instance_type, NEW.owner, NEW.cloud_provider,
            NEW.region, NEW.actual_kafka_billing_model, NEW.desired_kafka_billing_model))
    EXECUTE FUNCTION kafka_usage_follow();
CREATE TRIGGER kafka_usage_truncate AFTER TRUNCATE ON kafka_requests
    FOR EACH STATEMENT EXECUTE FUNCTION kafka_usage_follow();

-- Counts anew, for who wrote instances while the triggers were off. Nobody can
-- write one meanwhile.
CREATE FUNCTION kafka_usage_recount() RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    LOCK TABLE kafka_requests IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM kafka_usage;
    INSERT INTO kafka_usage SELECT organisation_id, instance_type, owner, cloud_provider, region,
        actual_kafka_billing_model, desired_kafka_billing_model, count(*), sum(capacity_consumed)
    FROM kafka_requests WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7;
END $$;
SELECT kafka_usage_recount();

-- What they were for is read from the sums. A binary of the version before reads more
-- slowly without them, and no less.
DROP INDEX kafka_requests_units, kafka_requests_of_region;
