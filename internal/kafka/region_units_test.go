package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
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
	require.Equal(t, Usage{Units: 4, Instances: 3}, usage(t, d, Counted{InstanceType: "standard", CloudProvider: "aws", Region: "us-east-1"}))
}

// Where one unit is left a smaller plan may be ordered: the refusal must not deny it.
func TestARegionIsFullForAPlan(t *testing.T) {
	t.Parallel()
	for plan, c := range map[string]struct {
		units int
		want  string
	}{
		"x1": {1, ""},
		"x2": {2, "region us-east-1 has no room for another standard.x2 instance, choose another region or try again later"},
	} {
		k := row("one", Accepted)
		k.SizeID, k.CapacityConsumed = plan, c.units
		l := limits{order: k, region: catalog.Limit{Limited: true, Units: 3}, inRegion: Usage{Units: 2}, grant: quota.Grant{Unlimited: true}}
		err := l.check(true)
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.True(t, apierr.Is(err, apierr.CapacityReached))
		require.Equal(t, c.want, apierr.From(err).Reason)
	}
}
