package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Store reads clusters.
type Store struct {
	db       *db.DB
	versions versionsRead
}

// NewStore makes a store on the database.
func NewStore(d *db.DB) *Store { return &Store{db: d} }

// ErrNotFound says that no live cluster matches.
var ErrNotFound = errors.New("finding a cluster: not found")

// ByID finds a live cluster by its row's key.
func (s *Store) ByID(ctx context.Context, id ID) (Cluster, error) {
	return one(s.db.Gorm(ctx).Where("id = ? AND deleted_at IS NULL", id))
}

// ByClusterID finds a live cluster by the provider's id.
func (s *Store) ByClusterID(ctx context.Context, clusterID string) (Cluster, error) {
	return one(s.db.Gorm(ctx).Where("cluster_id = ? AND deleted_at IS NULL", clusterID))
}

func one(query *gorm.DB) (Cluster, error) {
	var c Cluster
	err := query.Take(&c).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Cluster{}, ErrNotFound
	}
	if err != nil {
		return Cluster{}, fmt.Errorf("finding a cluster: %w", err)
	}
	return c, nil
}

// ClientOf gives the SSO client of a cluster's agent; empty for an unknown cluster.
func (s *Store) ClientOf(ctx context.Context, clusterID string) (string, error) {
	var clients []string
	err := s.db.Gorm(ctx).Table("clusters").Where("cluster_id = ? AND deleted_at IS NULL", clusterID).Pluck("client_id", &clients).Error
	if err != nil {
		return "", fmt.Errorf("finding a cluster's agent: %w", err)
	}
	if len(clients) == 0 {
		return "", nil
	}
	return clients[0], nil
}

// Live gives all live clusters, oldest first.
func (s *Store) Live(ctx context.Context) ([]Cluster, error) {
	var rows []Cluster
	if err := s.db.Gorm(ctx).Where("deleted_at IS NULL").Order("created_at, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("listing clusters: %w", err)
	}
	return rows, nil
}

// Places gives what the catalogue looks at of all managed clusters.
func (s *Store) Places(ctx context.Context) ([]catalog.Place, error) {
	places, err := db.Collect(ctx, s.db, func(row db.Row) (p catalog.Place, err error) {
		var types string
		err = row.Scan(&p.Provider, &p.Region, &types, &p.MultiAZ, &p.Open, &p.Limit, &p.Used)
		p.Types = splitTypes(types)
		return p, err
	}, `SELECT cloud_provider, region, supported_instance_type, multi_az, status = 'ready' AND schedulable, capacity_limit, capacity_used
		FROM clusters WHERE cluster_type = 'managed' AND deleted_at IS NULL`)
	if err != nil {
		return nil, fmt.Errorf("listing the places of clusters: %w", err)
	}
	return places, nil
}

// Due gives the ids of rows in the statuses that want attention now.
func (s *Store) Due(ctx context.Context, now time.Time, limit int, statuses ...Status) ([]string, error) {
	var ids []string
	err := s.db.Gorm(ctx).Table("clusters").Where("status IN ? AND next_attempt_at <= ? AND deleted_at IS NULL", statuses, now).
		Order("next_attempt_at, id").Limit(limit).Pluck("id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("listing due clusters: %w", err)
	}
	return ids, nil
}

// Reserve takes room on a cluster, exactly: the row's own lock serialises those
// who want the last units. It tells whether there was room.
func Reserve(tx db.Tx, clusterID string, units int) (taken bool, err error) {
	err = tx.Send(Reserving(clusterID, units, &taken))
	return taken, err
}

// Reserving is Reserve as a statement, which is best the last of its transaction:
// every order waits for the cluster's row until that ends.
func Reserving(clusterID string, units int, taken *bool) db.Statement {
	s := db.Asking(`UPDATE clusters SET capacity_used = capacity_used + ?
		WHERE cluster_id = ? AND deleted_at IS NULL AND status = 'ready' AND schedulable
		AND (capacity_limit < 0 OR capacity_used + ? <= capacity_limit)`, units, clusterID, units)
	s.Doing = "reserving room on a cluster"
	s.Done = func(rows int64) error {
		*taken = rows == 1
		return nil
	}
	return s
}

// Release gives room back. An unknown cluster has none to give back to.
func Release(tx db.Tx, clusterID string, units int) error {
	return tx.Send(Releasing(clusterID, units))
}

// Releasing is Release as a statement.
func Releasing(clusterID string, units int) db.Statement {
	s := db.Asking("UPDATE clusters SET capacity_used = greatest(capacity_used - ?, 0) WHERE cluster_id = ? AND deleted_at IS NULL", units, clusterID)
	s.Doing = "releasing room on a cluster"
	return s
}
