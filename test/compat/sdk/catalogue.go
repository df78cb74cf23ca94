package sdk

import (
	"context"
	"net/http"
)

// The operations on what can be ordered, and on figures.
var (
	getProviders  = operation{http.MethodGet, fleet + "/cloud_providers", []int{401, 500}}
	getRegions    = operation{http.MethodGet, fleet + "/cloud_providers/%s/regions", []int{401, 500}}
	getTypes      = operation{http.MethodGet, fleet + "/instance_types/%s/%s", []int{401, 500}}
	rangeMetrics  = operation{http.MethodGet, fleet + "/kafkas/%s/metrics/query_range", []int{401, 500}}
	presentFigure = operation{http.MethodGet, fleet + "/kafkas/%s/metrics/query", []int{401, 500}}
)

// Provider is a cloud.
type Provider struct {
	Kind        string `json:"kind"`
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	Enabled     bool   `json:"enabled"`
}

// Region is a region of a cloud.
type Region struct {
	Kind        string     `json:"kind"`
	ID          string     `json:"id"`
	DisplayName string     `json:"display_name"`
	Enabled     bool       `json:"enabled"`
	Capacity    []Capacity `json:"capacity"`
}

// Capacity is what of an instance type still fits.
type Capacity struct {
	InstanceType string   `json:"instance_type"`
	Sizes        []string `json:"available_sizes"`
}

// InstanceType is a kind of instance.
type InstanceType struct {
	ID            string `json:"id"`
	DisplayName   string `json:"display_name"`
	BillingModels []struct {
		ID      string   `json:"id"`
		Product string   `json:"ams_product"`
		Models  []string `json:"ams_billing_models"`
	} `json:"supported_billing_models"`
	Sizes []Size `json:"sizes"`
}

// Size is a size of an instance type.
type Size struct {
	ID            string `json:"id"`
	DisplayName   string `json:"display_name"`
	Ingress       *Bytes `json:"ingress_throughput_per_sec,omitempty"`
	Partitions    int32  `json:"max_partitions,omitempty"`
	QuotaConsumed int32  `json:"quota_consumed"`
	Lifespan      *int32 `json:"lifespan_seconds,omitempty" sdk:"nullable"`
	Maturity      string `json:"maturity_status,omitempty"`
}

// Providers lists the clouds.
func (c *Client) Providers(ctx context.Context) ([]Provider, error) {
	var list struct {
		Kind  string     `json:"kind"`
		Page  int32      `json:"page"`
		Size  int32      `json:"size"`
		Total int32      `json:"total"`
		Items []Provider `json:"items"`
	}
	_, err := c.call(ctx, getProviders, nil, nil, &list)
	return list.Items, err
}

// Regions lists the regions of a cloud.
func (c *Client) Regions(ctx context.Context, provider string) ([]Region, error) {
	var list struct {
		Kind  string   `json:"kind"`
		Page  int32    `json:"page"`
		Size  int32    `json:"size"`
		Total int32    `json:"total"`
		Items []Region `json:"items"`
	}
	_, err := c.call(ctx, getRegions.at(provider), nil, nil, &list)
	return list.Items, err
}

// InstanceTypes lists what can be had in a region.
func (c *Client) InstanceTypes(ctx context.Context, provider, region string) ([]InstanceType, error) {
	var list struct {
		Types []InstanceType `json:"instance_types"`
	}
	_, err := c.call(ctx, getTypes.at(provider, region), nil, nil, &list)
	return list.Types, err
}

// Series is a metric over a span of time.
type Series struct {
	Metric map[string]string `json:"metric"`
	Values []struct {
		Timestamp int64   `json:"timestamp"` // milliseconds
		Value     float64 `json:"value"`
	} `json:"values"`
}

// Figure is a metric now.
type Figure struct {
	Metric    map[string]string `json:"metric"`
	Timestamp int64             `json:"timestamp"`
	Value     float64           `json:"value"`
}

// Range reads metrics over a span; pairs are names and values of the query.
func (c *Client) Range(ctx context.Context, id string, pairs ...string) ([]Series, error) {
	var list struct {
		Kind  string   `json:"kind"`
		ID    string   `json:"id"`
		Items []Series `json:"items"`
	}
	_, err := c.call(ctx, rangeMetrics.at(id), values(pairs), nil, &list)
	return list.Items, err
}

// Figures reads metrics as they are now.
func (c *Client) Figures(ctx context.Context, id string, pairs ...string) ([]Figure, error) {
	var list struct {
		Kind  string   `json:"kind"`
		ID    string   `json:"id"`
		Items []Figure `json:"items"`
	}
	_, err := c.call(ctx, presentFigure.at(id), values(pairs), nil, &list)
	return list.Items, err
}
