package kafkahttp

import (
	"context"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/admin"
)

// Admin serves administrators. It keeps no bodies as the customers' lists do: few
// ask, and what they are after is how things are now.
type Admin struct{ service *kafka.Service }

// NewAdmin makes the administrators' handlers.
func NewAdmin(service *kafka.Service) *Admin { return &Admin{service} }

// GetKafkas answers GET /admin/kafkas.
func (a *Admin) GetKafkas(ctx context.Context, r admin.GetKafkasRequestObject) (admin.GetKafkasResponseObject, error) {
	list, err := httpx.ParseList("unable to list kafka requests", r.Params.Page, r.Params.Size)
	if err != nil {
		return nil, err
	}
	found, err := a.service.ListFleet(ctx, kafka.Query{
		Search: r.Params.Search, OrderBy: r.Params.OrderBy, Offset: list.Offset, Limit: list.Size,
	})
	if err != nil {
		return nil, err
	}
	out := admin.KafkaList{Kind: "KafkaList", Items: make([]admin.Kafka, 0, len(found.Rows))}
	out.Page, out.Size, out.Total = list.Echo(int64(found.Total))
	numbers := a.service.AccountNumbers(ctx, found.Rows...)
	for _, k := range found.Rows {
		out.Items = append(out.Items, toAdmin(k, numbers[k.OrganisationID]))
	}
	return admin.GetKafkas200JSONResponse(out), nil
}

// GetKafkaByID answers GET /admin/kafkas/{id}.
func (a *Admin) GetKafkaByID(ctx context.Context, r admin.GetKafkaByIDRequestObject) (admin.GetKafkaByIDResponseObject, error) {
	k, err := a.service.GetInFleet(ctx, kafka.ID(r.ID))
	if err != nil {
		return nil, err
	}
	return admin.GetKafkaByID200JSONResponse(toAdmin(k, a.service.AccountNumbers(ctx, k)[k.OrganisationID])), nil
}

// toAdmin shows an instance to an administrator. What it hides is listed in the
// test beside it. A field that cannot be shown is left out: one bad row never fails a list.
func toAdmin(k kafka.Kafka, accountNumber string) admin.Kafka {
	out := admin.Kafka{
		ID:   string(k.ID),
		Kind: "Kafka",
		Href: apierr.Kafkas.BasePath + "/kafkas/" + string(k.ID), // where customers find it: tools know no other

		Status:        string(k.Status),
		FailedReason:  k.Trouble(),
		Name:          k.Name,
		CloudProvider: k.CloudProvider,
		Region:        k.Region,
		MultiAZ:       k.MultiAZ,
		CreatedAt:     k.CreatedAt.UTC(),
		UpdatedAt:     k.UpdatedAt.UTC(),

		Owner:          k.Owner,
		OwnerAccountID: k.OwnerAccountID,
		OrganisationID: k.OrganisationID,
		AccountNumber:  accountNumber,
		QuotaType:      k.QuotaType,
		SubscriptionID: k.SubscriptionID,

		InstanceType:         k.InstanceType,
		SizeID:               k.SizeID,
		MaxDataRetentionSize: admin.SupportedKafkaSizeBytesValueItem{Bytes: quantityBytes(k.MaxDataRetentionSize)},

		ClusterID:     k.ClusterID,
		Namespace:     k.Namespace,
		RoutesCreated: k.RoutesCreated,

		DesiredKafkaVersion:    k.DesiredKafkaVersion,
		ActualKafkaVersion:     k.ActualKafkaVersion,
		KafkaUpgrading:         k.KafkaUpgrading,
		DesiredStrimziVersion:  k.DesiredStrimziVersion,
		ActualStrimziVersion:   k.ActualStrimziVersion,
		StrimziUpgrading:       k.StrimziUpgrading,
		DesiredKafkaIBPVersion: k.DesiredKafkaIBPVersion,
		ActualKafkaIBPVersion:  k.ActualKafkaIBPVersion,
		KafkaIBPUpgrading:      k.KafkaIBPUpgrading,
	}
	if k.BootstrapServerHost != "" {
		out.BootstrapServerHost = k.BootstrapServerHost + ":443"
	}
	for _, route := range k.Routes {
		out.Routes = append(out.Routes, admin.KafkaRoute{Domain: route.Domain, Router: route.Router})
	}
	return out
}
