package kafka

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestUnitsByRegionCountWhatTheLimitCounts(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	store := NewStore(d)
	none, err := store.UnitsByRegion(bound(t))
	require.NoError(t, err)
	require.Empty(t, none)

	change := func(name string, status Status, fn func(*Kafka)) {
		k := row(name, status)
		fn(&k)
		put(t, d, k)
	}
	at := clock.System()
	change("a", Accepted, func(k *Kafka) { k.CapacityConsumed = 2 })
	change("b", Deleting, func(*Kafka) {})
	change("c", Deprovision, func(k *Kafka) { k.OrganisationID = "org2" })
	change("d", Ready, func(k *Kafka) { k.InstanceType = "developer" })
	change("e", Ready, func(k *Kafka) { k.CloudProvider = "gcp" })
	change("f", Ready, func(k *Kafka) { k.Region = "eu-west-1" })
	change("gone", Deleting, func(k *Kafka) { k.DeletedAt = &at })
	taken, err := store.UnitsByRegion(bound(t))
	require.NoError(t, err)
	require.ElementsMatch(t, []catalog.Taken{
		{Provider: "aws", Region: "us-east-1", InstanceType: "standard", Units: 4},
		{Provider: "aws", Region: "us-east-1", InstanceType: "developer", Units: 1},
		{Provider: "gcp", Region: "us-east-1", InstanceType: "standard", Units: 1},
		{Provider: "aws", Region: "eu-west-1", InstanceType: "standard", Units: 1},
	}, taken)

	// The limit of an order counts the same rows.
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		units, err := regionUnits(tx, "aws", "us-east-1", "standard")
		require.Equal(t, 4, units)
		return err
	}))
}

// An instance is a wide row: the sum must come from the index alone.
func TestUnitsByRegionReadTheIndexOnly(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	put(t, d, row("seed", Ready))
	require.NoError(t, d.Gorm(bound(t)).Exec(`INSERT INTO kafka_requests SELECT (jsonb_populate_record(k,
		jsonb_build_object('id', 'row' || i, 'name', 'row' || i))).* FROM kafka_requests k, generate_series(1, 5000) i WHERE k.name = 'seed'`).Error)
	require.NoError(t, d.Gorm(bound(t)).Exec("VACUUM ANALYZE kafka_requests").Error)
	var plan []string
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		// What it may choose among depends on how busy the server is; what it could do without the table does not.
		if err := tx.Gorm().Exec("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off").Error; err != nil {
			return err
		}
		return tx.Gorm().Raw("EXPLAIN " + unitsByRegion).Scan(&plan).Error
	}))
	require.Contains(t, strings.Join(plan, "\n"), "Index Only Scan using kafka_requests_of_region")
}
