package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
)

// Two clouds have a region of the same name, one region has no types, and limits
// are of every kind.
const manyRegions = `supported_providers:
- {name: gcp, default: false, regions: [{name: us-east1, default: true, supported_instance_type: {standard: {limit: 3}}}, {name: twin, default: false, supported_instance_type: {standard: {}}}]}
- name: aws
  default: true
  regions:
  - {name: us-east-1, default: true, supported_instance_type: {standard: {limit: 3}, developer: {limit: 0}}}
  - {name: eu-west-1, default: false, supported_instance_type: {developer: {}}}
  - {name: twin, default: false, supported_instance_type: {standard: {}}}
  - {name: bare, default: false, supported_instance_type: {}}
`

func place(provider, region string, change func(*catalog.Place)) catalog.Place {
	p := catalog.Place{Provider: provider, Region: region, Types: []string{"standard", "developer"}, MultiAZ: true, Open: true, Limit: -1}
	if change != nil {
		change(&p)
	}
	return p
}

// sizesOf reads the offer of one type; nil when the region has none of it.
func sizesOf(offers []catalog.ProviderOffer, provider, region, kind string) []string {
	for _, p := range offers {
		for _, r := range p.Regions {
			for _, c := range r.Capacity {
				if p.ID == provider && r.ID == region && c.InstanceType == kind {
					return c.AvailableSizes
				}
			}
		}
	}
	return nil
}

func TestEverySizeThatFitsIsAvailable(t *testing.T) {
	t.Parallel()
	c, err := load(t, "", manyRegions)
	require.NoError(t, err)
	both, one, none := []string{"x1", "x2"}, []string{"x1"}, []string{}
	used := func(units int) []catalog.Taken {
		return []catalog.Taken{{Provider: "aws", Region: "us-east-1", InstanceType: "standard", Units: units}}
	}
	here := func(change func(*catalog.Place)) []catalog.Place {
		return []catalog.Place{place("aws", "us-east-1", change)}
	}
	for name, x := range map[string]struct {
		places []catalog.Place
		taken  []catalog.Taken
		want   []string
	}{
		"nothing taken":               {here(nil), nil, both},
		"both just fit":               {here(nil), used(1), both},
		"the small one just fits":     {here(nil), used(2), one},
		"the limit is reached":        {here(nil), used(3), none},
		"the limit was lowered":       {here(nil), used(9), none},
		"taken in another cloud":      {here(nil), []catalog.Taken{{Provider: "gcp", Region: "us-east-1", InstanceType: "standard", Units: 3}}, both},
		"taken in another region":     {here(nil), []catalog.Taken{{Provider: "aws", Region: "eu-west-1", InstanceType: "standard", Units: 3}}, both},
		"taken by another type":       {here(nil), []catalog.Taken{{Provider: "aws", Region: "us-east-1", InstanceType: "developer", Units: 3}}, both},
		"no cluster":                  {nil, nil, none},
		"a cluster elsewhere":         {[]catalog.Place{place("aws", "eu-west-1", nil), place("gcp", "us-east-1", nil)}, nil, none},
		"a closed cluster":            {here(func(p *catalog.Place) { p.Open = false }), nil, none},
		"a cluster of one zone":       {here(func(p *catalog.Place) { p.MultiAZ = false }), nil, none},
		"a cluster of another type":   {here(func(p *catalog.Place) { p.Types = []string{"developer"} }), nil, none},
		"a cluster with room for two": {here(func(p *catalog.Place) { p.Limit, p.Used = 7, 5 }), nil, both},
		"a cluster with room for one": {here(func(p *catalog.Place) { p.Limit, p.Used = 7, 6 }), nil, one},
		"a full cluster":              {here(func(p *catalog.Place) { p.Limit, p.Used = 7, 7 }), nil, none},
		"room for one in each of two": {append(here(func(p *catalog.Place) { p.Limit = 1 }), here(func(p *catalog.Place) { p.Limit = 1 })...), nil, one},
		"the cluster has more room":   {here(func(p *catalog.Place) { p.Limit = 9 }), used(2), one},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offers := c.Offers(x.places, x.taken)
			require.Equal(t, x.want, sizesOf(offers, "aws", "us-east-1", "standard"))
			require.Equal(t, none, sizesOf(offers, "aws", "us-east-1", "developer"), "a limit of 0 closes the region")
		})
	}
	trials := c.Offers([]catalog.Place{place("aws", "eu-west-1", func(p *catalog.Place) { p.MultiAZ = false })}, nil)
	require.Equal(t, one, sizesOf(trials, "aws", "eu-west-1", "developer"), "a trial instance needs one zone only")
	twins := c.Offers([]catalog.Place{place("gcp", "twin", nil)}, nil)
	require.Equal(t, both, sizesOf(twins, "gcp", "twin", "standard"))
	require.Equal(t, none, sizesOf(twins, "aws", "twin", "standard"), "regions of two clouds may have one name")
}

func TestOffersAreConfiguredOnesAndThoseOfLiveClusters(t *testing.T) {
	t.Parallel()
	c, err := load(t, "", manyRegions)
	require.NoError(t, err)
	type line struct {
		id, name string
		enabled  bool
		types    int
	}
	flat := func(offers []catalog.ProviderOffer) (lines []line) {
		for _, p := range offers {
			lines = append(lines, line{p.ID, p.DisplayName, p.Enabled, -1})
			for _, r := range p.Regions {
				lines = append(lines, line{p.ID + "/" + r.ID, r.DisplayName, r.Enabled, len(r.Capacity)})
			}
		}
		return lines
	}
	configured := []line{
		{"aws", "Amazon Web Services", true, -1},
		{"aws/bare", "bare", true, 0},
		{"aws/eu-west-1", "EU, Ireland", true, 1},
		{"aws/twin", "twin", true, 1},
		{"aws/us-east-1", "US East, N. Virginia", true, 2},
	}
	gcp := []line{
		{"gcp", "Google Cloud Platform", true, -1},
		{"gcp/twin", "twin", true, 1},
		{"gcp/us-east1", "Moncks Corner, South Carolina, USA", true, 1},
	}
	require.Equal(t, append(append([]line{}, configured...), gcp...), flat(c.Offers(nil, nil)), "a fleet without clusters")

	want := append(append([]line{}, configured...), line{"aws/us-west-2", "US West, Oregon", false, 0})
	want = append(want, line{"azure", "Microsoft Azure", false, -1}, line{"azure/eastus", "East US", false, 0})
	want = append(append(want, gcp...), line{"moon", "moon", false, -1}, line{"moon/sea", "sea", false, 0})
	require.Equal(t, want, flat(c.Offers([]catalog.Place{
		place("moon", "sea", nil), place("azure", "eastus", nil), place("aws", "us-west-2", nil), place("aws", "us-east-1", nil),
	}, nil)))
}

func TestWhatIsSoldInARegion(t *testing.T) {
	t.Parallel()
	c, err := load(t, "", manyRegions)
	require.NoError(t, err)
	ids := func(provider, region string) (ids []string) {
		sold, err := c.Sold(provider, region)
		require.NoError(t, err)
		for _, kind := range sold {
			ids = append(ids, kind.ID)
		}
		return ids
	}
	require.Equal(t, []string{"developer", "standard"}, ids("aws", "us-east-1"), "by id, also what is closed")
	require.Equal(t, []string{"standard"}, ids("gcp", "us-east1"))
	require.Empty(t, ids("aws", "bare"))
	for where, code := range map[[2]string]apierr.Code{
		{"moon", "us-east-1"}: apierr.ProviderUnsupported, {"", ""}: apierr.ProviderUnsupported, {"AWS", "us-east-1"}: apierr.ProviderUnsupported,
		{"aws", "us-east1"}: apierr.RegionUnsupported, {"aws", ""}: apierr.RegionUnsupported,
	} {
		_, err := c.Sold(where[0], where[1])
		require.True(t, apierr.Is(err, code), "%v: %v", where, err)
	}
}
