package access

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Audience says for whom a route is.
type Audience string

// The audiences.
const (
	Public Audience = "public" // anybody, no token is read
	User   Audience = "user"   // customers: their issuer, an organisation, the lists
	Reader Audience = "reader" // the same, and service accounts of their organisation
	Agent  Audience = "agent"  // the agent of the very cluster that the path names
	Admin  Audience = "admin"  // administrators: their realm, and one of the rule's roles
)

// Rule is one line of the access table.
type Rule struct {
	Method   string
	Template string // route template, as the router has it
	Action   string // name of the operation in logs
	Audience Audience
	Terms    bool // the caller must have accepted the terms, where that is enabled
	// Roles are those of administrators of which one is needed. They are named for the
	// operation: by its method, whoever may do one thing could do any that is sent alike.
	Roles []string
}

// Roles of the administrators' realm.
const (
	adminRead  = "kas-fleet-manager-admin-read"
	adminWrite = "kas-fleet-manager-admin-write"
	adminFull  = "kas-fleet-manager-admin-full"
)

// readers may look at everything. Nobody changes this.
var readers = []string{adminRead, adminWrite, adminFull}

const (
	root   = "/api/kafkas_mgmt"
	v1     = root + "/v1"
	agents = v1 + "/agent-clusters/{id}"
	admins = v1 + "/admin"
)

// The one table of routes: what is not in it, nobody may call.
var rules = []Rule{
	{http.MethodGet, root, "list-versions", Public, false, nil},
	{http.MethodGet, v1, "get-version", Public, false, nil},
	{http.MethodGet, v1 + "/openapi", "get-openapi", Public, false, nil},
	{http.MethodGet, v1 + "/openapi/ui", "get-openapi-page", Public, false, nil},
	{http.MethodGet, v1 + "/openapi/ui/{id}", "get-openapi-page-file", Public, false, nil},
	{http.MethodGet, v1 + "/errors", "list-errors", Public, false, nil},
	{http.MethodGet, v1 + "/errors/{id}", "get-error", Public, false, nil},
	{http.MethodGet, v1 + "/sso_providers", "get-sso-providers", Public, false, nil},

	{http.MethodPost, v1 + "/kafkas", "create-kafka", User, true, nil},
	{http.MethodGet, v1 + "/kafkas", "list-kafka", User, false, nil},
	{http.MethodGet, v1 + "/kafkas/{id}", "get-kafka", User, false, nil},
	{http.MethodPatch, v1 + "/kafkas/{id}", "update-kafka", User, false, nil},
	{http.MethodDelete, v1 + "/kafkas/{id}", "delete-kafka", User, false, nil},

	{http.MethodGet, v1 + "/kafkas/{id}/metrics/query", "get-metrics-instant", User, false, nil},
	{http.MethodGet, v1 + "/kafkas/{id}/metrics/query_range", "get-metrics", User, false, nil},
	{http.MethodGet, v1 + "/kafkas/{id}/metrics/federate", "get-federate-metrics", Reader, false, nil},

	{http.MethodGet, v1 + "/cloud_providers", "list-cloud-providers", User, false, nil},
	{http.MethodGet, v1 + "/cloud_providers/{id}/regions", "list-regions", User, false, nil},
	{http.MethodGet, v1 + "/instance_types/{cloud_provider}/{cloud_region}", "list-instance-types", User, false, nil},

	{http.MethodPost, v1 + "/service_accounts", "create-service-accounts", User, false, nil},
	{http.MethodGet, v1 + "/service_accounts", "list-service-accounts", User, false, nil},
	{http.MethodGet, v1 + "/service_accounts/{id}", "get-service-accounts", User, false, nil},
	{http.MethodDelete, v1 + "/service_accounts/{id}", "delete-service-accounts", User, false, nil},
	{http.MethodPost, v1 + "/service_accounts/{id}/reset_credentials", "reset-service-accounts", User, false, nil},

	{http.MethodGet, agents, "get-dataplane-cluster-config", Agent, false, nil},
	{http.MethodGet, agents + "/openapi", "get-agent-openapi", Agent, false, nil},
	{http.MethodPut, agents + "/status", "update-dataplane-cluster-status", Agent, false, nil},
	{http.MethodGet, agents + "/kafkas", "list-dataplane-kafkas", Agent, false, nil},
	{http.MethodPut, agents + "/kafkas/status", "update-dataplane-kafka-status", Agent, false, nil},

	{http.MethodGet, admins + "/kafkas", "admin-list-kafkas", Admin, false, readers},
	{http.MethodGet, admins + "/kafkas/{id}", "admin-get-kafka", Admin, false, readers},
	{http.MethodGet, admins + "/openapi", "admin-get-openapi", Admin, false, readers},
	{http.MethodGet, admins + "/openapi/agents", "admin-get-agent-openapi", Admin, false, readers},
}

// Rules lists the access table.
func Rules() []Rule { return slices.Clone(rules) }

// RuleFor finds the line for a route.
func RuleFor(method, template string) (Rule, bool) {
	for _, rule := range rules {
		if rule.Method == method && rule.Template == template {
			return rule, true
		}
	}
	return Rule{}, false
}

// public tells whether a path is that of a public route, whatever the method: a
// wrong method there is answered as such to callers without a token too.
func public(path string) bool {
	return slices.ContainsFunc(rules, func(rule Rule) bool {
		return rule.Audience == Public && (path == rule.Template || variable(rule.Template, path) != "")
	})
}

// variable gives what stands in a path where its template has {id}. A path that
// does not fit gives "", so that a caller is never checked against another object
// than the router will find.
func variable(template, path string) string {
	wanted, given := strings.Split(template, "/"), strings.Split(path, "/")
	if len(wanted) != len(given) {
		return ""
	}
	value := ""
	for i, part := range wanted {
		switch part {
		case "{id}":
			value = given[i]
		case given[i]:
		default:
			return ""
		}
	}
	return value
}

// notFound is how routes that are not for the caller look: like no route at all.
func notFound() error { return apierr.New(apierr.NotFound, "") }
