package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
)

// shipped is the catalogue that every installation starts with.
func shipped(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load(catalog.Config{InstanceTypesFile: catalog.DefaultInstanceTypesFile, ProvidersFile: catalog.DefaultProvidersFile})
	require.NoError(t, err)
	return c
}

// admit admits an order of somebody whose quota gives a type; the name "taken" is taken.
func admit(t *testing.T, instanceType string, r Request) (Admission, error) {
	t.Helper()
	return Admit(r, AdmitFacts{
		Catalog: shipped(t), InstanceType: func() (string, error) { return instanceType, nil },
		NameTaken:      func() (bool, error) { return r.Name == "taken", nil },
		BillingAccount: billingAccount,
	})
}

// billingAccount knows all accounts but 4321, and no marketplace rhm.
func billingAccount(a Admission) error {
	if a.BillingCloudAccountID == "" || a.BillingCloudAccountID == "4321" || a.Marketplace == "rhm" {
		return quota.NoBillingAccount(quota.Request{Marketplace: a.Marketplace}, "")
	}
	return nil
}

const ownCluster = "1sandbox0000000000000000000000c9"

// Each order below is also wrong in every way that is checked later, so the
// code proves the place of the check and not only its presence.
func TestTheFirstThingWrongDecides(t *testing.T) {
	t.Parallel()
	wrong := func(change func(*Request)) Request {
		r := Request{
			Async: "true", Name: "one", CloudProvider: "moon", Region: "sea", Plan: "nine.lives.more", BillingModel: "gold", Marketplace: "bazaar",
		}
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		order Request
		code  apierr.Code
	}{
		"no async":                     {wrong(func(r *Request) { r.Async, r.Name = "", strings.Repeat("X", 33) }), apierr.SyncUnsupported},
		"async in capitals":            {wrong(func(r *Request) { r.Async = "True" }), apierr.SyncUnsupported},
		"name too long":                {wrong(func(r *Request) { r.Name = strings.Repeat("X", 33) }), apierr.FieldTooLong},
		"name too long in bytes":       {wrong(func(r *Request) { r.Name = strings.Repeat("é", 17) }), apierr.FieldTooLong},
		"name absent":                  {wrong(func(r *Request) { r.Name = "" }), apierr.FieldTooShort},
		"name with capitals":           {wrong(func(r *Request) { r.Name = "One" }), apierr.NameMalformed},
		"name begins with a digit":     {wrong(func(r *Request) { r.Name = "1one" }), apierr.NameMalformed},
		"name ends with a dash":        {wrong(func(r *Request) { r.Name = "one-" }), apierr.NameMalformed},
		"name with a line break":       {wrong(func(r *Request) { r.Name = "one\n" }), apierr.NameMalformed},
		"name taken":                   {wrong(func(r *Request) { r.Name = "taken" }), apierr.NameTaken},
		"provider":                     {wrong(func(*Request) {}), apierr.ProviderUnsupported},
		"region":                       {wrong(func(r *Request) { r.CloudProvider = "aws" }), apierr.RegionUnsupported},
		"region of the default":        {wrong(func(r *Request) { r.CloudProvider = "" }), apierr.RegionUnsupported},
		"cluster id with an umlaut":    {wrong(func(r *Request) { r.ClusterID = "ä" + ownCluster[1:] }), apierr.ClusterIDMalformed},
		"cluster id with a dash":       {wrong(func(r *Request) { r.ClusterID = "-" + ownCluster[1:] }), apierr.ClusterIDMalformed},
		"plan before a cluster":        {wrong(func(r *Request) { r.ClusterID = ownCluster }), apierr.BadRequest},
		"size before a cluster":        {wrong(func(r *Request) { r.ClusterID, r.Plan = ownCluster, "standard.x7" }), apierr.PlanUnsupported},
		"model before a cluster":       {wrong(func(r *Request) { r.ClusterID, r.Plan = ownCluster, "standard.x1" }), apierr.BillingAccountInvalid},
		"marketplace before a cluster": {wrong(func(r *Request) { r.ClusterID, r.Plan, r.BillingModel = ownCluster, "", "Enterprise" }), apierr.BillingAccountInvalid},
		"account before a cluster":     {Request{Async: "true", Name: "one", ClusterID: ownCluster, BillingCloudAccountID: "4321"}, apierr.BillingAccountInvalid},
		"account, nothing else":        {Request{Async: "true", Name: "one", BillingCloudAccountID: "4321"}, apierr.BillingAccountInvalid},
		"account of another place":     {Request{Async: "true", Name: "one", BillingCloudAccountID: "1234", Marketplace: "rhm"}, apierr.BillingAccountInvalid},
		"cluster that is not there":    {Request{Async: "true", Name: "one", ClusterID: ownCluster, BillingModel: "enterprise"}, apierr.CapacityReached},
		"cluster, nothing else":        {Request{Async: "true", Name: "one", ClusterID: ownCluster}, apierr.CapacityReached},
		"cluster of another length":    {Request{Async: "true", Name: "one", ClusterID: "short"}, apierr.CapacityReached},
		"plan of another type":         {wrong(served("developer.x1", "gold")), apierr.BadRequest},
		"plan without a size":          {wrong(served("standard", "gold")), apierr.BadRequest},
		"plan with two dots":           {wrong(served("standard.x1.x2", "gold")), apierr.BadRequest},
		"plan in capitals":             {wrong(served("Standard.x1", "gold")), apierr.BadRequest},
		"plan without a type":          {wrong(served(".x1", "gold")), apierr.BadRequest},
		"size":                         {wrong(served("standard.x7", "gold")), apierr.PlanUnsupported},
		"empty size":                   {wrong(served("standard.", "gold")), apierr.PlanUnsupported},
		"billing model":                {wrong(served("standard.x1", "gold")), apierr.BadRequest},
		"enterprise without a cluster": {wrong(served("standard.x1", "ENTERPRISE")), apierr.BadRequest},
		"marketplace without account":  {wrong(served("standard.x1", "standard")), apierr.BillingAccountInvalid},
		"marketplace, nothing else":    {Request{Async: "true", Name: "one", Marketplace: "aws"}, apierr.BillingAccountInvalid},
		"percent signs are only text":  {wrong(func(r *Request) { r.CloudProvider = "%s%d" }), apierr.ProviderUnsupported},
	} {
		_, err := admit(t, catalog.Standard, c.order)
		require.Error(t, err, name)
		require.True(t, apierr.Is(err, c.code), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "%!", name)
	}
}

func TestWhatIsRefusedIsToldWithWhatIsNot(t *testing.T) {
	t.Parallel()
	for want, order := range map[string]Request{
		"name is too long: at most 32 bytes are allowed":                                                                               {Name: strings.Repeat("é", 17)},
		"name is missing: at least 1 character is required":                                                                            {},
		"provider moon is not supported, choose aws":                                                                                   {Name: "one", CloudProvider: "moon"},
		"region sea is not supported for aws, choose us-east-1":                                                                        {Name: "one", Region: "sea"},
		"plan developer.x1 cannot be ordered, choose standard.x1 or standard.x2":                                                       {Name: "one", Plan: "developer.x1"},
		"plan standard.x7 is not supported, choose standard.x1 or standard.x2":                                                         {Name: "one", Plan: "standard.x7"},
		"billing model gold is not supported for instance type standard, name standard, marketplace or eval":                           {Name: "one", BillingModel: "gold"},
		"Billing account is missing or invalid: no billing account was given for marketplace aws, name it as billing_cloud_account_id": {Name: "one", Marketplace: "aws"},
	} {
		order.Async = "true"
		_, err := admit(t, catalog.Standard, order)
		require.Error(t, err, want)
		require.Equal(t, want, apierr.From(err).Reason)
	}
}

// served is an order for a region that exists.
func served(plan, model string) func(*Request) {
	return func(r *Request) { r.CloudProvider, r.Region, r.Plan, r.BillingModel = "aws", "us-east-1", plan, model }
}

func TestTheNameIsAskedForOnlyWhenItIsWellFormed(t *testing.T) {
	t.Parallel()
	asked := 0
	facts := AdmitFacts{Catalog: shipped(t), NameTaken: func() (bool, error) { asked++; return false, errors.New("no answer") }}
	for _, name := range []string{"", "One", strings.Repeat("x", 33)} {
		_, err := Admit(Request{Async: "true", Name: name}, facts)
		require.Error(t, err)
	}
	require.Zero(t, asked)
	_, err := Admit(Request{Async: "true", Name: strings.Repeat("x", 32), CloudProvider: "moon"}, facts)
	require.EqualError(t, err, "no answer")
	require.Equal(t, 1, asked)
}

func TestWhatIsNotSaidIsFilledIn(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		kind   string
		order  Request
		size   string
		model  string
		multi  bool
		reauth bool
	}{
		"a name alone":        {catalog.Standard, Request{}, "x1", "", true, true},
		"a trial":             {catalog.Developer, Request{}, "x1", "", false, true},
		"null is not false":   {catalog.Standard, Request{ReauthenticationEnabled: nil}, "x1", "", true, true},
		"false is false":      {catalog.Standard, Request{ReauthenticationEnabled: &no}, "x1", "", true, false},
		"true is true":        {catalog.Standard, Request{ReauthenticationEnabled: &yes}, "x1", "", true, true},
		"the larger size":     {catalog.Standard, Request{Plan: "standard.x2"}, "x2", "", true, true},
		"a model in any case": {catalog.Standard, Request{BillingModel: "MarketPlace"}, "x1", "marketplace", true, true},
		"region alone":        {catalog.Standard, Request{Region: "us-east-1"}, "x1", "", true, true},
		"provider alone":      {catalog.Standard, Request{CloudProvider: "aws"}, "x1", "", true, true},
		"a marketplace with its account": {
			catalog.Standard, Request{Marketplace: "aws", BillingCloudAccountID: "1234"}, "x1", "", true, true,
		},
	} {
		c.order.Async, c.order.Name = "true", "one"
		a, err := admit(t, c.kind, c.order)
		require.NoError(t, err, name)
		require.Equal(t, []any{"one", "aws", "us-east-1"}, []any{a.Name, a.CloudProvider, a.Region}, name)
		require.Equal(t, []any{c.kind, c.size, c.model, c.multi, c.reauth}, []any{a.Type.ID, a.Size.ID, a.BillingModel, a.MultiAZ, a.ReauthenticationEnabled}, name)
		require.Equal(t, []string{c.order.Marketplace, c.order.BillingCloudAccountID}, []string{a.Marketplace, a.BillingCloudAccountID}, name)
		require.False(t, a.Limit.Limited, name)
	}
}

// These two are kept as they are given, and every list of the organisation shows them.
func TestWhatIsKeptAsGivenIsBounded(t *testing.T) {
	t.Parallel()
	most := strings.Repeat("é", 127) + "x"
	for name, c := range map[string]struct {
		account, marketplace string
		refused              bool
	}{
		"longest":                   {most, most, false},
		"account a byte longer":     {most + "x", "", true},
		"account of a megabyte":     {strings.Repeat("9", 1<<20), "", true},
		"marketplace a byte longer": {"1", most + "x", true},
	} {
		_, err := admit(t, catalog.Standard, Request{Async: "true", Name: "one", BillingCloudAccountID: c.account, Marketplace: c.marketplace})
		if !c.refused {
			require.NoError(t, err, name)
			continue
		}
		require.True(t, apierr.Is(err, apierr.BillingAccountInvalid), "%s: %v", name, err)
		require.Less(t, len(err.Error()), 300, name)
	}
}

func TestATypeThatIsNotOfferedHereIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "premium"} {
		_, err := admit(t, kind, Request{Async: "true", Name: "one", Plan: "standard.x7"})
		require.True(t, apierr.Is(err, apierr.InstanceTypeUnsupported), "%v", err)
		_, err = admit(t, kind, Request{Async: "true", Name: "one", ClusterID: ownCluster})
		require.True(t, apierr.Is(err, apierr.InstanceTypeUnsupported), "%v", err)
	}
}
