package ams

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	amsv1 "github.com/openshift-online/ocm-sdk-go/accountsmgmt/v1"
	sdkerrors "github.com/openshift-online/ocm-sdk-go/errors"

	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
)

// Reservation is quota that one instance takes.
type Reservation struct {
	Key           string // names the subscription: one at most exists for it
	Username      string // of the owner, whose organisation pays
	CloudProvider string
	MultiAZ       bool
	Product       string
	Resource      string
	BillingModel  string
	Account       string // at a marketplace; empty: none
	Units         int
}

// Verdict is what the service says of a reservation.
type Verdict struct {
	Allowed        bool
	SubscriptionID string // of an allowed one
	// Denied is why the answer is no, where it came as an error: a banned account,
	// an export control, too many requests. Nothing should be reserved then.
	Denied error
}

// Reserve takes quota. The service gives the subscription that exists when the key
// is known. Any error leaves open whether quota was taken; a refusal does not.
func (c *Client) Reserve(ctx context.Context, r Reservation) (Verdict, error) {
	const doing = "reserving quota"
	zones := "single"
	if r.MultiAZ {
		zones = "multi"
	}
	resource := amsv1.NewReservedResource().ResourceType("cluster." + r.CloudProvider).ResourceName(r.Resource).
		BillingModel(amsv1.BillingModel(r.BillingModel)).Count(r.Units)
	if r.Account != "" {
		resource = resource.BillingMarketplaceAccount(r.Account)
	}
	body, err := amsv1.NewClusterAuthorizationRequest().AccountUsername(r.Username).CloudProviderID(r.CloudProvider).
		ProductID(r.Product).Managed(true).ClusterID(r.Key).ExternalClusterID(r.Key).Disconnected(false).BYOC(false).
		AvailabilityZone(zones).Reserve(true).Resources(resource).Build()
	if err != nil {
		return Verdict{}, fmt.Errorf("%s: %w: %w", doing, ocm.ErrRefused, err)
	}
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return Verdict{}, err
	}
	defer cancel()
	answer, err := c.conn.AccountsMgmt().V1().ClusterAuthorizations().Post().Request(body).SendContext(ctx)
	if err := check(doing, answer, err); err != nil {
		if refuses(err) {
			return Verdict{Denied: err}, nil
		}
		return Verdict{}, err
	}
	said := answer.Response()
	switch allowed, told := said.GetAllowed(); {
	case !told: // quota may be taken: a no would have it forgotten
		return Verdict{}, fmt.Errorf("%s: %w: the answer is no verdict", doing, ocm.ErrUnavailable)
	case !allowed:
		return Verdict{}, nil
	}
	if s := said.Subscription(); !usableID.MatchString(s.ID()) || s.ClusterID() != "" && s.ClusterID() != r.Key {
		return Verdict{}, fmt.Errorf("%s: %w: the answer names no subscription of %s", doing, ocm.ErrUnavailable, r.Key)
	}
	return Verdict{Allowed: true, SubscriptionID: said.Subscription().ID()}, nil
}

// serviceCode is what OCM calls an error of its own, such as ACCT-MGMT-403.
var serviceCode = regexp.MustCompile(`^[A-Z]+(-[A-Z]+)*-[0-9]+$`)

// refuses tells whether an error says no to the account and not to us. Only the
// service itself can say that: what stands before it answers with codes too, while
// nobody knows what the service does.
func refuses(err error) bool {
	var told *sdkerrors.Error
	if !errors.As(err, &told) {
		return false
	}
	switch status := told.Status(); {
	case status == http.StatusTooManyRequests:
		return true
	case status == http.StatusUnauthorized, status == http.StatusRequestTimeout:
		return false
	default:
		return status >= 400 && status < 500 && serviceCode.MatchString(told.Code())
	}
}

// Subscriptions gives the ids of the subscriptions that hold quota for a key.
// There is one at most, but what is found is what is to be released.
func (c *Client) Subscriptions(ctx context.Context, key string) ([]string, error) {
	const doing = "searching a subscription"
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return nil, err
	}
	defer cancel()
	answer, err := c.conn.AccountsMgmt().V1().Subscriptions().List().
		Page(1).Size(100).Search("cluster_id = " + quote(key)).SendContext(ctx)
	if err := checkList(doing, answer, err); err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range answer.Items().Slice() {
		if s.ClusterID() == key && usableID.MatchString(s.ID()) && !over(s.Status()) {
			ids = append(ids, s.ID())
		}
	}
	return ids, nil
}

// over tells whether a subscription is kept for the record only.
func over(status string) bool {
	return strings.EqualFold(status, "Deprovisioned") || strings.EqualFold(status, "Archived")
}

// Release gives back what was reserved for a key: the subscription that is known,
// if any, and whatever else is found. It tells whether something was there;
// nothing being there is success.
func (c *Client) Release(ctx context.Context, key, known string) (existed bool, err error) {
	if usableID.MatchString(known) {
		if existed, err = c.deleteSubscription(ctx, known); err != nil {
			return existed, err
		}
	}
	ids, err := c.Subscriptions(ctx, key)
	if err != nil {
		return existed, err
	}
	for _, id := range ids {
		deleted, err := c.deleteSubscription(ctx, id)
		if err == nil && !deleted { // the next search tells which of both was right
			err = fmt.Errorf("deleting a subscription: %w: it is shown, and not found", ocm.ErrUnavailable)
		}
		if err != nil {
			return existed, err
		}
		existed = true
	}
	return existed, nil
}

func (c *Client) deleteSubscription(ctx context.Context, id string) (existed bool, err error) {
	const doing = "deleting a subscription"
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return false, err
	}
	defer cancel()
	answer, err := c.conn.AccountsMgmt().V1().Subscriptions().Subscription(id).Delete().SendContext(ctx)
	err = check(doing, answer, err)
	if errors.Is(err, ocm.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
