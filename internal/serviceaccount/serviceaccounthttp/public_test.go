package serviceaccounthttp_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	ssoaccounts "github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/serviceaccounthttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

const (
	realm = "rhoas"
	path  = "/api/kafkas_mgmt/v1/service_accounts"
	idA   = "6f4ae3ab-0f4e-4f0e-93a5-8d2f3c1b7e90"
	idB   = "6f4ae3ab-0f4e-4f0e-93a5-8d2f3c1b7e91"
	itemA = `{"client_id":"srvc-acct-0c4aa1a5-9a35-4fd7-8a71-1c1f9c3d2b6e","created_at":"2026-02-03T09:00:00.5Z",` +
		`"created_by":"ann","description":"Reads the orders topic","href":"` + path + `/` + idA + `","id":"` + idA +
		`","kind":"ServiceAccount","name":"billing","owner":"ann"}`
	// An account without a description, as the previous system wrote it.
	itemB = `{"client_id":"srvc-acct-0c4aa1a5-9a35-4fd7-8a71-1c1f9c3d2b6f","created_at":"2026-02-04T09:00:00Z",` +
		`"created_by":"ann","href":"` + path + `/` + idB + `","id":"` + idB + `","kind":"ServiceAccount","name":"b","owner":"ann"}`
)

// others stands for the operations of other rooms; nobody calls them here.
type others struct{ public.StrictServerInterface }

type served struct {
	*serviceaccounthttp.Public
	others
}

type world struct {
	sso     *sso.SSO
	handler http.Handler
}

func newWorld(t *testing.T) world {
	t.Helper()
	attributes := func(created string) map[string]string {
		return map[string]string{"rh-org-id": "one", "rh-user-id": "1", "username": "ann", "created_at": created}
	}
	service, err := sso.New(sso.Options{Clients: []sso.Client{
		{Realm: realm, ClientID: "fleet-manager", Secret: "own", Admin: true},
		{
			Realm: realm, ID: idB, ClientID: "srvc-acct-0c4aa1a5-9a35-4fd7-8a71-1c1f9c3d2b6f", Name: "b",
			ServiceAccount: true, Attributes: attributes("2026-02-04T10:00:00+01:00"),
		},
		{
			Realm: realm, ID: idA, ClientID: "srvc-acct-0c4aa1a5-9a35-4fd7-8a71-1c1f9c3d2b6e", Name: "billing",
			Description: "Reads the orders topic", ServiceAccount: true, Attributes: attributes("2026-02-03T09:00:00.5Z"),
		},
	}})
	require.NoError(t, err)
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	service.SetBaseURL(server.URL)
	admin, err := keycloak.New(keycloak.Config{
		Realm: keycloak.Realm{BaseURL: server.URL, Name: realm}, ClientID: "fleet-manager", ClientSecret: "own",
	})
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	accounts := serviceaccount.NewService(serviceaccount.Deps{
		DB: postgres.Database(t), Provider: ssoaccounts.New(admin),
		Config: serviceaccount.Config{MaxPerOrg: 3, PageSize: 100}, Exempt: configfile.Fixed(serviceaccount.Exempt{}),
		Clock: clock.System, Logger: slog.New(slog.DiscardHandler),
	})
	room := serviceaccounthttp.New(accounts, 100, serviceaccounthttp.SSO{
		Name: "mas_sso", BaseURL: "https://sso.test", TokenURL: "https://sso.test/auth/realms/rhoas/protocol/openid-connect/token",
		JWKSURL: "https://sso.test/auth/realms/rhoas/protocol/openid-connect/certs", Issuer: "https://sso.test/auth/realms/rhoas",
	})
	faults := &httpx.Errors{API: apierr.Kafkas, Logger: slog.New(slog.DiscardHandler)}
	strict := public.NewStrictHandlerWithOptions(served{Public: room}, nil, public.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: faults.RequestError, ResponseErrorHandlerFunc: faults.ResponseError,
	})
	return world{service, public.HandlerWithOptions(strict, public.GorillaServerOptions{
		BaseRouter: mux.NewRouter(), ErrorHandlerFunc: faults.RequestError,
	})}
}

func (w world) call(t *testing.T, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	who := access.Identity{OrgID: "one", AccountID: "1", Username: "ann"}
	request := httptest.NewRequestWithContext(access.With(t.Context(), who), method, target, strings.NewReader(body))
	reply := httptest.NewRecorder()
	w.handler.ServeHTTP(reply, request)
	return reply
}

func fault(number, reason string) string {
	return `{"reason":"` + reason + `","id":"` + number + `","kind":"Error","href":"/api/kafkas_mgmt/v1/errors/` + number +
		`","code":"KAFKAS-MGMT-` + number + `"}`
}

func TestGoldenBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := func(page, size, total string, items ...string) string {
		return `{"items":[` + strings.Join(items, ",") + `],"kind":"ServiceAccountList","page":` + page + `,"size":` + size + `,"total":` + total + `}`
	}
	for _, c := range []struct {
		target string
		status int
		want   string
	}{
		{path, 200, list("1", "2", "2", itemA, itemB)},
		{path + "?page=1&size=1000", 200, list("1", "2", "2", itemA, itemB)},
		{path + "?page=0&size=0", 200, list("0", "2", "2", itemA, itemB)},
		{path + "?page=2&size=1", 200, list("2", "1", "2", itemB)},
		{path + "?page=3&size=1", 200, list("3", "1", "2")},
		{path + "?size=-1", 200, list("1", "2", "2", itemA, itemB)},
		{path + "?page=one", 400, fault("17", "unable to list service accounts: page must be a number")},
		{path + "?client_id=srvc-acct-0c4aa1a5-9a35-4fd7-8a71-1c1f9c3d2b6f", 200, list("1", "1", "1", itemB)},
		{path + "?client_id=srvc-acct-0c4aa1a5-9a35-4fd7-8a71-1c1f9c3d2b60", 200, list("1", "0", "0")},
		{path + "?client_id=", 400, fault("33", "client_id is missing: at least 1 character is required")},
		{path + "?client_id=" + strings.Repeat("x", 48), 400, fault("34", "client_id is too long: at most 47 bytes are allowed")},
		{path + "/" + idA, 200, itemA},
		{path + "/" + idA[:35] + "f", 404, fault("113", "Service account was not found")},
		{path + "/" + idA + "0", 400, fault("34", "id is too long: at most 36 bytes are allowed")},
		{"/api/kafkas_mgmt/v1/sso_providers", 200, `{"base_url":"https://sso.test","href":"/api/kafkas_mgmt/v1/sso_providers",` +
			`"id":"mas_sso","jwks":"https://sso.test/auth/realms/rhoas/protocol/openid-connect/certs","kind":"SsoProvider","name":"mas_sso",` +
			`"token_url":"https://sso.test/auth/realms/rhoas/protocol/openid-connect/token","valid_issuer":"https://sso.test/auth/realms/rhoas"}`},
	} {
		reply := w.call(t, http.MethodGet, c.target, "")
		require.Equal(t, c.status, reply.Code, c.target)
		require.Equal(t, "application/json", reply.Header().Get("Content-Type"), c.target)
		require.Equal(t, c.want, strings.TrimSpace(reply.Body.String()), c.target)
	}
}

func TestCreateResetDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reply := w.call(t, http.MethodPost, path, `{"name":"orders","description":"Writes, slowly."}`)
	require.Equal(t, http.StatusAccepted, reply.Code)
	made := w.newest(t)
	golden := func(secret string) string {
		return `{"client_id":"` + made.ClientID + `",` + secret + `"created_at":"` + made.Attributes["created_at"] +
			`","created_by":"ann","description":"Writes, slowly.","href":"` + path + `/` + made.ID + `","id":"` + made.ID +
			`","kind":"ServiceAccount","name":"orders","owner":"ann"}`
	}
	require.Equal(t, golden(`"client_secret":"`+made.Secret+`",`), strings.TrimSpace(reply.Body.String()))

	reply = w.call(t, http.MethodPost, path, `{"name":"one-too-many"}`)
	require.Equal(t, http.StatusForbidden, reply.Code)
	require.Equal(t, fault("115", "The organisation has reached its limit of 3 service accounts"), strings.TrimSpace(reply.Body.String()))

	reply = w.call(t, http.MethodGet, path+"/"+made.ID, "")
	require.Equal(t, golden(""), strings.TrimSpace(reply.Body.String()), "the secret is shown once")

	reply = w.call(t, http.MethodPost, path+"/"+made.ID+"/reset_credentials", "")
	require.Equal(t, http.StatusOK, reply.Code)
	reset := w.newest(t)
	require.NotEqual(t, made.Secret, reset.Secret)
	require.Equal(t, golden(`"client_secret":"`+reset.Secret+`",`), strings.TrimSpace(reply.Body.String()))

	reply = w.call(t, http.MethodDelete, path+"/"+made.ID, "")
	require.Equal(t, http.StatusNoContent, reply.Code)
	require.Empty(t, reply.Body.String())
	reply = w.call(t, http.MethodDelete, path+"/"+made.ID, "")
	require.Equal(t, http.StatusNotFound, reply.Code)
	require.Equal(t, fault("113", "Service account was not found"), strings.TrimSpace(reply.Body.String()))
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for body, number := range map[string]string{
		``: "17", `[]`: "17", `{"name":1}`: "17", `null`: "33", `{"name":null}`: "33", `{"name":"` + strings.Repeat("a", 51) + `"}`: "34",
		`{"name":"A"}`: "38", `{"name":"a","description":"100%s"}`: "39",
	} {
		reply := w.call(t, http.MethodPost, path, body)
		require.Equal(t, http.StatusBadRequest, reply.Code, body)
		require.Contains(t, reply.Body.String(), `"code":"KAFKAS-MGMT-`+number+`"`, body)
	}
}

// newest gives the one account that was not there from the start.
func (w world) newest(t *testing.T) sso.Client {
	t.Helper()
	for _, c := range w.sso.Clients(realm) {
		if c.Name == "orders" {
			return c
		}
	}
	t.Fatal("no account was made")
	return sso.Client{}
}
