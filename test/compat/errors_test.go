package compat

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestEveryRefusalIsTyped: what the programs can be refused, they can tell apart by
// its code. A status that an operation does not declare would leave them a status line.
func TestEveryRefusalIsTyped(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	made := h.As(harness.Alice).CreateKafka("one")
	origin, sso := h.Origin(), ssoOf(t, h)
	as := func(user string) *sdk.Client {
		return &sdk.Client{Base: origin, HTTP: newHTTP(t), Agent: goAgent, Token: exchange(sso, cliClient, offlineToken(t, h, user))}
	}
	alice, bob, dave, eve, nora, mallory := as(harness.Alice), as(harness.Bob), as(harness.Dave), as(harness.Eve), as(harness.Nora), as(harness.Mallory)
	nobody := &sdk.Client{Base: origin, HTTP: newHTTP(t)}
	create := func(c *sdk.Client, order sdk.Order) func() error {
		return func() error { _, err := c.CreateKafka(t.Context(), order); return err }
	}
	list := func(c *sdk.Client, pairs ...string) func() error {
		return func() error { _, _, err := c.ListKafkas(t.Context(), pairs...); return err }
	}
	get := func(c *sdk.Client, id string) func() error {
		return func() error { _, err := c.GetKafka(t.Context(), id); return err }
	}
	update := func(c *sdk.Client, id string, changes map[string]any) func() error {
		return func() error { _, err := c.UpdateKafka(t.Context(), id, changes); return err }
	}
	remove := func(c *sdk.Client, id string) func() error {
		return func() error { return c.DeleteKafka(t.Context(), id) }
	}
	_, err := dave.CreateKafka(t.Context(), sdk.Order{"name": "daves"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		code string
		call func() error
	}{
		"create, no name":          {"33", create(alice, sdk.Order{"cluster_id": ""})},
		"create, wrong type":       {"17", create(alice, sdk.Order{"name": 1})},
		"create, bad name":         {"32", create(alice, sdk.Order{"name": "One"})},
		"create, other plan":       {"21", create(alice, sdk.Order{"name": "two", "plan": "developer.x1"})},
		"create, no such provider": {"30", create(alice, sdk.Order{"name": "two", "cloud_provider": "moon"})},
		"create, over the limit":   {"5", create(dave, sdk.Order{"name": "more"})},
		"create, name taken":       {"36", create(bob, sdk.Order{"name": "one"})},
		"create, denied":           {"4", create(eve, sdk.Order{"name": "two"})},
		"create, no token":         {"15", create(nobody, sdk.Order{"name": "two"})},
		"list, bad search":         {"23", list(alice, "search", "nothing")},
		"list, bad page":           {"17", list(alice, "page", "-1")},
		"list, bad order":          {"17", list(alice, "orderBy", "colour")},
		"list, no organisation":    {"15", list(nora)},
		"list, denied":             {"4", list(eve)},
		"get, absent":              {"7", get(alice, "absent")},
		"get, of others":           {"7", get(mallory, made.ID)},
		"get, denied":              {"4", get(eve, made.ID)},
		"get, no token":            {"15", get(nobody, made.ID)},
		"update, of a colleague":   {"11", update(bob, made.ID, map[string]any{"reauthentication_enabled": true})},
		"update, absent":           {"7", update(alice, "absent", map[string]any{})},
		"update, unknown owner":    {"21", update(alice, made.ID, map[string]any{"owner": "nobody-we-know"})},
		"update, empty owner":      {"33", update(alice, made.ID, map[string]any{"owner": ""})},
		"delete, of a colleague":   {"7", remove(bob, made.ID)},
		"delete, absent":           {"7", remove(alice, "absent")},
		"delete, no token":         {"15", remove(nobody, made.ID)},
	} {
		err := c.call()
		require.Error(t, err, name)
		require.False(t, sdk.Lost(err), "%s: the programs see only %v", name, err)
		fault := sdk.FaultOf(err)
		require.Equal(t, "KAFKAS-MGMT-"+c.code, fault.Code, "%s: %s", name, fault.Reason)
		require.Equal(t, "Error", fault.Kind, name)
		require.Equal(t, c.code, fault.ID, name)
		require.Equal(t, "/api/kafkas_mgmt/v1/errors/"+c.code, fault.Href, name)
		require.NotEmpty(t, fault.Reason, name)
		require.NotEmpty(t, fault.OperationID, name)
	}
}

// TestATrialCanBeRead: the one kind of instance with an end, and one without zones.
func TestATrialCanBeRead(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	p := newTerraform(t, h, harness.Mallory)
	made, err := p.create(sdk.Order{"name": "trial", "plan": "developer.x1", "cluster_id": ""})
	require.NoError(t, err)
	require.NotNil(t, made.ExpiresAt)
	require.True(t, made.ExpiresAt.After(made.CreatedAt))
	require.False(t, made.MultiAZ)
	standard, err := newTerraform(t, h, harness.Alice).create(sdk.Order{"name": "one"})
	require.NoError(t, err)
	require.Nil(t, standard.ExpiresAt)
	require.True(t, standard.MultiAZ)
}
