// Package observatorium puts the store of the data planes' metrics into the words
// of the metrics of customers.
//
// It is for the difference between the two. It is not for rules: what to ask is
// metricsapi's, how to call is the client's. Invariant: a failure keeps its kind.
package observatorium

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/metricsapi"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/observatorium"
)

// New gives the client as a backend.
func New(client *observatorium.Client) metricsapi.Backend {
	return metricsapi.Backend{
		Together: observatorium.Together,
		Instant: func(ctx context.Context, promQL string, at time.Time) ([]metricsapi.Series, error) {
			return translated(client.Query(ctx, promQL, at))
		},
		Range: func(ctx context.Context, promQL string, w metricsapi.Window) ([]metricsapi.Series, error) {
			return translated(client.QueryRange(ctx, promQL, w.Start, w.End, w.Step))
		},
	}
}

func translated(found []observatorium.Series, err error) ([]metricsapi.Series, error) {
	if errors.Is(err, observatorium.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", metricsapi.ErrTooMuch, err)
	}
	if err != nil {
		return nil, err
	}
	out := make([]metricsapi.Series, 0, len(found))
	for _, s := range found {
		samples := make([]metricsapi.Sample, 0, len(s.Samples))
		for _, one := range s.Samples {
			samples = append(samples, metricsapi.Sample(one))
		}
		out = append(out, metricsapi.Series{Labels: s.Labels, Samples: samples})
	}
	return out, nil
}
