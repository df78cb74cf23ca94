package catalog

import (
	"maps"
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Place is a live data-plane cluster as the catalogue sees it.
type Place struct {
	Provider, Region string
	Types            []string // instance types that it may run
	MultiAZ          bool
	Open             bool // takes new instances
	Limit            int  // streaming units; negative: unlimited
	Used             int
}

// Taken is what the live instances of a type take of a region.
type Taken struct {
	Provider, Region, InstanceType string
	Units                          int
}

// ProviderOffer is a cloud provider and its regions.
type ProviderOffer struct {
	ID, DisplayName string
	Enabled         bool          // takes orders
	Regions         []RegionOffer // by id
}

// RegionOffer is a region and what fits into it.
type RegionOffer struct {
	ID, DisplayName string
	Enabled         bool        // takes orders
	Capacity        []TypeOffer // by instance type
}

// TypeOffer is the sizes of an instance type for which there is room.
type TypeOffer struct {
	InstanceType   string
	AvailableSizes []string // smallest first
}

// MultiAZ tells whether instances of the type are spread over zones.
func (t InstanceType) MultiAZ() bool { return t.ID == Standard }

// Offers says what fits where, by provider and region: those that are configured
// and those where a cluster lives, which take no orders unless they are
// configured too.
func (c *Catalog) Offers(places []Place, taken []Taken) []ProviderOffer {
	regions := map[string]map[string]bool{}
	for _, p := range c.providers {
		regions[p.Name] = map[string]bool{}
		for _, r := range p.Regions {
			regions[p.Name][r.Name] = true
		}
	}
	for _, p := range places {
		if regions[p.Provider] == nil {
			regions[p.Provider] = map[string]bool{}
		}
		regions[p.Provider][p.Region] = true
	}
	offers := make([]ProviderOffer, 0, len(regions))
	for _, id := range slices.Sorted(maps.Keys(regions)) {
		_, enabled := c.Provider(id)
		offer := ProviderOffer{ID: id, DisplayName: ProviderDisplayName(id), Enabled: enabled}
		for _, region := range slices.Sorted(maps.Keys(regions[id])) {
			offer.Regions = append(offer.Regions, c.regionOffer(id, region, places, taken))
		}
		offers = append(offers, offer)
	}
	return offers
}

func (c *Catalog) regionOffer(provider, id string, places []Place, taken []Taken) RegionOffer {
	region, enabled := c.Region(provider, id)
	offer := RegionOffer{ID: id, DisplayName: RegionDisplayName(provider, id), Enabled: enabled}
	for _, offered := range region.Types {
		kind, _ := c.InstanceType(offered.ID)
		used := 0
		for _, t := range taken {
			if t.Provider == provider && t.Region == id && t.InstanceType == offered.ID {
				used += t.Units
			}
		}
		sizes := []string{}
		for _, size := range kind.Sizes {
			units := size.CapacityConsumed
			fits := func(p Place) bool { return p.Provider == provider && p.Region == id && p.fits(kind, units) }
			if offered.Limit.Allows(used, units) && slices.ContainsFunc(places, fits) {
				sizes = append(sizes, size.ID)
			}
		}
		offer.Capacity = append(offer.Capacity, TypeOffer{InstanceType: offered.ID, AvailableSizes: sizes})
	}
	return offer
}

// fits tells what placing an instance would: room is taken only where it is so.
func (p Place) fits(t InstanceType, units int) bool {
	return p.Open && slices.Contains(p.Types, t.ID) && (p.MultiAZ || !t.MultiAZ()) && (p.Limit < 0 || p.Used+units <= p.Limit)
}

// Sold gives the instance types of a region, by id, whatever is left of them.
func (c *Catalog) Sold(provider, region string) ([]InstanceType, error) {
	p, ok := c.Provider(provider)
	if !ok {
		return nil, apierr.New(apierr.ProviderUnsupported, "provider "+provider+" is not supported")
	}
	r, ok := p.Region(region)
	if !ok {
		return nil, apierr.New(apierr.RegionUnsupported, "region "+region+" is not supported for "+provider)
	}
	sold := make([]InstanceType, 0, len(r.Types))
	for _, offered := range r.Types {
		if kind, ok := c.InstanceType(offered.ID); ok {
			sold = append(sold, kind)
		}
	}
	slices.SortFunc(sold, func(a, b InstanceType) int { return strings.Compare(a.ID, b.ID) })
	return sold, nil
}

// Limited tells whether any region has a limit that usage counts against.
func (c *Catalog) Limited() bool {
	return slices.ContainsFunc(c.providers, func(p Provider) bool {
		return slices.ContainsFunc(p.Regions, func(r Region) bool {
			return slices.ContainsFunc(r.Types, func(t RegionType) bool { return t.Limit.Limited && !t.Limit.Closed() })
		})
	})
}
