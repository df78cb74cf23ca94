// Package observatorium asks the store of the data planes' metrics, which speaks
// the API of Prometheus: through a token refresher, or at its gateway with a
// token of our own.
//
// It is for the calls, their bounds and what their failures mean. It is not for
// what to ask, and knows no tenant of ours from another. Invariant: no call
// outlives the request that wants it, and none reads more than it may.
package observatorium

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// slots is how many queries of this process are under way at a time: what one
// replica's customers ask must not bring down a store that all share. The lane of
// metrics lets in as many requests as can use them, and shares them out fairly.
const slots = 64

// Series is one series of an answer.
type Series struct {
	Labels  map[string]string
	Samples []Sample
}

// Sample is one figure.
type Sample struct {
	Milliseconds int64
	Value        float64
}

// Client calls one backend.
type Client struct {
	api     promv1.API // nil: there is none
	timeout time.Duration
	slots   chan struct{}
	logger  *slog.Logger
	close   func()
}

// New makes a client; it calls nothing yet. Without a URL all its calls fail.
func New(c Config, m *Metrics, logger *slog.Logger) (*Client, error) {
	client := &Client{timeout: c.timeout(), slots: make(chan struct{}, slots), logger: logger, close: func() {}}
	if c.address() == "" {
		return client, nil
	}
	if c.IgnoreTLS {
		logger.Warn("the certificate of the backend of metrics is not verified: observatorium-ignore-ssl is set")
	}
	line, issuer := wire(c.IgnoreTLS), wire(false) // our secret never goes to whom nobody vouches for
	var own *tokens
	if c.RefresherURL == "" {
		own = newTokens(c, &http.Client{Transport: issuer, CheckRedirect: stay})
	}
	conn, err := api.NewClient(api.Config{
		Address: c.address(), Client: &http.Client{Transport: newTransport(line, own, m), CheckRedirect: stay},
	})
	if err != nil {
		return nil, fmt.Errorf("building the client of metrics: %w", err)
	}
	client.api, client.close = promv1.NewAPI(conn), func() { line.CloseIdleConnections(); issuer.CloseIdleConnections() }
	return client, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.close() }

// Configured tells whether there is a backend.
func (c *Client) Configured() bool { return c.api != nil }

// Query asks for the value of an expression at one time.
func (c *Client) Query(ctx context.Context, promQL string, at time.Time) ([]Series, error) {
	return c.ask(ctx, "querying metrics", func(ctx context.Context) (model.Value, promv1.Warnings, promv1.Infos, error) {
		return c.api.Query(ctx, promQL, at)
	})
}

// QueryRange asks for the values of an expression from start to end.
func (c *Client) QueryRange(ctx context.Context, promQL string, start, end time.Time, step time.Duration) ([]Series, error) {
	return c.ask(ctx, "querying a range of metrics", func(ctx context.Context) (model.Value, promv1.Warnings, promv1.Infos, error) {
		return c.api.QueryRange(ctx, promQL, promv1.Range{Start: start, End: end, Step: step})
	})
}

func (c *Client) ask(
	ctx context.Context, doing string, do func(context.Context) (model.Value, promv1.Warnings, promv1.Infos, error),
) ([]Series, error) {
	if c.api == nil {
		return nil, fmt.Errorf("%s: %w", doing, ErrUnconfigured)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, classify(doing, ctx.Err())
	}
	value, warnings, _, err := do(ctx)
	if err != nil {
		return nil, classify(doing, err)
	}
	if len(warnings) > 0 {
		// A part of the stores did not answer. What the others know is better than nothing.
		c.logger.WarnContext(ctx, "the backend of metrics answers with warnings", "first", warnings[0], "count", len(warnings))
	}
	found, err := seriesOf(value)
	return found, classify(doing, err)
}

// seriesOf leaves native histograms out: no metric of ours is one.
func seriesOf(value model.Value) ([]Series, error) {
	switch v := value.(type) {
	case model.Vector:
		out := make([]Series, 0, len(v))
		for _, one := range v {
			if one != nil && one.Histogram == nil {
				out = append(out, Series{labelsOf(one.Metric), []Sample{{int64(one.Timestamp), float64(one.Value)}}})
			}
		}
		return out, nil
	case model.Matrix:
		out := make([]Series, 0, len(v))
		for _, stream := range v {
			if stream == nil {
				continue
			}
			samples := make([]Sample, 0, len(stream.Values))
			for _, pair := range stream.Values {
				samples = append(samples, Sample{int64(pair.Timestamp), float64(pair.Value)})
			}
			out = append(out, Series{labelsOf(stream.Metric), samples})
		}
		return out, nil
	default:
		return nil, errOtherKind
	}
}

func labelsOf(m model.Metric) map[string]string {
	out := make(map[string]string, len(m))
	for name, value := range m {
		out[string(name)] = string(value)
	}
	return out
}
