// Package httpx is the HTTP edge that all APIs share: the chain around the
// router, the one mapping of errors to replies, list parameters, and the three
// servers with their health and metrics pages.
//
// It is for what every request has in common. It is not for any single endpoint
// and knows no domain: who may call what is a func that the app wires in.
// Invariant: every request gets exactly one reply, one access log line, one
// metrics observation and one operation id, whatever happens inside.
package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/handlers"
	"github.com/gorilla/mux"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Bounds of one request.
const (
	smallBody      = 1 << 20
	largeBody      = 8 << 20
	defaultTimeout = 25 * time.Second
	writeGrace     = 5 * time.Second // to send the reply after the handler's time is over
)

// Options is what the outer handler is made of. Templates are those of the
// router, like /api/kafkas_mgmt/v1/kafkas/{id}.
type Options struct {
	Router *mux.Router // must not change any more
	Errors *Errors
	Logger *slog.Logger

	// Authorize checks the caller before a handler runs and gives the context that
	// carries the identity. The template is empty when no route fits: then it
	// checks the token only, so that a stranger learns nothing about the paths.
	Authorize func(r *http.Request, template string) (context.Context, error)
	// Admit checks what only a remote call can tell, when the caller has its turn; may
	// be nil. The context is that of Authorize.
	Admit func(ctx context.Context, method, template string) error
	// Who names the caller for the access log, from the context of Authorize.
	Who func(ctx context.Context) (user, org string)

	// Audit hears of every request for which Authorize was asked, with its context,
	// before anything of the reply leaves; once more if the connection is cut then. May
	// be nil.
	Audit func(ctx context.Context, done Done)

	// Limits is how much one caller may ask for; nil bounds nobody. Caller names who a
	// request counts for, from the context of Authorize.
	Limits *Limits
	Caller func(ctx context.Context, method, template string) Caller

	Metrics *Metrics
	Actions map[string]string // "GET <template>" → name of the action in the access log
	// Batches are templates whose body holds many entries: they take 8 MiB in place
	// of 1 MiB, and a NUL in one entry does not cost the others.
	Batches    []string
	Bodiless   []string                 // templates whose handlers read no body: none is waited for, nor looked at
	Timeouts   map[string]time.Duration // templates whose handlers have more or less than 25 s
	FirstValue []string                 // query parameters of which only the first value counts
}

// Done is a request that was answered.
type Done struct {
	Method, Path, Template string
	Status                 int // 0: the connection was cut
	Elapsed                time.Duration
}

// chain is the outermost handler.
type chain struct {
	Options
	routes  map[*mux.Route]route
	inner   http.Handler // CORS around dispatch
	zippers zippers
	shelf   shelf
	held    budget // replies
	texts   shelf
	bodies  budget // of customers' requests
	reports budget // of agents'
}

// Beyond these a body is refused with 429, before it is read.
const (
	bodiesInAll  = 64 << 20
	reportsInAll = 256 << 20 // after an outage all agents come at a time
	perSender    = 16 << 20
)

// NewHandler builds the chain, outermost first: operation id, access log,
// metrics, recovery; one trailing slash off; CORS; route; authorisation; the body,
// within limits of size and time; the caller's turn; the handler.
func NewHandler(o Options) (http.Handler, error) {
	routes, err := readRoutes(o)
	if err != nil {
		return nil, err
	}
	c := &chain{
		Options: o, routes: routes, held: budget{inAll: heldInAll, perTenant: heldPerTenant},
		bodies: budget{inAll: bodiesInAll, perTenant: perSender}, reports: budget{inAll: reportsInAll, perTenant: perSender},
	}
	c.inner = handlers.CORS(
		handlers.AllowedMethods([]string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost}),
		handlers.AllowedHeaders([]string{"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-ID"}),
		handlers.ExposedHeaders([]string{OperationIDHeader, "ETag", "Retry-After"}),
		handlers.MaxAge(600),
	)(http.HandlerFunc(c.dispatch))
	return c, nil
}

func (c *chain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	out := c.newReply(w, r)
	ctx, seen := newCall(r.Context(), r, out)
	r = stripSlash(r).WithContext(ctx)
	out.Header().Set(OperationIDHeader, seen.id)
	// Before the reply, however long it is: who dies in between leaves no gap.
	out.leaves = func(status int) { c.audit(r, seen, status, time.Since(started)) }

	defer out.room.repay()
	aborted := c.guarded(out, r)
	if !aborted {
		out.finish()
	}
	c.observe(r, seen, out, aborted, time.Since(started))
	if aborted {
		// net/http takes this as the wish to cut the connection without a word.
		panic(http.ErrAbortHandler)
	}
}

// guarded runs the inner handlers and turns a panic into an error reply. It
// tells whether the connection must be cut, which is also the only honest end
// when a part of another reply is on its way already.
func (c *chain) guarded(out *reply, r *http.Request) (aborted bool) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		stack := debug.Stack()
		if there, ok := cause.(*panicked); ok {
			cause, stack = there.cause, there.stack
		}
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			aborted = true
			return
		}
		err := fmt.Errorf("panic: %v", cause)
		c.Logger.ErrorContext(r.Context(), "handler panicked", "cause", err.Error(), "stack", string(stack))
		if aborted = out.committed; !aborted {
			c.Errors.WriteError(out, r, err)
		} else if c.Errors.Report != nil {
			c.Errors.Report(r.Context(), err)
		}
	}()
	c.inner.ServeHTTP(out, r)
	return false
}

// observe writes the access log line and the metrics. Bodies, headers and
// queries may carry secrets and are never logged.
func (c *chain) observe(r *http.Request, seen *call, out *reply, aborted bool, elapsed time.Duration) {
	status := out.status
	if aborted {
		status = 0
	}
	method := boundedMethod(r.Method)
	c.Metrics.observe(method, seen.route.label, status, elapsed)
	if aborted {
		c.audit(r, seen, status, elapsed)
	}
	if !aborted && out.Header().Get("Content-Length") != "" {
		_ = http.NewResponseController(out.ResponseWriter).Flush() // it is whole: the caller need not wait for the log
	}
	c.Logger.InfoContext(r.Context(), "request served",
		"action", c.Actions[method+" "+seen.route.template], "method", method, "path", seen.route.label, "status", status,
		"elapsed", elapsed.String(), "user", seen.user, "org", seen.org)
}

// audit tells of a request whose caller was asked for.
func (c *chain) audit(r *http.Request, seen *call, status int, elapsed time.Duration) {
	if c.Audit != nil && seen.caller != nil {
		c.Audit(seen.caller, Done{Method: boundedMethod(r.Method), Path: r.URL.Path, Template: seen.route.template, Status: status, Elapsed: elapsed})
	}
}

// stripSlash takes one slash off the end of the path.
func stripSlash(r *http.Request) *http.Request {
	if !strings.HasSuffix(r.URL.Path, "/") {
		return r
	}
	stripped, address := *r, *r.URL
	address.Path = strings.TrimSuffix(address.Path, "/")
	address.RawPath = strings.TrimSuffix(address.RawPath, "/")
	stripped.URL = &address
	return &stripped
}

// dispatch finds the route, asks for permission and runs the handler.
func (c *chain) dispatch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Add("Vary", "Authorization")

	match, target := c.match(r)
	seen := callOf(r.Context())
	seen.route = target
	ctx, cancel := context.WithTimeout(r.Context(), target.timeout)
	defer cancel()
	ctx, err := c.Authorize(r.WithContext(ctx), target.template)
	seen.caller = ctx
	if err != nil {
		c.Errors.WriteError(w, r, err)
		return
	}
	r = r.WithContext(ctx)
	if c.Who != nil {
		seen.user, seen.org = c.Who(ctx)
	}
	if match == nil {
		c.refusePath(w, r)
		return
	}
	body := &singleValue{
		body: http.MaxBytesReader(underlying(w), r.Body, target.maxBody), nul: target.batch, shelf: &c.texts,
	}
	defer body.end()
	if err := c.inTurn(r, seen, body, func() { c.serve(w, r, match, body) }); err != nil {
		c.Errors.WriteError(w, r, err)
	}
}

// serve runs the handler of a request whose turn it is.
func (c *chain) serve(w http.ResponseWriter, r *http.Request, match *mux.RouteMatch, body *singleValue) {
	seen := callOf(r.Context())
	if c.Admit != nil {
		if err := c.Admit(r.Context(), r.Method, seen.route.template); err != nil {
			c.Errors.WriteError(w, r, err)
			return
		}
	}
	r, err := normaliseQuery(r, c.FirstValue)
	if err != nil {
		c.Errors.RequestError(w, r, err)
		return
	}
	seen.out.hold = r.Method == http.MethodGet
	if !seen.out.hold {
		w.Header().Set("Cache-Control", "no-store") // secrets are told once, and to nobody else
	}
	if seen.route.timeout > defaultTimeout {
		// The server's write timeout was chosen for the other routes.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(seen.route.timeout + writeGrace))
	}
	r = mux.SetURLVars(r, match.Vars)
	r.Body = body
	match.Handler.ServeHTTP(w, r)
}

// inTurn receives the body, so that a client that sends slowly keeps no place, and
// serves the request in its caller's turn. An error tells why the turn did not come.
func (c *chain) inTurn(r *http.Request, seen *call, body *singleValue, serve func()) error {
	if coding := r.Header.Get("Content-Encoding"); bears(r) && coding != "" && !strings.EqualFold(coding, "identity") {
		return unreadable(nil, "a body with a Content-Encoding is not read, send it as it is")
	}
	if c.Limits == nil {
		serve()
		return nil
	}
	ctx := r.Context()
	by := c.Caller(ctx, r.Method, seen.route.template)
	seen.out.room.tenant = by.Key
	room := &grant{budget: &c.bodies, tenant: by.Key}
	if by.Agent {
		room.budget = &c.reports
	}
	defer room.repay()
	return c.Limits.do(ctx, r.Method, by, func() error { return awaitBody(r, body, room) }, serve)
}

// bears tells whether a request has a body that its handler reads.
func bears(r *http.Request) bool {
	return r.ContentLength != 0 && r.Method != http.MethodGet && r.Method != http.MethodDelete && !callOf(r.Context()).route.bodiless
}

// awaitBody receives the bodies that handlers read.
func awaitBody(r *http.Request, body *singleValue, room *grant) error {
	if !bears(r) {
		return nil
	}
	if most := callOf(r.Context()).route.maxBody; r.ContentLength > most { // nobody need send it to hear that
		body.begin()
		body.judge(&http.MaxBytesError{Limit: most})
		return nil
	}
	if !body.receive(room) {
		return tooMany{time.Second}
	}
	if errors.Is(r.Context().Err(), context.DeadlineExceeded) { // nothing of the request's time is left
		return unreadable(r.Context().Err(), "the body did not arrive in time")
	}
	return nil
}

// refusePath answers for a path without route: 405 with the methods it has, or 404.
func (c *chain) refusePath(w http.ResponseWriter, r *http.Request) {
	allowed := c.allowed(r)
	if len(allowed) == 0 {
		c.Errors.WriteError(w, r, apierr.New(apierr.NotFound, ""))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	c.Errors.WriteError(w, r, apierr.New(apierr.MethodNotAllowed, ""))
}
