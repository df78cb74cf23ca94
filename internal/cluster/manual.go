package cluster

import (
	"time"
)

// FilePlan is what brings the rows in line with the operator's list.
type FilePlan struct {
	Register []Cluster // in the order of the list, without ids
	Update   []Correction
}

// Correction is a row that differs from the list, and how.
type Correction struct {
	Cluster Cluster
	Set     Columns
	Dropped bool // the list has it no more
}

// PlanFile compares the live clusters with the list. Only what differs is
// written, column by column; a cluster that left the list takes no more
// instances, and those it has stay.
func PlanFile(file File, live []Cluster, now time.Time) FilePlan {
	have := make(map[string]Cluster, len(live))
	for _, c := range live {
		have[c.ProviderID()] = c
	}
	listed := make(map[string]bool, len(file.Entries))
	var plan FilePlan
	for i, e := range file.Entries {
		listed[e.ClusterID] = true
		c, known := have[e.ClusterID]
		switch {
		case !known:
			// Placement prefers the oldest cluster, so the list's order is kept.
			plan.Register = append(plan.Register, e.cluster(now.Add(time.Duration(i)*time.Microsecond)))
		case c.ClusterType == Managed:
			if set := e.differences(c); len(set) > 0 {
				set["next_attempt_at"] = now
				plan.Update = append(plan.Update, Correction{Cluster: c, Set: set})
			}
		}
	}
	for _, c := range live {
		if c.ClusterType == Managed && c.Schedulable && !listed[c.ProviderID()] {
			plan.Update = append(plan.Update, Correction{Cluster: c, Set: Columns{"schedulable": false}, Dropped: true})
		}
	}
	return plan
}

// cluster makes the row of an entry.
func (e Entry) cluster(now time.Time) Cluster {
	id := e.ClusterID
	return Cluster{
		CreatedAt: now, UpdatedAt: now, Version: 1,
		CloudProvider: e.CloudProvider, Region: e.Region, MultiAZ: e.MultiAZ, ClusterID: &id, Name: e.Name,
		Status: e.Status, StatusChangedAt: now, NextAttemptAt: now,
		ClusterDNS: e.ClusterDNS, ProviderType: e.ProviderType, ClusterType: Managed, SupportedInstanceType: e.InstanceTypes,
		Schedulable: e.Schedulable, CapacityLimit: e.Limit,
	}
}

// differences are the columns that an operator may change later. Where a cluster
// is (provider, region, zones) is told once: instances were placed by it.
func (e Entry) differences(c Cluster) Columns {
	set := Columns{}
	if c.Name != e.Name {
		set["name"] = e.Name
	}
	if c.Schedulable != e.Schedulable {
		set["schedulable"] = e.Schedulable
	}
	if c.CapacityLimit != e.Limit {
		set["capacity_limit"] = e.Limit
	}
	if c.SupportedInstanceType != e.InstanceTypes {
		set["supported_instance_type"] = e.InstanceTypes
	}
	if e.ClusterDNS != "" && c.ClusterDNS != e.ClusterDNS {
		set["cluster_dns"] = e.ClusterDNS
	}
	return set
}
