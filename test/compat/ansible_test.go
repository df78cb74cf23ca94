package compat

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestAnsiblePlaysABook: the modules of the collection in the order of a usual play.
// Each is a process of its own that exchanges the offline token first.
func TestAnsiblePlaysABook(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	offline, sso := offlineToken(t, h, harness.Alice), ssoOf(t, h)
	module := func(base string) *sdk.Client {
		return &sdk.Client{
			Base: base, HTTP: newHTTP(t), Agent: "OpenAPI-Generator/1.0.0/python", Token: exchange(sso, cloudClient, offline),
			Header: http.Header{"Accept-Encoding": {"identity"}},
		}
	}
	origin := h.Origin()
	made, err := module(origin).CreateKafka(t.Context(), sdk.Order{
		"name": "one", "cloud_provider": "aws", "region": "us-east-1", "plan": "standard.x1", "billing_model": "standard",
		"reauthentication_enabled": true,
	})
	require.NoError(t, err)
	waiting := module(origin)
	var ready sdk.Kafka
	h.Until("the play's instance", func() (bool, string) {
		ready, err = waiting.GetKafka(t.Context(), made.ID)
		require.NoError(t, err)
		return ready.Status == "ready", ready.Status
	})
	require.NotEmpty(t, ready.AdminAPIServerURL, "the modules for topics and access rules call it next")
	list, _, err := module(origin).ListKafkas(t.Context())
	require.NoError(t, err)
	require.Equal(t, made.ID, list.Items[0].ID)

	account, err := module(sso.URL).CreateAccount(t.Context(), "play", "Of a play.")
	require.NoError(t, err)
	h.Hide("a secret", account.Secret)
	require.NoError(t, module(sso.URL).DeleteAccount(t.Context(), account.ID))
	require.NoError(t, module(origin).DeleteKafka(t.Context(), made.ID))
	h.WaitGone(made.ID)
}
