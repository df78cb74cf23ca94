package app

import (
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/openapi"
)

// Who waits for whom: a route in the wrong lane takes the places of those that it has nothing to do with.
func TestEachRouteHasItsLane(t *testing.T) {
	t.Parallel()
	a := &App{config: &config.Config{}}
	const kafka = orderPath + "/{id}"
	metrics, slow := httpx.Caller{Metrics: true}, httpx.Caller{Slow: true}
	special := map[string]httpx.Caller{
		"GET " + kafka + "/metrics/query": metrics, "GET " + kafka + "/metrics/query_range": metrics, "GET " + kafka + "/metrics/federate": metrics,
		"GET " + accountPaths: slow, "POST " + accountPaths: slow, "GET " + accountPaths + "/{id}": slow, "DELETE " + accountPaths + "/{id}": slow,
		"POST " + accountPaths + "/{id}/reset_credentials": slow, http.MethodPatch + " " + kafka: slow,
	}
	for _, rule := range access.Rules() {
		route := rule.Method + " " + rule.Template
		want := special[route]
		delete(special, route)
		got := a.callerOf(t.Context(), rule.Method, rule.Template)
		want.Agent, want.Admin = rule.Audience == access.Agent, rule.Audience == access.Admin
		require.Equal(t, want, got, route)
	}
	require.Empty(t, special, "no such routes")
}

// Who waits for others needs the time for it, and a lane where nobody is held up by that.
func TestOrdersThatWaitForUpstreamsHaveTime(t *testing.T) {
	t.Parallel()
	alone, terms, remote := config.Config{}, config.Config{}, config.Config{}
	terms.Access.EnableTerms, remote.Quota.Type = true, quota.AMSType
	for c, waits := range map[*config.Config]bool{&alone: false, &terms: true, &remote: true} {
		a := &App{config: c}
		require.Equal(t, waits, a.callerOf(t.Context(), http.MethodPost, orderPath).Slow)
		require.Equal(t, waits, a.timeouts()[orderPath] > ocm.DefaultTimeout, "the answer may come as late as that")
	}
}

// Bodies that no operation takes are not waited for, and those that one takes are.
func TestOperationsWithoutABodyAreKnown(t *testing.T) {
	t.Parallel()
	var without []string
	for _, document := range [][]byte{openapi.PublicYAML(), openapi.AgentYAML(), openapi.AdminYAML()} {
		doc, err := openapi3.NewLoader().LoadFromData(document)
		require.NoError(t, err)
		for path, item := range doc.Paths.Map() {
			for method, operation := range item.Operations() {
				if operation.RequestBody == nil && method != http.MethodGet && method != http.MethodDelete {
					without = append(without, path)
				}
				if operation.RequestBody != nil {
					require.NotContains(t, bodiless(), path)
				}
			}
		}
	}
	require.ElementsMatch(t, without, bodiless())
}
