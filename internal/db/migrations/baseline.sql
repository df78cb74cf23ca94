-- The baseline: the four tables of the mission (the migration runner owns
-- "migrations" itself) and what the design adds. Frozen: later changes are
-- migrations of their own, expand first, contract a release later.

CREATE TABLE clusters (
    id                                text PRIMARY KEY,
    created_at                        timestamptz NOT NULL,
    updated_at                        timestamptz NOT NULL,
    deleted_at                        timestamptz,
    version                           bigint NOT NULL DEFAULT 1,
    cloud_provider                    text NOT NULL,
    region                            text NOT NULL,
    multi_az                          boolean NOT NULL DEFAULT false,
    cluster_id                        text,
    external_id                       text NOT NULL DEFAULT '',
    name                              text NOT NULL DEFAULT '',
    status                            text NOT NULL,
    status_changed_at                 timestamptz NOT NULL,
    status_details                    text NOT NULL DEFAULT '',
    identity_provider_id              text NOT NULL DEFAULT '',
    cluster_dns                       text NOT NULL DEFAULT '',
    provider_type                     text NOT NULL DEFAULT 'ocm',
    cluster_type                      text NOT NULL DEFAULT 'managed',
    organization_id                   text NOT NULL DEFAULT '',
    supported_instance_type           text NOT NULL DEFAULT 'standard,developer',
    available_strimzi_versions        jsonb NOT NULL DEFAULT '[]',
    dynamic_capacity_info             jsonb NOT NULL DEFAULT '{}',
    access_kafkas_via_private_network boolean NOT NULL DEFAULT false,
    client_id                         text NOT NULL DEFAULT '',
    client_secret                     text NOT NULL DEFAULT '',  -- sealed
    schedulable                       boolean NOT NULL DEFAULT false,
    capacity_limit                    integer NOT NULL DEFAULT 0,   -- streaming units, -1 = unlimited
    capacity_used                     integer NOT NULL DEFAULT 0,   -- streaming units
    heartbeat_at                      timestamptz,
    attempts                          integer NOT NULL DEFAULT 0,
    next_attempt_at                   timestamptz NOT NULL,
    last_error                        text NOT NULL DEFAULT '',
    CONSTRAINT clusters_status_known CHECK (status IN (
        'cluster_accepted', 'cluster_provisioning', 'cluster_provisioned',
        'waiting_for_kas_fleetshard_operator', 'ready', 'failed', 'deprovisioning', 'cleanup')),
    CONSTRAINT clusters_capacity_used_positive CHECK (capacity_used >= 0)
);
CREATE UNIQUE INDEX clusters_cluster_id_live ON clusters (cluster_id) WHERE deleted_at IS NULL;
CREATE INDEX clusters_due ON clusters (status, next_attempt_at) WHERE deleted_at IS NULL;
CREATE INDEX clusters_place ON clusters (cloud_provider, region, created_at) WHERE deleted_at IS NULL AND status = 'ready';

CREATE TABLE kafka_requests (
    id                                  text PRIMARY KEY,
    created_at                          timestamptz NOT NULL,
    updated_at                          timestamptz NOT NULL,
    deleted_at                          timestamptz,
    version                             bigint NOT NULL DEFAULT 1,
    name                                text NOT NULL,
    status                              text NOT NULL,
    status_changed_at                   timestamptz NOT NULL,
    cloud_provider                      text NOT NULL,
    region                              text NOT NULL,
    multi_az                            boolean NOT NULL DEFAULT false,
    cluster_id                          text NOT NULL DEFAULT '',
    owner                               text NOT NULL,
    owner_account_id                    text NOT NULL DEFAULT '',
    organisation_id                     text NOT NULL,
    instance_type                       text NOT NULL,
    size_id                             text NOT NULL,
    size_snapshot                       jsonb NOT NULL DEFAULT '{}',
    capacity_consumed                   integer NOT NULL,  -- streaming units
    quota_consumed                      integer NOT NULL,
    quota_type                          text NOT NULL,
    subscription_id                     text NOT NULL DEFAULT '',
    actual_kafka_billing_model          text NOT NULL DEFAULT '',
    desired_kafka_billing_model         text NOT NULL DEFAULT '',
    billing_cloud_account_id            text NOT NULL DEFAULT '',
    marketplace                         text NOT NULL DEFAULT '',
    promotion_status                    text NOT NULL DEFAULT '',
    promotion_details                   text NOT NULL DEFAULT '',
    expires_at                          timestamptz,
    max_data_retention_size             text NOT NULL,
    reauthentication_enabled            boolean NOT NULL DEFAULT true,
    namespace                           text NOT NULL DEFAULT '',
    bootstrap_server_host               text NOT NULL DEFAULT '',
    admin_api_server_url                text NOT NULL DEFAULT '',
    canary_service_account_client_id     text NOT NULL DEFAULT '',
    canary_service_account_client_secret text NOT NULL DEFAULT '',  -- sealed
    placement_id                        text NOT NULL DEFAULT '',
    placement_exclusions                jsonb NOT NULL DEFAULT '{}',  -- cluster id -> excluded until
    desired_kafka_version               text NOT NULL DEFAULT '',
    actual_kafka_version                text NOT NULL DEFAULT '',
    desired_strimzi_version             text NOT NULL DEFAULT '',
    actual_strimzi_version              text NOT NULL DEFAULT '',
    desired_kafka_ibp_version           text NOT NULL DEFAULT '',
    actual_kafka_ibp_version            text NOT NULL DEFAULT '',
    kafka_upgrading                     boolean NOT NULL DEFAULT false,
    strimzi_upgrading                   boolean NOT NULL DEFAULT false,
    kafka_ibp_upgrading                 boolean NOT NULL DEFAULT false,
    routes                              jsonb,
    routes_created                      boolean NOT NULL DEFAULT false,
    routes_creation_id                  text NOT NULL DEFAULT '',
    routes_attempts                     integer NOT NULL DEFAULT 0,
    routes_due_at                       timestamptz,
    kafkas_routes_base_domain_name        text NOT NULL DEFAULT '',
    kafkas_routes_base_domain_tls_key_ref text NOT NULL DEFAULT '',
    kafkas_routes_base_domain_tls_crt_ref text NOT NULL DEFAULT '',
    reported_class                      text NOT NULL DEFAULT '',
    reported_at                         timestamptz,
    failed_reason                       text NOT NULL DEFAULT '',
    failed_code                         text NOT NULL DEFAULT '',
    failed_detail                       text NOT NULL DEFAULT '',
    attempts                            integer NOT NULL DEFAULT 0,
    next_attempt_at                     timestamptz NOT NULL,
    last_error                          text NOT NULL DEFAULT '',
    CONSTRAINT kafka_requests_status_known CHECK (status IN (
        'reserving', 'accepted', 'preparing', 'provisioning', 'ready', 'failed',
        'deprovision', 'deleting', 'suspending', 'suspended', 'resuming')),
    CONSTRAINT kafka_requests_units_positive CHECK (capacity_consumed > 0 AND quota_consumed > 0)
);
CREATE UNIQUE INDEX kafka_requests_name_live ON kafka_requests (organisation_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX kafka_requests_host_live ON kafka_requests (bootstrap_server_host)
    WHERE deleted_at IS NULL AND bootstrap_server_host <> '';
CREATE INDEX kafka_requests_deleted ON kafka_requests (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX kafka_requests_units ON kafka_requests (organisation_id, instance_type, actual_kafka_billing_model, desired_kafka_billing_model)
    INCLUDE (capacity_consumed) WHERE deleted_at IS NULL;
CREATE INDEX kafka_requests_status_count ON kafka_requests (status) INCLUDE (status_changed_at) WHERE deleted_at IS NULL;
CREATE INDEX kafka_requests_due ON kafka_requests (status, next_attempt_at) WHERE deleted_at IS NULL;
CREATE INDEX kafka_requests_of_cluster ON kafka_requests (cluster_id, id) WHERE deleted_at IS NULL;
CREATE INDEX kafka_requests_of_region ON kafka_requests (cloud_provider, region, instance_type)
    INCLUDE (capacity_consumed) WHERE deleted_at IS NULL;
CREATE INDEX kafka_requests_routes_pending ON kafka_requests (routes_due_at, id)
    WHERE deleted_at IS NULL AND routes IS NOT NULL AND NOT routes_created;
CREATE INDEX kafka_requests_of_owner ON kafka_requests (owner) WHERE deleted_at IS NULL;

CREATE TABLE kafka_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kafka_id    text NOT NULL,
    at          timestamptz NOT NULL,
    event       text NOT NULL,
    actor       text NOT NULL,
    from_status text NOT NULL,
    to_status   text NOT NULL,
    version     bigint NOT NULL,
    reason      text NOT NULL DEFAULT ''
);
CREATE INDEX kafka_events_of_kafka ON kafka_events (kafka_id, id);
CREATE INDEX kafka_events_age ON kafka_events (at);

CREATE TABLE external_resources (
    id              text PRIMARY KEY,
    seq             bigint GENERATED ALWAYS AS IDENTITY,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    owner_kind      text NOT NULL,
    owner_id        text NOT NULL,
    kind            text NOT NULL,
    key             text NOT NULL,
    state           text NOT NULL,
    detail          jsonb NOT NULL DEFAULT '{}',
    attempts        integer NOT NULL DEFAULT 0,
    last_error      text NOT NULL DEFAULT '',
    CONSTRAINT external_resources_state_known CHECK (state IN ('wanted', 'created', 'deleting', 'gone')),
    CONSTRAINT external_resources_one_per_key UNIQUE (kind, key)
);
CREATE INDEX external_resources_of_owner ON external_resources (owner_kind, owner_id, seq);
CREATE INDEX external_resources_gone ON external_resources (updated_at) WHERE state = 'gone';
CREATE INDEX external_resources_unsettled ON external_resources (kind, updated_at) WHERE state IN ('wanted', 'deleting');

CREATE TABLE leader_leases (
    lease_type text PRIMARY KEY,
    leader     text NOT NULL DEFAULT '',
    term       uuid NOT NULL DEFAULT gen_random_uuid(),
    epoch      bigint NOT NULL DEFAULT 0,
    expires    timestamptz NOT NULL
);

CREATE TABLE idempotency_keys (
    organisation_id text NOT NULL,
    owner           text NOT NULL,
    key             text NOT NULL,
    request_hash    text NOT NULL,
    kafka_id        text NOT NULL,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, owner, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Born expired: the first contender takes each.
INSERT INTO leader_leases (lease_type, expires) VALUES ('kafka_reconciler', 'epoch'), ('cluster_reconciler', 'epoch');
