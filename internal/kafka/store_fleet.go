package kafka

import (
	"context"
	"fmt"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// FleetPage is one page of the instances of all organisations.
type FleetPage struct {
	Rows  []Kafka
	Total int // of all rows that match
}

// Columns that an administrator's reply is made of; secrets stay in the database.
const fleetColumns = "id, created_at, updated_at, name, status, cloud_provider, region, multi_az, cluster_id, owner, owner_account_id, " +
	"organisation_id, instance_type, size_id, quota_type, subscription_id, max_data_retention_size, namespace, bootstrap_server_host, " +
	"desired_kafka_version, actual_kafka_version, desired_strimzi_version, actual_strimzi_version, desired_kafka_ibp_version, " +
	"actual_kafka_ibp_version, kafka_upgrading, strimzi_upgrading, kafka_ibp_upgrading, routes, routes_created, failed_reason, failed_detail, last_error"

func scanFleet(row db.Row) (k Kafka, err error) {
	var routes []byte
	err = row.Scan(&k.ID, &k.CreatedAt, &k.UpdatedAt, &k.Name, &k.Status, &k.CloudProvider, &k.Region, &k.MultiAZ, &k.ClusterID, &k.Owner,
		&k.OwnerAccountID, &k.OrganisationID, &k.InstanceType, &k.SizeID, &k.QuotaType, &k.SubscriptionID, &k.MaxDataRetentionSize, &k.Namespace,
		&k.BootstrapServerHost, &k.DesiredKafkaVersion, &k.ActualKafkaVersion, &k.DesiredStrimziVersion, &k.ActualStrimziVersion,
		&k.DesiredKafkaIBPVersion, &k.ActualKafkaIBPVersion, &k.KafkaUpgrading, &k.StrimziUpgrading, &k.KafkaIBPUpgrading, &routes,
		&k.RoutesCreated, &k.FailedReason, &k.FailedDetail, &k.LastError)
	if err == nil && routes != nil {
		err = k.Routes.Scan(routes)
	}
	return k, err
}

// ListFleet gives one page of the live instances of all organisations, hidden ones
// among them. The filter's organisation is not looked at.
func (s *Store) ListFleet(ctx context.Context, f Filter) (p FleetPage, err error) {
	where := "deleted_at IS NULL"
	if f.Where != "" {
		where += " AND " + f.Where
	}
	window, args := f.window(f.Args)
	p.Rows, err = db.Collect(ctx, s.db, scanFleet, "SELECT "+fleetColumns+" FROM kafka_requests WHERE "+where+window, args...)
	if err != nil {
		return FleetPage{}, fmt.Errorf("listing all instances: %w", err)
	}
	count := "SELECT count(*) FROM kafka_requests WHERE " + where
	if f.Where == "" { // they are counted already
		count = "SELECT coalesce(sum(instances), 0)::bigint FROM kafka_usage"
	}
	p.Total, err = s.total(ctx, f, len(p.Rows), count, f.Args...)
	return p, err
}

// InFleet finds a live instance of any organisation.
func (s *Store) InFleet(ctx context.Context, id ID) (Kafka, error) {
	rows, err := db.Collect(ctx, s.db, scanFleet, "SELECT "+fleetColumns+" FROM kafka_requests WHERE id = ? AND deleted_at IS NULL", id)
	if err != nil {
		return Kafka{}, fmt.Errorf("finding an instance of any organisation: %w", err)
	}
	if len(rows) == 0 {
		return Kafka{}, ErrNotFound
	}
	return rows[0], nil
}
