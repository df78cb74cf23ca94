// Package kafka is the core of the Kafka instance aggregate: what an instance
// is, which ways its life may go, and the use cases that change it.
//
// It is not for wire types (kafkahttp) nor for calls to other systems
// (kafkawork). Invariant: Store.Apply is the only writer of an instance's
// status, and it writes only what the transition table allows.
package kafka

import (
	"database/sql/driver"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// ID is the key of an instance: 20 characters, lower-case base32hex.
type ID string

// Kafka is an instance and its row of kafka_requests. Text columns that are
// not set yet are empty.
type Kafka struct {
	ID        ID `gorm:"primaryKey"`
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt *time.Time
	Version   int64 // grows by one with every write; the compare-and-set key

	Name            string
	Status          Status
	StatusChangedAt time.Time
	CloudProvider   string
	Region          string
	MultiAZ         bool `gorm:"column:multi_az"`
	ClusterID       string

	Owner          string
	OwnerAccountID string
	OrganisationID string

	InstanceType     string
	SizeID           string
	SizeSnapshot     SizeSnapshot
	CapacityConsumed int // streaming units of the data plane
	QuotaConsumed    int // units of the customer's quota

	QuotaType                string
	SubscriptionID           string
	ActualKafkaBillingModel  string
	DesiredKafkaBillingModel string
	BillingCloudAccountID    string
	Marketplace              string
	PromotionStatus          string
	PromotionDetails         string
	ExpiresAt                *time.Time

	MaxDataRetentionSize    string // Kubernetes quantity
	ReauthenticationEnabled bool

	Namespace           string
	BootstrapServerHost string // without port
	AdminAPIServerURL   string `gorm:"column:admin_api_server_url"`

	CanaryServiceAccountClientID     string
	CanaryServiceAccountClientSecret string // sealed

	PlacementID         string
	PlacementExclusions Exclusions

	DesiredKafkaVersion    string
	ActualKafkaVersion     string
	DesiredStrimziVersion  string
	ActualStrimziVersion   string
	DesiredKafkaIBPVersion string `gorm:"column:desired_kafka_ibp_version"`
	ActualKafkaIBPVersion  string `gorm:"column:actual_kafka_ibp_version"`
	KafkaUpgrading         bool
	StrimziUpgrading       bool
	KafkaIBPUpgrading      bool `gorm:"column:kafka_ibp_upgrading"`

	Routes           Routes `gorm:"type:jsonb"` // the type tells gorm that nil is a column, not a relation
	RoutesCreated    bool
	RoutesCreationID string
	RoutesAttempts   int
	RoutesDueAt      *time.Time // nil: at once

	KafkasRoutesBaseDomainName      string
	KafkasRoutesBaseDomainTLSKeyRef string `gorm:"column:kafkas_routes_base_domain_tls_key_ref"`
	KafkasRoutesBaseDomainTLSCrtRef string `gorm:"column:kafkas_routes_base_domain_tls_crt_ref"`

	ReportedClass Class      // what the agent said last
	ReportedAt    *time.Time // the agent's own time of that report

	FailedReason string // what the customer reads
	FailedCode   FailedCode
	FailedDetail string // what an operator reads

	Attempts      int
	NextAttemptAt time.Time
	LastError     string
}

// TableName is the table of the rows.
func (Kafka) TableName() string { return "kafka_requests" }

// SizeSnapshot keeps what the size meant when the instance was created, so
// that a later change of the configuration changes no running instance and
// breaks no list.
type SizeSnapshot struct {
	InstanceTypeName            string `json:"instance_type_name"`
	IngressThroughputPerSec     string `json:"ingress_throughput_per_sec"` // Kubernetes quantity
	EgressThroughputPerSec      string `json:"egress_throughput_per_sec"`  // Kubernetes quantity
	TotalMaxConnections         int    `json:"total_max_connections"`
	MaxPartitions               int    `json:"max_partitions"`
	MaxDataRetentionPeriod      string `json:"max_data_retention_period"` // ISO 8601 duration
	MaxConnectionAttemptsPerSec int    `json:"max_connection_attempts_per_sec"`
}

// Scan reads the column.
func (s *SizeSnapshot) Scan(src any) error { return db.ScanJSON(src, s) }

// Value writes the column.
func (s SizeSnapshot) Value() (driver.Value, error) { return db.ValueJSON(s) }

// Route is a DNS name of the instance and the router of the data plane behind it.
type Route struct {
	Domain string `json:"Domain"`
	Router string `json:"Router"`
}

// Routes are all DNS names of an instance; nil until the agent reported them.
type Routes []Route

// Scan reads the column.
func (r *Routes) Scan(src any) error { return db.ScanJSON(src, r) }

// Value writes the column.
func (r Routes) Value() (driver.Value, error) {
	if r == nil {
		return nil, nil
	}
	return db.ValueJSON(r)
}

// Exclusions say until when a cluster's rejection of the instance holds, by cluster id.
type Exclusions map[string]time.Time

// Scan reads the column.
func (e *Exclusions) Scan(src any) error { return db.ScanJSON(src, e) }

// Value writes the column.
func (e Exclusions) Value() (driver.Value, error) {
	if e == nil {
		e = Exclusions{}
	}
	return db.ValueJSON(e)
}

// with gives a copy of the exclusions with one more, without those that have ended.
func (e Exclusions) with(clusterID string, until, now time.Time) Exclusions {
	out := Exclusions{clusterID: until}
	for id, end := range e {
		if id != clusterID && end.After(now) {
			out[id] = end
		}
	}
	return out
}

// FailedCode says in one word why an instance failed.
type FailedCode string

// The reasons for a failure.
const (
	FailedNoCluster   FailedCode = "no_cluster"
	FailedNoVersion   FailedCode = "no_version"
	FailedPreparing   FailedCode = "preparing_failed"
	FailedTimedOut    FailedCode = "timed_out"
	FailedOnDataPlane FailedCode = "reported_by_data_plane"
)
