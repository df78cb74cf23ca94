// Package ams has accounts management grant quota: it puts what that service
// says of organisations and subscriptions into the words of quota.
//
// It is for reading what an organisation may use, for resolving an order to a
// billing model, and for reserving and releasing. It is not for counting: the
// service does. Invariant: decisions are made on what one look at the service
// told, and only a clear no is a refusal; everything else is an error.
package ams

import (
	"context"
	"errors"
	"fmt"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	upstream "github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
)

// Provider is accounts management as a provider of quota.
type Provider struct {
	client  *upstream.Client
	catalog *catalog.Catalog
}

var _ quota.Provider = Provider{}

// New makes the provider.
func New(client *upstream.Client, c *catalog.Catalog) Provider { return Provider{client, c} }

// Standing reads what the account's organisation may use. An organisation that the
// service does not know has nothing.
func (p Provider) Standing(ctx context.Context, who quota.Account) (quota.Standing, error) {
	costs, err := p.client.QuotaCosts(ctx, who.OrgID)
	if err != nil && !errors.Is(err, ocm.ErrNotFound) {
		return nil, fmt.Errorf("asking what an organisation may use: %w", err)
	}
	return standing{costs: costs, catalog: p.catalog}, nil
}

// Reserve takes the quota. What may be reserved already is looked for first: that
// the service would give the same subscription again is not promised.
func (p Provider) Reserve(ctx context.Context, r quota.Reservation) (string, error) {
	if r.Again {
		found, err := p.client.Subscriptions(ctx, r.Key)
		if err != nil {
			return "", fmt.Errorf("looking for the subscription of an instance: %w", err)
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	verdict, err := p.client.Reserve(ctx, upstream.Reservation{
		Key: r.Key, Username: r.Username, CloudProvider: r.CloudProvider, MultiAZ: r.MultiAZ, Product: r.Remote.Product,
		Resource: r.Remote.Resource, BillingModel: r.Remote.BillingModel, Account: r.Remote.Account, Units: r.Units,
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("reserving quota: %w", err)
	case verdict.Denied != nil:
		text := deniedText
		if errors.Is(verdict.Denied, ocm.ErrThrottled) {
			text = busyText
		}
		return "", apierr.Wrap(apierr.InsufficientQuota, fmt.Errorf("%w: %w", quota.ErrDenied, verdict.Denied), text)
	case !verdict.Allowed:
		return "", apierr.New(apierr.InsufficientQuota, usedUpText+orName(r.Instead))
	}
	return verdict.SubscriptionID, nil
}

// What customers read. The service's own words may tell what is not theirs to know.
const (
	deniedText = "accounts management does not allow this account to order, ask support whether it is blocked or held by export control"
	busyText   = "accounts management cannot take the order now, try again later"
	usedUpText = "the organisation's quota for the instance is used up, delete an instance or have the quota raised"
)

// Release deletes the subscription, however it is found.
func (p Provider) Release(ctx context.Context, r quota.Reservation) (bool, error) {
	existed, err := p.client.Release(ctx, r.Key, r.SubscriptionID)
	if err != nil {
		return existed, fmt.Errorf("releasing quota: %w", err)
	}
	return existed, nil
}
