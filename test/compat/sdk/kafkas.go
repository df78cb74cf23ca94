package sdk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const fleet = "/api/kafkas_mgmt/v1"

// The operations on instances, with the statuses that the SDKs were generated with.
// Whatever is answered with another status is a status line to them.
var (
	createKafka = operation{http.MethodPost, fleet + "/kafkas", []int{400, 401, 403, 404, 409, 500}}
	getKafkas   = operation{http.MethodGet, fleet + "/kafkas", []int{400, 401, 403, 500}}
	getKafka    = operation{http.MethodGet, fleet + "/kafkas/%s", []int{401, 403, 404, 500}}
	updateKafka = operation{http.MethodPatch, fleet + "/kafkas/%s", []int{400, 401, 403, 404, 500}}
	deleteKafka = operation{http.MethodDelete, fleet + "/kafkas/%s", []int{400, 401, 403, 404, 500}}
)

// Kafka is an instance.
type Kafka struct {
	ID                      string     `json:"id"`
	Kind                    string     `json:"kind"`
	Href                    string     `json:"href"`
	Status                  string     `json:"status"`
	Name                    string     `json:"name"`
	Owner                   string     `json:"owner"`
	CloudProvider           string     `json:"cloud_provider"`
	Region                  string     `json:"region"`
	MultiAZ                 bool       `json:"multi_az"`
	ReauthenticationEnabled bool       `json:"reauthentication_enabled"`
	CreatedAt               time.Time  `json:"created_at"`
	UpdatedAt               time.Time  `json:"updated_at"`
	ExpiresAt               *time.Time `json:"expires_at,omitempty" sdk:"nullable"`
	BootstrapServerHost     string     `json:"bootstrap_server_host,omitempty"`
	AdminAPIServerURL       string     `json:"admin_api_server_url,omitempty"`
	FailedReason            string     `json:"failed_reason,omitempty"`
	Version                 string     `json:"version,omitempty"`
	InstanceType            string     `json:"instance_type"`
	SizeID                  string     `json:"size_id"`
	BrowserURL              string     `json:"browser_url,omitempty"`
	BillingModel            string     `json:"billing_model,omitempty"`
	BillingCloudAccountID   string     `json:"billing_cloud_account_id,omitempty"`
	Marketplace             string     `json:"marketplace,omitempty"`
	MaxDataRetentionSize    *Bytes     `json:"max_data_retention_size,omitempty"`
	MaxPartitions           int32      `json:"max_partitions,omitempty"`
	TotalMaxConnections     int32      `json:"total_max_connections,omitempty"`
	// ClusterID must be absent unless the customer owns the cluster: a program that
	// finds null dies, and one that finds a value asks another service about it.
	ClusterID *string `json:"cluster_id,omitempty"`
}

// Bytes is an amount of storage or traffic.
type Bytes struct {
	Bytes int64 `json:"bytes,omitempty"`
}

// KafkaList is a page of instances. Programs take Size 0 for "there are none".
type KafkaList struct {
	Kind  string  `json:"kind"`
	Page  int32   `json:"page"`
	Size  int32   `json:"size"`
	Total int32   `json:"total"`
	Items []Kafka `json:"items"`
}

// Order is the body of a creation. The programs differ in what they send, so it is free.
type Order map[string]any

// CreateKafka orders an instance.
func (c *Client) CreateKafka(ctx context.Context, order Order) (made Kafka, err error) {
	_, err = c.call(ctx, createKafka, url.Values{"async": {"true"}}, order, &made)
	return made, owned(made, err)
}

// ListKafkas reads a page; pairs are names and values of the query.
func (c *Client) ListKafkas(ctx context.Context, pairs ...string) (list KafkaList, reply Reply, err error) {
	if reply, err = c.call(ctx, getKafkas, values(pairs), nil, &list); err != nil || reply.Status != http.StatusOK {
		return list, reply, err
	}
	if list.Size == 0 && list.Total > 0 || int(list.Size) < len(list.Items) || list.Total < list.Size {
		return list, reply, fmt.Errorf("a page of %d items has size %d and total %d", len(list.Items), list.Size, list.Total)
	}
	for _, k := range list.Items {
		if err := owned(k, nil); err != nil {
			return list, reply, err
		}
	}
	return list, reply, nil
}

// GetKafka reads an instance.
func (c *Client) GetKafka(ctx context.Context, id string) (k Kafka, err error) {
	_, err = c.call(ctx, getKafka.at(id), nil, nil, &k)
	return k, owned(k, err)
}

// UpdateKafka changes an instance.
func (c *Client) UpdateKafka(ctx context.Context, id string, changes map[string]any) (k Kafka, err error) {
	_, err = c.call(ctx, updateKafka.at(id), nil, changes, &k)
	return k, owned(k, err)
}

// DeleteKafka asks for an instance's deletion.
func (c *Client) DeleteKafka(ctx context.Context, id string) error {
	_, err := c.call(ctx, deleteKafka.at(id), url.Values{"async": {"true"}}, nil, nil)
	return err
}

// owned refuses a cluster of the customer where there is none.
func owned(k Kafka, err error) error {
	if err == nil && k.ClusterID != nil && k.BillingModel != "enterprise" {
		return fmt.Errorf("instance %s shows a cluster id, as if the customer owned the cluster", k.ID)
	}
	return err
}

func values(pairs []string) url.Values {
	out := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out.Add(pairs[i], pairs[i+1])
	}
	return out
}
