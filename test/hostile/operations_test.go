package hostile

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/openapi"
)

// audience says for whom an operation is, by its specification alone.
type audience string

const (
	anybody   audience = "anybody"
	customers audience = "customers"
	agents    audience = "agents"
	admins    audience = "administrators"
)

// operation is one operation of a specification.
type operation struct {
	*openapi3.Operation

	method, path string
	audience     audience
	params       openapi3.Parameters // of the path and of the operation
}

func (o operation) String() string { return o.method + " " + o.path }

// at gives the path with an id, and the entry's query.
func (o operation) at(id, query string) string {
	path := strings.NewReplacer("{id}", id, "{cloud_provider}", "aws", "{cloud_region}", id).Replace(o.path)
	if query != "" {
		path += "?" + query
	}
	return path
}

func (o operation) takesBody() bool { return o.RequestBody != nil }

// operations are all of the specifications, in order.
var operations = sync.OnceValues(func() (all []operation, err error) {
	for _, document := range [][]byte{openapi.PublicYAML(), openapi.AgentYAML(), openapi.AdminYAML()} {
		doc, err := openapi3.NewLoader().LoadFromData(document)
		if err != nil {
			return nil, err
		}
		for path, item := range doc.Paths.Map() {
			for method, one := range item.Operations() {
				all = append(all, operation{
					Operation: one, method: method, path: path, audience: audienceOf(path, one),
					params: slices.Concat(item.Parameters, one.Parameters),
				})
			}
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
})

func allOperations(tb testing.TB) []operation {
	tb.Helper()
	all, err := operations()
	require.NoError(tb, err)
	return all
}

func audienceOf(path string, one *openapi3.Operation) audience {
	switch {
	case strings.Contains(path, "/agent-clusters/"):
		return agents
	case strings.HasPrefix(path, "/api/kafkas_mgmt/v1/admin/"):
		return admins
	case one.Security != nil && len(*one.Security) == 0:
		return anybody
	default:
		return customers
	}
}

// answer is a status with the code of an error, 0 for no error.
type answer struct{ status, code int }

// What those get who are not even asked about an object.
var (
	unknownCaller = answer{http.StatusUnauthorized, 15}
	deniedCaller  = answer{http.StatusForbidden, 4}
	noSuchRoute   = answer{http.StatusNotFound, 7}
)

// entry says what the callers of one operation get. For an operation without an
// object all members of any organisation get the owner's answer.
type entry struct {
	object string // what the id of the path names: a key of crime.objects
	query  string
	body   string

	owner, colleague, admin answer // for the organisation's own object
	foreign                 answer // for one of another organisation
	missing                 answer // for none

	machines bool // service accounts are members of their organisation here
}

// entries has a line for every operation; TestEveryRouteHasAnEntry demands it.
// The answers are those of the contract, not what the code happens to do.
var entries = map[string]entry{
	"GET /api/kafkas_mgmt":                  open(""),
	"GET /api/kafkas_mgmt/v1":               open(""),
	"GET /api/kafkas_mgmt/v1/openapi":       open(""),
	"GET /api/kafkas_mgmt/v1/openapi/ui":    open(""),
	"GET /api/kafkas_mgmt/v1/errors":        open("page=1&size=3"),
	"GET /api/kafkas_mgmt/v1/sso_providers": open(""),
	"GET /api/kafkas_mgmt/v1/openapi/ui/{id}": {
		object: "file", owner: answer{200, 0}, colleague: answer{200, 0}, admin: answer{200, 0}, foreign: answer{200, 0}, missing: answer{404, 7},
	},
	"GET /api/kafkas_mgmt/v1/errors/{id}": {
		object: "error", owner: answer{200, 0}, colleague: answer{200, 0}, admin: answer{200, 0}, foreign: answer{200, 0}, missing: answer{404, 7},
	},

	"GET /api/kafkas_mgmt/v1/kafkas":  {query: "orderBy=name&search=name+like+%25", owner: answer{200, 0}},
	"POST /api/kafkas_mgmt/v1/kafkas": {query: "async=true", body: `{"name":"Not A Name"}`, owner: answer{400, 32}},
	"GET /api/kafkas_mgmt/v1/kafkas/{id}": {
		object: "kafka", owner: answer{200, 0}, colleague: answer{200, 0}, admin: answer{200, 0}, foreign: answer{404, 7}, missing: answer{404, 7},
	},
	"PATCH /api/kafkas_mgmt/v1/kafkas/{id}": {
		object: "kafka", body: `{"reauthentication_enabled":false,"owner":"bob"}`,
		owner: answer{200, 0}, colleague: answer{403, 11}, admin: answer{200, 0}, foreign: answer{404, 7}, missing: answer{404, 7},
	},
	"DELETE /api/kafkas_mgmt/v1/kafkas/{id}": {
		object: "kafka", query: "async=true",
		owner: answer{202, 0}, colleague: answer{404, 7}, admin: answer{202, 0}, foreign: answer{404, 7}, missing: answer{404, 7},
	},

	"GET /api/kafkas_mgmt/v1/kafkas/{id}/metrics/query":       figures("filters="+metric, false),
	"GET /api/kafkas_mgmt/v1/kafkas/{id}/metrics/query_range": figures("duration=5&interval=30&filters="+metric, false),
	"GET /api/kafkas_mgmt/v1/kafkas/{id}/metrics/federate":    figures("", true),

	"GET /api/kafkas_mgmt/v1/cloud_providers": {query: "page=2&size=1", owner: answer{200, 0}},
	"GET /api/kafkas_mgmt/v1/cloud_providers/{id}/regions": {
		object: "provider", owner: answer{200, 0}, colleague: answer{200, 0}, admin: answer{200, 0}, foreign: answer{200, 0}, missing: answer{200, 0},
	},
	"GET /api/kafkas_mgmt/v1/instance_types/{cloud_provider}/{cloud_region}": {
		object: "region", owner: answer{200, 0}, colleague: answer{200, 0}, admin: answer{200, 0}, foreign: answer{200, 0}, missing: answer{400, 31},
	},

	"GET /api/kafkas_mgmt/v1/service_accounts":  {owner: answer{200, 0}},
	"POST /api/kafkas_mgmt/v1/service_accounts": {body: `{"name":"Not A Name"}`, owner: answer{400, 38}},
	"GET /api/kafkas_mgmt/v1/service_accounts/{id}": {
		object: "account", owner: answer{200, 0}, colleague: answer{200, 0}, admin: answer{200, 0}, foreign: answer{403, 4}, missing: answer{404, 113},
	},
	"DELETE /api/kafkas_mgmt/v1/service_accounts/{id}": {
		object: "account", owner: answer{204, 0}, colleague: answer{403, 4}, admin: answer{204, 0}, foreign: answer{403, 4}, missing: answer{404, 113},
	},
	"POST /api/kafkas_mgmt/v1/service_accounts/{id}/reset_credentials": {
		object: "account", owner: answer{200, 0}, colleague: answer{403, 4}, admin: answer{200, 0}, foreign: answer{403, 4}, missing: answer{404, 113},
	},

	"GET /api/kafkas_mgmt/v1/agent-clusters/{id}":               ofAgents("", 200),
	"GET /api/kafkas_mgmt/v1/agent-clusters/{id}/openapi":       ofAgents("", 200),
	"PUT /api/kafkas_mgmt/v1/agent-clusters/{id}/status":        ofAgents(`{"conditions":[]}`, 204),
	"GET /api/kafkas_mgmt/v1/agent-clusters/{id}/kafkas":        ofAgents("", 200),
	"PUT /api/kafkas_mgmt/v1/agent-clusters/{id}/kafkas/status": ofAgents(`{}`, 200),

	"GET /api/kafkas_mgmt/v1/admin/kafkas":         {query: "orderBy=owner&search=name+like+%25", owner: answer{200, 0}},
	"GET /api/kafkas_mgmt/v1/admin/kafkas/{id}":    {object: "kafka", owner: answer{200, 0}, foreign: noSuchRoute, missing: noSuchRoute},
	"GET /api/kafkas_mgmt/v1/admin/openapi":        {owner: answer{200, 0}},
	"GET /api/kafkas_mgmt/v1/admin/openapi/agents": {owner: answer{200, 0}},
}

func open(query string) entry { return entry{query: query, owner: answer{200, 0}} }

// metric is one of which Alice's instance has a series.
const metric = "kafka_server_brokertopicmetrics_messages_in_total"

func figures(query string, machines bool) entry {
	return entry{
		object: "kafka", query: query, machines: machines,
		owner: answer{200, 0}, colleague: answer{200, 0}, admin: answer{200, 0}, foreign: answer{404, 7}, missing: answer{404, 7},
	}
}

func ofAgents(body string, status int) entry {
	return entry{object: "cluster", body: body, owner: answer{status, 0}, foreign: noSuchRoute, missing: noSuchRoute}
}

// TestEveryRouteHasAnEntry compares three lists that are made apart: the
// operations of the specifications, the routes of the running process, and what
// the matrix attacks. None may know more than another.
func TestEveryRouteHasAnEntry(t *testing.T) {
	t.Parallel()
	var specified, attacked []string
	for _, op := range allOperations(t) {
		specified = append(specified, op.String())
		require.Equal(t, strings.Contains(op.path, "{"), entries[op.String()].object != "", "%s: what does its id name?", op)
		require.Equal(t, op.takesBody(), entries[op.String()].body != "", "%s: a body to send", op)
	}
	for name := range entries {
		attacked = append(attacked, name)
	}
	served := world(t).Replica(0).Routes()
	require.ElementsMatch(t, specified, attacked, "operations against entries of the matrix")
	require.ElementsMatch(t, served, attacked, "routes against entries of the matrix")
}
