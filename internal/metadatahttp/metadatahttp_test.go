package metadatahttp_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/metadatahttp"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

const base = "/api/kafkas_mgmt/v1"

// others stands for the operations of other rooms; nobody calls them here.
type others struct{ public.StrictServerInterface }

type served struct {
	*metadatahttp.Public
	others
}

// newRouter makes the generated router the way the app does.
func newRouter(t *testing.T) http.Handler {
	t.Helper()
	faults := &httpx.Errors{API: apierr.Kafkas, Logger: slog.New(slog.DiscardHandler)}
	strict := public.NewStrictHandlerWithOptions(served{Public: metadatahttp.New("3f1c0de")}, nil,
		public.StrictHTTPServerOptions{
			RequestErrorHandlerFunc: faults.RequestError, ResponseErrorHandlerFunc: faults.ResponseError,
		})
	return public.HandlerWithOptions(strict, public.GorillaServerOptions{
		BaseRouter: mux.NewRouter(), ErrorHandlerFunc: faults.RequestError,
	})
}

func get(t *testing.T, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	reply := httptest.NewRecorder()
	newRouter(t).ServeHTTP(reply, request)
	return reply
}

func TestGoldenBodies(t *testing.T) {
	t.Parallel()
	const version = `{"id":"v1","kind":"APIVersion","href":"/api/kafkas_mgmt/v1","server_version":"3f1c0de","collections":[
		{"id":"kafkas","kind":"KafkaList","href":"/api/kafkas_mgmt/v1/kafkas"},
		{"id":"service_accounts","kind":"ServiceAccountList","href":"/api/kafkas_mgmt/v1/service_accounts"},
		{"id":"cloud_providers","kind":"CloudProviderList","href":"/api/kafkas_mgmt/v1/cloud_providers"}]}`
	const seven = `{"reason":"Resource not found","id":"7","kind":"Error",` +
		`"href":"/api/kafkas_mgmt/v1/errors/7","code":"KAFKAS-MGMT-7"}`
	unknown := func(id string) string {
		return fmt.Sprintf(`{"reason":"Error with id='%s' not found","id":"7","kind":"Error",`+
			`"href":"/api/kafkas_mgmt/v1/errors/7","code":"KAFKAS-MGMT-7"}`, id)
	}
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/api/kafkas_mgmt", 200, `{"id":"kafkas_mgmt","kind":"API","href":"/api/kafkas_mgmt","versions":[` + version + `]}`},
		{base, 200, version},
		{base + "/errors/7", 200, seven},
		{base + "/errors/07", 200, seven},
		{base + "/errors/+7", 200, seven},
		{base + "/errors/-7", 404, unknown("-7")},
		{base + "/errors/8000", 404, unknown("8000")},
		{base + "/errors/99999999999999999999", 404, unknown("99999999999999999999")},
		{base + "/errors/x%25sy", 404, unknown("x%sy")},
		{base + "/errors?page=2&size=1", 200, `{"kind":"ErrorList","page":2,"size":1,"total":47,"items":[` +
			`{"reason":"The maximum number of allowed instances has been reached","id":"5","kind":"Error",` +
			`"href":"/api/kafkas_mgmt/v1/errors/5","code":"KAFKAS-MGMT-5"}]}`},
		{base + "/errors?page=6&size=10", 200, `{"kind":"ErrorList","page":6,"size":0,"total":47,"items":[]}`},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			reply := get(t, c.path)
			require.Equal(t, c.status, reply.Code)
			require.Equal(t, "application/json", reply.Header().Get("Content-Type"))
			require.JSONEq(t, c.body, reply.Body.String())
		})
	}
}

func TestErrorKeysKeepTheOrderOfTheWire(t *testing.T) {
	t.Parallel()
	require.Equal(t, `{"reason":"Resource not found","id":"7","kind":"Error",`+
		`"href":"/api/kafkas_mgmt/v1/errors/7","code":"KAFKAS-MGMT-7"}`+"\n", get(t, base+"/errors/7").Body.String())
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]struct{ page, first, count int }{
		"":                                   {1, 4, 47},
		"?page=&size=":                       {1, 4, 47},
		"?size=10":                           {1, 4, 10},
		"?page=5&size=10":                    {5, 112, 7},
		"?page=0&size=1":                     {0, 4, 1},
		"?page=-3&size=1":                    {0, 4, 1},
		"?page=junk&size=2":                  {0, 4, 2},
		"?size=0":                            {1, 0, 0},
		"?size=junk":                         {1, 0, 0},
		"?size=-1":                           {1, 4, 47},
		"?size=99999999999999999999":         {1, 4, 47},
		"?page=9223372036854775807&size=100": {2147483647, 0, 0},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			reply := get(t, base+"/errors"+query)
			require.Equal(t, http.StatusOK, reply.Code)
			var list public.ErrorList
			require.NoError(t, json.Unmarshal(reply.Body.Bytes(), &list))
			require.NotNil(t, list.Items, "an empty list is not null")
			require.Len(t, list.Items, want.count)
			require.EqualValues(t, want.page, list.Page)
			require.EqualValues(t, want.count, list.Size)
			require.EqualValues(t, 47, list.Total)
			if want.count > 0 {
				require.Equal(t, strconv.Itoa(want.first), list.Items[0].ID)
			}
		})
	}
}

// The generated client must understand what the generated server says.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newRouter(t))
	t.Cleanup(server.Close)
	client, err := public.NewClientWithResponses(server.URL)
	require.NoError(t, err)

	found, err := client.GetErrorByIDWithResponse(t.Context(), "36")
	require.NoError(t, err)
	require.NotNil(t, found.JSON200)
	require.Equal(t, "KAFKAS-MGMT-36", found.JSON200.Code)

	missing, err := client.GetErrorByIDWithResponse(t.Context(), "no/such")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, missing.StatusCode())
}
