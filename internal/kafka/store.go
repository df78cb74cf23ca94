package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Store reads instances. Writes go through the functions of store_write.go,
// inside a transaction that the caller holds.
type Store struct {
	db    *db.DB
	sizes snapshots
}

// NewStore makes a store on the database.
func NewStore(d *db.DB) *Store { return &Store{db: d} }

// Live finds a live instance with all its columns.
func (s *Store) Live(ctx context.Context, id ID) (Kafka, error) {
	rows, err := db.Rows[Kafka](ctx, s.db, "id = ? AND deleted_at IS NULL", id)
	if err != nil {
		return Kafka{}, fmt.Errorf("finding an instance: %w", err)
	}
	if len(rows) == 0 {
		return Kafka{}, ErrNotFound
	}
	return rows[0], nil
}

// ErrNotFound says that no live instance matches.
var ErrNotFound = errors.New("finding an instance: not found")

// Due gives the ids of rows in the statuses that want attention now.
func (s *Store) Due(ctx context.Context, now time.Time, limit int, statuses ...Status) ([]string, error) {
	var ids []string
	err := s.db.Gorm(ctx).Table("kafka_requests").Where("status IN ? AND next_attempt_at <= ? AND deleted_at IS NULL", statuses, now).
		Order("next_attempt_at, id").Limit(limit).Pluck("id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("listing due instances: %w", err)
	}
	return ids, nil
}

// RoutesPending gives the ids of rows whose DNS records are not known to be in
// sync and that may be tried now.
func (s *Store) RoutesPending(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var ids []string
	err := s.db.Gorm(ctx).Table("kafka_requests").
		Where("routes IS NOT NULL AND NOT routes_created AND status NOT IN ('deprovision', 'deleting') AND deleted_at IS NULL").
		Where("(routes_due_at IS NULL OR routes_due_at <= ?)", now).Order("routes_due_at NULLS FIRST, id").Limit(limit).Pluck("id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("listing pending routes: %w", err)
	}
	return ids, nil
}

// UnitsByCluster sums the streaming units that each cluster carries, by instance type.
func (s *Store) UnitsByCluster(ctx context.Context) ([]cluster.Usage, error) {
	var usage []cluster.Usage
	err := s.db.Gorm(ctx).Raw(`SELECT cluster_id, instance_type, sum(capacity_consumed) AS units, count(*) AS instances FROM kafka_requests
		WHERE deleted_at IS NULL AND cluster_id <> '' AND status <> 'deleting' GROUP BY cluster_id, instance_type`).Scan(&usage).Error
	if err != nil {
		return nil, fmt.Errorf("summing units by cluster: %w", err)
	}
	return usage, nil
}

// UnitsByRegion sums the streaming units that count against the regions' limits.
func (s *Store) UnitsByRegion(ctx context.Context) ([]catalog.Taken, error) {
	taken, err := db.Collect(ctx, s.db, func(row db.Row) (t catalog.Taken, err error) {
		return t, row.Scan(&t.Provider, &t.Region, &t.InstanceType, &t.Units)
	}, "SELECT cloud_provider, region, instance_type, sum(units) FROM kafka_usage GROUP BY cloud_provider, region, instance_type")
	if err != nil {
		return nil, fmt.Errorf("summing units by region: %w", err)
	}
	return taken, nil
}

// StatusCount is how many live instances are in a status, and how many of them for too long.
type StatusCount struct {
	Status  Status
	Rows    int
	Overdue int
}

// CountByStatus counts the live instances, the hidden ones too; those are overdue that
// entered their status before the given time.
func (s *Store) CountByStatus(ctx context.Context, before time.Time) ([]StatusCount, error) {
	var counts []StatusCount
	err := s.db.Gorm(ctx).Raw(`SELECT status, count(*) AS rows, count(*) FILTER (WHERE status_changed_at < ?) AS overdue
		FROM kafka_requests WHERE deleted_at IS NULL GROUP BY status`, before).Scan(&counts).Error
	if err != nil {
		return nil, fmt.Errorf("counting instances by status: %w", err)
	}
	return counts, nil
}

// HistoryEntry is one row of an instance's history.
type HistoryEntry struct {
	At         time.Time
	Event      Event
	Actor      Actor
	FromStatus Status
	ToStatus   Status
	Version    int64
	Reason     string
}

// History gives an instance's transitions, oldest first; also of an erased one.
func (s *Store) History(ctx context.Context, id ID) ([]HistoryEntry, error) {
	var rows []HistoryEntry
	if err := s.db.Gorm(ctx).Table("kafka_events").Where("kafka_id = ?", id).Order("id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading an instance's history: %w", err)
	}
	return rows, nil
}

// Counted says which live instances count against a limit.
type Counted struct {
	InstanceType          string
	BillingModel          string // actual or desired; empty: any
	OrganisationID        string // empty: any
	Owner                 string // empty: any
	CloudProvider, Region string // empty: any
}

// Usage is how many instances there are, and what they take together.
type Usage struct{ Units, Instances int }

// usageOf reads the sums of what counts, when a transaction begins. They are kept by
// the database: what it changes itself is in them when it has committed.
func usageOf(c Counted, into *Usage) db.Statement {
	statement := "SELECT coalesce(sum(units), 0)::bigint, coalesce(sum(instances), 0)::bigint FROM kafka_usage WHERE instance_type = $1"
	args := []any{c.InstanceType}
	for _, condition := range []struct{ predicate, value string }{
		{"organisation_id = $%d", c.OrganisationID}, {"owner = $%d", c.Owner},
		{"cloud_provider = $%d", c.CloudProvider}, {"region = $%d", c.Region},
		{"(actual_kafka_billing_model = $%[1]d OR desired_kafka_billing_model = $%[1]d)", c.BillingModel},
	} {
		if condition.value != "" {
			args = append(args, condition.value)
			statement += " AND " + fmt.Sprintf(condition.predicate, len(args))
		}
	}
	return db.Statement{SQL: statement, Args: args, Read: func(row db.Row) error {
		if err := row.Scan(&into.Units, &into.Instances); err != nil {
			return fmt.Errorf("summing units: %w", err)
		}
		return nil
	}}
}

// reservingOf counts the orders of an organisation whose quota is being reserved.
func reservingOf(tx db.Tx, organisationID string) (rows int, err error) {
	err = tx.Gorm().Raw("SELECT count(*) FROM kafka_requests WHERE organisation_id = ? AND status = ? AND deleted_at IS NULL",
		organisationID, Reserving).Scan(&rows).Error
	if err != nil {
		return 0, fmt.Errorf("counting orders that are reserving: %w", err)
	}
	return rows, nil
}

// nameTaken tells whether a live instance of the organisation has the name.
func (s *Store) nameTaken(ctx context.Context, organisationID, name string) (bool, error) {
	var taken bool
	err := s.db.Gorm(ctx).Raw("SELECT EXISTS (SELECT 1 FROM kafka_requests WHERE organisation_id = ? AND name = ? AND deleted_at IS NULL)",
		organisationID, name).Scan(&taken).Error
	if err != nil {
		return false, fmt.Errorf("looking for the name: %w", err)
	}
	return taken, nil
}

// notFound is the catalogue's error for an instance that the caller cannot see.
func notFound(user string, id ID) error {
	return apierr.New(apierr.NotFound, "KafkaResource for user "+user+" with id='"+string(id)+"' not found")
}
