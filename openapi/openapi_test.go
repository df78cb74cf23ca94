package openapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/openapi"
)

// The documents and the operations they promise. A new endpoint is added here on purpose.
var documents = map[string]struct {
	yaml       []byte
	operations []string
	anonymous  []string // operations without a token
}{
	"customer": {
		yaml: openapi.PublicYAML(),
		operations: []string{
			"createKafka", "createServiceAccount", "deleteKafkaById", "deleteServiceAccountById", "federateMetrics",
			"getApiMetadata", "getCloudProviderRegions", "getCloudProviders", "getErrorById", "getErrors",
			"getInstanceTypesByCloudProviderAndRegion", "getKafkaById", "getKafkas", "getMetricsByInstantQuery",
			"getMetricsByRangeQuery", "getOpenApi", "getOpenApiPage", "getOpenApiPageFile", "getServiceAccountById",
			"getServiceAccounts", "getSsoProviders", "getVersionMetadata", "resetServiceAccountCreds", "updateKafkaById",
		},
		anonymous: []string{
			"getApiMetadata", "getErrorById", "getErrors", "getOpenApi", "getOpenApiPage", "getOpenApiPageFile", "getSsoProviders",
			"getVersionMetadata",
		},
	},
	"agent": {
		yaml:       openapi.AgentYAML(),
		operations: []string{"getAgentOpenApi", "getKafkaAgent", "getKafkas", "updateAgentClusterStatus", "updateKafkaClusterStatus"},
	},
	"admin": {
		yaml:       openapi.AdminYAML(),
		operations: []string{"getAdminOpenApi", "getKafkaById", "getKafkas", "getOpenApiOfAgents"},
	},
}

func load(t *testing.T, data []byte) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader() // external references are refused by default, so the document stands alone
	doc, err := loader.LoadFromData(data)
	require.NoError(t, err)
	return doc
}

func eachOperation(doc *openapi3.T, do func(path, method string, op *openapi3.Operation)) {
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			do(path, method, op)
		}
	}
}

// Tags name the classes of generated clients, and most of the customers' operations
// were generated without one, so a tag more is a class more. What has none has a
// group, by which the page shows it.
func TestTagsAreThoseThatClientsWereGeneratedWith(t *testing.T) {
	t.Parallel()
	tagged := map[string][]string{}
	doc := load(t, openapi.PublicYAML())
	eachOperation(doc, func(path, method string, op *openapi3.Operation) {
		group, grouped := op.Extensions["x-group"].(string)
		require.NotEqual(t, grouped, len(op.Tags) > 0, "%s %s: a tag or a group", method, path)
		for _, tag := range op.Tags {
			tagged[tag] = append(tagged[tag], op.OperationID)
			group = tag
		}
		require.NotNil(t, doc.Tags.Get(group), "%s %s: nothing is said of %q", method, path, group)
	})
	for _, operations := range tagged {
		slices.Sort(operations)
	}
	require.Equal(t, map[string][]string{
		"errors": {"getErrorById", "getErrors"},
		"security": {
			"createServiceAccount", "deleteServiceAccountById", "getServiceAccountById", "getServiceAccounts", "getSsoProviders",
			"resetServiceAccountCreds",
		},
	}, tagged)
}

func TestDocumentsAreValidAndListWhatIsServed(t *testing.T) {
	t.Parallel()
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := load(t, document.yaml)
			require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
			var ids, anonymous []string
			eachOperation(doc, func(path, method string, op *openapi3.Operation) {
				ids = append(ids, op.OperationID)
				require.NotEmpty(t, op.Summary, "%s %s", method, path)
				if op.Security != nil {
					require.Empty(t, *op.Security, "%s %s may only lift the requirement of a token", method, path)
					anonymous = append(anonymous, op.OperationID)
				}
			})
			slices.Sort(ids)
			slices.Sort(anonymous)
			require.Equal(t, document.operations, ids)
			require.Equal(t, document.anonymous, anonymous)
		})
	}
}

func TestEveryOperationDeclaresItsErrors(t *testing.T) {
	t.Parallel()
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachOperation(load(t, document.yaml), func(path, method string, op *openapi3.Operation) {
				where := method + " " + path
				want := []int{429, 500, 503}
				if op.Security == nil {
					want = append(want, 401)
					if name == "customer" { // an agent or an administrator that may not do something is told 404
						want = append(want, 403)
					}
				}
				if strings.Contains(path, "{") || name == "admin" { // a path may name nothing; who is no administrator finds nothing there
					want = append(want, 404)
				}
				if op.RequestBody != nil {
					want = append(want, 400)
					require.True(t, op.RequestBody.Value.Required, "%s: an empty body must be an error", where)
				}
				for _, status := range want {
					require.NotNil(t, op.Responses.Status(status), "%s lacks %d", where, status)
				}
				for status, response := range op.Responses.Map() {
					requireErrorBody(t, where, status, response.Value)
				}
			})
		})
	}
}

func requireErrorBody(t *testing.T, where, status string, response *openapi3.Response) {
	t.Helper()
	number, err := strconv.Atoi(status)
	require.NoError(t, err, where)
	if number >= http.StatusBadRequest {
		body := response.Content.Get("application/json")
		require.NotNil(t, body, "%s: %s has no body", where, status)
		require.Equal(t, "#/components/schemas/Error", body.Schema.Ref, "%s: %s", where, status)
	}
}

// An example that is not JSON of its schema misleads every reader, and a body without an example teaches nobody.
func TestEveryBodyHasExamples(t *testing.T) {
	t.Parallel()
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(where string, content openapi3.Content) {
				for _, media := range content {
					if media.Schema.Ref == "#/components/schemas/OpenApiDocument" {
						continue // the document itself is the example
					}
					require.NotEmpty(t, media.Examples, where)
					for example, ref := range media.Examples {
						require.NoError(t, media.Schema.Value.VisitJSON(ref.Value.Value), "%s, example %s", where, example)
					}
				}
			}
			eachOperation(load(t, document.yaml), func(path, method string, op *openapi3.Operation) {
				if op.RequestBody != nil {
					check(method+" "+path, op.RequestBody.Value.Content)
				}
				for status, response := range op.Responses.Map() {
					check(method+" "+path+" "+status, response.Value.Content)
				}
			})
		})
	}
}

// Decoding a request must not fail before the handler's own checks do, so that these decide which error is told first.
// The metrics' parameters are as generated clients have them: there, an error of decoding is what must be told. So is
// async for clients; an overlay hides that from the server's code, which TestHowBodiesAreDecoded holds to it.
func TestParametersAreOptionalStrings(t *testing.T) {
	t.Parallel()
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachOperation(load(t, document.yaml), func(path, method string, op *openapi3.Operation) {
				for _, parameter := range op.Parameters {
					if strings.Contains(path, "/metrics/") && parameter.Value.In == "query" {
						continue
					}
					where := method + " " + path + " " + parameter.Value.Name
					if parameter.Value.Name == "async" {
						require.True(t, parameter.Value.Required && parameter.Value.Schema.Value.Type.Is("boolean"), where)
						continue
					}
					require.True(t, parameter.Value.Schema.Value.Type.Is("string"), where)
					require.Equal(t, parameter.Value.In == "path", parameter.Value.Required, where)
				}
			})
		})
	}
}

func TestPublicJSONIsTheSameDocument(t *testing.T) {
	t.Parallel()
	fromYAML, err := load(t, openapi.PublicYAML()).MarshalJSON()
	require.NoError(t, err)
	fromJSON, err := load(t, openapi.PublicJSON()).MarshalJSON()
	require.NoError(t, err)
	require.JSONEq(t, string(fromYAML), string(fromJSON))

	var raw struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(openapi.PublicJSON(), &raw))
	require.Equal(t, "3.0.3", raw.OpenAPI, "a version number must not become a decimal number")
	responses := raw.Paths["/api/kafkas_mgmt"]["get"].(map[string]any)["responses"].(map[string]any)
	require.Contains(t, slices.Collect(maps.Keys(responses)), "200")
}

// The generated code is committed; this makes sure that it is what the documents say today.
func TestGeneratedCodeIsFresh(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]string{
		"public": "kas-fleet-manager.yaml", "agent": "kas-fleet-manager-private.yaml", "admin": "kas-fleet-manager-private-admin.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh := filepath.Join(t.TempDir(), name+".gen.go")
			generate := exec.CommandContext(t.Context(), "go", "-C", "..", "tool", "-modfile=tools/go.mod", "oapi-codegen",
				"-config", "openapi/"+name+".cfg.yaml", "-o", fresh, "openapi/"+spec)
			output, err := generate.CombinedOutput()
			require.NoError(t, err, string(output))
			want, err := os.ReadFile(fresh)
			require.NoError(t, err)
			have, err := os.ReadFile(filepath.Join("..", "pkg", "api", name, name+".gen.go"))
			require.NoError(t, err)
			require.True(t, string(want) == string(have), "pkg/api/%s is stale: run make generate", name)
		})
	}
}
