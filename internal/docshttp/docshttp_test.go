package docshttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/docshttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/openapi"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/admin"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

const (
	base   = "/api/kafkas_mgmt/v1"
	issuer = "https://sso.example/auth/realms/customers"
)

// The operations of others are not called here.
type others struct{ public.StrictServerInterface }
type otherAdmins struct{ admin.StrictServerInterface }
type otherAgents struct{ agent.StrictServerInterface }

type everybody struct {
	*docshttp.Public
	others
}

type agents struct {
	*docshttp.Agent
	otherAgents
}

type admins struct {
	*docshttp.Admin
	otherAdmins
}

// serve puts the handlers behind the chain that the process has.
func serve(t *testing.T, client string) http.Handler {
	t.Helper()
	errs := &httpx.Errors{API: apierr.Kafkas, Logger: slog.New(slog.DiscardHandler)}
	router := mux.NewRouter()
	s := everybody{Public: docshttp.NewPublic(docshttp.Settings{
		Config: docshttp.Config{ClientID: client}, BasePath: base, Issuer: issuer,
	})}
	public.HandlerWithOptions(public.NewStrictHandlerWithOptions(s, nil, public.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: errs.RequestError, ResponseErrorHandlerFunc: errs.ResponseError,
	}), public.GorillaServerOptions{BaseRouter: router, ErrorHandlerFunc: errs.RequestError})
	agent.HandlerWithOptions(agent.NewStrictHandler(agents{Agent: docshttp.NewAgent()}, nil), agent.GorillaServerOptions{BaseRouter: router})
	admin.HandlerWithOptions(admin.NewStrictHandler(admins{Admin: docshttp.NewAdmin()}, nil), admin.GorillaServerOptions{BaseRouter: router})
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
	})
	require.NoError(t, err)
	return handler
}

func get(t *testing.T, from http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	reply := httptest.NewRecorder()
	from.ServeHTTP(reply, request)
	return reply
}

func TestDocumentsAreGivenOnce(t *testing.T) {
	t.Parallel()
	server := serve(t, "")
	for path, want := range map[string]json.RawMessage{
		base + "/openapi": nil, base + "/agent-clusters/x/openapi": openapi.AgentJSON(),
		base + "/admin/openapi": openapi.AdminJSON(), base + "/admin/openapi/agents": openapi.AgentJSON(),
	} {
		reply := get(t, server, path)
		require.Equal(t, http.StatusOK, reply.Code)
		require.Equal(t, "application/json", reply.Header().Get("Content-Type"))
		if want != nil {
			require.JSONEq(t, string(want), reply.Body.String())
		}
		doc, err := openapi3.NewLoader().LoadFromData(reply.Body.Bytes())
		require.NoError(t, err)
		require.NoError(t, doc.Validate(t.Context()))
		tag := reply.Header().Get("ETag")
		require.Regexp(t, `^W/"[\w-]{16}"$`, tag)
		for _, header := range []string{tag, strings.TrimPrefix(tag, "W/"), `"older", ` + tag, "*"} {
			again := get(t, server, path, "If-None-Match", header)
			require.Equal(t, http.StatusNotModified, again.Code, header)
			require.Equal(t, tag, again.Header().Get("ETag"))
			require.Empty(t, again.Body.String())
		}
		for _, header := range []string{"", `"older"`, tag[:8]} {
			require.Equal(t, http.StatusOK, get(t, server, path, "If-None-Match", header).Code, header)
		}
	}
}

// The customers' document is that of the repository, but for the login.
func TestTheLoginIsThatOfTheInstallation(t *testing.T) {
	t.Parallel()
	read := func(raw []byte) (doc map[string]any, schemes map[string]any) {
		require.NoError(t, json.Unmarshal(raw, &doc))
		return doc, doc["components"].(map[string]any)["securitySchemes"].(map[string]any)
	}
	want, wantSchemes := read(openapi.PublicJSON())

	without, schemes := read(get(t, serve(t, ""), base+"/openapi").Body.Bytes())
	require.NotContains(t, schemes, "Login")
	require.Contains(t, schemes, "Bearer")
	require.Equal(t, []any{map[string]any{"Bearer": []any{}}}, without["security"])

	with, schemes := read(get(t, serve(t, "docs"), base+"/openapi").Body.Bytes())
	flow := schemes["Login"].(map[string]any)["flows"].(map[string]any)["authorizationCode"].(map[string]any)
	require.Equal(t, issuer+"/protocol/openid-connect/auth", flow["authorizationUrl"])
	require.Equal(t, issuer+"/protocol/openid-connect/token", flow["tokenUrl"])
	schemes["Login"] = wantSchemes["Login"]
	require.Equal(t, want, with)
	without["security"] = want["security"]
	without["components"].(map[string]any)["securitySchemes"] = wantSchemes
	require.Equal(t, want, without)
}

var links = regexp.MustCompile(`(?:src|href)="([^"]+)"`)

func TestThePageIsMadeOfItsOwnFiles(t *testing.T) {
	t.Parallel()
	server := serve(t, "docs")
	page := get(t, server, base+"/openapi/ui")
	require.Equal(t, http.StatusOK, page.Code)
	require.Equal(t, "text/html", page.Header().Get("Content-Type"))
	require.Equal(t, page.Body.String(), get(t, server, base+"/openapi/ui/").Body.String())
	require.Contains(t, page.Body.String(), `content="docs"`)
	require.NotRegexp(t, `<script[^>]*>[^<]|style=|onload|<style`, page.Body.String(), "nothing that the policy forbids")
	found := links.FindAllStringSubmatch(page.Body.String(), -1)
	require.Len(t, found, 7)
	for _, link := range found {
		require.True(t, strings.HasPrefix(link[1], base+"/openapi"), link[1])
		require.Equal(t, http.StatusOK, get(t, server, link[1]).Code, link[1])
	}
	for _, name := range []string{"index.html", "oauth2-redirect.html", "page.go", "..%2fpage.go", "embed.go", "swagger-ui.css.gz"} {
		reply := get(t, server, base+"/openapi/ui/"+name)
		require.Equal(t, http.StatusNotFound, reply.Code, name)
		require.Contains(t, reply.Body.String(), "KAFKAS-MGMT-7")
	}
}

func TestPolicyOfThePage(t *testing.T) {
	t.Parallel()
	for client, connect := range map[string]string{"": "'self'", "docs": "'self' https://sso.example"} {
		for _, path := range []string{"", "/callback.html", "/page.js", "/swagger-ui-bundle.js"} {
			reply := get(t, serve(t, client), base+"/openapi/ui"+path)
			require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; connect-src "+connect+
				"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", reply.Header().Get("Content-Security-Policy"))
			require.Equal(t, "nosniff", reply.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "no-referrer", reply.Header().Get("Referrer-Policy"))
		}
	}
}

func TestFilesArePackedForThoseWhoTakeIt(t *testing.T) {
	t.Parallel()
	server := serve(t, "docs")
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "page.js", "page.css", "callback.html", "callback.js", "favicon-32x32.png"} {
		path := base + "/openapi/ui/" + name
		plain := get(t, server, path)
		require.Equal(t, http.StatusOK, plain.Code, name)
		require.Empty(t, plain.Header().Get("Content-Encoding"))
		packed := get(t, server, path, "Accept-Encoding", "br, gzip")
		require.Equal(t, plain.Header().Get("Content-Type"), packed.Header().Get("Content-Type"))
		body := packed.Body.Bytes()
		if packed.Header().Get("Content-Encoding") == "gzip" {
			require.Contains(t, packed.Header().Values("Vary"), "Accept-Encoding")
			require.Contains(t, plain.Header().Values("Vary"), "Accept-Encoding")
			unpacked, err := gzip.NewReader(bytes.NewReader(body))
			require.NoError(t, err)
			body, err = io.ReadAll(unpacked)
			require.NoError(t, err)
		}
		require.True(t, bytes.Equal(plain.Body.Bytes(), body), name)
		if strings.HasPrefix(name, "swagger-ui") {
			require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"), name)
		}
		tag := plain.Header().Get("ETag")
		require.NotEmpty(t, tag)
		again := get(t, server, path, "If-None-Match", tag, "Accept-Encoding", "gzip")
		require.Equal(t, http.StatusNotModified, again.Code)
		require.Empty(t, again.Body.String())
		require.Equal(t, "no-cache", again.Header().Get("Cache-Control"))
	}
}

// A value of the operator's is text on the page.
func TestTheClientIsNoMarkup(t *testing.T) {
	t.Parallel()
	body := get(t, serve(t, `"><script>alert(1)</script>`), base+"/openapi/ui").Body.String()
	require.NotContains(t, body, "<script>alert")
	require.Contains(t, body, "&lt;script&gt;")
}
