package compat

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestRhoasLivesWithAnInstance(t *testing.T) {
	t.Parallel()
	h := newWorld(t, harness.Replicas(2))
	r := newRhoas(t, h, harness.Alice)
	require.Equal(t, harness.Alice, r.whoami())
	names, err := r.list("1", "10", "")
	require.NoError(t, err)
	require.Empty(t, names, "the tool says that there is none")

	made, err := r.create(wish{name: "one", bypass: true})
	require.NoError(t, err)
	require.Equal(t, "accepted", made.Status)
	require.Nil(t, made.ClusterID)
	ended := r.wait(made.ID)
	require.Equal(t, "ready", ended.Status)
	require.NotEmpty(t, ended.BootstrapServerHost)
	require.NotEmpty(t, ended.AdminAPIServerURL, "topics are managed there")

	found, err := r.byName("one")
	require.NoError(t, err)
	require.Equal(t, made.ID, found.ID)
	names, err = r.list("1", "10", "")
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, names)

	changed, err := r.update(made.ID, map[string]any{"reauthentication_enabled": false})
	require.NoError(t, err)
	require.False(t, changed.ReauthenticationEnabled)
	require.Equal(t, harness.Alice, changed.Owner)
	changed, err = r.update(made.ID, map[string]any{"owner": harness.Bob})
	require.NoError(t, err)
	require.Equal(t, harness.Bob, changed.Owner)

	require.NoError(t, newRhoas(t, h, harness.Bob).delete("one"))
	h.WaitGone(made.ID)
	_, err = r.byID(made.ID)
	require.ErrorIs(t, err, errNotFound)
	require.ErrorIs(t, r.delete("one"), errNotFound)
	require.NoError(t, r.sso.Logout(t.Context(), cliClient, r.refresh))
	_, err = r.sso.Grant(t.Context(), "grant_type", "refresh_token", "client_id", cliClient, "refresh_token", r.refresh)
	require.Error(t, err, "it has logged out")
}

func TestRhoasSearches(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	for _, name := range []string{"orders", "orders-2", "invoices"} {
		h.As(harness.Alice).CreateKafka(name)
	}
	r := newRhoas(t, h, harness.Bob)
	for search, wanted := range map[string][]string{
		"order": {"orders", "orders-2"}, "alice": {"invoices", "orders", "orders-2"}, "us-east": {"invoices", "orders", "orders-2"},
		"nothing-like-it": nil, "100%": nil, "o_d": {"orders", "orders-2"},
	} {
		names, err := r.list("1", "10", search)
		require.NoError(t, err, search)
		require.Equal(t, wanted, names, search)
	}
	names, err := r.list("2", "2", "")
	require.NoError(t, err)
	require.Equal(t, []string{"orders-2"}, names, "the last page")
	found, err := r.byName("orders")
	require.NoError(t, err)
	require.Equal(t, "orders", found.Name, "only the exact name")
	_, err = r.byName("order")
	require.ErrorIs(t, err, errNotFound)
}

// TestRhoasKnowsWhyAnOrderIsRefused: the tool looks at the code and nothing else.
func TestRhoasKnowsWhyAnOrderIsRefused(t *testing.T) {
	t.Parallel()
	h := newWorld(t, harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 2}), harness.Providers(`
supported_providers:
- name: aws
  default: true
  regions:
  - {name: us-east-1, default: true, supported_instance_type: {standard: {}, developer: {}}}
  - {name: eu-west-1, supported_instance_type: {developer: {}}}
`))
	r := newRhoas(t, h, harness.Alice)
	_, err := r.create(wish{name: "taken", bypass: true})
	require.NoError(t, err)
	for words, w := range map[string]wish{
		"name taken":                {name: "taken"},
		"size not supported":        {name: "one", size: "x9"},
		"billing account not valid": {name: "one", marketplace: "aws"},
		"no quota":                  {name: "one", marketplace: "aws", account: "1234"},
		"type not supported there":  {name: "one", region: "eu-west-1"},
	} {
		w.bypass = true
		_, err := r.create(w)
		require.EqualError(t, err, words, "%+v", w)
	}
	_, err = r.create(wish{name: "last", bypass: true})
	require.NoError(t, err)
	_, err = r.create(wish{name: "one", bypass: true})
	require.EqualError(t, err, "no room")
	require.Len(t, createWords, 6, "each was seen")
	_, err = r.create(wish{name: strings.Repeat("x", 40), bypass: true})
	require.ErrorContains(t, err, "KAFKAS-MGMT-34", "others are printed as they come")
}

func TestRhoasPrintsReasons(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	made := h.As(harness.Alice).CreateKafka("one")
	bob := newRhoas(t, h, harness.Bob)
	_, err := bob.update(made.ID, map[string]any{"owner": harness.Bob})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "403", "a reason and not a status line")
	require.Greater(t, len(strings.Fields(err.Error())), 3, "a sentence for people: %s", err)
	_, err = newRhoas(t, h, harness.Mallory).byID(made.ID)
	require.ErrorIs(t, err, errNotFound)
	_, err = newRhoas(t, h, harness.Alice).byID("no-such-id")
	require.ErrorIs(t, err, errNotFound)
	_, err = newRhoas(t, h, harness.Nora).byID(made.ID)
	require.ErrorContains(t, err, "KAFKAS-MGMT-15", "typed although it comes before all handlers")
}

// TestRhoasMeetsQuotaOfAccountsManagement: what the tool reads there before it orders
// is what the order is judged by.
func TestRhoasMeetsQuotaOfAccountsManagement(t *testing.T) {
	t.Parallel()
	h := newWorld(t, harness.AccountsQuota())
	r := newRhoas(t, h, harness.Dave)
	r.begin()
	used := func() (consumed int32) {
		me, err := r.api.CurrentAccount(t.Context())
		require.NoError(t, err)
		quotas, err := r.api.QuotaCost(t.Context(), me.Organisation.ID)
		require.NoError(t, err)
		return quotas[0].Consumed
	}
	require.Zero(t, used())
	made, err := r.create(wish{name: "one", size: "x1", bypass: true})
	require.NoError(t, err)
	require.EqualValues(t, 1, used())
	_, err = r.create(wish{name: "two", size: "x1", billing: "standard", bypass: true})
	require.EqualError(t, err, "no quota")
	require.Equal(t, "ready", r.wait(made.ID).Status)
	require.NoError(t, r.delete("one"))
	h.WaitGone(made.ID)
	require.Zero(t, used())
}
