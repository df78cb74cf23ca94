package kafka

import (
	"context"
	"fmt"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// What an agent is told of: everything on its cluster that it could have seen.
const desiredWhere = "cluster_id = ? AND deleted_at IS NULL AND bootstrap_server_host <> '' AND status IN " +
	"('provisioning', 'ready', 'failed', 'deprovision', 'suspending', 'suspended', 'resuming')"

// What an agent may speak of: what it was told of, until the row is gone.
const reportedWhere = "cluster_id = ? AND deleted_at IS NULL AND bootstrap_server_host <> '' AND status NOT IN ('reserving', 'accepted', 'preparing')"

// Mark is a value that changes whenever the list of what a cluster has to run does.
type Mark struct {
	Rows int
	Hash int64 // of all ids and versions
}

// stampHash is what a mark is put together from.
const stampHash = "hashtextextended(id, version)"

// DesiredMark gives the mark of a cluster's list.
func (s *Store) DesiredMark(ctx context.Context, clusterID string) (Mark, error) {
	marks, err := db.Collect(ctx, s.db, func(row db.Row) (m Mark, err error) {
		err = row.Scan(&m.Rows, &m.Hash)
		return m, err
	}, "SELECT count(*), coalesce(bit_xor("+stampHash+"), 0) FROM kafka_requests WHERE "+desiredWhere, clusterID)
	if err != nil {
		return Mark{}, fmt.Errorf("marking a cluster's instances: %w", err)
	}
	return marks[0], nil
}

// DesiredStamps gives the stamps of what a cluster's agent has to run or remove,
// in a stable order, and their mark.
func (s *Store) DesiredStamps(ctx context.Context, clusterID string) ([]Stamp, Mark, error) {
	type marked struct {
		Stamp
		hash int64
	}
	rows, err := db.Collect(ctx, s.db, func(row db.Row) (m marked, err error) {
		err = row.Scan(&m.ID, &m.Version, &m.Write, &m.hash)
		return m, err
	}, "SELECT id, version, xmin, "+stampHash+" FROM kafka_requests WHERE "+desiredWhere+" ORDER BY id", clusterID)
	if err != nil {
		return nil, Mark{}, fmt.Errorf("listing a cluster's instances: %w", err)
	}
	stamps, mark := make([]Stamp, len(rows)), Mark{Rows: len(rows)}
	for i, row := range rows {
		stamps[i] = row.Stamp
		mark.Hash ^= row.hash
	}
	return stamps, mark, nil
}

// What an agent is told, besides what is the same for all instances.
const desiredColumns = "xmin, id, version, name, namespace, status, placement_id, instance_type, quota_consumed, size_snapshot, max_data_retention_size, " +
	"owner, organisation_id, bootstrap_server_host, desired_kafka_version, desired_strimzi_version, desired_kafka_ibp_version, " +
	"reauthentication_enabled, canary_service_account_client_id, canary_service_account_client_secret"

// Desired gives those of the instances that the cluster's agent has to run or remove.
func (s *Store) Desired(ctx context.Context, clusterID string, ids []ID) ([]Stamped, error) {
	rows, err := db.Collect(ctx, s.db, func(row db.Row) (one Stamped, err error) {
		var size []byte
		k := &one.Kafka
		err = row.Scan(&one.Stamp.Write, &k.ID, &k.Version, &k.Name, &k.Namespace, &k.Status, &k.PlacementID, &k.InstanceType, &k.QuotaConsumed, &size,
			&k.MaxDataRetentionSize, &k.Owner, &k.OrganisationID, &k.BootstrapServerHost, &k.DesiredKafkaVersion, &k.DesiredStrimziVersion,
			&k.DesiredKafkaIBPVersion, &k.ReauthenticationEnabled, &k.CanaryServiceAccountClientID, &k.CanaryServiceAccountClientSecret)
		one.Stamp.ID, one.Stamp.Version = k.ID, k.Version
		k.SizeSnapshot, one.Spoilt = s.sizes.read(size)
		return one, err
	}, "SELECT "+desiredColumns+" FROM kafka_requests WHERE id = ANY(?) AND "+desiredWhere, ids, clusterID)
	if err != nil {
		return nil, fmt.Errorf("reading a cluster's instances: %w", err)
	}
	return rows, nil
}

// What a verdict on a report, and writing it, looks at. Of routes that is whether there are any.
const reportedColumns = "id, created_at, version, status, status_changed_at, cluster_id, capacity_consumed, desired_kafka_billing_model, " +
	"bootstrap_server_host, admin_api_server_url, placement_exclusions, actual_kafka_version, actual_strimzi_version, actual_kafka_ibp_version, " +
	"kafka_upgrading, strimzi_upgrading, kafka_ibp_upgrading, routes IS NOT NULL, routes_created, reported_class, reported_at"

func scanReported(row db.Row) (k Kafka, err error) {
	var exclusions []byte
	var routed bool
	err = row.Scan(&k.ID, &k.CreatedAt, &k.Version, &k.Status, &k.StatusChangedAt, &k.ClusterID, &k.CapacityConsumed, &k.DesiredKafkaBillingModel,
		&k.BootstrapServerHost, &k.AdminAPIServerURL, &exclusions, &k.ActualKafkaVersion, &k.ActualStrimziVersion, &k.ActualKafkaIBPVersion,
		&k.KafkaUpgrading, &k.StrimziUpgrading, &k.KafkaIBPUpgrading, &routed, &k.RoutesCreated, &k.ReportedClass, &k.ReportedAt)
	if err == nil && len(exclusions) > len("{}") {
		err = k.PlacementExclusions.Scan(exclusions)
	}
	if routed {
		k.Routes = Routes{}
	}
	return k, err
}

// Reported finds the instances of a cluster that its agent may speak of, those
// that a report names and maybe more.
func (s *Store) Reported(ctx context.Context, clusterID string, ids []ID) ([]Kafka, error) {
	where, args := reportedWhere, []any{clusterID}
	if len(ids) <= 1000 { // beyond that the cluster's own rows are the shorter list
		where, args = where+" AND id = ANY(?)", append(args, ids)
	}
	rows, err := db.Collect(ctx, s.db, scanReported, "SELECT "+reportedColumns+" FROM kafka_requests WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("finding reported instances: %w", err)
	}
	return rows, nil
}
