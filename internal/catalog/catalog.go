// Package catalog says what may be ordered and where: instance types with their
// sizes and billing models, and cloud providers with their regions and limits.
//
// It is a read model made from two configuration files at start, and beside it,
// for a moment, what the fleet has room for. It is not for counting what is taken
// nor for who may order what (quota).
// Invariant: a Catalog is valid and never changes; nobody writes to the slices
// inside the values that it gives.
package catalog

import (
	"slices"
	"strings"
)

// Ids of the instance types. No other ids exist: the lives of the two differ.
const (
	Standard  = "standard"
	Developer = "developer"
)

// Availability zone modes and maturity of sizes, as the wire shows them.
const (
	SingleZone = "single"
	MultiZone  = "multi"
	Stable     = "stable"
	Preview    = "preview"
)

// Catalog is the read model.
type Catalog struct {
	types     []InstanceType
	providers []Provider
}

// InstanceType is a kind of Kafka instance.
type InstanceType struct {
	ID            string         `yaml:"id"`
	DisplayName   string         `yaml:"display_name"`
	BillingModels []BillingModel `yaml:"supported_billing_models"`
	Sizes         []Size         `yaml:"sizes"` // smallest first
}

// BillingModel is a way to pay for an instance, and what it is called in accounts management.
type BillingModel struct {
	ID               string   `yaml:"id"`
	AMSResource      string   `yaml:"ams_resource"`
	AMSProduct       string   `yaml:"ams_product"`
	AMSBillingModels []string `yaml:"ams_billing_models"`
	GracePeriodDays  int      `yaml:"grace_period_days"`
}

// Size is what an instance of a type offers and takes.
type Size struct {
	ID                          string   `yaml:"id"`
	DisplayName                 string   `yaml:"display_name"`
	IngressThroughputPerSec     Quantity `yaml:"ingressThroughputPerSec"`
	EgressThroughputPerSec      Quantity `yaml:"egressThroughputPerSec"`
	TotalMaxConnections         int      `yaml:"totalMaxConnections"`
	MaxConnectionAttemptsPerSec int      `yaml:"maxConnectionAttemptsPerSec"`
	MaxDataRetentionSize        Quantity `yaml:"maxDataRetentionSize"`
	MaxDataRetentionPeriod      string   `yaml:"maxDataRetentionPeriod"` // ISO 8601
	MaxPartitions               int      `yaml:"maxPartitions"`
	MaxMessageSize              Quantity `yaml:"maxMessageSize"`
	MinInSyncReplicas           int      `yaml:"minInSyncReplicas"`
	ReplicationFactor           int      `yaml:"replicationFactor"`
	QuotaConsumed               int      `yaml:"quotaConsumed"`
	QuotaType                   string   `yaml:"quotaType"`        // deprecated on the wire, still shown
	CapacityConsumed            int      `yaml:"capacityConsumed"` // streaming units
	SupportedAZModes            []string `yaml:"supportedAZModes"`
	LifespanSeconds             Lifespan `yaml:"lifespanSeconds"`
	MaturityStatus              string   `yaml:"maturityStatus"`
}

// Provider is a cloud provider that customers may choose.
type Provider struct {
	Name    string
	Default bool
	Regions []Region // in file order
}

// Region is a region of a provider that customers may choose.
type Region struct {
	Name    string
	Default bool
	Types   []RegionType // by id
}

// RegionType is an instance type in a region.
type RegionType struct {
	ID       string
	Limit    Limit
	MinSlack int // free streaming units to keep, for automatic scaling
}

// InstanceTypes gives all types in file order.
func (c *Catalog) InstanceTypes() []InstanceType { return slices.Clone(c.types) }

// InstanceType finds a type.
func (c *Catalog) InstanceType(id string) (InstanceType, bool) {
	return find(c.types, func(t InstanceType) bool { return t.ID == id })
}

// Size finds a size of a type.
func (c *Catalog) Size(typeID, sizeID string) (Size, bool) {
	t, _ := c.InstanceType(typeID)
	return t.Size(sizeID)
}

// Providers gives all providers in file order.
func (c *Catalog) Providers() []Provider { return slices.Clone(c.providers) }

// DefaultProvider is the provider of a request that names none.
func (c *Catalog) DefaultProvider() Provider {
	p, _ := find(c.providers, func(p Provider) bool { return p.Default })
	return p
}

// Provider finds a provider.
func (c *Catalog) Provider(name string) (Provider, bool) {
	return find(c.providers, func(p Provider) bool { return p.Name == name })
}

// Region finds a region of a provider.
func (c *Catalog) Region(provider, region string) (Region, bool) {
	p, _ := c.Provider(provider)
	return p.Region(region)
}

// Size finds a size of the type.
func (t InstanceType) Size(id string) (Size, bool) {
	return find(t.Sizes, func(s Size) bool { return s.ID == id })
}

// BillingModel finds a billing model of the type; customers write it in any case.
func (t InstanceType) BillingModel(id string) (BillingModel, bool) {
	return find(t.BillingModels, func(m BillingModel) bool { return strings.EqualFold(m.ID, id) })
}

// DisplayName is the name that customers read.
func (p Provider) DisplayName() string { return ProviderDisplayName(p.Name) }

// ProviderDisplayName is the name of a provider that customers read, the id for an unknown one.
func ProviderDisplayName(id string) string {
	switch id {
	case "aws":
		return "Amazon Web Services"
	case "azure":
		return "Microsoft Azure"
	case "gcp":
		return "Google Cloud Platform"
	default:
		return id
	}
}

// DefaultRegion is the region of a request that names none.
func (p Provider) DefaultRegion() Region {
	r, _ := find(p.Regions, func(r Region) bool { return r.Default })
	return r
}

// Region finds a region of the provider.
func (p Provider) Region(name string) (Region, bool) {
	return find(p.Regions, func(r Region) bool { return r.Name == name })
}

// Type finds an instance type in the region.
func (r Region) Type(id string) (RegionType, bool) {
	return find(r.Types, func(t RegionType) bool { return t.ID == id })
}

func find[T any](in []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(in, is); i >= 0 {
		return in[i], true
	}
	var none T
	return none, false
}
