// Package ocm calls the cluster service of OCM: clusters, their default
// ingress, and add-on installations.
//
// It is for the calls, their deadlines and what their failures mean, and for
// the connection that the account service uses too. It is not for deciding what
// a cluster needs. Invariant: every call ends at its deadline and is sent once;
// EnsureAddon looks before it creates, so that it may be repeated.
package ocm

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	cmv1 "github.com/openshift-online/ocm-sdk-go/clustersmgmt/v1"
)

// Cluster is what we read of a cluster.
type Cluster struct {
	ID             string
	ExternalID     string
	State          string // pending, installing, ready, error, uninstalling and others
	ProvisionError string
	MultiAZ        bool
	CloudProvider  string
	Region         string
}

// StateReady is the state of a cluster and of an add-on that can be used.
const StateReady = "ready"

// Client calls one OCM.
type Client struct {
	conn *Connection
}

// New makes a client for the configuration's BaseURL; it calls nothing yet.
func New(c Config, logger *slog.Logger) (*Client, error) {
	conn, err := Connect(c, c.BaseURL, logger)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn}, nil
}

// Close closes idle connections.
func (c *Client) Close() error { return c.conn.Close() }

// Cluster reads a cluster.
func (c *Client) Cluster(ctx context.Context, id string) (Cluster, error) {
	const doing = "reading a cluster"
	at, err := c.cluster(doing, id)
	if err != nil {
		return Cluster{}, err
	}
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return Cluster{}, err
	}
	defer cancel()
	answer, err := at.Get().SendContext(ctx)
	if err := Check(doing, answer, err); err != nil {
		return Cluster{}, err
	}
	body := answer.Body()
	if body.ID() != id {
		return Cluster{}, fmt.Errorf("%s: %w: the answer is about %q", doing, ErrUnavailable, body.ID())
	}
	return Cluster{
		ID: body.ID(), ExternalID: body.ExternalID(), MultiAZ: body.MultiAZ(),
		State: string(body.Status().State()), ProvisionError: body.Status().ProvisionErrorMessage(),
		CloudProvider: body.CloudProvider().ID(), Region: body.Region().ID(),
	}, nil
}

// hostName is what a DNS name looks like: it becomes a part of host names of ours.
var hostName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){1,10}$`)

// DefaultIngressDNS gives the DNS name of the cluster's default ingress, such as
// apps.mk-one.example.test. A cluster that has none yet is ErrNotFound.
func (c *Client) DefaultIngressDNS(ctx context.Context, id string) (string, error) {
	const doing = "reading a cluster's ingresses"
	at, err := c.cluster(doing, id)
	if err != nil {
		return "", err
	}
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return "", err
	}
	defer cancel()
	answer, err := at.Ingresses().List().SendContext(ctx)
	if err := Check(doing, answer, err); err != nil {
		return "", err
	}
	for _, ingress := range answer.Items().Slice() {
		if ingress.Default() && ingress.DNSName() != "" {
			if !hostName.MatchString(ingress.DNSName()) {
				return "", fmt.Errorf("reading the default ingress: %w: its DNS name is none", ErrUnavailable)
			}
			return ingress.DNSName(), nil
		}
	}
	return "", fmt.Errorf("%s: %w: there is no default one", doing, ErrNotFound)
}

// cluster addresses a cluster. An id that is no single path element would
// silently address something else, an empty one the list of all clusters.
func (c *Client) cluster(doing, id string) (*cmv1.ClusterClient, error) {
	if err := checkID(doing, id); err != nil {
		return nil, err
	}
	return c.conn.ClustersMgmt().V1().Clusters().Cluster(id), nil
}

func checkID(doing, id string) error {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/?#%") {
		return fmt.Errorf("%s: %w: %q is no id", doing, ErrRefused, id)
	}
	return nil
}
