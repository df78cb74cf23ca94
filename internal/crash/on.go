//go:build crashpoints

package crash

import (
	"context"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Tracer puts points around each commit, each write outside of a transaction and
// each notification.
func Tracer(next pgx.QueryTracer) pgx.QueryTracer { return tracer{next} }

type tracer struct{ next pgx.QueryTracer }

type nameKey struct{}

// TraceQueryStart is before the statement is sent.
func (t tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if t.next != nil {
		ctx = t.next.TraceQueryStart(ctx, conn, data)
	}
	kind := kindOf(data.SQL, conn.PgConn().TxStatus() != 'I')
	if kind == "" {
		return ctx
	}
	name := kind + " " + caller()
	theTrap().hit("before " + name)
	return context.WithValue(ctx, nameKey{}, name)
}

// TraceQueryEnd is when the reply to the statement has been read.
func (t tracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if t.next != nil {
		t.next.TraceQueryEnd(ctx, conn, data)
	}
	if name, ok := ctx.Value(nameKey{}).(string); ok && data.Err == nil {
		theTrap().hit("after " + name)
	}
}

// kindOf tells what a statement is for the outside: nothing while it is a part of
// a transaction or only reads.
func kindOf(sql string, inside bool) string {
	sql = strings.ToUpper(strings.TrimSpace(sql))
	verb, _, _ := strings.Cut(sql, " ")
	switch {
	case strings.HasPrefix(sql, "COMMIT"):
		return "commit"
	case inside:
		return ""
	case strings.Contains(sql, "PG_NOTIFY"):
		return "notify"
	case verb == "WITH" && (strings.Contains(sql, "INSERT ") || strings.Contains(sql, "UPDATE ") || strings.Contains(sql, "DELETE ")):
		return "write"
	}
	switch strings.TrimSpace(verb) {
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		return "write"
	}
	return ""
}

// Transport puts points around each call to an upstream.
func Transport(upstream string, next http.RoundTripper) http.RoundTripper {
	return transport{upstream, next}
}

type transport struct {
	upstream string
	next     http.RoundTripper
}

// RoundTrip is between two points. At the second the upstream has done what it
// was asked for, and nobody knows yet.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return around(t.upstream, r, t.next.RoundTrip)
}

// CloseIdleConnections lets http.Client reach the transport.
func (t transport) CloseIdleConnections() {
	if closing, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closing.CloseIdleConnections()
	}
}

// Client puts points around each call to an upstream.
func Client(upstream string, next Doer) Doer { return client{upstream, next} }

type client struct {
	upstream string
	next     Doer
}

// Do is between two points, like RoundTrip.
func (c client) Do(r *http.Request) (*http.Response, error) {
	return around(c.upstream, r, c.next.Do)
}

func around(upstream string, r *http.Request, call func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	name := upstream + " " + r.Method + " "
	if strings.HasSuffix(r.URL.Path, "/token") {
		name += "login" // for whoever comes first
	} else {
		name += caller()
	}
	theTrap().hit("before " + name)
	reply, err := call(r)
	if err == nil {
		theTrap().hit("after " + name)
	}
	return reply, err
}
