package ams

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

const resourceName = "rhosak"

// Subscription is quota in use by one cluster id; for the fleet manager that is a Kafka's id.
type Subscription struct {
	ID                string `json:"id"`
	ClusterID         string `json:"cluster_id"`
	ExternalClusterID string `json:"external_cluster_id"`
	OrganisationID    string `json:"organization_id"`
	Product           string `json:"-"`
	BillingModel      string `json:"cluster_billing_model"`
	Count             int    `json:"-"`
	Creator           string `json:"-"`
	MarketAccount     string `json:"-"`

	over bool // deleted, and kept for the record
}

func (s *Subscription) toWire() object {
	status := "Active"
	if s.over {
		status = "Deprovisioned"
	}
	return object{
		"kind": "Subscription", "id": s.ID, "href": Service.Base + "/subscriptions/" + s.ID, "status": status,
		"cluster_id": s.ClusterID, "external_cluster_id": s.ExternalClusterID,
		"organization_id": s.OrganisationID, "cluster_billing_model": s.BillingModel,
	}
}

// trial is what an organisation has that has nothing: everybody may try.
var trial = Quota{Product: "RHOSAKTrial", BillingModel: "standard", Free: true}

// consumed is what the organisation uses of one quota.
func (e *AMS) consumed(o *organisation, q Quota) int {
	sum := 0
	for _, s := range e.subscriptions {
		if !s.over && s.OrganisationID == o.id && s.Product == q.Product && category(s.BillingModel) == q.BillingModel {
			sum += s.Count
		}
	}
	return sum
}

// category is the billing model that quota is granted for: every marketplace draws on one.
func category(billingModel string) string {
	if strings.HasPrefix(billingModel, "marketplace") {
		return "marketplace"
	}
	return billingModel
}

// listQuotaCost always has an item: clients take the first without looking.
func (e *AMS) listQuotaCost(w http.ResponseWriter, r *http.Request) {
	o := e.pathOrganisation(w, r)
	if o == nil {
		return
	}
	quotas := o.Quota
	if len(quotas) == 0 {
		quotas = []Quota{trial}
	}
	query, items := r.URL.Query(), []object{}
	for _, q := range quotas {
		item := object{
			"kind": "QuotaCost", "organization_id": o.id, "allowed": q.Allowed, "consumed": e.consumed(o, q),
			"quota_id": fmt.Sprintf("cluster|rhinfra|%s|%s", strings.ToLower(q.Product), q.BillingModel),
		}
		if query.Get("fetchRelatedResources") == "true" {
			item["related_resources"] = relatedResources(q)
		}
		if query.Get("fetchCloudAccounts") == "true" {
			item["cloud_accounts"] = cloudAccounts(o)
		}
		items = append(items, item)
	}
	wire.List(w, r, "QuotaCostList", items)
}

func relatedResources(q Quota) []object {
	all, cost := []object{}, 1
	if q.Free {
		cost = 0
	}
	for _, kind := range []string{"cluster.aws", "cluster.gcp"} {
		all = append(all, object{
			"resource_name": resourceName, "resource_type": kind, "product": q.Product, "billing_model": q.BillingModel,
			"cost": cost, "byoc": "any", "cloud_provider": "any", "availability_zone_type": "any",
		})
	}
	return all
}

func cloudAccounts(o *organisation) []object {
	all := []object{}
	for _, a := range o.CloudAccounts {
		all = append(all, object{"cloud_account_id": a.ID, "cloud_provider_id": a.Provider})
	}
	return all
}

type authorisation struct {
	Username          string `json:"account_username"`
	Product           string `json:"product_id"`
	ClusterID         string `json:"cluster_id"`
	ExternalClusterID string `json:"external_cluster_id"`
	Reserve           bool   `json:"reserve"`
	Resources         []struct {
		Name         string `json:"resource_name"`
		BillingModel string `json:"billing_model"`
		Count        int    `json:"count"`
		Account      string `json:"billing_marketplace_account"`
	} `json:"resources"`
}

func (e *AMS) authorise(w http.ResponseWriter, r *http.Request) {
	var in authorisation
	if !Service.Decode(w, r, &in) {
		return
	}
	a := e.account(in.Username)
	switch {
	case in.ClusterID == "" || len(in.Resources) != 1 || in.Resources[0].Count < 1:
		Service.Fail(w, http.StatusBadRequest, "a cluster id and one resource with a positive count are needed")
		return
	case a == nil:
		Service.Fail(w, http.StatusBadRequest, fmt.Sprintf("Account with username '%s' not found", in.Username))
		return
	case a.Banned:
		Service.Fail(w, http.StatusForbidden, fmt.Sprintf("Account '%s' is banned", in.Username))
		return
	}
	for _, s := range e.subscriptions {
		if s.ClusterID == in.ClusterID && !s.over {
			answerAuthorisation(w, s, true)
			return
		}
	}
	wanted := Subscription{
		ClusterID: in.ClusterID, ExternalClusterID: in.ExternalClusterID, OrganisationID: a.org.id, Product: in.Product,
		BillingModel: in.Resources[0].BillingModel, Count: in.Resources[0].Count, Creator: in.Username,
		MarketAccount: in.Resources[0].Account,
	}
	allowed := in.Resources[0].Name == resourceName && e.fits(a.org, wanted)
	if !allowed || !in.Reserve {
		answerAuthorisation(w, nil, allowed)
		return
	}
	e.last++
	wanted.ID = fmt.Sprintf("subscription%d", e.last)
	e.subscriptions = append(e.subscriptions, &wanted)
	answerAuthorisation(w, &wanted, true)
}

func (e *AMS) fits(o *organisation, s Subscription) bool {
	if s.MarketAccount != "" && !slices.ContainsFunc(o.CloudAccounts, func(a CloudAccount) bool { return a.ID == s.MarketAccount }) {
		return false
	}
	quotas := o.Quota
	if len(quotas) == 0 {
		quotas = []Quota{trial}
	}
	return slices.ContainsFunc(quotas, func(q Quota) bool {
		return q.Product == s.Product && q.BillingModel == category(s.BillingModel) && (q.Free || e.consumed(o, q)+s.Count <= q.Allowed)
	})
}

// answerAuthorisation says yes or no with status 200; a refusal is no error.
func answerAuthorisation(w http.ResponseWriter, s *Subscription, allowed bool) {
	body := object{"kind": "ClusterAuthorizationResponse", "allowed": allowed, "excess_resources": []object{}}
	if s != nil {
		body["subscription"] = s.toWire()
	}
	if !allowed {
		body["excess_resources"] = []object{{"resource_name": resourceName, "count": 1}}
	}
	wire.Reply(w, http.StatusOK, body)
}

func (e *AMS) listSubscriptions(w http.ResponseWriter, r *http.Request) {
	search, err := wire.ParseSearch(r.URL.Query().Get("search"), "id", "cluster_id", "external_cluster_id", "organization_id")
	if err != nil {
		Service.Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	found := []object{}
	for _, s := range e.subscriptions {
		if search.Matches(map[string]string{
			"id": s.ID, "cluster_id": s.ClusterID, "external_cluster_id": s.ExternalClusterID, "organization_id": s.OrganisationID,
		}) {
			found = append(found, s.toWire())
		}
	}
	wire.List(w, r, "SubscriptionList", found)
}

// pathSubscription finds the path's subscription or answers 404.
func (e *AMS) pathSubscription(w http.ResponseWriter, r *http.Request) *Subscription {
	id := r.PathValue("subscription")
	for _, s := range e.subscriptions {
		if s.ID == id && !s.over {
			return s
		}
	}
	Service.Fail(w, http.StatusNotFound, fmt.Sprintf("Subscription with id='%s' not found", id))
	return nil
}

func (e *AMS) getSubscription(w http.ResponseWriter, r *http.Request) {
	if s := e.pathSubscription(w, r); s != nil {
		wire.Reply(w, http.StatusOK, s.toWire())
	}
}

func (e *AMS) deleteSubscription(w http.ResponseWriter, r *http.Request) {
	if gone := e.pathSubscription(w, r); gone != nil {
		gone.over = true
		e.forgetOld()
		w.WriteHeader(http.StatusNoContent)
	}
}

// recordsKept bounds what is remembered of deleted subscriptions.
const recordsKept = 1000

func (e *AMS) forgetOld() {
	over := 0
	for _, s := range e.subscriptions {
		if s.over {
			over++
		}
	}
	if over > recordsKept {
		e.subscriptions = slices.DeleteFunc(e.subscriptions, func(s *Subscription) bool { return s.over })
	}
}
