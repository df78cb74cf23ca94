package sso_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

func TestServiceAccountAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const api = "/auth/realms/redhat-external/apis/service_accounts/v1"
	as := func(user, method, path, body string) (int, map[string]any) {
		token, err := w.sso.UserToken(user)
		require.NoError(t, err)
		status, raw := w.raw(method, api+path, "Bearer "+token, "application/json", body)
		out := map[string]any{}
		_ = json.Unmarshal(raw, &out)
		return status, out
	}
	status, made := as("alice", "POST", "", `{"name":"mine"}`)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "alice", made["createdBy"])
	require.IsType(t, float64(0), made["createdAt"])
	id, clientID := text(w, made["id"]), text(w, made["clientId"])
	status, body := w.token(people, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {text(w, made["secret"])},
	})
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "1", w.claims(people, text(w, body["access_token"]))["rh-org-id"])

	status, read := as("bob", "GET", "/"+id, "")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, read, "secret")
	for _, c := range []struct {
		user, method, path string
		status             int
		code               string
	}{
		{"bob", "DELETE", "/" + id, 403, "service_account_access_invalid"},
		{"bob", "POST", "/" + id + "/resetSecret", 403, "service_account_access_invalid"},
		{"mallory", "GET", "/" + id, 404, "service_account_not_found"},
		{"mallory", "DELETE", "/" + id, 404, "service_account_not_found"},
		{"nora", "GET", "", 403, "service_account_access_invalid"},
		{"alice", "GET", "?max=0", 400, "invalid_request"},
	} {
		status, body := as(c.user, c.method, c.path, "")
		require.Equal(t, c.status, status, c)
		require.Equal(t, c.code, body["error"])
	}
	status, renewed := as("carol", "POST", "/"+id+"/resetSecret", "")
	require.Equal(t, http.StatusOK, status)
	require.NotEqual(t, made["secret"], renewed["secret"])

	for range 49 {
		status, _ = as("bob", "POST", "", `{"name":"more","description":"one"}`)
		require.Equal(t, http.StatusCreated, status)
	}
	status, body = as("bob", "POST", "", `{"name":"too-many"}`)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "service_account_limit_exceeded", body["error"])
	token, err := w.sso.UserToken("alice")
	require.NoError(t, err)
	_, raw := w.raw("GET", api+"?first=10&max=100", "Bearer "+token, "", "")
	var listed []map[string]any
	require.NoError(t, json.Unmarshal(raw, &listed))
	require.Len(t, listed, 40)
	status, _ = as("alice", "DELETE", "/"+id, "")
	require.Equal(t, http.StatusNoContent, status)
	status, _ = as("alice", "GET", "/"+id, "")
	require.Equal(t, http.StatusNotFound, status)
}

// TestOneStoreOfAccounts: an account that a person makes is a client of the realm
// which administrators see, through either layout of the path, and no other client
// of the organisation is an account.
func TestOneStoreOfAccounts(t *testing.T) {
	t.Parallel()
	service, err := sso.New(sso.Options{
		AccountRealm: robots, AccountLimit: 1, Unlimited: []string{"2"},
		Users: []sso.User{{Username: "alice", OrgID: "1", AccountID: "a"}},
		Clients: []sso.Client{
			{Realm: robots, ClientID: "canary-k1", ServiceAccount: true, Attributes: map[string]string{"rh-org-id": "1"}},
			{Realm: people, ClientID: "program", Secret: "s", ServiceAccount: true, Scopes: []string{"api.iam.service_accounts"}, Claims: map[string]string{"rh-org-id": "2"}},
			{Realm: people, ClientID: "unscoped", Secret: "s", ServiceAccount: true, Claims: map[string]string{"rh-org-id": "2"}},
		},
	})
	require.NoError(t, err)
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	service.SetBaseURL(server.URL)
	w := world{t: t, sso: service, url: server.URL}
	token, err := service.UserToken("alice")
	require.NoError(t, err)
	const api = "/realms/redhat-external/apis/service_accounts/v1"
	status, raw := w.raw("POST", "/auth"+api, "Bearer "+token, "application/json", `{"name":"mine"}`)
	require.Equal(t, http.StatusCreated, status)
	var made map[string]any
	require.NoError(t, json.Unmarshal(raw, &made))
	there, ok := service.Client(robots, text(w, made["clientId"]))
	require.True(t, ok)
	require.Equal(t, made["secret"], there.Secret)
	// Tools write down the token endpoint of the realm that people log in to.
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {there.ClientID}, "client_secret": {there.Secret}}
	status, body := w.token(people, form)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "1", w.claims(robots, text(w, body["access_token"]))["rh-org-id"], "a token of the realm that has the account")
	form.Set("client_secret", "wrong")
	status, _ = w.token(people, form)
	require.Equal(t, http.StatusUnauthorized, status)
	canary, ok := service.Client(robots, "canary-k1")
	require.True(t, ok)
	status, _ = w.token(people, url.Values{"grant_type": {"client_credentials"}, "client_id": {canary.ClientID}, "client_secret": {canary.Secret}})
	require.Equal(t, http.StatusUnauthorized, status, "other clients stay where they are")
	_, raw = w.raw("GET", api, "Bearer "+token, "", "")
	var listed []map[string]any
	require.NoError(t, json.Unmarshal(raw, &listed))
	require.Len(t, listed, 1, "a canary is no account")
	status, raw = w.raw("POST", api, "Bearer "+token, "application/json", `{"name":"more"}`)
	require.Equal(t, http.StatusForbidden, status, string(raw))

	for client, want := range map[string]int{"program": http.StatusCreated, "unscoped": http.StatusForbidden} {
		_, body := w.token(people, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {"s"}, "scope": {"api.iam.service_accounts"},
		})
		for range 2 { // its organisation has no limit
			status, _ = w.raw("POST", api, "Bearer "+text(w, body["access_token"]), "application/json", `{"name":"robot"}`)
			require.Equal(t, want, status, client)
		}
	}
	for _, body := range []string{`{"name":""}`, `{"name":"a","description":""}`, `{"name":"` + strings.Repeat("a", 51) + `"}`, `{`} {
		status, _ = w.raw("POST", api, "Bearer "+token, "application/json", body)
		require.Equal(t, http.StatusBadRequest, status, body)
	}
}
