package ams

import (
	"context"
	"errors"
	"fmt"
	"math"

	amsv1 "github.com/openshift-online/ocm-sdk-go/accountsmgmt/v1"

	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
)

// QuotaCost is what an organisation may use of one quota, and what it uses.
type QuotaCost struct {
	ID            string
	Allowed       int
	Consumed      int
	Resources     []RelatedResource // what the quota may be spent on
	CloudAccounts []CloudAccount
}

// RelatedResource is one way to spend a quota.
type RelatedResource struct {
	Name         string // rhosak
	Product      string // RHOSAK and others
	BillingModel string // standard or marketplace
	Cost         int    // 0: costs nothing, whatever is consumed already
}

// CloudAccount is an account of the organisation at a marketplace.
type CloudAccount struct{ ID, Provider string }

// Organisation gives the accounts service's own id of an organisation. It never
// changes, so it is asked for once.
func (c *Client) Organisation(ctx context.Context, externalID string) (string, error) {
	const doing = "searching an organisation"
	if id, ok := c.organisations.Get(externalID); ok {
		return id, nil
	}
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return "", err
	}
	defer cancel()
	answer, err := c.conn.AccountsMgmt().V1().Organizations().List().
		Page(1).Size(1).Search("external_id = " + quote(externalID)).SendContext(ctx)
	if err := checkList(doing, answer, err); err != nil {
		return "", err
	}
	for _, o := range answer.Items().Slice() {
		if o.ExternalID() == externalID { // whatever the search made of the id
			if !usableID.MatchString(o.ID()) {
				return "", fmt.Errorf("%s: %w: the answer has no usable id", doing, ocm.ErrUnavailable)
			}
			c.organisations.Add(externalID, o.ID())
			return o.ID(), nil
		}
	}
	return "", fmt.Errorf("%s: %w", doing, ocm.ErrNotFound)
}

// Quotas are read in pages, which may be smaller than what is asked for. An
// organisation has some hundred; a service that always has another page is not
// believed.
const (
	costsPerPage = 1000
	mostPages    = 20
)

// QuotaCosts gives all quotas of an organisation, by its external id.
func (c *Client) QuotaCosts(ctx context.Context, externalID string) ([]QuotaCost, error) {
	id, err := c.Organisation(ctx, externalID)
	if err != nil {
		return nil, err
	}
	var all []QuotaCost
	for page := 1; page <= mostPages; page++ {
		items, total, err := c.quotaPage(ctx, id, page)
		if err != nil {
			if errors.Is(err, ocm.ErrNotFound) { // removed, and maybe made anew under another id
				c.organisations.Remove(externalID)
			}
			return nil, err
		}
		for _, item := range items {
			all = append(all, toQuotaCost(item))
		}
		if len(all) >= total {
			return all, nil
		}
		if len(items) == 0 {
			return nil, fmt.Errorf("reading quotas: %w: page %d is empty after %d of %d", ocm.ErrUnavailable, page, len(all), total)
		}
	}
	return nil, fmt.Errorf("reading quotas: %w: there are more than %d pages", ocm.ErrUnavailable, mostPages)
}

// quotaPage reads one page, and how many quotas there are on all of them. Where that
// is not told, a page that is not full is the last.
func (c *Client) quotaPage(ctx context.Context, organisationID string, page int) (items []*amsv1.QuotaCost, total int, err error) {
	const doing = "reading quotas"
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()
	answer, err := c.conn.AccountsMgmt().V1().Organizations().Organization(organisationID).QuotaCost().List().
		Parameter("fetchRelatedResources", true).Parameter("fetchCloudAccounts", true).
		Page(page).Size(costsPerPage).SendContext(ctx)
	if err := checkList(doing, answer, err); err != nil {
		return nil, 0, err
	}
	items = answer.Items().Slice()
	total, told := answer.GetTotal()
	if !told && len(items) == costsPerPage {
		total = math.MaxInt
	}
	return items, total, nil
}

func toQuotaCost(q *amsv1.QuotaCost) QuotaCost {
	out := QuotaCost{ID: q.QuotaID(), Allowed: q.Allowed(), Consumed: q.Consumed()}
	for _, r := range q.RelatedResources() {
		out.Resources = append(out.Resources, RelatedResource{
			Name: r.ResourceName(), Product: r.Product(), BillingModel: r.BillingModel(), Cost: r.Cost(),
		})
	}
	for _, a := range q.CloudAccounts() {
		out.CloudAccounts = append(out.CloudAccounts, CloudAccount{ID: a.CloudAccountID(), Provider: a.CloudProviderID()})
	}
	return out
}
