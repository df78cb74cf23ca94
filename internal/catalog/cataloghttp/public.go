// Package cataloghttp serves the catalogue to customers over HTTP: cloud
// providers, their regions with the room in them, and instance types.
//
// It decodes, asks the market once and encodes. It is not for rules: those are
// catalog's. Invariant: the replies are the same for every caller, and lists are
// never null.
package cataloghttp

import (
	"context"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Public serves customers.
type Public struct{ market *catalog.Market }

// New makes the customers' handlers.
func New(market *catalog.Market) *Public { return &Public{market: market} }

// GetCloudProviders answers GET /cloud_providers. Page and size are not looked
// at: clients that send them expect the whole list.
func (p *Public) GetCloudProviders(
	ctx context.Context, _ public.GetCloudProvidersRequestObject,
) (public.GetCloudProvidersResponseObject, error) {
	offers, err := p.market.Providers(ctx)
	if err != nil {
		return nil, err
	}
	items := each(offers, func(o catalog.ProviderOffer) public.CloudProvider {
		return public.CloudProvider{Kind: "CloudProvider", ID: o.ID, Name: o.ID, DisplayName: o.DisplayName, Enabled: o.Enabled}
	})
	n := int32(len(items))
	return public.GetCloudProviders200JSONResponse{Kind: "CloudProviderList", Page: 1, Size: n, Total: n, Items: items}, nil
}

// GetCloudProviderRegions answers GET /cloud_providers/{id}/regions, with page
// and size as above.
func (p *Public) GetCloudProviderRegions(
	ctx context.Context, r public.GetCloudProviderRegionsRequestObject,
) (public.GetCloudProviderRegionsResponseObject, error) {
	offers, err := p.market.Regions(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	items := each(offers, func(o catalog.RegionOffer) public.CloudRegion {
		return public.CloudRegion{
			Kind: "CloudRegion", ID: o.ID, DisplayName: o.DisplayName, Enabled: o.Enabled,
			Capacity: each(o.Capacity, func(t catalog.TypeOffer) public.RegionCapacityListItem {
				return public.RegionCapacityListItem{InstanceType: t.InstanceType, AvailableSizes: t.AvailableSizes}
			}),
		}
	})
	n := int32(len(items))
	return public.GetCloudProviderRegions200JSONResponse{Kind: "CloudRegionList", Page: 1, Size: n, Total: n, Items: items}, nil
}

// GetInstanceTypesByCloudProviderAndRegion answers GET /instance_types/{cloud_provider}/{cloud_region}.
func (p *Public) GetInstanceTypesByCloudProviderAndRegion(
	_ context.Context, r public.GetInstanceTypesByCloudProviderAndRegionRequestObject,
) (public.GetInstanceTypesByCloudProviderAndRegionResponseObject, error) {
	sold, err := p.market.Sold(r.CloudProvider, r.CloudRegion)
	if err != nil {
		return nil, err
	}
	return public.GetInstanceTypesByCloudProviderAndRegion200JSONResponse{InstanceTypes: each(sold, toType)}, nil
}

func toType(t catalog.InstanceType) public.SupportedKafkaInstanceType {
	return public.SupportedKafkaInstanceType{
		ID: t.ID, DisplayName: t.DisplayName,
		SupportedBillingModels: each(t.BillingModels, func(m catalog.BillingModel) public.SupportedKafkaBillingModel {
			return public.SupportedKafkaBillingModel{
				ID: m.ID, AmsResource: m.AMSResource, AmsProduct: m.AMSProduct, AmsBillingModels: m.AMSBillingModels,
			}
		}),
		Sizes: each(t.Sizes, toSize),
	}
}

func toSize(s catalog.Size) public.SupportedKafkaSize {
	amount := func(q catalog.Quantity) public.SupportedKafkaSizeBytesValueItem {
		return public.SupportedKafkaSizeBytesValueItem{Bytes: q.Bytes}
	}
	return public.SupportedKafkaSize{
		ID: s.ID, DisplayName: s.DisplayName,
		IngressThroughputPerSec:     amount(s.IngressThroughputPerSec),
		EgressThroughputPerSec:      amount(s.EgressThroughputPerSec),
		TotalMaxConnections:         int32(s.TotalMaxConnections),
		MaxDataRetentionSize:        amount(s.MaxDataRetentionSize),
		MaxPartitions:               int32(s.MaxPartitions),
		MaxDataRetentionPeriod:      s.MaxDataRetentionPeriod,
		MaxConnectionAttemptsPerSec: int32(s.MaxConnectionAttemptsPerSec),
		MaxMessageSize:              amount(s.MaxMessageSize),
		MinInSyncReplicas:           int32(s.MinInSyncReplicas),
		ReplicationFactor:           int32(s.ReplicationFactor),
		SupportedAZModes:            s.SupportedAZModes,
		LifespanSeconds:             int32(s.LifespanSeconds),
		QuotaConsumed:               int32(s.QuotaConsumed),
		QuotaType:                   s.QuotaType,
		CapacityConsumed:            int32(s.CapacityConsumed),
		MaturityStatus:              s.MaturityStatus,
	}
}

// each converts a list; none gives an empty one, since clients loop over lists.
func each[From, To any](in []From, convert func(From) To) []To {
	out := make([]To, 0, len(in))
	for _, one := range in {
		out = append(out, convert(one))
	}
	return out
}
