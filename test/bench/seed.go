package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Instances are made as the fleet manager would have left them long ago: ready,
// with everything that a life adds to a row. The first ones crowd one cluster, the
// rest is spread over those behind it.
const seedInstances = `
INSERT INTO kafka_requests (id, created_at, updated_at, version, name, status, status_changed_at, cloud_provider, region, multi_az,
	cluster_id, owner, owner_account_id, organisation_id, instance_type, size_id, size_snapshot, capacity_consumed, quota_consumed,
	quota_type, actual_kafka_billing_model, desired_kafka_billing_model, max_data_retention_size, namespace, bootstrap_server_host,
	admin_api_server_url, canary_service_account_client_id, canary_service_account_client_secret, placement_id,
	desired_kafka_version, actual_kafka_version, desired_strimzi_version, actual_strimzi_version,
	desired_kafka_ibp_version, actual_kafka_ibp_version, routes, routes_created, routes_creation_id, reported_class, reported_at, next_attempt_at)
SELECT s.id, at, at, 7, s.name, 'ready', at, 'aws', 'us-east-1', true,
	CASE WHEN i < @crowd THEN @crowded ELSE '1bench00000000000000000000000' || lpad((2 + i % (@clusters - 2))::text, 3, '0') END,
	'user-' || (i % @organisations), (20000000 + i % @organisations)::text, (20000000 + i % @organisations)::text, 'standard', 'x1',
	'{"instance_type_name": "Standard", "ingress_throughput_per_sec": "50Mi", "egress_throughput_per_sec": "100Mi", "total_max_connections": 9000, "max_partitions": 1500, "max_data_retention_period": "P14D", "max_connection_attempts_per_sec": 100}',
	1, 1, 'quota-management-list', 'standard', 'standard', '1000Gi', 'kafka-' || s.id, s.host,
	'https://admin-server-' || s.host, 'canary-' || s.id, s.secret, s.id,
	'3.0.0', '3.0.0', 'strimzi-cluster-operator.v0.26.0-1', 'strimzi-cluster-operator.v0.26.0-1', '3.0', '3.0',
	jsonb_build_array(
		jsonb_build_object('Domain', 'admin-server-' || s.host, 'Router', 'kas.mk-01.example.test'),
		jsonb_build_object('Domain', s.host, 'Router', 'kas.mk-01.example.test'),
		jsonb_build_object('Domain', 'broker-0-' || s.host, 'Router', 'kas-us-east-1a.mk-01.example.test'),
		jsonb_build_object('Domain', 'broker-1-' || s.host, 'Router', 'kas-us-east-1b.mk-01.example.test'),
		jsonb_build_object('Domain', 'broker-2-' || s.host, 'Router', 'kas-us-east-1c.mk-01.example.test')),
	true, 'C' || s.id, 'ready', at, now() + interval '100 years'
FROM (SELECT i, id, secret, 'bench-' || lpad(i::text, 6, '0') AS name,
		'bench-' || lpad(i::text, 6, '0') || '-' || id || '.kafka.bench.test' AS host,
		now() - interval '30 days' + i * interval '20 seconds' AS at
	FROM sealed) AS s`

const countRoom = `UPDATE clusters c SET capacity_used = (SELECT count(*) FROM kafka_requests k WHERE k.cluster_id = c.cluster_id)`

func instanceID(i int) string { return fmt.Sprintf("bench%015d", i) }

func instanceName(i int) string { return fmt.Sprintf("bench-%06d", i) }

// seed fills the fleet and lets PostgreSQL settle, so that no row pays for it.
func (s *stage) seed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*databaseDeadline)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := s.sealSecrets(ctx, conn); err != nil {
		return fmt.Errorf("sealing secrets: %w", err)
	}
	// Sums that follow one by one are made for orders, not for 100,000 rows at once.
	for _, step := range []struct {
		statement string
		args      []any
	}{
		{"ALTER TABLE kafka_requests DISABLE TRIGGER USER", nil},
		{seedInstances, []any{pgx.NamedArgs{
			"crowd": crowd, "crowded": clusterID(1), "clusters": clusters, "organisations": s.fleet.organisations,
		}}},
		{"ALTER TABLE kafka_requests ENABLE TRIGGER USER", nil},
		{"SELECT kafka_usage_recount()", nil},
		{countRoom, nil},
		{"VACUUM ANALYZE", nil},
		{"CHECKPOINT", nil},
	} {
		if _, err := conn.Exec(ctx, step.statement, step.args...); err != nil {
			return fmt.Errorf("making instances: %w", err)
		}
	}
	return nil
}

// sealSecrets gives every instance a secret that the fleet manager can open.
func (s *stage) sealSecrets(ctx context.Context, conn *pgx.Conn) error {
	keys, err := db.ParseKeyring(s.world.keys)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE TEMPORARY TABLE sealed (i integer, id text, secret text)"); err != nil {
		return err
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"sealed"}, []string{"i", "id", "secret"}, pgx.CopyFromSlice(s.fleet.size, func(i int) ([]any, error) {
		id := instanceID(i)
		secret, err := keys.Seal(log.Secret("secret-of-"+id+"-with-length"), "kafka_requests", "canary_service_account_client_secret", id)
		return []any{i, id, secret}, err
	}))
	return err
}
