package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

const placeColumns = "id, version, cluster_id, cluster_dns, multi_az, supported_instance_type, schedulable, capacity_limit, capacity_used"

func scanPlace(row db.Row) (c Cluster, err error) {
	err = row.Scan(&c.ID, &c.Version, &c.ClusterID, &c.ClusterDNS, &c.MultiAZ, &c.SupportedInstanceType, &c.Schedulable, &c.CapacityLimit, &c.CapacityUsed)
	return c, err
}

// Placeable gives what placing looks at of the managed clusters of a region that
// are ready and have room for so many units, oldest first. It runs for every order: the lists of versions, which
// are long and seldom change, are read once for each change.
func (s *Store) Placeable(ctx context.Context, provider, region string, units int) ([]Cluster, error) {
	rows, err := db.Collect(ctx, s.db, scanPlace, "SELECT "+placeColumns+` FROM clusters
		WHERE cloud_provider = ? AND region = ? AND status = 'ready' AND cluster_type = 'managed' AND deleted_at IS NULL
		AND schedulable AND (capacity_limit < 0 OR capacity_used + ? <= capacity_limit)
		ORDER BY created_at, id`, provider, region, units)
	if err != nil {
		return nil, fmt.Errorf("listing placeable clusters: %w", err)
	}
	return rows, s.fill(ctx, rows)
}

// PlaceOf is Placeable for one live cluster, whatever its status.
func (s *Store) PlaceOf(ctx context.Context, clusterID string) (Cluster, error) {
	rows, err := db.Collect(ctx, s.db, scanPlace, "SELECT "+placeColumns+" FROM clusters WHERE cluster_id = ? AND deleted_at IS NULL", clusterID)
	if err != nil {
		return Cluster{}, fmt.Errorf("finding a cluster: %w", err)
	}
	if len(rows) == 0 {
		return Cluster{}, ErrNotFound
	}
	err = s.fill(ctx, rows)
	return rows[0], err
}

// fill adds the lists of versions.
func (s *Store) fill(ctx context.Context, rows []Cluster) error {
	missing := s.versions.fill(rows)
	if len(missing) == 0 {
		return nil
	}
	if err := s.readVersions(ctx, missing); err != nil {
		return err
	}
	s.versions.fill(rows)
	return nil
}

func (s *Store) readVersions(ctx context.Context, of []ID) error {
	read, err := db.Collect(ctx, s.db, func(row db.Row) (c Cluster, err error) {
		return c, row.Scan(&c.ID, &c.Version, &c.AvailableStrimziVersions)
	}, "SELECT id, version, available_strimzi_versions FROM clusters WHERE id = ANY(?)", of)
	if err != nil {
		return fmt.Errorf("reading the versions of clusters: %w", err)
	}
	s.versions.keep(read)
	return nil
}

// mostVersions bounds the clusters whose lists are kept; beyond it all are read anew.
const mostVersions = 4096

// versionsRead keeps the lists of versions that rows had in their last known state.
type versionsRead struct {
	mu sync.Mutex
	of map[ID]Cluster // with id, version and the list
}

// fill gives the rows their lists, and the ids of those whose list is not known. A
// list that is newer than its row is as good: the row was read a moment before.
func (v *versionsRead) fill(rows []Cluster) (missing []ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, row := range rows {
		if kept, ok := v.of[row.ID]; ok && kept.Version >= row.Version {
			rows[i].AvailableStrimziVersions = kept.AvailableStrimziVersions
		} else {
			missing = append(missing, row.ID)
		}
	}
	return missing
}

func (v *versionsRead) keep(rows []Cluster) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == nil || len(v.of)+len(rows) > mostVersions {
		v.of = make(map[ID]Cluster, len(rows))
	}
	for _, row := range rows {
		v.of[row.ID] = row
	}
}
