package sdk

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// Review is what the authorisation service says of terms.
type Review struct {
	AccountID      string `json:"account_id"`
	OrganisationID string `json:"organization_id"`
	Available      bool   `json:"terms_available"`
	Required       bool   `json:"terms_required"`
}

// CurrentAccount is who calls, as accounts management knows it.
type CurrentAccount struct {
	ID           string `json:"id"`
	Username     string `json:"username"`
	Organisation struct {
		ID string `json:"id"`
	} `json:"organization"`
}

// QuotaCost is one quota of an organisation.
type QuotaCost struct {
	Allowed       int32             `json:"allowed"`
	Consumed      int32             `json:"consumed"`
	QuotaID       string            `json:"quota_id"`
	CloudAccounts []map[string]any  `json:"cloud_accounts"`
	Resources     []RelatedResource `json:"related_resources"`
}

// RelatedResource is what a quota may be used for.
type RelatedResource struct {
	Name         string `json:"resource_name"`
	Type         string `json:"resource_type"`
	Product      string `json:"product"`
	BillingModel string `json:"billing_model"`
	Cost         int32  `json:"cost"`
	BYOC         string `json:"byoc"`
	Provider     string `json:"cloud_provider"`
	Zones        string `json:"availability_zone_type"`
}

// ReviewTerms asks whether the caller has to accept terms.
func (c *Client) ReviewTerms(ctx context.Context) (out Review, err error) {
	body := map[string]string{"event_code": "register", "site_code": "ocm"}
	_, err = c.call(ctx, operation{method: http.MethodPost, path: "/api/authorizations/v1/self_terms_review"}, nil, body, &out)
	return out, err
}

// CurrentAccount asks who the caller is.
func (c *Client) CurrentAccount(ctx context.Context) (out CurrentAccount, err error) {
	_, err = c.call(ctx, operation{method: http.MethodGet, path: "/api/accounts_mgmt/v1/current_account"}, nil, nil, &out)
	return out, err
}

// errNoQuota stands for a panic: a program takes the first quota without looking.
var errNoQuota = errors.New("the organisation has no quota item at all; the command line tool dies of that")

// QuotaCost reads what an organisation may use.
func (c *Client) QuotaCost(ctx context.Context, organisation string) ([]QuotaCost, error) {
	var list struct {
		Items []QuotaCost `json:"items"`
	}
	_, err := c.call(ctx, operation{method: http.MethodGet, path: "/api/accounts_mgmt/v1/organizations/%s/quota_cost"}.at(organisation),
		url.Values{"fetchCloudAccounts": {"true"}, "fetchRelatedResources": {"true"}}, nil, &list)
	if err == nil && len(list.Items) == 0 {
		err = errNoQuota
	}
	return list.Items, err
}

// Constants reads the settings that the vendor publishes for its tools. Where they
// are not to be had the tools use those that they were built with, so the error is
// for a test only.
func (c *Client) Constants(ctx context.Context) (out map[string]any, err error) {
	_, err = c.call(ctx, operation{method: http.MethodGet, path: "/apps/application-services/service-constants.json"}, nil, nil, &out)
	return out, err
}

// Raw sends a request as the programs' "any request" verbs do.
func (c *Client) Raw(ctx context.Context, method, path string, query url.Values, body any) (Reply, error) {
	return c.send(ctx, operation{method: method, path: path}, query, body)
}
