package compat

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// javaAgent is what the operator's SDK calls itself.
const javaAgent = "OpenAPI-Generator/1.0.0/java"

// TestTheOperatorListsForever: one operator per name space lists on a timer, reads one
// instance for a connection, and makes an account at the SSO.
func TestTheOperatorListsForever(t *testing.T) {
	t.Parallel()
	h := newWorld(t, harness.Replicas(2))
	sso := ssoOf(t, h)
	token := exchange(sso, cloudClient, offlineToken(t, h, harness.Alice))
	operator := &sdk.Client{Base: h.Origin(), HTTP: newHTTP(t), Agent: javaAgent, Token: token}
	made := h.As(harness.Alice).CreateKafka("one")
	var seen []string
	h.Until("a bootstrap host for the connection", func() (bool, string) {
		list, _, err := operator.ListKafkas(t.Context())
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
		status := list.Items[0].Status
		if len(seen) == 0 || seen[len(seen)-1] != status {
			seen = append(seen, status)
		}
		return status == "ready", status
	})
	require.Subset(t, []string{"accepted", "preparing", "provisioning", "ready"}, seen)
	connection, err := operator.GetKafka(t.Context(), made.ID)
	require.NoError(t, err)
	require.NotEmpty(t, connection.BootstrapServerHost)

	// One that remembers what it got is spared the body, by any replica.
	_, first, err := operator.ListKafkas(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, first.Header.Get("ETag"))
	for range 2 {
		again, err := operator.Raw(t.Context(), http.MethodGet, kafkasPath, nil, nil)
		require.NoError(t, err)
		require.Equal(t, first.Header.Get("ETag"), again.Header.Get("ETag"))
	}
	patient := *operator
	patient.Header = http.Header{"If-None-Match": {first.Header.Get("ETag")}}
	for range 2 {
		again, err := patient.Raw(t.Context(), http.MethodGet, kafkasPath, nil, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNotModified, again.Status)
		require.Empty(t, again.Body)
	}

	door := &sdk.Client{Base: sso.URL, HTTP: operator.HTTP, Agent: javaAgent, Token: token}
	account, err := door.CreateAccount(t.Context(), "operator", "")
	require.NoError(t, err)
	h.Hide("a secret", account.Secret)
	require.NoError(t, door.DeleteAccount(t.Context(), account.ID))
}
