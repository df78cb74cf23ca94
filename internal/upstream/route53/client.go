// Package route53 keeps CNAME records in one public hosted zone of AWS Route 53.
//
// It is for the calls, their deadlines and what their failures mean. It is not
// for deciding which records a Kafka needs or for remembering changes.
// Invariant: no call touches a zone other than the one whose name is the
// configured domain, exactly, and no record is deleted whose value the caller
// did not recognise as its own. Every call may be repeated.
package route53

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/kas-fleet/kas-fleet-manager/internal/crash"
)

const (
	region     = "us-east-1" // Route 53 is global and signs for this region
	attempts   = 3
	maxBackoff = time.Second // the SDK's own maximum is longer than a call may last
)

// Record is a CNAME record. Names and targets have no trailing dot.
type Record struct {
	Name   string
	Target string
	TTL    int64
}

// Client works in one zone.
type Client struct {
	api     *route53.Client
	domain  string
	timeout time.Duration

	mu   sync.Mutex
	zone string
}

// New makes a client; it calls nothing yet.
func New(c Config) (*Client, error) {
	if c.Domain == "" || c.AccessKey == "" || c.SecretAccessKey == "" {
		return nil, errors.New("a domain, an access key and a secret access key are needed")
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	options := route53.Options{
		Region:      region,
		HTTPClient:  crash.Client("route53", transport()),
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretAccessKey.Reveal(), ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
		}),
	}
	if c.EndpointURL != "" {
		options.BaseEndpoint = aws.String(c.EndpointURL)
	}
	return &Client{api: route53.New(options), domain: canonical(c.Domain), timeout: timeout}, nil
}

// transport is the SDK's usual client, save that it stays at home: the SDK would
// follow a redirect with the method and the body kept, wherever it points.
func transport() *http.Client {
	return &http.Client{
		Transport:     awshttp.NewBuildableClient().GetTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Zone gives the id of the public zone that is named exactly like the domain.
// The service answers a name it does not know with its neighbour, so a first
// result proves nothing. Once found, the id is kept.
func (c *Client) Zone(ctx context.Context) (string, error) {
	c.mu.Lock()
	known := c.zone
	c.mu.Unlock()
	if known != "" {
		return known, nil
	}
	found, err := c.findZone(ctx)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.zone = found
	return found, nil
}

func (c *Client) findZone(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var found []string
	in := &route53.ListHostedZonesByNameInput{DNSName: aws.String(c.domain)}
	for {
		out, err := c.api.ListHostedZonesByName(ctx, in)
		if err == nil && out.MaxItems == nil {
			err = errNoDocument
		}
		if err != nil {
			return "", classify("finding the hosted zone", err)
		}
		past := false
		for _, z := range out.HostedZones {
			past = canonical(aws.ToString(z.Name)) != c.domain
			if past {
				break
			}
			if z.Config == nil || !z.Config.PrivateZone {
				found = append(found, strings.TrimPrefix(aws.ToString(z.Id), "/hostedzone/"))
			}
		}
		if past || !out.IsTruncated {
			break
		}
		in.DNSName, in.HostedZoneId = out.NextDNSName, out.NextHostedZoneId
	}
	if len(found) != 1 {
		return "", fmt.Errorf("finding the hosted zone: %w: %d public zones are named %q", ErrRefused, len(found), c.domain)
	}
	return found[0], nil
}

// Upsert creates or overwrites the records in one batch and gives the id of the
// change. Doing it again is harmless.
func (c *Client) Upsert(ctx context.Context, records []Record) (changeID string, err error) {
	if len(records) == 0 {
		return "", fmt.Errorf("writing records: %w: there are none", ErrRefused)
	}
	changes := make([]types.Change, 0, len(records))
	for _, r := range records {
		if !c.holds(r.Name) || r.Target == "" || r.TTL <= 0 {
			return "", fmt.Errorf("writing records: %w: record %q is incomplete or not below %q", ErrRefused, r.Name, c.domain)
		}
		changes = append(changes, types.Change{Action: types.ChangeActionUpsert, ResourceRecordSet: &types.ResourceRecordSet{
			Name: aws.String(canonical(r.Name)), Type: types.RRTypeCname, TTL: aws.Int64(r.TTL),
			ResourceRecords: []types.ResourceRecord{{Value: aws.String(r.Target)}},
		}})
	}
	changeID, err = c.change(ctx, changes)
	return changeID, classify("writing records", err)
}

// InSync tells whether all name servers serve the change. A change that the
// service no longer knows is ErrNotFound: write the records again.
func (c *Client) InSync(ctx context.Context, changeID string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, err := c.api.GetChange(ctx, &route53.GetChangeInput{Id: aws.String(changeID)})
	if err == nil && out.ChangeInfo == nil {
		err = errNoDocument
	}
	if err != nil {
		return false, classify("reading a change", err)
	}
	return out.ChangeInfo.Status == types.ChangeStatusInsync, nil
}

// change sends one batch; the error is the SDK's.
func (c *Client) change(ctx context.Context, changes []types.Change) (string, error) {
	zone, err := c.Zone(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, err := c.api.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: aws.String(zone), ChangeBatch: &types.ChangeBatch{Changes: changes},
	})
	if err != nil {
		c.forgetZone(zone, err)
		return "", err
	}
	if out.ChangeInfo == nil {
		return "", errNoDocument
	}
	id := strings.TrimPrefix(aws.ToString(out.ChangeInfo.Id), "/change/")
	if !changeID.MatchString(id) { // it is stored, and a part of later paths
		return "", errNoDocument
	}
	return id, nil
}

var changeID = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

// forgetZone drops the kept id when the zone is gone, as it may have been made anew.
func (c *Client) forgetZone(zone string, err error) {
	var gone *types.NoSuchHostedZone
	if !errors.As(err, &gone) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.zone == zone {
		c.zone = ""
	}
}

func (c *Client) holds(name string) bool {
	return strings.HasSuffix(canonical(name), "."+c.domain)
}

// canonical is a name as we compare it: lower case, no trailing dot, a plain star.
func canonical(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return strings.ReplaceAll(name, `\052`, "*")
}
