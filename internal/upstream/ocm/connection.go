package ocm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	sdk "github.com/openshift-online/ocm-sdk-go"

	"github.com/kas-fleet/kas-fleet-manager/internal/crash"
)

// maxAnswer bounds how much of an answer is read into memory.
const maxAnswer = 8 << 20

// Connection is a connection of the SDK to one service. Each call has to Begin.
type Connection struct {
	*sdk.Connection

	timeout time.Duration
	turn    chan struct{} // of getting a token
}

// Connect opens a connection to a service at the URL. It sends nothing yet. The
// SDK's own retries are off: they would repeat a POST whose effect has happened,
// and the loops try again in their own time.
func Connect(c Config, baseURL string, logger *slog.Logger) (*Connection, error) {
	if !c.complete() {
		return nil, errNoCredentials
	}
	builder := sdk.NewConnectionBuilder().
		Logger(sdkLogger{logger}).
		URL(baseURL).
		TokenURL(c.TokenURL).
		RetryLimit(0).
		TransportWrapper(func(next http.RoundTripper) http.RoundTripper {
			return guard{next: crash.Transport("ocm", next), debug: c.Debug, logger: logger}
		})
	if c.ClientID != "" && c.ClientSecret != "" {
		builder = builder.Client(c.ClientID, c.ClientSecret.Reveal())
	} else {
		builder = builder.Tokens(c.Token.Reveal())
	}
	conn, err := builder.Build()
	if err != nil {
		return nil, fmt.Errorf("building the OCM connection: %w", err)
	}
	return &Connection{Connection: conn, timeout: cmp.Or(c.Timeout, DefaultTimeout), turn: make(chan struct{}, 1)}, nil
}

// Begin gives a call its deadline and sees to it that there is a token for it. The
// SDK would get one under a lock, where a call waits for others beyond its own deadline.
func (c *Connection) Begin(ctx context.Context, doing string) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	var err error
	select {
	case c.turn <- struct{}{}:
		_, _, err = c.TokensContext(ctx)
		<-c.turn
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, nil, Check(doing, unsent{}, err)
	}
	return ctx, cancel, nil
}

// unsent is the answer to a call that was not made.
type unsent struct{}

func (unsent) Status() int { return 0 }

// guard is the innermost round tripper: it keeps answers short and at home, and
// logs calls without their bodies. The SDK's own dump shows bodies, and with
// them the parameters of add-ons, some of which are secrets.
type guard struct {
	next   http.RoundTripper
	debug  bool
	logger *slog.Logger
}

// errRedirected stops a redirect, which would take our token to wherever it points.
var errRedirected = errors.New("redirects are not followed")

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	answer, err := g.next.RoundTrip(r)
	status := 0
	if err == nil {
		status = answer.StatusCode
	}
	if g.debug {
		g.logger.InfoContext(r.Context(), "called OCM", "method", r.Method, "host", r.URL.Host,
			"path", r.URL.Path, "status", status, "duration", time.Since(start))
	}
	if err != nil {
		return nil, err
	}
	if status >= 300 && status < 400 {
		_ = answer.Body.Close()
		return nil, errRedirected
	}
	answer.Body = limited{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

// CloseIdleConnections lets http.Client reach the transport.
func (g guard) CloseIdleConnections() {
	if closer, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

type limited struct {
	io.Reader
	io.Closer
}

// sdkLogger passes the SDK's warnings and errors on as one constant message each.
type sdkLogger struct{ to *slog.Logger }

func (sdkLogger) DebugEnabled() bool { return false }
func (sdkLogger) InfoEnabled() bool  { return false }
func (sdkLogger) WarnEnabled() bool  { return true }
func (sdkLogger) ErrorEnabled() bool { return true }

func (sdkLogger) Debug(context.Context, string, ...any) {}
func (sdkLogger) Info(context.Context, string, ...any)  {}

func (l sdkLogger) Warn(ctx context.Context, format string, args ...any) {
	l.log(ctx, slog.LevelWarn, format, args)
}

func (l sdkLogger) Error(ctx context.Context, format string, args ...any) {
	l.log(ctx, slog.LevelError, format, args)
}

func (sdkLogger) Fatal(context.Context, string, ...any) {}

// log takes a nil context, which the SDK allows itself.
func (l sdkLogger) log(ctx context.Context, level slog.Level, format string, args []any) {
	if ctx == nil {
		ctx = context.Background()
	}
	l.to.Log(ctx, level, "the OCM SDK has something to say", "text", fmt.Sprintf(format, args...))
}
