package httpx

import (
	"context"
	"net/http"
	"regexp"

	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// OperationIDHeader is the reply header that names the request in our logs.
const OperationIDHeader = "X-Operation-ID"

// call is what the outer handlers learn about a request from the inner ones. It
// belongs to the goroutine that works at the request, one at a time.
type call struct {
	id        string
	route     route
	user, org string
	caller    context.Context // of Authorize, whatever it said
	out       *reply
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	seen, _ := ctx.Value(callKey{}).(*call)
	return seen
}

// OperationID gives the id of the request that the context belongs to, or nothing.
func OperationID(ctx context.Context) string {
	if seen := callOf(ctx); seen != nil {
		return seen.id
	}
	return ""
}

// TakesGzip tells whether the reply to the request that the context belongs to may be packed with gzip.
func TakesGzip(ctx context.Context) bool {
	seen := callOf(ctx)
	return seen != nil && seen.out.takesGzip
}

// A caller's own id goes to the log only in this shape.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,64}$`)

func newCall(ctx context.Context, r *http.Request, out *reply) (context.Context, *call) {
	seen := &call{id: xid.New().String(), route: noRoute(), out: out}
	ctx = log.With(context.WithValue(ctx, callKey{}, seen), "operation_id", seen.id)
	if theirs := r.Header.Get("X-Request-ID"); saneRequestID.MatchString(theirs) {
		ctx = log.With(ctx, "request_id", theirs)
	}
	return ctx, seen
}
