package ams

import (
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	upstream "github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
)

// choice is the billing model of an order, ours and the service's.
type choice struct {
	model       catalog.BillingModel
	ams         string
	marketplace string
	account     string
}

// choose asks the first resolver that fits the order.
func (s standing) choose(r quota.Request) (choice, error) {
	t, _ := s.catalog.InstanceType(r.InstanceType)
	switch {
	case r.BillingModel != "":
		m, ok := t.BillingModel(r.BillingModel)
		if !ok {
			return choice{}, quota.NoSuchModel(t)
		}
		return s.asked(m, r)
	case r.BillingAccount != "" || r.Marketplace != "":
		m, ok := t.BillingModel(marketplace)
		if !ok {
			return choice{}, noMarketplace(r)
		}
		return s.byAccount(m, r)
	}
	var models []catalog.BillingModel
	for _, id := range []string{standard, marketplace} {
		if m, ok := t.BillingModel(id); ok {
			models = append(models, m)
		}
	}
	return s.byQuota(models, r)
}

// asked is for an order that names its billing model. Whether a single way of
// billing has quota left is for the service to say; that there is none at all is
// known here, with what there is in its place.
func (s standing) asked(m catalog.BillingModel, r quota.Request) (choice, error) {
	given := choice{model: m, marketplace: r.Marketplace, account: r.BillingAccount}
	switch {
	case r.Marketplace != "" && !supports(m, marketplace):
		return choice{}, noMarketplace(r)
	case len(m.AMSBillingModels) == 1:
		given.ams = m.AMSBillingModels[0]
		if !s.granted(m, category(given.ams)) {
			return choice{}, s.refuse([]catalog.BillingModel{m}, r)
		}
		return given, nil
	case r.Marketplace != "":
		given.ams = marketplace + "-" + strings.ToLower(r.Marketplace)
		if !slices.Contains(m.AMSBillingModels, given.ams) {
			return choice{}, notThere(m, r.Marketplace)
		}
		if !s.granted(m, marketplace) {
			return choice{}, s.refuse([]catalog.BillingModel{m}, r)
		}
		return given, nil
	case r.BillingAccount != "":
		return s.byAccount(m, r)
	default:
		return s.byQuota([]catalog.BillingModel{m}, r)
	}
}

// byQuota takes the first way of billing that has quota left. A marketplace can be
// chosen for the customer only if there is one account that it can mean.
func (s standing) byQuota(models []catalog.BillingModel, r quota.Request) (choice, error) {
	for _, m := range models {
		for _, in := range []string{standard, marketplace} {
			if !supports(m, in) || !s.available(m, in, r.Units) {
				continue
			}
			if in == standard {
				return choice{model: m, ams: standard}, nil
			}
			known := s.knownAccounts(m)
			if len(known) != 1 {
				continue
			}
			if c, ok := through(m, known[0]); ok {
				return c, nil
			}
		}
	}
	return choice{}, s.refuse(models, r)
}

// byAccount is for an order that names its account at a marketplace.
func (s standing) byAccount(m catalog.BillingModel, r quota.Request) (choice, error) {
	found := matching(s.accounts(m), r.BillingAccount, r.Marketplace)
	switch {
	case len(found) == 0:
		return choice{}, apierr.New(apierr.InsufficientQuota, s.stranger(r, m))
	case !s.available(m, marketplace, r.Units):
		return choice{}, s.refuseUnits(m, marketplace, r)
	}
	c, ok := through(m, found[0])
	if !ok {
		return choice{}, notThere(m, found[0].Provider)
	}
	return c, nil
}

// through bills by the marketplace of an account, if the billing model allows it.
func through(m catalog.BillingModel, a upstream.CloudAccount) (choice, bool) {
	model := billedBy(a.Provider)
	return choice{model: m, ams: model, marketplace: a.Provider, account: a.ID}, model != "" && slices.Contains(m.AMSBillingModels, model)
}

// billedBy names the service's billing model of a marketplace.
func billedBy(provider string) string {
	switch strings.ToLower(provider) {
	case "aws":
		return "marketplace-aws"
	case "rhm":
		return marketplace
	case "azure":
		return "marketplace-azure"
	}
	return ""
}

// category is what quota is granted for, of one of the service's billing models.
func category(ams string) string {
	if strings.HasPrefix(ams, marketplace+"-") {
		return marketplace
	}
	return ams
}

// supports tells whether a billing model can be billed in a category.
func supports(m catalog.BillingModel, wanted string) bool {
	return slices.ContainsFunc(m.AMSBillingModels, func(ams string) bool { return category(ams) == wanted })
}
