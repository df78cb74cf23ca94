-- The schema after all migrations, for readers and reviews. A test writes it.

CREATE TABLE clusters (
    id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    version bigint NOT NULL DEFAULT 1,
    cloud_provider text NOT NULL,
    region text NOT NULL,
    multi_az boolean NOT NULL DEFAULT false,
    cluster_id text,
    external_id text NOT NULL DEFAULT ''::text,
    name text NOT NULL DEFAULT ''::text,
    status text NOT NULL,
    status_changed_at timestamp with time zone NOT NULL,
    status_details text NOT NULL DEFAULT ''::text,
    identity_provider_id text NOT NULL DEFAULT ''::text,
    cluster_dns text NOT NULL DEFAULT ''::text,
    provider_type text NOT NULL DEFAULT 'ocm'::text,
    cluster_type text NOT NULL DEFAULT 'managed'::text,
    organization_id text NOT NULL DEFAULT ''::text,
    supported_instance_type text NOT NULL DEFAULT 'standard,developer'::text,
    available_strimzi_versions jsonb NOT NULL DEFAULT '[]'::jsonb,
    dynamic_capacity_info jsonb NOT NULL DEFAULT '{}'::jsonb,
    access_kafkas_via_private_network boolean NOT NULL DEFAULT false,
    client_id text NOT NULL DEFAULT ''::text,
    client_secret text NOT NULL DEFAULT ''::text,
    schedulable boolean NOT NULL DEFAULT false,
    capacity_limit integer NOT NULL DEFAULT 0,
    capacity_used integer NOT NULL DEFAULT 0,
    heartbeat_at timestamp with time zone,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamp with time zone NOT NULL,
    last_error text NOT NULL DEFAULT ''::text,
    CONSTRAINT clusters_capacity_used_positive CHECK ((capacity_used >= 0)),
    CONSTRAINT clusters_pkey PRIMARY KEY (id),
    CONSTRAINT clusters_status_known CHECK ((status = ANY (ARRAY['cluster_accepted'::text, 'cluster_provisioning'::text, 'cluster_provisioned'::text, 'waiting_for_kas_fleetshard_operator'::text, 'ready'::text, 'failed'::text, 'deprovisioning'::text, 'cleanup'::text])))
);
CREATE INDEX clusters_due ON public.clusters USING btree (status, next_attempt_at) WHERE (deleted_at IS NULL);
CREATE INDEX clusters_place ON public.clusters USING btree (cloud_provider, region, created_at) WHERE ((deleted_at IS NULL) AND (status = 'ready'::text));
CREATE UNIQUE INDEX clusters_cluster_id_live ON public.clusters USING btree (cluster_id) WHERE (deleted_at IS NULL);
CREATE TABLE external_resources (
    id text NOT NULL,
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    owner_kind text NOT NULL,
    owner_id text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    state text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'::jsonb,
    attempts integer NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT ''::text,
    calls integer NOT NULL DEFAULT 0,
    CONSTRAINT external_resources_one_per_key UNIQUE (kind, key),
    CONSTRAINT external_resources_pkey PRIMARY KEY (id),
    CONSTRAINT external_resources_state_known CHECK ((state = ANY (ARRAY['wanted'::text, 'created'::text, 'deleting'::text, 'gone'::text])))
);
CREATE INDEX external_resources_gone ON public.external_resources USING btree (updated_at) WHERE (state = 'gone'::text);
CREATE INDEX external_resources_of_owner ON public.external_resources USING btree (owner_kind, owner_id, seq);
CREATE INDEX external_resources_unsettled ON public.external_resources USING btree (kind, updated_at) WHERE (state = ANY (ARRAY['wanted'::text, 'deleting'::text]));
FUNCTION kafka_usage_add $$
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
FUNCTION kafka_usage_follow $$
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
FUNCTION kafka_usage_recount $$
BEGIN
    LOCK TABLE kafka_requests IN SHARE ROW EXCLUSIVE MODE;
    SET CONSTRAINTS kafka_usage_insert, kafka_usage_update, kafka_usage_delete IMMEDIATE;
    SET CONSTRAINTS kafka_usage_insert, kafka_usage_update, kafka_usage_delete DEFERRED;
    DELETE FROM kafka_usage;
    INSERT INTO kafka_usage SELECT organisation_id, instance_type, owner, cloud_provider, region,
        actual_kafka_billing_model, desired_kafka_billing_model, count(*), sum(capacity_consumed)
    FROM kafka_requests WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7;
END $$;
CREATE TABLE idempotency_keys (
    organisation_id text NOT NULL,
    owner text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    kafka_id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (organisation_id, owner, key)
);
CREATE INDEX idempotency_keys_age ON public.idempotency_keys USING btree (created_at);
CREATE TABLE kafka_events (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    kafka_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    event text NOT NULL,
    actor text NOT NULL,
    from_status text NOT NULL,
    to_status text NOT NULL,
    version bigint NOT NULL,
    reason text NOT NULL DEFAULT ''::text,
    CONSTRAINT kafka_events_pkey PRIMARY KEY (id)
);
CREATE INDEX kafka_events_age ON public.kafka_events USING btree (at);
CREATE INDEX kafka_events_of_kafka ON public.kafka_events USING btree (kafka_id, id);
CREATE TABLE kafka_requests (
    id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    version bigint NOT NULL DEFAULT 1,
    name text NOT NULL,
    status text NOT NULL,
    status_changed_at timestamp with time zone NOT NULL,
    cloud_provider text NOT NULL,
    region text NOT NULL,
    multi_az boolean NOT NULL DEFAULT false,
    cluster_id text NOT NULL DEFAULT ''::text,
    owner text NOT NULL,
    owner_account_id text NOT NULL DEFAULT ''::text,
    organisation_id text NOT NULL,
    instance_type text NOT NULL,
    size_id text NOT NULL,
    size_snapshot jsonb NOT NULL DEFAULT '{}'::jsonb,
    capacity_consumed integer NOT NULL,
    quota_consumed integer NOT NULL,
    quota_type text NOT NULL,
    subscription_id text NOT NULL DEFAULT ''::text,
    actual_kafka_billing_model text NOT NULL DEFAULT ''::text,
    desired_kafka_billing_model text NOT NULL DEFAULT ''::text,
    billing_cloud_account_id text NOT NULL DEFAULT ''::text,
    marketplace text NOT NULL DEFAULT ''::text,
    promotion_status text NOT NULL DEFAULT ''::text,
    promotion_details text NOT NULL DEFAULT ''::text,
    expires_at timestamp with time zone,
    max_data_retention_size text NOT NULL,
    reauthentication_enabled boolean NOT NULL DEFAULT true,
    namespace text NOT NULL DEFAULT ''::text,
    bootstrap_server_host text NOT NULL DEFAULT ''::text,
    admin_api_server_url text NOT NULL DEFAULT ''::text,
    canary_service_account_client_id text NOT NULL DEFAULT ''::text,
    canary_service_account_client_secret text NOT NULL DEFAULT ''::text,
    placement_id text NOT NULL DEFAULT ''::text,
    placement_exclusions jsonb NOT NULL DEFAULT '{}'::jsonb,
    desired_kafka_version text NOT NULL DEFAULT ''::text,
    actual_kafka_version text NOT NULL DEFAULT ''::text,
    desired_strimzi_version text NOT NULL DEFAULT ''::text,
    actual_strimzi_version text NOT NULL DEFAULT ''::text,
    desired_kafka_ibp_version text NOT NULL DEFAULT ''::text,
    actual_kafka_ibp_version text NOT NULL DEFAULT ''::text,
    kafka_upgrading boolean NOT NULL DEFAULT false,
    strimzi_upgrading boolean NOT NULL DEFAULT false,
    kafka_ibp_upgrading boolean NOT NULL DEFAULT false,
    routes jsonb,
    routes_created boolean NOT NULL DEFAULT false,
    routes_creation_id text NOT NULL DEFAULT ''::text,
    routes_attempts integer NOT NULL DEFAULT 0,
    routes_due_at timestamp with time zone,
    kafkas_routes_base_domain_name text NOT NULL DEFAULT ''::text,
    kafkas_routes_base_domain_tls_key_ref text NOT NULL DEFAULT ''::text,
    kafkas_routes_base_domain_tls_crt_ref text NOT NULL DEFAULT ''::text,
    reported_class text NOT NULL DEFAULT ''::text,
    reported_at timestamp with time zone,
    failed_reason text NOT NULL DEFAULT ''::text,
    failed_code text NOT NULL DEFAULT ''::text,
    failed_detail text NOT NULL DEFAULT ''::text,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamp with time zone NOT NULL,
    last_error text NOT NULL DEFAULT ''::text,
    CONSTRAINT kafka_requests_pkey PRIMARY KEY (id),
    CONSTRAINT kafka_requests_status_known CHECK ((status = ANY (ARRAY['reserving'::text, 'accepted'::text, 'preparing'::text, 'provisioning'::text, 'ready'::text, 'failed'::text, 'deprovision'::text, 'deleting'::text, 'suspending'::text, 'suspended'::text, 'resuming'::text]))),
    CONSTRAINT kafka_requests_units_positive CHECK (((capacity_consumed > 0) AND (quota_consumed > 0)))
);
CREATE INDEX kafka_requests_deleted ON public.kafka_requests USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);
CREATE INDEX kafka_requests_due ON public.kafka_requests USING btree (status, next_attempt_at) WHERE (deleted_at IS NULL);
CREATE INDEX kafka_requests_name_trigrams ON public.kafka_requests USING gin (name gin_trgm_ops) WHERE (deleted_at IS NULL);
CREATE INDEX kafka_requests_of_cluster ON public.kafka_requests USING btree (cluster_id, id) WHERE (deleted_at IS NULL);
CREATE INDEX kafka_requests_of_owner ON public.kafka_requests USING btree (owner) WHERE (deleted_at IS NULL);
CREATE INDEX kafka_requests_routes_pending ON public.kafka_requests USING btree (routes_due_at, id) WHERE ((deleted_at IS NULL) AND (routes IS NOT NULL) AND (NOT routes_created));
CREATE INDEX kafka_requests_status_count ON public.kafka_requests USING btree (status) INCLUDE (status_changed_at) WHERE (deleted_at IS NULL);
CREATE INDEX kafka_requests_told_to_agents ON public.kafka_requests USING btree (cluster_id, id) INCLUDE (version) WHERE ((deleted_at IS NULL) AND (bootstrap_server_host <> ''::text) AND (status = ANY (ARRAY['provisioning'::text, 'ready'::text, 'failed'::text, 'deprovision'::text, 'suspending'::text, 'suspended'::text, 'resuming'::text])));
CREATE UNIQUE INDEX kafka_requests_host_live ON public.kafka_requests USING btree (bootstrap_server_host) WHERE ((deleted_at IS NULL) AND (bootstrap_server_host <> ''::text));
CREATE UNIQUE INDEX kafka_requests_name_live ON public.kafka_requests USING btree (organisation_id, name) WHERE (deleted_at IS NULL);
TRIGGER kafka_usage_delete CALLS kafka_usage_follow AT COMMIT;
TRIGGER kafka_usage_insert CALLS kafka_usage_follow AT COMMIT;
TRIGGER kafka_usage_truncate CALLS kafka_usage_follow;
TRIGGER kafka_usage_update CALLS kafka_usage_follow AT COMMIT;
CREATE TABLE kafka_usage (
    organisation_id text NOT NULL,
    instance_type text NOT NULL,
    owner text NOT NULL,
    cloud_provider text NOT NULL,
    region text NOT NULL,
    actual_kafka_billing_model text NOT NULL,
    desired_kafka_billing_model text NOT NULL,
    instances bigint NOT NULL,
    units bigint NOT NULL,
    CONSTRAINT kafka_usage_pkey PRIMARY KEY (organisation_id, instance_type, owner, cloud_provider, region, actual_kafka_billing_model, desired_kafka_billing_model)
);
CREATE INDEX kafka_usage_of_owner ON public.kafka_usage USING btree (owner, instance_type);
CREATE INDEX kafka_usage_of_region ON public.kafka_usage USING btree (cloud_provider, region, instance_type);
CREATE TABLE leader_leases (
    lease_type text NOT NULL,
    leader text NOT NULL DEFAULT ''::text,
    term uuid NOT NULL DEFAULT gen_random_uuid(),
    epoch bigint NOT NULL DEFAULT 0,
    expires timestamp with time zone NOT NULL,
    CONSTRAINT leader_leases_pkey PRIMARY KEY (lease_type)
);
