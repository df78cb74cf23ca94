package ams

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	upstream "github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
)

// mostTold bounds how many accounts a text lists.
const mostTold = 10

// refuse says why no way of billing was found among models, and what the customer
// can do. All that it tells is the organisation's own.
func (s standing) refuse(models []catalog.BillingModel, r quota.Request) error {
	for _, m := range models {
		if supports(m, marketplace) && s.granted(m, marketplace) && s.available(m, marketplace, r.Units) {
			return s.refuseAccounts(m, r)
		}
	}
	for _, m := range models {
		for _, in := range []string{standard, marketplace} {
			if supports(m, in) && s.granted(m, in) {
				return s.refuseUnits(m, in, r)
			}
		}
	}
	asked := r.InstanceType + " instances" + ofModel(r)
	if others := s.others(models, r); len(others) > 0 {
		return apierr.New(apierr.InsufficientQuota, "the organisation has no quota for "+asked+", but it has some for another: name as billing_model "+quota.OneOf(others))
	}
	return apierr.New(apierr.InsufficientQuota, "the organisation has no quota for "+asked+", it must be granted or bought first")
}

// refuseAccounts is for quota that is billed by a marketplace, but by which account
// is not for us to say.
func (s standing) refuseAccounts(m catalog.BillingModel, r quota.Request) error {
	text := "the quota of the organisation is billed by a marketplace, and no account there is linked to it: link one at " + quota.OneOf(marketplaces(m))
	if usable := s.usable(m); len(usable) > 0 {
		text = "several billing accounts are linked to the organisation, name one as billing_cloud_account_id: " + told(usable)
	}
	return apierr.New(apierr.InsufficientQuota, text+orName(s.others([]catalog.BillingModel{m}, r)))
}

// orName tells of other billing models that would do.
func orName(models []string) string {
	if len(models) == 0 {
		return ""
	}
	return ", or name as billing_model " + quota.OneOf(models)
}

// refuseUnits is for quota that is there and too small.
func (s standing) refuseUnits(m catalog.BillingModel, in string, r quota.Request) error {
	allowed, consumed := 0, 0
	for _, cost := range s.costs {
		if cost.Allowed > allowed && slices.ContainsFunc(cost.Resources, func(r upstream.RelatedResource) bool { return isFor(r, m, in) }) {
			allowed, consumed = cost.Allowed, cost.Consumed
		}
	}
	text := fmt.Sprintf("of the %d streaming units for %s instances of billing model %s %d are in use and %d are asked for, delete an instance or have the quota raised",
		allowed, r.InstanceType, m.ID, consumed, r.Units)
	if allowed == 0 {
		text = fmt.Sprintf("the organisation has no quota for %s instances of billing model %s, it must be granted or bought first", r.InstanceType, m.ID)
	}
	return apierr.New(apierr.InsufficientQuota, text+orName(s.others([]catalog.BillingModel{m}, r)))
}

// others are the type's billing models besides these which have quota left, and an
// account where one is needed: whoever names one of them is not to be refused again
// for the lack of it.
func (s standing) others(besides []catalog.BillingModel, r quota.Request) (ids []string) {
	t, _ := s.catalog.InstanceType(r.InstanceType)
	for _, m := range t.BillingModels {
		if slices.ContainsFunc(besides, func(b catalog.BillingModel) bool { return b.ID == m.ID }) || m.ID == quota.EnterpriseModel {
			continue
		}
		for _, in := range []string{standard, marketplace} {
			if supports(m, in) && s.available(m, in, r.Units) && (in == standard || len(s.usable(m)) > 0) {
				ids = append(ids, m.ID)
				break
			}
		}
	}
	return ids
}

// stranger says that a billing account is not the organisation's, and which are.
func (s standing) stranger(r quota.Request, models ...catalog.BillingModel) string {
	usable := s.usable(models...)
	if !slices.ContainsFunc(models, func(m catalog.BillingModel) bool { return len(marketplaces(m)) > 0 }) {
		return unbilled(r)
	}
	text := "billing account " + r.BillingAccount + " is not linked to the organisation"
	if r.Marketplace != "" {
		text += " at marketplace " + r.Marketplace
	}
	if len(usable) == 0 {
		return text + ", and no other is that could be billed: link one first"
	}
	return text + ", name one that is: " + told(usable)
}

func notThere(m catalog.BillingModel, marketplace string) error {
	return apierr.New(apierr.InsufficientQuota, "billing model "+m.ID+" is not billed by marketplace "+marketplace+", name an account at "+quota.OneOf(marketplaces(m)))
}

func noMarketplace(r quota.Request) error { return apierr.New(apierr.InsufficientQuota, unbilled(r)) }

func unbilled(r quota.Request) string {
	return r.InstanceType + " instances" + ofModel(r) + " are not billed by a marketplace, order without marketplace and billing_cloud_account_id"
}

func ofModel(r quota.Request) string {
	if r.BillingModel == "" {
		return ""
	}
	return " of billing model " + r.BillingModel
}

// marketplaces are those that a billing model is billed by.
func marketplaces(m catalog.BillingModel) (names []string) {
	for _, provider := range []string{"aws", "rhm", "azure"} {
		if slices.Contains(m.AMSBillingModels, billedBy(provider)) {
			names = append(names, provider)
		}
	}
	return names
}

// told lists accounts as a customer knows them.
func told(accounts []upstream.CloudAccount) string {
	var texts []string
	for _, a := range accounts[:min(len(accounts), mostTold)] {
		texts = append(texts, a.ID+" ("+a.Provider+")")
	}
	if more := len(accounts) - mostTold; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

func providers(accounts []upstream.CloudAccount) string {
	var names []string
	for _, a := range accounts {
		names = append(names, a.Provider)
	}
	return strings.Join(names, ", ")
}
