// Package quota decides who may order which instance type, under which billing
// model and how many streaming units of it.
//
// Quota has two halves that must not be mixed. Judging is local: Resolve says
// what may be ordered and what to count, the caller counts inside the transaction
// that creates the instance, under an advisory lock, and Check judges the sum.
// Reserving is remote: accounts management keeps a subscription per instance, and
// Reserve and Release are idempotent by its key and made through intents of the
// ledger, after the row is committed and before it is shown. The quota management
// list has only the first half, accounts management counts by itself and has only
// the second. Both tell what an account may order from a Standing.
//
// It is not for capacity (does a region or cluster have room) and it counts
// nothing itself. Invariant: a decision depends on one snapshot of the list or of
// what accounts management said, the catalogue, the limits and a given time.
package quota

import (
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
)

// The values of the flag quota-type and of an instance's quota_type: who granted it.
const (
	ListType = "quota-management-list"
	AMSType  = "ams" // accounts management
)

// Account is who orders.
type Account struct {
	Username string
	OrgID    string // empty: none
}

// Request is what is to be ordered.
type Request struct {
	Account        Account
	InstanceType   string
	BillingModel   string // empty: the best one that is granted
	Marketplace    string // empty: none
	BillingAccount string // at a marketplace; empty: none
	CloudProvider  string
	Units          int // of quota that the instance takes
}

// Scope says whose instances count towards a limit.
type Scope int

// The scopes.
const (
	ByOwner Scope = iota + 1
	ByOrganisation
)

// Grant is what may be ordered. The caller counts the streaming units of all
// live instances of the instance type, in the scope, whose actual or desired
// billing model is that of the grant, the new instance not included.
type Grant struct {
	InstanceType string
	BillingModel string // as the catalogue writes it
	Scope        Scope
	Limit        int  // streaming units
	Unlimited    bool // limits are not enforced, or not here: there is nothing to count

	QuotaType      string  // who grants it
	Marketplace    string  // where it is billed; may be found though none was asked for
	BillingAccount string  // likewise
	Remote         *Remote // what is to be reserved outside; nil: nothing
	WhyNone        string  // what the customer reads where the limit is 0

	// Instead are the billing models that may be named if the reservation is refused.
	Instead []string
}

// Rules is one snapshot of everything that decisions depend on.
type Rules struct {
	List    List
	Catalog *catalog.Catalog
	Config  Config
}

// InstanceTypeFor gives the instance type that the account orders: customers do
// not choose it. An expired grant still counts here, so that its holder reads
// that the limit is reached and does not silently get a trial instance.
func (r Rules) InstanceTypeFor(who Account) string {
	granted, listed := r.List.find(who)
	for _, t := range r.Catalog.InstanceTypes() {
		if t.ID == catalog.Developer || !listed {
			continue
		}
		for _, model := range t.BillingModels {
			if _, ok := granted.model(t.ID, model.ID); ok {
				return t.ID
			}
		}
	}
	return catalog.Developer
}

// Resolve says under which billing model and within which limit the request may
// be granted, or why it may not (code 120).
func (r Rules) Resolve(request Request, now time.Time) (Grant, error) {
	granted, listed := r.List.find(request.Account)
	model, err := r.billingModel(request, granted, listed)
	if err != nil {
		return Grant{}, err
	}
	grant := Grant{
		InstanceType: request.InstanceType, BillingModel: model, Scope: ByOwner,
		QuotaType: ListType, Marketplace: request.Marketplace, BillingAccount: request.BillingAccount,
	}
	developer := request.InstanceType == catalog.Developer
	if listed && granted.ofOrganisation && !developer {
		grant.Scope = ByOrganisation
	}
	switch {
	case !r.Config.EnforceLimits:
		grant.Unlimited = true
	case listed && !developer:
		grant.Limit = granted.limit(request.InstanceType, model, now, r.Config.MaxInstances)
		if grant.Limit == 0 {
			grant.WhyNone = r.whyNone(request, granted, model, now)
		}
	case !listed && developer:
		grant.Limit = r.Config.MaxInstances
	case developer:
		return Grant{}, apierr.New(apierr.InsufficientQuota, "an account with quota of its own gets no trial instance, have it granted quota for other instances")
	default:
		return Grant{}, apierr.Newf(apierr.InsufficientQuota, "no quota for %s instances is granted to this account, it must be granted first", request.InstanceType)
	}
	return grant, nil
}

// whyNone tells why nothing may be ordered under a billing model, and under which
// ones something may.
func (r Rules) whyNone(request Request, granted entry, model string, now time.Time) string {
	text := "billing model " + model + " is not granted to " + ownerName(granted.ofOrganisation)
	if _, ok := granted.model(request.InstanceType, model); ok {
		text = "the quota of " + ownerName(granted.ofOrganisation) + " for billing model " + model + " has expired"
	}
	instanceType, _ := r.Catalog.InstanceType(request.InstanceType)
	var others []string
	for _, m := range instanceType.BillingModels {
		if m.ID != EnterpriseModel && granted.limit(request.InstanceType, m.ID, now, r.Config.MaxInstances) > 0 {
			others = append(others, m.ID)
		}
	}
	if len(others) == 0 {
		return text + ", it must be granted first"
	}
	return text + ", name as billing_model " + OneOf(others)
}

func ownerName(organisation bool) string {
	if organisation {
		return "this organisation"
	}
	return "this account"
}

// Check judges what was counted for the grant; size is what the new instance takes.
func (g Grant) Check(counted, size int) error {
	full := counted+size > g.Limit
	if g.InstanceType == catalog.Developer {
		full = counted >= g.Limit // a trial instance is one instance, whatever its size
	}
	switch {
	case g.Unlimited || !full:
		return nil
	case g.WhyNone != "":
		return apierr.New(apierr.TooManyInstances, g.WhyNone)
	}
	return apierr.Newf(apierr.TooManyInstances, "The limit of %d streaming units for %s instances of the billing model %s is reached for %s: "+
		"%d are in use and %d are asked for, delete an instance or have the limit raised",
		g.Limit, g.InstanceType, g.BillingModel, ownerName(g.Scope == ByOrganisation), counted, size)
}

// ValidateBillingAccount accepts every account: the list knows nothing about cloud accounts.
func (r Rules) ValidateBillingAccount(request Request) error {
	if request.Marketplace != "" && request.BillingAccount == "" {
		return NoBillingAccount(request, "")
	}
	return nil
}

// NoBillingAccount refuses a marketplace without an account; linked tells which
// accounts there are, where that is known.
func NoBillingAccount(r Request, linked string) error {
	text := "no billing account was given for marketplace " + r.Marketplace + ", name it as billing_cloud_account_id"
	if linked != "" {
		text += ": " + linked
	}
	return apierr.New(apierr.BillingAccountInvalid, text)
}

func (r Rules) billingModel(request Request, granted entry, listed bool) (string, error) {
	instanceType, _ := r.Catalog.InstanceType(request.InstanceType)
	if request.BillingModel != "" {
		model, ok := instanceType.BillingModel(request.BillingModel)
		if !ok {
			return "", NoSuchModel(instanceType)
		}
		return model.ID, nil
	}
	if request.InstanceType == catalog.Developer {
		return standardModel, nil
	}
	best, others := "", []string(nil)
	if listed {
		for _, m := range granted.models(request.InstanceType) {
			model, ok := instanceType.BillingModel(m.id)
			if !ok || model.ID == EnterpriseModel { // no order without a cluster of the customer's has that one
				continue
			}
			others = append(others, model.ID)
			if best == "" || model.ID == standardModel {
				best = model.ID
			}
		}
	}
	switch {
	case best == "":
		return "", apierr.Newf(apierr.InsufficientQuota, "no billing model for %s instances is granted to this account, it must be granted first", request.InstanceType)
	case request.Marketplace != "":
		return "", apierr.New(apierr.InsufficientQuota, "an order with a marketplace must name its billing model too, name as billing_model "+OneOf(others))
	}
	return best, nil
}

// NoSuchModel refuses a billing model that instances of a type do not have.
func NoSuchModel(t catalog.InstanceType) error {
	return apierr.New(apierr.InsufficientQuota, "the billing model does not exist for "+t.ID+" instances, name as billing_model "+ModelsOf(t))
}

// ModelsOf lists the billing models that may be named in an order of a type.
func ModelsOf(t catalog.InstanceType) string {
	var ids []string
	for _, m := range t.BillingModels {
		if m.ID != EnterpriseModel {
			ids = append(ids, m.ID)
		}
	}
	return OneOf(ids)
}

// OneOf lists what a customer may choose from.
func OneOf(choices []string) string {
	if n := len(choices); n > 1 {
		return strings.Join(choices[:n-1], ", ") + " or " + choices[n-1]
	}
	return strings.Join(choices, "")
}
