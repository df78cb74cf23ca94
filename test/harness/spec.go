package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/openapi"
)

// specs are the documents that replies are held against.
type specs struct {
	public, agent, admin *spec
}

type spec struct {
	router  routers.Router
	fault   *openapi3.Schema // of all error bodies
	problem *openapi3.Schema // of those that were asked for as problems
}

// Reading the documents takes longer than a test may; they never change.
var readSpecs = sync.OnceValues(func() (*specs, error) {
	public, err := readSpec(openapi.PublicYAML())
	if err != nil {
		return nil, fmt.Errorf("reading the customers' specification: %w", err)
	}
	agent, err := readSpec(openapi.AgentYAML())
	if err != nil {
		return nil, fmt.Errorf("reading the agents' specification: %w", err)
	}
	admin, err := readSpec(openapi.AdminYAML())
	if err != nil {
		return nil, fmt.Errorf("reading the administrators' specification: %w", err)
	}
	return &specs{public: public, agent: agent, admin: admin}, nil
})

func loadSpecs(t *testing.T) *specs {
	t.Helper()
	all, err := readSpecs()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readSpec(document []byte) (*spec, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, err
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	fault, problem := doc.Components.Schemas["Error"], doc.Components.Schemas["Problem"]
	if fault == nil || problem == nil {
		return nil, errors.New("no schema Error or Problem")
	}
	return &spec{router: router, fault: fault.Value, problem: problem.Value}, nil
}

// Check tells how a reply differs from what was promised for its request.
func Check(r *http.Request, reply Response) error {
	all, err := readSpecs()
	if err != nil {
		return err
	}
	return all.check(r, reply)
}

// Routes lists what the replica serves, by method and path template.
func (r *Replica) Routes() []string { return r.app.Routes() }

// check tells how a reply differs from what was promised.
func (s *specs) check(r *http.Request, reply Response) error {
	operation := reply.Header.Get(httpx.OperationIDHeader)
	if len(operation) != 20 {
		return fmt.Errorf("the operation id is %q", operation)
	}
	document := s.public
	switch {
	case strings.Contains(r.URL.Path, "/agent-clusters/"):
		document = s.agent
	case strings.HasPrefix(r.URL.Path, Base+"/admin/"):
		document = s.admin
	}
	if reply.Status >= http.StatusBadRequest {
		if err := document.checkFault(r, reply, operation); err != nil {
			return err
		}
	}
	r = r.Clone(context.Background())
	r.URL.Path, r.URL.RawPath = strings.TrimSuffix(r.URL.Path, "/"), "" // as the service takes it
	route, params, err := document.router.FindRoute(r)
	if err != nil {
		if reply.Status < http.StatusBadRequest {
			return fmt.Errorf("an undocumented path answers %d", reply.Status)
		}
		return nil
	}
	if err := checkContent(route.Operation, reply); err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 reply.Status,
		Header:                 reply.Header,
		Body:                   io.NopCloser(bytes.NewReader(reply.Body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true,
			// What is no JSON has no structure to validate.
			ExcludeResponseBody: kindOf(reply) != plainJSON,
		},
	})
}

// checkContent demands the promised headers, a body where one is promised, of a promised type, and none elsewhere.
func checkContent(operation *openapi3.Operation, reply Response) error {
	promised := operation.Responses.Status(reply.Status)
	if promised == nil {
		return nil // the validation tells
	}
	for name, header := range promised.Value.Headers {
		if header.Value.Required && reply.Header.Get(name) == "" { // the library looks at no 304
			return fmt.Errorf("%d has the header %s, this one lacks it", reply.Status, name)
		}
	}
	if reply.Header.Get("Retry-After") != "" && promised.Value.Headers["Retry-After"] == nil {
		return fmt.Errorf("%d has no header Retry-After, this one has", reply.Status)
	}
	content := promised.Value.Content
	switch {
	case len(content) == 0 && len(reply.Body) > 0:
		return fmt.Errorf("%d has no body, this one has %d bytes", reply.Status, len(reply.Body))
	case len(content) == 0:
		return nil
	case len(reply.Body) == 0 && kindOf(reply) == plainJSON: // a text may be empty
		return fmt.Errorf("%d has a body, this one is empty", reply.Status)
	case content[kindOf(reply)] == nil: // not Get, which takes ranges of types too
		return fmt.Errorf("%d is not promised as %q", reply.Status, kindOf(reply))
	}
	return nil
}

// kindOf gives the media type of a reply without its parameters.
func kindOf(reply Response) string {
	kind, _, err := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

const (
	plainJSON   = "application/json"
	problemJSON = "application/problem+json"
)

// checkFault demands the catalogue's body. Only who names the type gets a problem:
// the clients out there decode nothing else than plain JSON.
func (s *spec) checkFault(r *http.Request, reply Response, operation string) error {
	wanted, schema := plainJSON, s.fault
	if strings.Contains(r.Header.Get("Accept"), problemJSON) {
		wanted, schema = problemJSON, s.problem
	}
	if kind := reply.Header.Get("Content-Type"); kind != wanted {
		return fmt.Errorf("an error has the type %q", kind)
	}
	var body map[string]any
	if err := json.Unmarshal(reply.Body, &body); err != nil {
		return fmt.Errorf("an error is no JSON: %w", err)
	}
	if body["operation_id"] != operation {
		return fmt.Errorf("the error's operation id is %v, the header's %s", body["operation_id"], operation)
	}
	return schema.VisitJSON(body)
}

// judge fails the test when a reply is not what was promised. It may run on any goroutine.
func (w *World) judge(r *http.Request, reply Response) {
	if err := w.specs.check(r, reply); err != nil {
		w.t.Errorf("%s %s answered %d %s\nwhich does not fit the specification: %v", r.Method, r.URL.Path, reply.Status, reply.Body, err)
	}
	if reply.Status >= http.StatusInternalServerError && !w.o.faulty {
		w.t.Errorf("%s %s answered %d %s", r.Method, r.URL.Path, reply.Status, reply.Body)
	}
}
