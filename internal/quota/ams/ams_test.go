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
		want                  want // zero: refused
	}{
		"standard comes first":                 {1, 1, []emulated.CloudAccount{aws}, quota.Request{}, want{"standard", "standard", "", ""}},
		"then the marketplace":                 {0, 1, []emulated.CloudAccount{aws}, quota.Request{}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"of the other kind":                    {0, 1, []emulated.CloudAccount{rhm}, quota.Request{}, want{"marketplace", "marketplace", "rhm", "2"}},
		"accounts that nobody knows aside":     {0, 1, []emulated.CloudAccount{other, aws}, quota.Request{}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"which of two is not for us to say":    {0, 1, []emulated.CloudAccount{aws, rhm}, quota.Request{}, want{}},
		"one that the type is not billed by":   {0, 1, []emulated.CloudAccount{azure}, quota.Request{}, want{}},
		"no account":                           {0, 1, nil, quota.Request{}, want{}},
		"the larger size needs more":           {1, 0, nil, quota.Request{Units: 2}, want{}},
		"and gets it":                          {1, 2, []emulated.CloudAccount{aws}, quota.Request{Units: 2}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"one way of billing needs no look":     {0, 0, nil, quota.Request{BillingModel: "standard"}, want{"standard", "standard", "", ""}},
		"nor has it a marketplace":             {1, 1, all, quota.Request{BillingModel: "standard", Marketplace: "aws", BillingAccount: "1"}, want{}},
		"asked for":                            {5, 1, []emulated.CloudAccount{aws}, quota.Request{BillingModel: "marketplace"}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"asked for and used up":                {5, 0, []emulated.CloudAccount{aws}, quota.Request{BillingModel: "marketplace"}, want{}},
		"asked for with its marketplace":       {0, 0, all, quota.Request{BillingModel: "marketplace", Marketplace: "rhm", BillingAccount: "2"}, want{"marketplace", "marketplace-rhm", "rhm", "2"}},
		"asked for with one that is not there": {5, 5, all, quota.Request{BillingModel: "marketplace", Marketplace: "moon", BillingAccount: "4"}, want{}},
		"asked for with an account":            {0, 1, all, quota.Request{BillingModel: "marketplace", BillingAccount: "2"}, want{"marketplace", "marketplace", "rhm", "2"}},
		"an account":                           {5, 1, all, quota.Request{BillingAccount: "1"}, want{"marketplace", "marketplace-aws", "aws", "1"}},
		"an account at its marketplace":        {5, 1, append(all, twice), quota.Request{BillingAccount: "1", Marketplace: "rhm"}, want{"marketplace", "marketplace", "rhm", "1"}},
		"an account without quota":             {5, 0, all, quota.Request{BillingAccount: "1"}, want{}},
		"an account of others":                 {5, 5, all, quota.Request{BillingAccount: "9"}, want{}},
		"an account that nothing is billed by": {5, 5, all, quota.Request{BillingAccount: "3"}, want{}},
		"a marketplace alone":                  {5, 5, nil, quota.Request{Marketplace: "aws"}, want{}},
		"no such model":                        {5, 5, all, quota.Request{BillingModel: "gold"}, want{}},
		"another cloud, by rhm":                {0, 1, all, quota.Request{CloudProvider: "gcp", BillingModel: "marketplace", Marketplace: "rhm", BillingAccount: "2"}, want{"marketplace", "marketplace", "rhm", "2"}},
		"another cloud, by aws":                {0, 1, all, quota.Request{CloudProvider: "gcp", BillingAccount: "1"}, want{}},
	} {
		c.order.InstanceType = "standard"
		if c.order.Units == 0 {
			c.order.Units = 1
		}
		if c.order.CloudProvider == "" {
			c.order.CloudProvider = "aws"
		}
		got, err := customer(t, c.standard, c.marketplace, c.accounts...).Resolve(c.order, time.Now())
		if c.want == (want{}) {
			require.True(t, apierr.Is(err, apierr.InsufficientQuota), "%s: %v", name, err)
			continue
		}
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

func TestValidateBillingAccount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		accounts []emulated.CloudAccount
		order    quota.Request
		good     bool
	}{
		"its own":                   {[]emulated.CloudAccount{aws, rhm}, quota.Request{BillingAccount: "1"}, true},
		"its own, at its place":     {[]emulated.CloudAccount{aws, rhm}, quota.Request{BillingAccount: "1", Marketplace: "aws"}, true},
		"at another place":          {[]emulated.CloudAccount{aws, rhm}, quota.Request{BillingAccount: "1", Marketplace: "rhm"}, false},
		"somebody's":                {[]emulated.CloudAccount{aws, rhm}, quota.Request{BillingAccount: "9"}, false},
		"none":                      {nil, quota.Request{BillingAccount: "1"}, false},
		"two of one id":             {[]emulated.CloudAccount{aws, twice}, quota.Request{BillingAccount: "1"}, false},
		"two of one id, and which":  {[]emulated.CloudAccount{aws, twice}, quota.Request{BillingAccount: "1", Marketplace: "rhm"}, true},
		"for a model with accounts": {[]emulated.CloudAccount{aws}, quota.Request{BillingAccount: "1", BillingModel: "marketplace"}, true},
		"for a model without":       {[]emulated.CloudAccount{aws}, quota.Request{BillingAccount: "1", BillingModel: "enterprise"}, false},
	} {
		c.order.InstanceType = "standard"
		err := customer(t, 1, 1, c.accounts...).ValidateBillingAccount(c.order)
		require.Equal(t, c.good, err == nil, "%s: %v", name, err)
		require.True(t, err == nil || apierr.Is(err, apierr.BillingAccountInvalid), name)
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
	for status, refused := range map[int]bool{400: true, 403: true, 429: true, 451: true, 401: false, 500: false, 503: false} {
		faults.Inject(emulator.Fault{Method: http.MethodPost, Mode: emulator.Before, Status: status, Times: 1})
		_, err := o.provider.Reserve(t.Context(), r)
		require.Error(t, err)
		require.Equal(t, refused, apierr.Is(err, apierr.InsufficientQuota), "%d: %v", status, err)
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
