package catalog

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

var (
	isoPeriod = regexp.MustCompile(`^P(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$`)

	knownTypes            = []string{Standard, Developer}
	knownZoneModes        = []string{SingleZone, MultiZone}
	knownMaturities       = []string{Stable, Preview}
	knownProviders        = []string{"aws", "gcp", "azure"}
	knownAMSResources     = []string{"rhosak"}
	knownAMSProducts      = []string{"RHOSAK", "RHOSAKTrial", "RHOSAKEval", "RHOSAKCC"}
	knownAMSBillingModels = []string{"standard", "marketplace", "marketplace-rhm", "marketplace-aws", "marketplace-azure"}
)

// checker adds the rules that several places share.
type checker struct{ *configfile.Problems }

func (c checker) oneOf(at configfile.Place, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		c.Addf(at, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func (c checker) filled(at configfile.Place, value string) {
	if value == "" {
		c.Addf(at, "is required")
	}
}

// unique tells of ids that stood there before; billing models compare without case.
func (c checker) unique(at configfile.Place, id string, seen map[string]bool) {
	if key := strings.ToLower(id); seen[key] {
		c.Addf(at, "%q stands there twice", id)
	} else {
		seen[key] = true
	}
}

func checkTypes(problems *configfile.Problems, types []InstanceType) {
	c, at, seen := checker{problems}, configfile.Place{"supported_instance_types"}, map[string]bool{}
	if len(types) == 0 {
		c.Addf(at, "at least one instance type is required")
	}
	for i, t := range types {
		at := at.At(i)
		c.oneOf(at.At("id"), t.ID, knownTypes)
		c.unique(at.At("id"), t.ID, seen)
		c.filled(at.At("display_name"), t.DisplayName)
		c.billingModels(at.At("supported_billing_models"), t.BillingModels)
		c.sizes(at.At("sizes"), t.Sizes)
	}
}

func (c checker) billingModels(at configfile.Place, models []BillingModel) {
	if len(models) == 0 {
		c.Addf(at, "at least one billing model is required")
	}
	seen := map[string]bool{}
	for i, m := range models {
		at := at.At(i)
		c.filled(at.At("id"), m.ID)
		c.unique(at.At("id"), m.ID, seen)
		c.oneOf(at.At("ams_resource"), m.AMSResource, knownAMSResources)
		c.oneOf(at.At("ams_product"), m.AMSProduct, knownAMSProducts)
		c.set(at.At("ams_billing_models"), m.AMSBillingModels, knownAMSBillingModels)
		if m.GracePeriodDays < 0 {
			c.Addf(at.At("grace_period_days"), "must not be negative")
		}
	}
}

// set wants at least one value, each of them known and only once.
func (c checker) set(at configfile.Place, values, allowed []string) {
	if len(values) == 0 {
		c.Addf(at, "at least one value is required")
	}
	seen := map[string]bool{}
	for i, v := range values {
		c.oneOf(at.At(i), v, allowed)
		c.unique(at.At(i), v, seen)
	}
}

func (c checker) sizes(at configfile.Place, sizes []Size) {
	if len(sizes) == 0 {
		c.Addf(at, "at least one size is required")
	}
	seen := map[string]bool{}
	for i, s := range sizes {
		at := at.At(i)
		c.filled(at.At("id"), s.ID)
		c.unique(at.At("id"), s.ID, seen)
		c.size(at, s)
		// The first size is the default plan, and availability counts down from the last.
		if i > 0 && s.CapacityConsumed < sizes[i-1].CapacityConsumed {
			c.Addf(at.At("capacityConsumed"), "sizes must be ordered from the smallest to the biggest")
		}
	}
}

func (c checker) size(at configfile.Place, s Size) {
	c.filled(at.At("display_name"), s.DisplayName)
	c.filled(at.At("quotaType"), s.QuotaType)
	const bytes, count = math.MaxInt64, math.MaxInt32 // counts are as wide as that on the wire and in rows
	for _, number := range []struct {
		key         string
		value, most int64
	}{
		{"ingressThroughputPerSec", s.IngressThroughputPerSec.Bytes, bytes},
		{"egressThroughputPerSec", s.EgressThroughputPerSec.Bytes, bytes},
		{"totalMaxConnections", int64(s.TotalMaxConnections), count},
		{"maxConnectionAttemptsPerSec", int64(s.MaxConnectionAttemptsPerSec), count},
		{"maxDataRetentionSize", s.MaxDataRetentionSize.Bytes, bytes},
		{"maxPartitions", int64(s.MaxPartitions), count},
		{"maxMessageSize", s.MaxMessageSize.Bytes, bytes},
		{"minInSyncReplicas", int64(s.MinInSyncReplicas), count},
		{"replicationFactor", int64(s.ReplicationFactor), count},
		{"quotaConsumed", int64(s.QuotaConsumed), count},
		{"capacityConsumed", int64(s.CapacityConsumed), count},
	} {
		switch {
		case number.value < 1:
			c.Addf(at.At(number.key), "must be at least 1")
		case number.value > number.most:
			c.Addf(at.At(number.key), "must be at most %d", number.most)
		}
	}
	if s.MinInSyncReplicas > s.ReplicationFactor {
		c.Addf(at.At("minInSyncReplicas"), "must not exceed replicationFactor")
	}
	if p := s.MaxDataRetentionPeriod; !isoPeriod.MatchString(p) || p == "P" || strings.HasSuffix(p, "T") {
		c.Addf(at.At("maxDataRetentionPeriod"), "%q is not an ISO 8601 period", p)
	}
	c.set(at.At("supportedAZModes"), s.SupportedAZModes, knownZoneModes)
	c.oneOf(at.At("maturityStatus"), s.MaturityStatus, knownMaturities)
}

func checkProviders(problems *configfile.Problems, providers []Provider, knownType func(string) bool) {
	c, at, seen, chosen := checker{problems}, configfile.Place{"supported_providers"}, map[string]bool{}, 0
	for i, p := range providers {
		at := at.At(i)
		c.oneOf(at.At("name"), p.Name, knownProviders)
		c.unique(at.At("name"), p.Name, seen)
		if p.Default {
			chosen++
		}
		c.regions(at.At("regions"), p.Regions, knownType)
	}
	if chosen != 1 {
		c.Addf(at, "exactly one provider must be the default, found %d", chosen)
	}
}

func (c checker) regions(at configfile.Place, regions []Region, knownType func(string) bool) {
	seen, chosen := map[string]bool{}, 0
	for i, r := range regions {
		c.filled(at.At(i, "name"), r.Name)
		c.unique(at.At(i, "name"), r.Name, seen)
		if r.Default {
			chosen++
		}
		for _, t := range r.Types {
			c.regionType(at.At(i, "supported_instance_type", t.ID), t, knownType)
		}
	}
	if chosen != 1 {
		c.Addf(at, "exactly one region must be the default, found %d", chosen)
	}
}

func (c checker) regionType(at configfile.Place, t RegionType, knownType func(string) bool) {
	if !knownType(t.ID) {
		c.Addf(at, "there is no such instance type")
	}
	slack := at.At("min_available_capacity_slack_streaming_units")
	if t.MinSlack < 0 {
		c.Addf(slack, "must not be negative")
	}
	if t.Limit.Limited && t.MinSlack > t.Limit.Units {
		c.Addf(slack, "must not exceed the limit of %d", t.Limit.Units)
	}
}
