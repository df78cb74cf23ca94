package ams_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	emulated "github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
)

// Accounts at marketplaces that the tables below use.
var (
	aws   = emulated.CloudAccount{ID: "1", Provider: "aws"}
	rhm   = emulated.CloudAccount{ID: "2", Provider: "rhm"}
	azure = emulated.CloudAccount{ID: "3", Provider: "azure"}
	other = emulated.CloudAccount{ID: "4", Provider: "moon"}
	twice = emulated.CloudAccount{ID: "1", Provider: "rhm"} // the id of aws
)

// customer is an organisation with so much quota and these accounts.
func customer(t *testing.T, standard, marketplace int, accounts ...emulated.CloudAccount) quota.Standing {
	t.Helper()
	o, state, _ := withService(t)
	for model, units := range map[string]int{"standard": standard, "marketplace": marketplace} {
		state.SetAllowed("none", emulated.Quota{Product: "RHOSAK", BillingModel: model, Allowed: units})
	}
	state.SetCloudAccounts("none", accounts...)
	standing, err := o.provider.Standing(t.Context(), of("ann", "none"))
	require.NoError(t, err)
	return standing
}

func TestResolve(t *testing.T) {
	t.Parallel()
	all := []emulated.CloudAccount{aws, rhm, azure, other}
	type want struct{ model, ams, marketplace, account string }
	for name, c := range map[string]struct {
		standard, marketplace int
		accounts              []emulated.CloudAccount
		order                 quota.Request
		want                  want
	}{
		"standard comes first":                {1, 1, []emulated.CloudAccount{aws}, quota.Request{}, want{"standard", "standard", "", ""}},
		"then the marketplace":                {0, 1, []emulated.CloudAccount{aws}, quota.Request{}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"of the other kind":                   {0, 1, []emulated.CloudAccount{rhm}, quota.Request{}, want{"marketplace", "marketplace", "rhm", "2"}},
		"accounts that nobody knows aside":    {0, 1, []emulated.CloudAccount{other, aws}, quota.Request{}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"the larger size gets it":             {1, 2, []emulated.CloudAccount{aws}, quota.Request{Units: 2}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"one way of billing needs no numbers": {1, 0, nil, quota.Request{BillingModel: "standard", Units: 9}, want{"standard", "standard", "", ""}},
		"asked for":                           {5, 1, []emulated.CloudAccount{aws}, quota.Request{BillingModel: "marketplace"}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"asked for with its marketplace":      {0, 1, all, quota.Request{BillingModel: "marketplace", Marketplace: "rhm", BillingAccount: "2", Units: 9}, want{"marketplace", "marketplace-rhm", "rhm", "2"}},
		"asked for with an account":           {0, 1, all, quota.Request{BillingModel: "marketplace", BillingAccount: "2"}, want{"marketplace", "marketplace", "rhm", "2"}},
		"an account":                          {5, 1, all, quota.Request{BillingAccount: "1"}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"an account at its marketplace":       {5, 1, append(all, twice), quota.Request{BillingAccount: "1", Marketplace: "rhm"}, want{"marketplace", "marketplace", "rhm", "1"}},
		"another cloud, by rhm":               {0, 1, all, quota.Request{CloudProvider: "gcp", BillingModel: "marketplace", Marketplace: "rhm", BillingAccount: "2"}, want{"marketplace", "marketplace", "rhm", "2"}},
	} {
		got, err := customer(t, c.standard, c.marketplace, c.accounts...).Resolve(complete(c.order), time.Now())
		require.NoError(t, err, name)
		require.Equal(t, c.want, want{got.BillingModel, got.Remote.BillingModel, got.Marketplace, got.BillingAccount}, name)
		require.Equal(t, []any{quota.AMSType, true, "RHOSAK", "rhosak"}, []any{got.QuotaType, got.Unlimited, got.Remote.Product, got.Remote.Resource}, name)
		account := got.BillingAccount
		if got.Remote.BillingModel == "standard" {
			account = ""
		}
		require.Equal(t, account, got.Remote.Account, name)
	}
}

// complete fills in what admission would have.
func complete(r quota.Request) quota.Request {
	if r.InstanceType == "" {
		r.InstanceType = "standard"
	}
	if r.CloudProvider == "" {
		r.CloudProvider = "aws"
	}
	r.Units = max(r.Units, 1)
	return r
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	all := []emulated.CloudAccount{aws, rhm, azure, other}
	type kinds map[string]int // units by billing model
	for name, c := range map[string]struct {
		allowed  kinds
		accounts []emulated.CloudAccount
		order    quota.Request
		want     string
	}{
		"which of two is not for us to say": {kinds{"marketplace": 1}, []emulated.CloudAccount{aws, rhm}, quota.Request{},
			"several billing accounts are linked to the organisation, name one as billing_cloud_account_id: 1 (aws), 2 (rhm)"},
		"nor where the model is asked for": {kinds{"marketplace": 1}, []emulated.CloudAccount{aws, rhm, azure}, quota.Request{BillingModel: "marketplace"},
			"several billing accounts are linked to the organisation, name one as billing_cloud_account_id: 1 (aws), 2 (rhm)"},
		"one that the type is not billed by": {kinds{"marketplace": 1}, []emulated.CloudAccount{azure}, quota.Request{},
			"the quota of the organisation is billed by a marketplace, and no account there is linked to it: link one at aws or rhm"},
		"no account": {kinds{"marketplace": 1}, nil, quota.Request{},
			"the quota of the organisation is billed by a marketplace, and no account there is linked to it: link one at aws or rhm"},
		"the larger size needs more": {kinds{"standard": 1}, nil, quota.Request{Units: 2},
			"of the 1 streaming units for standard instances of billing model standard 0 are in use and 2 are asked for, delete an instance or have the quota raised"},
		"another model has some left": {kinds{"standard": 1, "eval": 3}, nil, quota.Request{Units: 2},
			"of the 1 streaming units for standard instances of billing model standard 0 are in use and 2 are asked for, delete an instance or have the quota raised, or name as billing_model eval"},
		"a model that needs an account is no way out": {kinds{"standard": 1, "marketplace": 2}, []emulated.CloudAccount{azure}, quota.Request{BillingModel: "eval"},
			"the organisation has no quota for standard instances of billing model eval, but it has some for another: name as billing_model standard"},
		"with an account it is one": {kinds{"standard": 1, "marketplace": 2}, []emulated.CloudAccount{aws}, quota.Request{BillingModel: "eval"},
			"the organisation has no quota for standard instances of billing model eval, but it has some for another: name as billing_model standard or marketplace"},
		"no account, but another model": {kinds{"marketplace": 1, "eval": 1}, nil, quota.Request{},
			"the quota of the organisation is billed by a marketplace, and no account there is linked to it: link one at aws or rhm, or name as billing_model eval"},
		"only another model has any": {kinds{"eval": 1}, nil, quota.Request{},
			"the organisation has no quota for standard instances, but it has some for another: name as billing_model eval"},
		"the model is not granted": {kinds{"standard": 1}, nil, quota.Request{BillingModel: "eval"},
			"the organisation has no quota for standard instances of billing model eval, but it has some for another: name as billing_model standard"},
		"nor is the marketplace": {kinds{"standard": 1, "eval": 1}, all, quota.Request{BillingModel: "marketplace", Marketplace: "aws", BillingAccount: "1"},
			"the organisation has no quota for standard instances of billing model marketplace, but it has some for another: name as billing_model standard or eval"},
		"nothing is granted": {nil, nil, quota.Request{},
			"the organisation has no quota for standard instances, it must be granted or bought first"},
		"nor for a model": {nil, nil, quota.Request{BillingModel: "standard"},
			"the organisation has no quota for standard instances of billing model standard, it must be granted or bought first"},
		"a model without marketplaces": {kinds{"standard": 1}, all, quota.Request{BillingModel: "standard", Marketplace: "aws", BillingAccount: "1"},
			"standard instances of billing model standard are not billed by a marketplace, order without marketplace and billing_cloud_account_id"},
		"a marketplace that is not there": {kinds{"marketplace": 5}, all, quota.Request{BillingModel: "marketplace", Marketplace: "moon", BillingAccount: "4"},
			"billing model marketplace is not billed by marketplace moon, name an account at aws or rhm"},
		"an account that nothing is billed by": {kinds{"marketplace": 5}, all, quota.Request{BillingAccount: "3"},
			"billing model marketplace is not billed by marketplace azure, name an account at aws or rhm"},
		"an account without quota": {kinds{"standard": 5}, all, quota.Request{BillingAccount: "1"},
			"the organisation has no quota for standard instances of billing model marketplace, it must be granted or bought first, or name as billing_model standard"},
		"an account of others": {kinds{"marketplace": 5}, all, quota.Request{BillingAccount: "9"},
			"billing account 9 is not linked to the organisation, name one that is: 1 (aws), 2 (rhm)"},
		"no such model": {kinds{"standard": 5}, all, quota.Request{BillingModel: "gold"},
			"the billing model does not exist for standard instances, name as billing_model standard, marketplace or eval"},
		"a trial by a marketplace": {nil, all, quota.Request{InstanceType: "developer", BillingAccount: "1"},
			"developer instances are not billed by a marketplace, order without marketplace and billing_cloud_account_id"},
		"another cloud, by aws": {kinds{"marketplace": 1}, all, quota.Request{CloudProvider: "gcp", BillingAccount: "1"},
			"instances at gcp are not billed by marketplace aws, order at another cloud provider or by an account at another marketplace"},
	} {
		o, state, _ := withService(t)
		for model, units := range c.allowed {
			q := emulated.Quota{Product: "RHOSAK", BillingModel: model, Allowed: units}
			if model == "eval" {
				q.Product, q.BillingModel = "RHOSAKEval", "standard"
			}
			state.SetAllowed("none", q)
		}
		state.SetCloudAccounts("none", c.accounts...)
		state.SetCloudAccounts("some", emulated.CloudAccount{ID: "secret", Provider: "aws"})
		standing, err := o.provider.Standing(t.Context(), of("ann", "none"))
		require.NoError(t, err)
		_, err = standing.Resolve(complete(c.order), time.Now())
		require.True(t, apierr.Is(err, apierr.InsufficientQuota), "%s: %v", name, err)
		require.Equal(t, "Insufficient quota: "+c.want, apierr.From(err).Reason, name)
	}
}

func TestWhatIsUsedUpIsToldInNumbers(t *testing.T) {
	t.Parallel()
	o, state, _ := withService(t)
	state.Reserve(emulated.Subscription{ClusterID: "k1", Product: "RHOSAK", BillingModel: "standard", Count: 2, Creator: "ann-some"})
	standing, err := o.provider.Standing(t.Context(), of("ann", "some"))
	require.NoError(t, err)
	_, err = standing.Resolve(complete(quota.Request{}), time.Now())
	require.ErrorContains(t, err, "of the 2 streaming units for standard instances of billing model standard 2 are in use and 1 are asked for")
	_, err = standing.Resolve(complete(quota.Request{BillingModel: "standard"}), time.Now())
	require.NoError(t, err, "what the service counts it judges")
}

func TestALongListOfAccountsIsCut(t *testing.T) {
	t.Parallel()
	var many []emulated.CloudAccount
	for i := range 12 {
		many = append(many, emulated.CloudAccount{ID: string(rune('a' + i)), Provider: "aws"})
	}
	_, err := customer(t, 0, 1, many...).Resolve(complete(quota.Request{}), time.Now())
	require.ErrorContains(t, err, "i (aws), j (aws), and 2 more")
	require.NotContains(t, err.Error(), "k (aws)")
}

func TestValidateBillingAccount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		accounts []emulated.CloudAccount
		order    quota.Request
		refusal  string
	}{
		"its own":                  {[]emulated.CloudAccount{aws, rhm}, quota.Request{BillingAccount: "1"}, ""},
		"its own, at its place":    {[]emulated.CloudAccount{aws, rhm}, quota.Request{BillingAccount: "1", Marketplace: "aws"}, ""},
		"two of one id, and which": {[]emulated.CloudAccount{aws, twice}, quota.Request{BillingAccount: "1", Marketplace: "rhm"}, ""},
		"for a model with them":    {[]emulated.CloudAccount{aws}, quota.Request{BillingAccount: "1", BillingModel: "marketplace"}, ""},
		"at another place": {[]emulated.CloudAccount{aws, rhm}, quota.Request{BillingAccount: "1", Marketplace: "rhm"},
			"billing account 1 is not linked to the organisation at marketplace rhm, name one that is: 1 (aws), 2 (rhm)"},
		"somebody's": {[]emulated.CloudAccount{aws, rhm, other}, quota.Request{BillingAccount: "9"},
			"billing account 9 is not linked to the organisation, name one that is: 1 (aws), 2 (rhm)"},
		"none": {nil, quota.Request{BillingAccount: "1"},
			"billing account 1 is not linked to the organisation, and no other is that could be billed: link one first"},
		"two of one id": {[]emulated.CloudAccount{aws, twice}, quota.Request{BillingAccount: "1"},
			"billing account 1 exists at several marketplaces, name one of them as marketplace: aws, rhm"},
		"for a model without": {[]emulated.CloudAccount{aws}, quota.Request{BillingAccount: "1", BillingModel: "eval"},
			"standard instances of billing model eval are not billed by a marketplace, order without marketplace and billing_cloud_account_id"},
		"for a trial": {nil, quota.Request{BillingAccount: "1", InstanceType: "developer"},
			"developer instances are not billed by a marketplace, order without marketplace and billing_cloud_account_id"},
	} {
		err := customer(t, 1, 1, c.accounts...).ValidateBillingAccount(complete(c.order))
		if c.refusal == "" {
			require.NoError(t, err, name)
			continue
		}
		require.True(t, apierr.Is(err, apierr.BillingAccountInvalid), name)
		require.Equal(t, "Billing account is missing or invalid: "+c.refusal, apierr.From(err).Reason, name)
	}
}

func TestQuotaThatNobodyKnowsHowToBillIsNoTrial(t *testing.T) {
	t.Parallel()
	o, state, _ := withService(t)
	state.SetAllowed("none", emulated.Quota{Product: "RHOSAK", BillingModel: "barter", Allowed: 5})
	who := of("ann", "none")
	standing, err := o.provider.Standing(t.Context(), who)
	require.NoError(t, err)
	_, err = standing.InstanceType()
	require.ErrorContains(t, err, "not known here")
	state.SetAllowed("none", emulated.Quota{Product: "RHOSAKCC", BillingModel: "standard", Allowed: 1})
	standing, err = o.provider.Standing(t.Context(), who)
	require.NoError(t, err)
	kind, err := standing.InstanceType()
	require.NoError(t, err)
	require.Equal(t, "standard", kind)
}

func TestOnlyAClearNoIsARefusal(t *testing.T) {
	t.Parallel()
	o, state, faults := withService(t)
	r := quota.Reservation{Key: "k1", Username: "ann-some", CloudProvider: "aws", Units: 1, Remote: quota.Remote{Product: "RHOSAK", Resource: "rhosak", BillingModel: "standard"}}
	for status, todo := range map[int]string{
		400: "ask support", 403: "ask support", 429: "try again later", 451: "ask support", 401: "", 500: "", 503: "",
	} {
		faults.Inject(emulator.Fault{Method: http.MethodPost, Mode: emulator.Before, Status: status, Times: 1})
		_, err := o.provider.Reserve(t.Context(), r)
		require.Error(t, err)
		require.Equal(t, todo != "", apierr.Is(err, apierr.InsufficientQuota), "%d: %v", status, err)
		require.Contains(t, apierr.From(err).Reason, todo)
	}
	_, err := o.provider.Reserve(t.Context(), r)
	require.NoError(t, err)
	require.Len(t, state.Subscriptions(), 1)
	faults.ClearJournal()
	r.Again = true
	_, err = o.provider.Reserve(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, faults.JournalOf(http.MethodPost, ""), "what may be there is looked for")

	for _, status := range []int{429, 500} {
		faults.Inject(emulator.Fault{Mode: emulator.Before, Status: status, Times: 1})
		_, err = o.provider.Standing(t.Context(), of("ann", "some"))
		require.Error(t, err)
		require.False(t, apierr.Is(err, apierr.InsufficientQuota))
		faults.Inject(emulator.Fault{Mode: emulator.Before, Status: status, Times: 1})
		_, err = o.provider.Release(t.Context(), r)
		require.Error(t, err)
	}
	faults.Inject(emulator.Fault{Mode: emulator.Before, Status: 429, Times: 1})
	_, err = o.provider.Release(t.Context(), r)
	require.ErrorIs(t, err, ocm.ErrThrottled)
	require.Len(t, state.Subscriptions(), 1)
}

// Where the quota of a billing model is used up, only the service can say so.
func TestWhatTheServiceRefusesNamesAnotherModel(t *testing.T) {
	t.Parallel()
	o, state, _ := withService(t)
	const used = "Insufficient quota: the organisation's quota for the instance is used up, delete an instance or have the quota raised"
	for name, c := range map[string]struct {
		org   string
		model string
		want  string
	}{
		"there is another": {"both", "standard", used + ", or name as billing_model eval"},
		"there is none":    {"some", "standard", used},
	} {
		state.Reserve(emulated.Subscription{ClusterID: "old-" + c.org, Product: "RHOSAK", BillingModel: "standard", Count: 2, Creator: "ann-" + c.org})
		_, err := o.order(of("ann", c.org), quota.Request{BillingModel: c.model})
		require.True(t, apierr.Is(err, apierr.InsufficientQuota), "%s: %v", name, err)
		require.Equal(t, c.want, apierr.From(err).Reason, name)
	}
}

func TestAMarketplaceAloneIsToldItsAccounts(t *testing.T) {
	t.Parallel()
	const text = "Billing account is missing or invalid: no billing account was given for marketplace aws, name it as billing_cloud_account_id"
	for want, accounts := range map[string][]emulated.CloudAccount{text: nil, text + ": 1 (aws), 2 (rhm)": {aws, rhm, azure}} {
		o, state, _ := withService(t)
		state.SetAllowed("none", emulated.Quota{Product: "RHOSAK", BillingModel: "marketplace", Allowed: 1})
		state.SetCloudAccounts("none", accounts...)
		standing, err := o.provider.Standing(t.Context(), of("ann", "none"))
		require.NoError(t, err)
		err = standing.ValidateBillingAccount(quota.Request{InstanceType: "standard", Marketplace: "aws"})
		require.True(t, apierr.Is(err, apierr.BillingAccountInvalid))
		require.EqualError(t, err, want)
	}
}
