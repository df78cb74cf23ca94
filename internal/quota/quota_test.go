package quota_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
)

const list = `
registered_service_accounts:
- username: bot
- username: bot-many
  max_allowed_instances: 4
- username: tester
  granted_quota: [{instance_type_id: Developer}]
- username: twin # listed twice: the first one counts
  max_allowed_instances: 2
- username: twin
  max_allowed_instances: 9
- username: outsider # of an organisation where only others are registered
  granted_quota: [{instance_type_id: standard, kafka_billing_models: [{id: eval}]}]
registered_users_per_organisation:
- id: "open"
  any_user: true
  max_allowed_instances: 7
  granted_quota:
  - instance_type_id: STANDARD
    kafka_billing_models:
    - {id: eval, max_allowed_instances: 3, expiration_date: 2030-01-01 +01:00}
    - {id: Marketplace}
  - instance_type_id: standard # the second grant of a type does not count
    kafka_billing_models: [{id: enterprise, max_allowed_instances: 50}]
- id: 1001
  any_user: true # without meaning as soon as users are listed
  registered_users:
  - username: ann
  - username: own
    max_allowed_instances: 6
    granted_quota: [{instance_type_id: standard, kafka_billing_models: [{id: eval}, {id: standard, max_allowed_instances: 5}]}]
- id: nobody
  any_user: false
- id: owners
  any_user: true
  granted_quota: [{instance_type_id: standard, kafka_billing_models: [{id: enterprise}]}]
- id: guests # who have a cluster of their own besides
  any_user: true
  granted_quota: [{instance_type_id: standard, kafka_billing_models: [{id: Enterprise}, {id: eval}]}]
- id: past
  any_user: true
  granted_quota: [{instance_type_id: standard, kafka_billing_models: [{id: standard, expiration_date: "2020-01-01 +00:00"}]}]
`

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func rules(t *testing.T, change func(*quota.Config)) quota.Rules {
	t.Helper()
	var files catalog.Config
	files.Flags(pflag.NewFlagSet("", pflag.ContinueOnError))
	cat, err := catalog.Load(files)
	require.NoError(t, err)
	config := usual()
	config.EnforceLimits = true
	if change != nil {
		change(&config)
	}
	parsed, err := quota.Parse("list.yaml", []byte(list))
	require.NoError(t, err)
	return quota.Rules{List: parsed, Catalog: cat, Config: config}
}

func usual() (c quota.Config) {
	c.Flags(pflag.NewFlagSet("", pflag.ContinueOnError))
	return c
}

func account(user, org string) quota.Account { return quota.Account{Username: user, OrgID: org} }

func TestInstanceTypeFor(t *testing.T) {
	t.Parallel()
	r := rules(t, nil)
	for name, c := range map[string]struct {
		who  quota.Account
		want string
	}{
		"nobody knows":                      {account("x", "y"), "developer"},
		"no organisation":                   {account("x", ""), "developer"},
		"listed account":                    {account("bot", "y"), "standard"},
		"names compare exactly":             {account("Bot", "y"), "developer"},
		"listed account, trial only":        {account("tester", "y"), "developer"},
		"any user of an open organisation":  {account("x", "open"), "standard"},
		"registered user":                   {account("ann", "1001"), "standard"},
		"unregistered user":                 {account("x", "1001"), "developer"},
		"organisation without users":        {account("x", "nobody"), "developer"},
		"account of a foreign organisation": {account("outsider", "1001"), "standard"},
		"an expired grant keeps the type":   {account("x", "past"), "standard"},
		"user with a grant of their own":    {account("own", "1001"), "standard"},
	} {
		require.Equal(t, c.want, r.InstanceTypeFor(c.who), name)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	const byOrg, byOwner = quota.ByOrganisation, quota.ByOwner
	r := rules(t, nil)
	for name, c := range map[string]struct {
		who                      quota.Account
		kind, model, marketplace string
		want                     quota.Grant
		code                     apierr.Code
	}{
		"account, default limit":                 {account("bot", ""), "standard", "", "", quota.Grant{BillingModel: "standard", Scope: byOwner, Limit: 1}, 0},
		"account, own limit":                     {account("bot-many", ""), "standard", "", "", quota.Grant{BillingModel: "standard", Scope: byOwner, Limit: 4}, 0},
		"first account wins":                     {account("twin", ""), "standard", "", "", quota.Grant{BillingModel: "standard", Scope: byOwner, Limit: 2}, 0},
		"organisation, default limit":            {account("ann", "1001"), "standard", "", "", quota.Grant{BillingModel: "standard", Scope: byOrg, Limit: 1}, 0},
		"first model without standard":           {account("x", "open"), "standard", "", "", quota.Grant{BillingModel: "eval", Scope: byOrg, Limit: 3}, 0},
		"not a cluster of one's own":             {account("x", "owners"), "standard", "", "", quota.Grant{}, apierr.InsufficientQuota},
		"what comes after it":                    {account("x", "guests"), "standard", "", "", quota.Grant{BillingModel: "eval", Scope: byOrg, Limit: 1}, 0},
		"asked for, limit of the organisation":   {account("x", "open"), "standard", "MARKETPLACE", "", quota.Grant{BillingModel: "marketplace", Scope: byOrg, Limit: 7}, 0},
		"marketplace with its model":             {account("x", "open"), "standard", "marketplace", "aws", quota.Grant{BillingModel: "marketplace", Scope: byOrg, Limit: 7}, 0},
		"marketplace without a model":            {account("x", "open"), "standard", "", "aws", quota.Grant{}, apierr.InsufficientQuota},
		"exists but is not granted":              {account("ann", "1001"), "standard", "eval", "", quota.Grant{BillingModel: "eval", Scope: byOrg, Limit: 0}, 0},
		"second grant of a type":                 {account("x", "open"), "standard", "enterprise", "", quota.Grant{BillingModel: "enterprise", Scope: byOrg, Limit: 0}, 0},
		"does not exist":                         {account("ann", "1001"), "standard", "gold", "", quota.Grant{}, apierr.InsufficientQuota},
		"expired":                                {account("x", "past"), "standard", "", "", quota.Grant{BillingModel: "standard", Scope: byOrg, Limit: 0}, 0},
		"standard is preferred, grant of a user": {account("own", "1001"), "standard", "", "", quota.Grant{BillingModel: "standard", Scope: byOwner, Limit: 5}, 0},
		"limit of the user":                      {account("own", "1001"), "standard", "eval", "", quota.Grant{BillingModel: "eval", Scope: byOwner, Limit: 6}, 0},
		"account beats a foreign organisation":   {account("outsider", "1001"), "standard", "", "", quota.Grant{BillingModel: "eval", Scope: byOwner, Limit: 1}, 0},
		"unlisted, trial":                        {account("x", "y"), "developer", "", "", quota.Grant{BillingModel: "standard", Scope: byOwner, Limit: 1}, 0},
		"unlisted, trial, marketplace is moot":   {account("x", "y"), "developer", "", "aws", quota.Grant{BillingModel: "standard", Scope: byOwner, Limit: 1}, 0},
		"unlisted, trial, other model":           {account("x", "y"), "developer", "eval", "", quota.Grant{}, apierr.InsufficientQuota},
		"unlisted, standard":                     {account("x", "y"), "standard", "", "", quota.Grant{}, apierr.InsufficientQuota},
		"unlisted, standard, model given":        {account("x", "y"), "standard", "standard", "", quota.Grant{}, apierr.InsufficientQuota},
		"listed, trial":                          {account("tester", "y"), "developer", "", "", quota.Grant{}, apierr.InsufficientQuota},
	} {
		got, err := r.Resolve(quota.Request{Account: c.who, InstanceType: c.kind, BillingModel: c.model, Marketplace: c.marketplace}, now)
		if c.code != 0 {
			require.True(t, apierr.Is(err, c.code), "%s: %v", name, err)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, got.Limit == 0, got.WhyNone != "", name)
		got.WhyNone = "" // of which below
		c.want.InstanceType, c.want.QuotaType, c.want.Marketplace = c.kind, quota.ListType, c.marketplace
		require.Equal(t, c.want, got, name)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	r := rules(t, nil)
	for name, c := range map[string]struct {
		who                      quota.Account
		kind, model, marketplace string
		code                     apierr.Code
		want                     string
	}{
		"not granted to an organisation": {account("ann", "1001"), "standard", "eval", "", apierr.TooManyInstances,
			"billing model eval is not granted to this organisation, name as billing_model standard"},
		"not granted, and several are": {account("x", "open"), "standard", "standard", "", apierr.TooManyInstances,
			"billing model standard is not granted to this organisation, name as billing_model marketplace or eval"},
		"not granted to an account": {account("bot", ""), "standard", "eval", "", apierr.TooManyInstances,
			"billing model eval is not granted to this account, name as billing_model standard"},
		"expired, and nothing else": {account("x", "past"), "standard", "", "", apierr.TooManyInstances,
			"the quota of this organisation for billing model standard has expired, it must be granted first"},
		"used up": {account("bot-many", ""), "standard", "", "", apierr.TooManyInstances,
			"The limit of 4 streaming units for standard instances of the billing model standard is reached for this account: " +
				"100 are in use and 1 are asked for, delete an instance or have the limit raised"},
		"a marketplace without its model": {account("x", "open"), "standard", "", "aws", apierr.InsufficientQuota,
			"an order with a marketplace must name its billing model too, name as billing_model eval or marketplace"},
		"no such model": {account("x", "open"), "standard", "gold", "", apierr.InsufficientQuota,
			"the billing model does not exist for standard instances, name as billing_model standard, marketplace or eval"},
		"a trial has one": {account("x", "y"), "developer", "eval", "", apierr.InsufficientQuota,
			"the billing model does not exist for developer instances, name as billing_model standard"},
		"no trial beside quota": {account("tester", "y"), "developer", "", "", apierr.InsufficientQuota,
			"an account with quota of its own gets no trial instance, have it granted quota for other instances"},
		"nothing granted": {account("x", "y"), "standard", "", "", apierr.InsufficientQuota,
			"no billing model for standard instances is granted to this account, it must be granted first"},
		"nothing granted, model given": {account("x", "y"), "standard", "standard", "", apierr.InsufficientQuota,
			"no quota for standard instances is granted to this account, it must be granted first"},
	} {
		grant, err := r.Resolve(quota.Request{Account: c.who, InstanceType: c.kind, BillingModel: c.model, Marketplace: c.marketplace}, now)
		if err == nil {
			err = grant.Check(100, 1)
		}
		require.True(t, apierr.Is(err, c.code), "%s: %v", name, err)
		require.Equal(t, c.want, strings.TrimPrefix(apierr.From(err).Reason, "Insufficient quota: "), name)
	}
}

func TestGrantsExpireAtTheirInstant(t *testing.T) {
	t.Parallel()
	r := rules(t, nil)
	midnight := time.Date(2029, 12, 31, 23, 0, 0, 0, time.UTC) // of +01:00
	for at, want := range map[time.Time]int{midnight: 3, midnight.Add(time.Second): 0} {
		got, err := r.Resolve(quota.Request{Account: account("x", "open"), InstanceType: "standard"}, at)
		require.NoError(t, err)
		require.Equal(t, want, got.Limit, at)
	}
}

func TestWithoutLimitControlNothingIsCounted(t *testing.T) {
	t.Parallel()
	r := rules(t, func(c *quota.Config) { c.EnforceLimits = false })
	for _, request := range []quota.Request{
		{Account: account("x", "past"), InstanceType: "standard"},
		{Account: account("tester", ""), InstanceType: "developer"},
		{Account: account("ann", "1001"), InstanceType: "standard", BillingModel: "eval"},
	} {
		got, err := r.Resolve(request, now)
		require.NoError(t, err)
		require.True(t, got.Unlimited)
		require.NoError(t, got.Check(1000, 1000))
		require.NoError(t, r.ValidateBillingAccount(request))
	}
	_, err := r.Resolve(quota.Request{Account: account("x", ""), InstanceType: "standard"}, now)
	require.True(t, apierr.Is(err, apierr.InsufficientQuota), "a billing model is needed in any case")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind          string
		limit         int
		counted, size int
		full          bool
	}{
		"room":                      {"standard", 3, 1, 2, false},
		"too big for the room":      {"standard", 3, 2, 2, true},
		"nothing granted":           {"standard", 0, 0, 1, true},
		"first trial of any size":   {"developer", 1, 0, 2, false},
		"second trial":              {"developer", 1, 1, 1, true},
		"limit lowered below usage": {"standard", 1, 5, 1, true},
	} {
		err := quota.Grant{InstanceType: c.kind, BillingModel: "standard", Limit: c.limit, Scope: quota.ByOrganisation}.Check(c.counted, c.size)
		require.Equal(t, c.full, apierr.Is(err, apierr.TooManyInstances), name)
		require.Equal(t, c.full, err != nil, name)
	}
}

func TestCheckDeveloper(t *testing.T) {
	t.Parallel()
	c := usual()
	require.NoError(t, c.CheckDeveloper(0))
	require.True(t, apierr.Is(c.CheckDeveloper(1), apierr.CapacityReached))
	c.AllowDeveloper = false
	require.True(t, apierr.Is(c.CheckDeveloper(0), apierr.Forbidden))
}

func TestMistakesOfTheListAreTold(t *testing.T) {
	t.Parallel()
	_, err := quota.Parse("list.yaml", []byte(`
registered_service_accounts:
- max_allowed_instances: -1
registered_users_per_organisation:
- any_user: true
  registered_users: [{username: ""}]
  granted_quota:
  - kafka_billing_models:
    - max_allowed_instances: -2
`))
	require.EqualError(t, err, strings.Join([]string{
		"list.yaml:3: registered_service_accounts[0].username: is required",
		"list.yaml:3: registered_service_accounts[0].max_allowed_instances: must not be negative",
		"list.yaml:5: registered_users_per_organisation[0].id: is required",
		"list.yaml:8: registered_users_per_organisation[0].granted_quota[0].instance_type_id: is required",
		"list.yaml:9: registered_users_per_organisation[0].granted_quota[0].kafka_billing_models[0].id: is required",
		"list.yaml:9: registered_users_per_organisation[0].granted_quota[0].kafka_billing_models[0].max_allowed_instances: must not be negative",
		"list.yaml:6: registered_users_per_organisation[0].registered_users[0].username: is required",
	}, "\n"))
	_, err = quota.Parse("list.yaml", []byte("registered_service_accounts:\n- username: a\n  granted_quota: [{instance_type_id: standard, kafka_billing_models: [{id: a, expiration_date: 2026-01-01}]}]\n  quota: 3\n"))
	require.EqualError(t, err, "list.yaml:3: expected a date like 2030-12-31 +00:00, found `2026-01-01`\nlist.yaml:4: unknown key \"quota\"")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	base := rules(t, nil)
	config := usual()
	var logged strings.Builder
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	config.ListFile = ""
	live, err := quota.Open(config, base.Catalog, logger)
	require.NoError(t, err)
	require.Equal(t, "developer", live.Get().InstanceTypeFor(account("bot", "")))
	require.Contains(t, logged.String(), "missing or empty")

	config.ListFile = filepath.Join(t.TempDir(), "list.yaml")
	_, err = quota.Open(config, base.Catalog, logger)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(config.ListFile, []byte(list), 0o600))
	live, err = quota.Open(config, base.Catalog, logger)
	require.NoError(t, err)
	require.Equal(t, "standard", live.Get().InstanceTypeFor(account("bot", "")))
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, usual().Validate())
	require.EqualError(t, quota.Config{Type: "asm", MaxInstances: -1, MaxDeveloperInstances: -1}.Validate(), strings.Join([]string{
		`quota-type: "asm" is not known, use quota-management-list or ams`,
		"max-allowed-instances: must not be negative",
		"max-allowed-developer-instances: must not be negative",
	}, "\n"))
	require.ErrorContains(t, quota.Config{Type: "gold"}.Validate(), `"gold" is not known`)
}
