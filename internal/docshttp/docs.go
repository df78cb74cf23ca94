// Package docshttp is the edge room of the API documents: it gives them out as
// JSON, each to those whom it is for, and serves a page to read and try them.
//
// It is not for what the documents say (openapi) nor for who may read which
// (access). Invariant: the page loads nothing from other hosts, runs no script
// that is not a file of its own, and until somebody asks for something here
// nothing of it is unpacked or computed.
package docshttp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/openapi"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/admin"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Settings is what documents and page say of this installation.
type Settings struct {
	Config

	BasePath string // of the API
	Issuer   string // of customers' tokens
}

// document is JSON with its tag.
type document struct {
	body json.RawMessage
	tag  string
}

// Public serves everybody.
type Public struct {
	settings Settings
	document func() (document, error)
	files    func() (map[string]*file, error)
}

// Agent serves agents.
type Agent struct{ document func() document }

// Admin serves administrators, who may read the agents' document too.
type Admin struct{ own, agents func() document }

// NewPublic makes the handlers for everybody.
func NewPublic(s Settings) *Public {
	return &Public{
		settings: s,
		document: sync.OnceValues(func() (document, error) {
			body, err := withLogin(openapi.PublicJSON(), s)
			return document{body: body, tag: tagOf(body)}, err
		}),
		files: sync.OnceValues(func() (map[string]*file, error) { return readFiles(s) }),
	}
}

// NewAgent makes the handlers for agents.
func NewAgent() *Agent { return &Agent{once(openapi.AgentJSON)} }

// NewAdmin makes the handlers for administrators.
func NewAdmin() *Admin { return &Admin{own: once(openapi.AdminJSON), agents: once(openapi.AgentJSON)} }

func once(body func() json.RawMessage) func() document {
	return sync.OnceValue(func() document { return document{body: body(), tag: tagOf(body())} })
}

// GetOpenAPI gives the customers' document, or tells that the caller has it already.
func (p *Public) GetOpenAPI(
	_ context.Context, request public.GetOpenAPIRequestObject,
) (public.GetOpenAPIResponseObject, error) {
	d, err := p.document()
	if err != nil {
		return nil, err
	}
	if httpx.SameTag(request.Params.IfNoneMatch, d.tag) {
		return public.GetOpenAPI304Response{Headers: public.NotModifiedResponseHeaders{ETag: d.tag}}, nil
	}
	return public.GetOpenAPI200JSONResponse{Body: d.body, Headers: public.GetOpenAPI200ResponseHeaders{ETag: d.tag}}, nil
}

// GetAgentOpenAPI gives the agents' document, or tells that the caller has it already.
func (a *Agent) GetAgentOpenAPI(
	_ context.Context, request agent.GetAgentOpenAPIRequestObject,
) (agent.GetAgentOpenAPIResponseObject, error) {
	d := a.document()
	if httpx.SameTag(request.Params.IfNoneMatch, d.tag) {
		return agent.GetAgentOpenAPI304Response{Headers: agent.NotModifiedResponseHeaders{ETag: d.tag}}, nil
	}
	return agent.GetAgentOpenAPI200JSONResponse{Body: d.body, Headers: agent.GetAgentOpenAPI200ResponseHeaders{ETag: d.tag}}, nil
}

// GetAdminOpenAPI gives the administrators' document, or tells that the caller has it already.
func (a *Admin) GetAdminOpenAPI(
	_ context.Context, request admin.GetAdminOpenAPIRequestObject,
) (admin.GetAdminOpenAPIResponseObject, error) {
	d := a.own()
	if httpx.SameTag(request.Params.IfNoneMatch, d.tag) {
		return admin.GetAdminOpenAPI304Response{Headers: admin.NotModifiedResponseHeaders{ETag: d.tag}}, nil
	}
	return admin.GetAdminOpenAPI200JSONResponse{Body: d.body, Headers: admin.GetAdminOpenAPI200ResponseHeaders{ETag: d.tag}}, nil
}

// GetOpenAPIOfAgents gives the agents' document to administrators, or tells that the caller has it already.
func (a *Admin) GetOpenAPIOfAgents(
	_ context.Context, request admin.GetOpenAPIOfAgentsRequestObject,
) (admin.GetOpenAPIOfAgentsResponseObject, error) {
	d := a.agents()
	if httpx.SameTag(request.Params.IfNoneMatch, d.tag) {
		return admin.GetOpenAPIOfAgents304Response{Headers: admin.NotModifiedResponseHeaders{ETag: d.tag}}, nil
	}
	return admin.GetOpenAPIOfAgents200JSONResponse{Body: d.body, Headers: admin.GetOpenAPIOfAgents200ResponseHeaders{ETag: d.tag}}, nil
}

// loginScheme is the security scheme of the document that depends on the installation.
const loginScheme = "Login"

// withLogin puts the addresses of the identity provider into the document. The
// provider has them where Keycloak does. Without a client for logins there is no
// such scheme.
func withLogin(raw json.RawMessage, s Settings) (json.RawMessage, error) {
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("reading the customers' document: %w", err)
	}
	components, _ := tree["components"].(map[string]any)
	schemes, _ := components["securitySchemes"].(map[string]any)
	scheme, _ := schemes[loginScheme].(map[string]any)
	flows, _ := scheme["flows"].(map[string]any)
	flow, ok := flows["authorizationCode"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("reading the customers' document: it has no scheme %s", loginScheme)
	}
	if s.ClientID == "" {
		delete(schemes, loginScheme)
		tree["security"] = []any{map[string]any{"Bearer": []any{}}}
	} else {
		flow["authorizationUrl"] = s.Issuer + "/protocol/openid-connect/auth"
		flow["tokenUrl"] = s.Issuer + "/protocol/openid-connect/token"
	}
	// Links and patterns stay as they were written.
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(tree); err != nil {
		return nil, fmt.Errorf("writing the customers' document: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// tagOf gives a weak tag: the bytes of a packed body are others.
func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}
