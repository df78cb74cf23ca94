package cluster

import (
	"math"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
)

// Usage is what a cluster runs of one instance type.
type Usage struct {
	ClusterID    string
	InstanceType string
	Units        int // streaming units
	Instances    int
}

// Room is how much of one instance type a cluster can hold. Without any limit
// it is infinite.
type Room struct {
	ClusterID, CloudProvider, Region, InstanceType string
	Max, Used, Available                           float64
}

// hosts tells whether a cluster in the status may run instances.
func (s Status) hosts() bool { return s != Accepted && s != Failed }

// Rooms works out what the clusters hold and could still take. The limit of a
// cluster is shared by its instance types, that of a region by its clusters.
func Rooms(clusters []Cluster, used []Usage, regions *catalog.Catalog) []Room {
	type place struct{ provider, region, instanceType string }
	units := map[Usage]int{} // keyed without the units
	byID := map[string]Cluster{}
	for _, c := range clusters {
		byID[c.ProviderID()] = c
	}
	inRegion := map[place]int{}
	for _, u := range used {
		units[Usage{ClusterID: u.ClusterID, InstanceType: u.InstanceType}] += u.Units
		if c, ok := byID[u.ClusterID]; ok {
			inRegion[place{c.CloudProvider, c.Region, u.InstanceType}] += u.Units
		}
	}
	var out []Room
	for _, c := range clusters {
		if c.ProviderID() == "" || !c.Status.hosts() {
			continue
		}
		limit := boundless(c.CapacityLimit >= 0, c.CapacityLimit)
		for _, t := range splitTypes(c.SupportedInstanceType) {
			region := regionLimit(regions, c, t)
			room := Room{
				ClusterID: c.ProviderID(), CloudProvider: c.CloudProvider, Region: c.Region, InstanceType: t,
				Max: min(limit, region), Used: float64(units[Usage{ClusterID: c.ProviderID(), InstanceType: t}]),
			}
			if c.Schedulable {
				left := min(limit-float64(c.CapacityUsed), region-float64(inRegion[place{c.CloudProvider, c.Region, t}]))
				room.Available = max(left, 0)
			}
			out = append(out, room)
		}
	}
	return out
}

// Drifts compares the room that each cluster counts as taken with what its
// instances take: anything but zero means that room was lost or given twice.
func Drifts(clusters []Cluster, used []Usage) map[string]int {
	drifts := map[string]int{}
	for _, c := range clusters {
		if c.ProviderID() != "" {
			drifts[c.ProviderID()] = c.CapacityUsed
		}
	}
	for _, u := range used {
		if _, ok := drifts[u.ClusterID]; ok {
			drifts[u.ClusterID] -= u.Units
		}
	}
	return drifts
}

// regionLimit is the limit of the cluster's region; a type that the region does
// not offer has no room there.
func regionLimit(regions *catalog.Catalog, c Cluster, instanceType string) float64 {
	region, _ := regions.Region(c.CloudProvider, c.Region)
	offered, ok := region.Type(instanceType)
	if !ok {
		return 0
	}
	return boundless(offered.Limit.Limited, offered.Limit.Units)
}

func boundless(limited bool, units int) float64 {
	if !limited {
		return math.Inf(1)
	}
	return float64(units)
}
