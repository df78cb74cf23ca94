// Package kafkahttp serves instances over HTTP: to customers, to agents and
// to administrators.
//
// It decodes, calls one use case and encodes. It is not for rules: those are
// kafka's. Invariant: no row type leaves it and no wire type goes further in.
package kafkahttp

import (
	"context"
	"fmt"
	"net/http"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Public serves customers.
type Public struct {
	service    *kafka.Service
	browserURL string
	shown      *bodies
}

// NewPublic makes the customers' handlers. browserURL is the web console's page of instances.
func NewPublic(service *kafka.Service, browserURL string) *Public {
	return &Public{service: service, browserURL: browserURL, shown: newBodies()}
}

// firstLook is how many seconds after an order a first look at it makes sense. The clients of today look as often.
const firstLook = "5"

// CreateKafka answers POST /kafkas.
func (p *Public) CreateKafka(ctx context.Context, r public.CreateKafkaRequestObject) (public.CreateKafkaResponseObject, error) {
	k, err := p.service.Create(ctx, access.From(ctx), kafka.Request{
		Async: r.Params.Async, Name: r.Body.Name, CloudProvider: r.Body.CloudProvider, Region: r.Body.Region, Plan: r.Body.Plan,
		ReauthenticationEnabled: r.Body.ReauthenticationEnabled, BillingModel: value(r.Body.BillingModel),
		BillingCloudAccountID: value(r.Body.BillingCloudAccountID), Marketplace: value(r.Body.Marketplace), ClusterID: value(r.Body.ClusterID),
		IdempotencyKey: r.Params.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	return public.CreateKafka202JSONResponse{
		Body: p.toPublic(k), Headers: public.CreateKafka202ResponseHeaders{RetryAfter: firstLook},
	}, nil
}

// GetKafkas answers GET /kafkas.
func (p *Public) GetKafkas(ctx context.Context, r public.GetKafkasRequestObject) (public.GetKafkasResponseObject, error) {
	list, err := httpx.ParseList("unable to list kafka requests", r.Params.Page, r.Params.Size)
	if err != nil {
		return nil, err
	}
	who := access.From(ctx)
	found, err := p.service.List(ctx, who, kafka.Query{
		Search: r.Params.Search, OrderBy: r.Params.OrderBy, Offset: list.Offset, Limit: list.Size,
	})
	if err != nil {
		return nil, err
	}
	items, err := p.shown.of(found.Stamps, func(missing []kafka.ID) ([]body, error) {
		rows, err := found.Rows, error(nil)
		if rows == nil {
			rows, err = p.service.Shown(ctx, who, missing)
		}
		return renderAll(rows, func(s kafka.Stamped) kafka.Stamp { return s.Stamp }, func(s kafka.Stamped) public.KafkaRequest { return p.toPublic(s.Kafka) }, err)
	})
	if err != nil {
		return nil, err
	}
	page, size, all := list.Echo(int64(found.Total))
	return publicList{listReply{
		before: `{"items":[`, items: items,
		after: fmt.Sprintf(`],"kind":"KafkaRequestList","page":%d,"size":%d,"total":%d}`, page, size, all),
	}}, nil
}

// publicList is the reply to GET /kafkas.
type publicList struct{ listReply }

// VisitGetKafkasResponse writes the reply.
func (l publicList) VisitGetKafkasResponse(w http.ResponseWriter) error { return l.write(w) }

// GetKafkaByID answers GET /kafkas/{id}.
func (p *Public) GetKafkaByID(ctx context.Context, r public.GetKafkaByIDRequestObject) (public.GetKafkaByIDResponseObject, error) {
	k, err := p.service.Get(ctx, access.From(ctx), kafka.ID(r.ID))
	if err != nil {
		return nil, err
	}
	return public.GetKafkaByID200JSONResponse(p.toPublic(k)), nil
}

// UpdateKafkaByID answers PATCH /kafkas/{id}.
func (p *Public) UpdateKafkaByID(ctx context.Context, r public.UpdateKafkaByIDRequestObject) (public.UpdateKafkaByIDResponseObject, error) {
	k, err := p.service.Update(ctx, access.From(ctx), kafka.ID(r.ID), kafka.Patch{
		Owner: r.Body.Owner, ReauthenticationEnabled: r.Body.ReauthenticationEnabled,
	})
	if err != nil {
		return nil, err
	}
	return public.UpdateKafkaByID200JSONResponse(p.toPublic(k)), nil
}

// DeleteKafkaByID answers DELETE /kafkas/{id}.
func (p *Public) DeleteKafkaByID(ctx context.Context, r public.DeleteKafkaByIDRequestObject) (public.DeleteKafkaByIDResponseObject, error) {
	if err := p.service.Delete(ctx, access.From(ctx), kafka.ID(r.ID), r.Params.Async); err != nil {
		return nil, err
	}
	return public.DeleteKafkaByID202Response{Headers: public.DeleteKafkaByID202ResponseHeaders{RetryAfter: firstLook}}, nil
}

// value reads an optional text: absent, null and empty are the same to this API.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
