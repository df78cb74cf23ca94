package ams

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	upstream "github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
)

// Categories of billing models: quota is granted for one of them, an instance is
// billed by a model within it.
const (
	standard    = "standard"
	marketplace = "marketplace"
)

// standing is what an organisation may use and uses.
type standing struct {
	costs   []upstream.QuotaCost
	catalog *catalog.Catalog
}

// errStrange says that there is quota, but for no way of billing that we know. It
// is for people to look at: a trial instance in its place would be a surprise.
var errStrange = errors.New("judging quota: it is granted only for billing models that are not known here")

// InstanceType gives the first type in the catalogue's order, trials aside, that
// the organisation has quota for under any billing model.
func (s standing) InstanceType() (string, error) {
	strange := false
	for _, t := range s.catalog.InstanceTypes() {
		if t.ID == catalog.Developer {
			continue
		}
		for _, m := range t.BillingModels {
			known, other := s.defined(m)
			if known {
				return t.ID, nil
			}
			strange = strange || other
		}
	}
	if strange {
		return "", errStrange
	}
	return catalog.Developer, nil
}

// defined tells whether there is any quota for a billing model in a category that
// we know, and whether there is any in another one.
func (s standing) defined(m catalog.BillingModel) (known, other bool) {
	for _, cost := range s.costs {
		for _, r := range cost.Resources {
			if cost.Allowed <= 0 || r.Name != m.AMSResource || r.Product != m.AMSProduct {
				continue
			}
			if r.BillingModel == standard || r.BillingModel == marketplace {
				return true, false
			}
			other = true
		}
	}
	return false, other
}

// available tells whether so many units more fit into the quota for a billing model
// in a category.
func (s standing) available(m catalog.BillingModel, in string, units int) bool {
	return slices.ContainsFunc(s.costs, func(cost upstream.QuotaCost) bool {
		return slices.ContainsFunc(cost.Resources, func(r upstream.RelatedResource) bool {
			return isFor(r, m, in) && (r.Cost == 0 || cost.Consumed+units <= cost.Allowed)
		})
	})
}

// granted tells whether an organisation has any quota for a billing model in a
// category, be it used up.
func (s standing) granted(m catalog.BillingModel, in string) bool {
	return slices.ContainsFunc(s.costs, func(cost upstream.QuotaCost) bool {
		return slices.ContainsFunc(cost.Resources, func(r upstream.RelatedResource) bool {
			return isFor(r, m, in) && (r.Cost == 0 || cost.Allowed > 0)
		})
	})
}

// isFor tells whether quota for a resource is quota for a billing model in a category.
func isFor(r upstream.RelatedResource, m catalog.BillingModel, in string) bool {
	return r.Name == m.AMSResource && r.Product == m.AMSProduct && r.BillingModel == in
}

// accounts gives the organisation's accounts at marketplaces for billing models,
// each once.
func (s standing) accounts(models ...catalog.BillingModel) []upstream.CloudAccount {
	var found []upstream.CloudAccount
	for _, cost := range s.costs {
		usable := slices.ContainsFunc(cost.Resources, func(r upstream.RelatedResource) bool {
			return slices.ContainsFunc(models, func(m catalog.BillingModel) bool { return r.Name == m.AMSResource && r.Product == m.AMSProduct })
		})
		if !usable {
			continue
		}
		for _, a := range cost.CloudAccounts {
			if !slices.Contains(found, a) {
				found = append(found, a)
			}
		}
	}
	return found
}

func matching(all []upstream.CloudAccount, id, provider string) []upstream.CloudAccount {
	return slices.DeleteFunc(slices.Clone(all), func(a upstream.CloudAccount) bool {
		return a.ID != id || provider != "" && !strings.EqualFold(a.Provider, provider)
	})
}

// knownAccounts are those at marketplaces that we know.
func (s standing) knownAccounts(m catalog.BillingModel) []upstream.CloudAccount {
	return slices.DeleteFunc(s.accounts(m), func(a upstream.CloudAccount) bool { return billedBy(a.Provider) == "" })
}

// usable are the accounts that one of the billing models may be billed by.
func (s standing) usable(models ...catalog.BillingModel) []upstream.CloudAccount {
	return slices.DeleteFunc(s.accounts(models...), func(a upstream.CloudAccount) bool {
		return !slices.ContainsFunc(models, func(m catalog.BillingModel) bool { _, ok := through(m, a); return ok })
	})
}

// ValidateBillingAccount wants exactly one account of that id, at that marketplace
// if one is named, among those that the organisation has for the billing model, or
// for any of the type's.
func (s standing) ValidateBillingAccount(r quota.Request) error {
	t, _ := s.catalog.InstanceType(r.InstanceType)
	models := t.BillingModels
	if m, ok := t.BillingModel(r.BillingModel); ok {
		models = []catalog.BillingModel{m}
	}
	if r.Marketplace != "" && r.BillingAccount == "" {
		return quota.NoBillingAccount(r, told(s.usable(models...)))
	}
	switch found := matching(s.accounts(models...), r.BillingAccount, r.Marketplace); len(found) {
	case 1:
		return nil
	case 0:
		return apierr.New(apierr.BillingAccountInvalid, s.stranger(r, models...))
	default:
		return apierr.New(apierr.BillingAccountInvalid, "billing account "+r.BillingAccount+" exists at several marketplaces, name one of them as marketplace: "+providers(found))
	}
}

// Resolve turns the choice into a grant. There is nothing to count here: the
// service counts when the quota is reserved.
func (s standing) Resolve(r quota.Request, _ time.Time) (quota.Grant, error) {
	chosen, err := s.choose(r)
	if err != nil {
		return quota.Grant{}, err
	}
	billed := chosen.ams
	if r.CloudProvider == "gcp" && billed == "marketplace-rhm" {
		billed = marketplace
	}
	if r.CloudProvider == "gcp" && billed != standard && billed != marketplace {
		return quota.Grant{}, apierr.New(apierr.InsufficientQuota, "instances at "+r.CloudProvider+" are not billed by marketplace "+chosen.marketplace+
			", order at another cloud provider or by an account at another marketplace")
	}
	grant := quota.Grant{
		InstanceType: r.InstanceType, BillingModel: chosen.model.ID, Unlimited: true, QuotaType: quota.AMSType,
		Marketplace: chosen.marketplace, BillingAccount: chosen.account, Instead: s.others([]catalog.BillingModel{chosen.model}, r),
		Remote: &quota.Remote{Product: chosen.model.AMSProduct, Resource: chosen.model.AMSResource, BillingModel: billed},
	}
	if billed != standard {
		grant.Remote.Account = chosen.account
	}
	return grant, nil
}
