//go:build !crashpoints

package crash

import (
	"net/http"

	"github.com/jackc/pgx/v5"
)

// Tracer gives back the tracer of the database's connections.
func Tracer(next pgx.QueryTracer) pgx.QueryTracer { return next }

// Transport gives back the transport of an upstream.
func Transport(_ string, next http.RoundTripper) http.RoundTripper { return next }

// Client gives back the client of an upstream.
func Client(_ string, next Doer) Doer { return next }
