package httpx

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"
)

// route is what the chain knows about one route before any request comes.
type route struct {
	template string // empty: no route
	label    string // of the metrics
	maxBody  int64
	batch    bool // many entries in one body
	bodiless bool // the handler reads no body
	timeout  time.Duration
}

func noRoute() route { return route{label: "/-", maxBody: smallBody, timeout: defaultTimeout} }

// readRoutes lists the router's routes and refuses options for templates that
// do not exist, since a typing error there would silently lift a limit.
func readRoutes(o Options) (map[*mux.Route]route, error) {
	routes, known := map[*mux.Route]route{}, map[string]bool{}
	err := o.Router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		if r.GetHandler() == nil {
			return nil
		}
		template, err := r.GetPathTemplate()
		if err != nil {
			return fmt.Errorf("reading a route's path: %w", err)
		}
		known[template] = true
		entry := noRoute()
		entry.template, entry.label = template, pathLabel(template)
		if slices.Contains(o.Batches, template) {
			entry.maxBody, entry.batch = largeBody, true
		}
		entry.bodiless = slices.Contains(o.Bodiless, template)
		if timeout, ok := o.Timeouts[template]; ok {
			entry.timeout = timeout
		}
		routes[r] = entry
		return nil
	})
	if err != nil {
		return nil, err
	}
	named := slices.Concat(o.Batches, o.Bodiless)
	for template := range o.Timeouts {
		named = append(named, template)
	}
	for action := range o.Actions {
		_, template, _ := strings.Cut(action, " ")
		named = append(named, template)
	}
	for _, template := range named {
		if !known[template] {
			return nil, fmt.Errorf("reading the routes: no route has the path %q", template)
		}
	}
	return routes, nil
}

// match finds the route; the match is nil when there is none. PostgreSQL can
// store neither a NUL nor broken UTF-8, so no object has such an id and the path
// is as good as unknown.
func (c *chain) match(r *http.Request) (*mux.RouteMatch, route) {
	if strings.ContainsRune(r.URL.Path, 0) || !utf8.ValidString(r.URL.Path) {
		return nil, noRoute()
	}
	var match mux.RouteMatch
	if !c.Router.Match(r, &match) || match.MatchErr != nil || match.Handler == nil {
		return nil, noRoute()
	}
	return &match, c.routes[match.Route]
}

// allowed lists the methods for which the path has a route.
func (c *chain) allowed(r *http.Request) []string {
	var methods []string
	for _, method := range knownMethods() {
		probe := *r
		probe.Method = method
		if match, _ := c.match(&probe); match != nil {
			methods = append(methods, method)
		}
	}
	return methods
}

func knownMethods() []string {
	return []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut}
}

// boundedMethod keeps invented methods out of the metrics' labels.
func boundedMethod(method string) string {
	if slices.Contains(knownMethods(), method) {
		return method
	}
	return "OTHER"
}

// pathLabel replaces each {…} of a template by a dash. A pattern inside the
// braces may have braces of its own.
func pathLabel(template string) string {
	var label strings.Builder
	depth := 0
	for _, r := range template {
		switch {
		case r == '{':
			if depth == 0 {
				label.WriteByte('-')
			}
			depth++
		case r == '}':
			depth--
		case depth == 0:
			label.WriteRune(r)
		}
	}
	return label.String()
}

// normaliseQuery refuses a query that cannot be decoded, since Go would drop the
// broken part and a filter would silently not filter, and keeps the first of
// several values where only one makes sense.
func normaliseQuery(r *http.Request, single []string) (*http.Request, error) {
	if r.URL.RawQuery == "" {
		return r, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return r, fmt.Errorf("the query is malformed: %w", err)
	}
	changed := false
	for _, name := range single {
		if len(query[name]) > 1 {
			query[name] = query[name][:1]
			changed = true
		}
	}
	if !changed {
		return r, nil
	}
	normal, address := *r, *r.URL
	address.RawQuery = query.Encode()
	normal.URL = &address
	return &normal, nil
}
