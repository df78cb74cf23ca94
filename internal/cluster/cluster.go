// Package cluster is the core of the data-plane cluster aggregate: what a
// cluster is, which ways its life may go, how its agent's reports are read and
// how much room it has.
//
// It is not for wire types (clusterhttp) nor for calls to OCM or the SSO
// (clusterwork). Invariant: Apply is the only writer of a cluster's status, and
// room on a cluster is taken and given back only by Reserve and Release.
package cluster

import (
	"database/sql/driver"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// ID is the key of a row. The id that agents and instances use is ClusterID.
type ID string

// Cluster is a data-plane cluster and its row of clusters.
type Cluster struct {
	ID        ID `gorm:"primaryKey"`
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt *time.Time
	Version   int64 // grows by one with every write but a heartbeat or a change of room

	CloudProvider string
	Region        string
	MultiAZ       bool    `gorm:"column:multi_az"`
	ClusterID     *string // the provider's id; nil until the provider gave one
	ExternalID    string
	Name          string

	Status          Status
	StatusChangedAt time.Time
	StatusDetails   string

	IdentityProviderID            string
	ClusterDNS                    string `gorm:"column:cluster_dns"`
	ProviderType                  string
	ClusterType                   string
	OrganizationID                string
	SupportedInstanceType         string // comma-separated
	AvailableStrimziVersions      StrimziVersions
	DynamicCapacityInfo           Capacities
	AccessKafkasViaPrivateNetwork bool

	ClientID     string
	ClientSecret string // sealed

	Schedulable   bool
	CapacityLimit int // streaming units; -1: unlimited
	CapacityUsed  int // streaming units
	HeartbeatAt   *time.Time

	Attempts      int
	NextAttemptAt time.Time
	LastError     string
}

// TableName is the table of the rows.
func (Cluster) TableName() string { return "clusters" }

// ProviderID is the provider's id of the cluster, empty until it has one.
func (c Cluster) ProviderID() string {
	if c.ClusterID == nil {
		return ""
	}
	return *c.ClusterID
}

// Capacity is the room of one instance type, as the agent reports it.
type Capacity struct {
	MaxNodes       int32 `json:"max_nodes"`
	MaxUnits       int32 `json:"max_units"`
	RemainingUnits int32 `json:"remaining_units"`
}

// Capacities are rooms by instance type.
type Capacities map[string]Capacity

// Scan reads the column.
func (c *Capacities) Scan(src any) error { return db.ScanJSON(src, c) }

// Value writes the column.
func (c Capacities) Value() (driver.Value, error) {
	if c == nil {
		c = Capacities{}
	}
	return db.ValueJSON(c)
}

// VersionName wraps one version, as the column's JSON does.
type VersionName struct {
	Version string `json:"version"`
}

// StrimziVersion is one operator version of a cluster with what it can run.
type StrimziVersion struct {
	Version          string        `json:"version"`
	Ready            bool          `json:"ready"`
	KafkaVersions    []VersionName `json:"kafkaVersions"`
	KafkaIBPVersions []VersionName `json:"kafkaIBPVersions"`
}

// StrimziVersions are all operator versions of a cluster, oldest first.
type StrimziVersions []StrimziVersion

// Scan reads the column.
func (s *StrimziVersions) Scan(src any) error { return db.ScanJSON(src, s) }

// Value writes the column.
func (s StrimziVersions) Value() (driver.Value, error) {
	if s == nil {
		s = StrimziVersions{}
	}
	return db.ValueJSON(s)
}

// LatestReady gives the newest ready operator version and the newest Kafka and
// IBP versions it can run; all empty when there is none.
func (s StrimziVersions) LatestReady() (strimzi, kafka, ibp string) {
	for i := len(s) - 1; i >= 0; i-- {
		v := s[i]
		if v.Ready && len(v.KafkaVersions) > 0 && len(v.KafkaIBPVersions) > 0 {
			return v.Version, v.KafkaVersions[len(v.KafkaVersions)-1].Version, v.KafkaIBPVersions[len(v.KafkaIBPVersions)-1].Version
		}
	}
	return "", "", ""
}
