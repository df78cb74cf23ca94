-- What no look at the end can show is noted when it happens. Test databases only.
CREATE SCHEMA watch;

CREATE TABLE watch.breaches (
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    invariant text NOT NULL,
    what text NOT NULL
);

CREATE TABLE watch.terms (
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    lease_type text NOT NULL,
    leader text NOT NULL,
    term uuid NOT NULL,
    epoch bigint NOT NULL
);

CREATE TABLE watch.leader_writes (
    lease_type text NOT NULL,
    writer text NOT NULL,
    term uuid NOT NULL,
    writes bigint NOT NULL,
    last_at timestamp with time zone NOT NULL,
    PRIMARY KEY (lease_type, writer, term)
);

CREATE FUNCTION watch.breach(invariant text, what text) RETURNS void LANGUAGE sql AS
    'INSERT INTO watch.breaches (invariant, what) VALUES ($1, $2)';

-- A term begins only when the one before has ended, and is prolonged only while it
-- lasts. The trigger runs a moment after the statement looked at the clock.
CREATE FUNCTION watch.on_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.term <> OLD.term THEN
        INSERT INTO watch.terms (lease_type, leader, term, epoch) VALUES (NEW.lease_type, NEW.leader, NEW.term, NEW.epoch);
        IF OLD.expires > clock_timestamp() THEN
            PERFORM watch.breach('I7', format('%s took %s over from %s, whose term lasts until %s', NEW.leader, NEW.lease_type, OLD.leader, OLD.expires));
        END IF;
        IF NEW.epoch <= OLD.epoch THEN
            PERFORM watch.breach('I7', format('%s took %s over with epoch %s after %s', NEW.leader, NEW.lease_type, NEW.epoch, OLD.epoch));
        END IF;
    ELSIF current_setting('application_name') LIKE '%:%' AND split_part(OLD.leader, ' ', 2) <> current_setting('application_name') THEN
        PERFORM watch.breach('I7', format('%s changed the term of %s in %s', current_setting('application_name'), OLD.leader, NEW.lease_type));
    ELSIF OLD.expires < clock_timestamp() - interval '100 milliseconds' AND NEW.expires > clock_timestamp() THEN
        PERFORM watch.breach('I7', format('%s prolonged %s, which had ended at %s', NEW.leader, NEW.lease_type, OLD.expires));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER UPDATE ON leader_leases FOR EACH ROW EXECUTE FUNCTION watch.on_lease();

-- At the commit of a transaction that holds the lock of a lease, its writer must
-- be the leader. Replicas are told apart by the names of their connections.
CREATE FUNCTION watch.on_write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    me text := current_setting('application_name');
    held boolean := false;
    l record;
BEGIN
    FOR l IN SELECT * FROM leader_leases LOOP
        IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND mode = 'ShareLock' AND granted AND objsubid = 1
                AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('lease:' || l.lease_type, 0)) THEN
            held := true;
            INSERT INTO watch.leader_writes AS w VALUES (l.lease_type, me, l.term, 1, clock_timestamp())
                ON CONFLICT (lease_type, writer, term) DO UPDATE SET writes = w.writes + 1, last_at = clock_timestamp();
            -- Who has just resigned may have a commit on its way; a successor waits for it.
            IF l.leader <> '' AND split_part(l.leader, ' ', 2) <> me THEN
                PERFORM watch.breach('I7', format('%s wrote to %s as leader of %s, which is %s', me, TG_TABLE_NAME, l.lease_type, l.leader));
            END IF;
        END IF;
    END LOOP;
    IF TG_TABLE_NAME = 'kafka_events' AND NOT held AND to_jsonb(NEW) ->> 'actor' = 'loop' THEN
        PERFORM watch.breach('I7', format('%s wrote as a loop without the lock of a lease: %s', me, to_jsonb(NEW)));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch_events AFTER INSERT ON kafka_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_write();
CREATE CONSTRAINT TRIGGER watch_requests AFTER UPDATE ON kafka_requests
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_write();
CREATE CONSTRAINT TRIGGER watch_clusters AFTER INSERT OR UPDATE ON clusters
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_write();
CREATE CONSTRAINT TRIGGER watch_ledger AFTER INSERT OR UPDATE ON external_resources
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_write();

-- A deletion is never undone, and a status never changes without a new version.
CREATE FUNCTION watch.on_kafka() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IN ('deprovision', 'deleting') AND NEW.status NOT IN ('deprovision', 'deleting') THEN
        PERFORM watch.breach('I3', format('%s was %s and became %s', NEW.id, OLD.status, NEW.status));
    END IF;
    IF OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL THEN
        PERFORM watch.breach('I3', format('%s was erased and is not any more', NEW.id));
    END IF;
    IF NEW.status <> OLD.status AND NEW.version <= OLD.version THEN
        PERFORM watch.breach('I4', format('%s became %s without a new version', NEW.id, NEW.status));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch_status AFTER UPDATE ON kafka_requests FOR EACH ROW EXECUTE FUNCTION watch.on_kafka();

-- Changes of clusters have no history of their own.
CREATE TABLE watch.cluster_statuses (id text NOT NULL, was text NOT NULL, became text NOT NULL);
CREATE FUNCTION watch.on_cluster() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status THEN
        INSERT INTO watch.cluster_statuses VALUES (NEW.id, OLD.status, NEW.status);
    END IF;
    IF NEW.capacity_limit >= 0 AND NEW.capacity_used > NEW.capacity_limit AND NEW.capacity_used > OLD.capacity_used THEN
        PERFORM watch.breach('I5', format('cluster %s took %s units of %s', NEW.cluster_id, NEW.capacity_used, NEW.capacity_limit));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch_cluster AFTER UPDATE ON clusters FOR EACH ROW EXECUTE FUNCTION watch.on_cluster();
