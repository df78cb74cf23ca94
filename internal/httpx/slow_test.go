package httpx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// Each way of keeping a connection busy with nothing has an end, at its timeout.
func TestSlowClientsAreCut(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	server, _ := run(t, httpx.ServerOptions{
		HeaderTimeout: timeout, ReadTimeout: 2 * timeout, WriteTimeout: 3 * timeout, IdleTimeout: 4 * timeout,
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/large" {
			_, _ = io.WriteString(w, strings.Repeat("x", 8<<20))
		}
	}))
	for name, c := range map[string]struct {
		first, drip string
		reads       bool
		after       time.Duration
	}{
		"nothing at all": {"", "", true, timeout},
		"headers":        {"GET / HTTP/1.1\r\nHost: x\r\n", "X: y\r\n", true, timeout},
		"body":           {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "z", true, 2 * timeout},
		"chunks":         {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nz\r\n", true, 2 * timeout},
		"reader":         {"GET /large HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n", false, 3 * timeout},
		"idle":           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", true, 4 * timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Address())
			require.NoError(t, err)
			defer conn.Close()
			if !c.reads { // nor must the kernel take much in its place
				require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
			}
			_, err = io.WriteString(conn, c.first)
			require.NoError(t, err)
			took := untilCut(t, conn, c.drip, c.reads).Sub(began)
			require.Greater(t, took, c.after-50*time.Millisecond)
			require.Less(t, took, c.after+5*time.Second, "other tests run at once")
		})
	}
}

// oneAtATime serves one caller, one request at a time.
func oneAtATime(t *testing.T, router *mux.Router, errs *httpx.Errors) http.Handler {
	t.Helper()
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Limits:    httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: time.Second}),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    func(context.Context, string, string) httpx.Caller { return httpx.Caller{Key: "one"} },
	})
	require.NoError(t, err)
	return handler
}

// net/http waits for a body that nobody reads before it sends a reply of more than 2 kB. The one who owes it keeps
// no place meanwhile.
func TestWhoOwesABodyThatNobodyReadsKeepsNoPlace(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	entered := make(chan struct{}, 4)
	router := mux.NewRouter()
	router.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		errs.WriteError(w, r, apierr.New(apierr.NotFound, strings.Repeat("<", 1000))) // 6 kB as JSON
	}).Methods(http.MethodGet, http.MethodDelete)
	handler := oneAtATime(t, router, errs)
	server, _ := run(t, httpx.ServerOptions{ReadTimeout: 10 * time.Second}, handler)
	ask := func(method, body string) net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Address())
		require.NoError(t, err)
		_, err = io.WriteString(conn, method+" /long HTTP/1.1\r\nHost: x\r\n"+body+"\r\n")
		require.NoError(t, err)
		return conn
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		owing := ask(method, "Content-Length: 100\r\n")
		defer owing.Close()
		wait(t, entered)
		honest := ask(method, "")
		defer honest.Close()
		reply, err := http.ReadResponse(bufio.NewReader(honest), nil)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, http.StatusNotFound, reply.StatusCode, method)
		wait(t, entered)
	}
}

// Who announces too much is told so before sending any of it.
func TestWhoAnnouncesTooMuchNeedNotSendIt(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/orders", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			errs.RequestError(w, r, err)
		}
	})
	router.HandleFunc("/reset", func(http.ResponseWriter, *http.Request) {}) // reads no body, so it has no faults
	handler := oneAtATime(t, router, errs)
	server, _ := run(t, httpx.ServerOptions{ReadTimeout: time.Minute}, handler)
	for path, want := range map[string]int{"/orders": http.StatusBadRequest, "/reset": http.StatusOK} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Address())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
		_, err = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n{")
		require.NoError(t, err)
		reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		text, err := io.ReadAll(reply.Body)
		require.NoError(t, err)
		require.Equal(t, want, reply.StatusCode, string(text))
		if want != http.StatusOK {
			require.Contains(t, string(text), "invalid request format: the body is larger than 1048576 bytes")
		}
	}
}

// untilCut drips text into a connection until its other end is gone.
func untilCut(t *testing.T, conn net.Conn, drip string, reads bool) time.Time {
	t.Helper()
	buffer := make([]byte, 4096)
	if !reads {
		buffer = buffer[:1]
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if _, err := io.WriteString(conn, drip); errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			return time.Now()
		}
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		if _, err := conn.Read(buffer); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return time.Now()
		}
	}
	t.Fatal("the connection was never cut")
	return time.Time{}
}
