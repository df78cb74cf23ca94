// Package metricsapihttp serves the metrics of instances to customers over HTTP.
//
// It decodes, calls one use case and encodes. It is not for rules: those are
// metricsapi's. Invariant: items are always an array.
package metricsapihttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/metricsapi"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Public serves customers.
type Public struct{ service *metricsapi.Service }

// New makes the customers' handlers.
func New(service *metricsapi.Service) *Public { return &Public{service: service} }

// GetMetricsByRangeQuery answers GET /kafkas/{id}/metrics/query_range.
func (p *Public) GetMetricsByRangeQuery(
	ctx context.Context, r public.GetMetricsByRangeQueryRequestObject,
) (public.GetMetricsByRangeQueryResponseObject, error) {
	span := metricsapi.Span{Minutes: r.Params.Duration, Seconds: r.Params.Interval}
	found, err := p.service.QueryRange(ctx, access.From(ctx), r.ID, span, r.Params.Filters)
	if err != nil {
		return nil, err
	}
	out := public.GetMetricsByRangeQuery200JSONResponse{
		Kind: "MetricsRangeQueryList", ID: r.ID, Items: make([]public.RangeQuery, 0, len(found)),
	}
	for _, s := range found {
		values := make([]public.Values, 0, len(s.Samples))
		for _, one := range s.Samples {
			values = append(values, public.Values{Timestamp: one.Milliseconds, Value: one.Value})
		}
		out.Items = append(out.Items, public.RangeQuery{Metric: s.Labels, Values: values})
	}
	return out, nil
}

// GetMetricsByInstantQuery answers GET /kafkas/{id}/metrics/query.
func (p *Public) GetMetricsByInstantQuery(
	ctx context.Context, r public.GetMetricsByInstantQueryRequestObject,
) (public.GetMetricsByInstantQueryResponseObject, error) {
	found, err := p.service.Query(ctx, access.From(ctx), r.ID, r.Params.Filters)
	if err != nil {
		return nil, err
	}
	out := public.GetMetricsByInstantQuery200JSONResponse{
		Kind: "MetricsInstantQueryList", ID: r.ID, Items: make([]public.InstantQuery, 0, len(found)),
	}
	for _, s := range found {
		last := s.Samples[len(s.Samples)-1]
		out.Items = append(out.Items, public.InstantQuery{Metric: s.Labels, Timestamp: last.Milliseconds, Value: last.Value})
	}
	return out, nil
}

// FederateMetrics answers GET /kafkas/{id}/metrics/federate.
func (p *Public) FederateMetrics(ctx context.Context, r public.FederateMetricsRequestObject) (public.FederateMetricsResponseObject, error) {
	text, err := p.service.Federate(ctx, access.From(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return exposition(text), nil
}

// exposition is the reply to GET /kafkas/{id}/metrics/federate.
type exposition []byte

// VisitFederateMetricsResponse writes the reply.
func (e exposition) VisitFederateMetricsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", metricsapi.ContentType)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(e)
	if err != nil {
		return fmt.Errorf("sending an exposition: %w", err)
	}
	return nil
}

// Refusal says of a parameter that was missing or unreadable what clients branch
// on: the bounds of these are told with another code than bodies that cannot be read.
func Refusal(err error) error {
	var absent *public.RequiredParamError
	var unreadable *public.InvalidParamFormatError
	name := ""
	switch {
	case errors.As(err, &absent):
		name = absent.ParamName
	case errors.As(err, &unreadable):
		name = unreadable.ParamName
	}
	switch name {
	case "duration":
		return apierr.Wrap(apierr.BadRequest, err, metricsapi.NotMinutes)
	case "interval":
		return apierr.Wrap(apierr.BadRequest, err, metricsapi.NotSeconds)
	}
	return err
}
