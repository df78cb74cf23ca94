package httpx_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// withTLS adds a certificate of the test's own.
func withTLS(t *testing.T, o httpx.ServerOptions) httpx.ServerOptions {
	t.Helper()
	dir := t.TempDir()
	o.CertFile, o.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePair(t, o.CertFile, o.KeyFile, "localhost", 1)
	return o
}

// Kinds and flags of frames. No client library sends what the tests of slow ones need.
const (
	dataFrame, headersFrame, resetFrame, settingsFrame, pingFrame, windowFrame, continuationFrame = 0x0, 0x1, 0x3, 0x4, 0x6, 0x8, 0x9

	endStream, endHeaders = 0x1, 0x4
)

func frame(kind, flags byte, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return string(binary.BigEndian.AppendUint32(append(head, flags), stream)) + payload
}

// greeting begins a connection whose streams may send so much; the connection may send any amount.
func greeting(window uint32) string {
	const windowOfStreams = "\x00\x04"
	return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
		frame(settingsFrame, 0, 0, windowOfStreams+string(binary.BigEndian.AppendUint32(nil, window))) +
		frame(windowFrame, 0, 0, "\x3f\xff\xff\xff")
}

// Headers of "GET https://x/" and "POST https://x/".
const getHeader, postHeader = "\x82\x84\x87\x41\x01x", "\x83\x84\x87\x41\x01x"

// speak opens a connection for HTTP/2 whose kernel takes little that is not read.
func speak(t *testing.T, server *httpx.Server, first string) net.Conn {
	t.Helper()
	plain, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	require.NoError(t, plain.(*net.TCPConn).SetReadBuffer(4096))
	secured := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, secured.HandshakeContext(t.Context()))
	_, err = io.WriteString(secured, first)
	require.NoError(t, err)
	return secured
}

// Over HTTP/2 a timeout ends the stream; its connection, on which others may be, ends when it has been idle.
func TestSlowClientsAreCutOverHTTP2(t *testing.T) {
	t.Parallel()
	const (
		timeout = 300 * time.Millisecond
		goodbye = time.Second // from the last stream to the end of a connection, by net/http
	)
	server, _ := run(t, withTLS(t, httpx.ServerOptions{
		ReadTimeout: 2 * timeout, WriteTimeout: 3 * timeout, IdleTimeout: 4 * timeout,
	}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, strings.Repeat("x", 8<<20))
		}
	}))
	for name, c := range map[string]struct {
		first, drip string
		after       time.Duration
	}{
		"headers": {frame(headersFrame, endStream, 1, getHeader), frame(continuationFrame, 0, 1, ""), 4*timeout + goodbye},
		"body":    {frame(headersFrame, endHeaders, 1, postHeader), frame(dataFrame, 0, 1, "z"), 6*timeout + goodbye},
		"reader":  {frame(headersFrame, endHeaders|endStream, 1, getHeader), "", 7*timeout + goodbye},
		"idle":    {"", frame(pingFrame, 0, 0, "12345678"), 4*timeout + goodbye},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			took := untilCut(t, speak(t, server, greeting(1)+c.first), c.drip, true).Sub(began)
			require.Greater(t, took, c.after-50*time.Millisecond)
			require.Less(t, took, c.after+5*time.Second, "other tests run at once")
		})
	}
}

// The end of a stream has to be written, too: nothing else of a connection ends while it takes nothing.
func TestWhoTakesNothingIsCutOverHTTP2(t *testing.T) {
	t.Parallel()
	over := make(chan struct{}, 1)
	server, _ := run(t, withTLS(t, httpx.ServerOptions{WriteTimeout: 300 * time.Millisecond}), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 64<<20))
		over <- struct{}{}
	}))
	speak(t, server, greeting(1<<31-1)+frame(headersFrame, endHeaders|endStream, 1, getHeader))
	wait(t, over)
}

// What is sent and read by nobody is in our memory over HTTP/2, for strangers as well.
func TestLittleOfABodyIsTakenBeforeItIsRead(t *testing.T) {
	t.Parallel()
	server, _ := run(t, withTLS(t, httpx.ServerOptions{}), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // the client sent too much
	}))
	conn := speak(t, server, greeting(1)+frame(headersFrame, endHeaders, 1, postHeader)+
		strings.Repeat(frame(dataFrame, 0, 1, strings.Repeat("x", 16<<10)), 9))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	for head := make([]byte, 9); head[3] != resetFrame; {
		_, err := io.ReadFull(conn, head)
		require.NoError(t, err)
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		_, err = io.ReadFull(conn, payload)
		require.NoError(t, err)
		if head[3] == resetFrame {
			require.Equal(t, "\x00\x00\x00\x03", string(payload), "it was told how much it may send")
		}
	}
}

// A client that resets its streams gives up its place and its place in line, and counts as gone, not as refused.
func TestResetStreamsGiveUpTheirPlaces(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	entered := make(chan struct{}, 1)
	router := mux.NewRouter()
	router.HandleFunc("/long", func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	})
	reg := prometheus.NewRegistry()
	limits := httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: time.Minute})
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(reg, limits), Limits: limits,
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    func(context.Context, string, string) httpx.Caller { return httpx.Caller{Key: "one"} },
	})
	require.NoError(t, err)
	server, _ := run(t, withTLS(t, httpx.ServerOptions{}), handler)
	in := func(serving, waiting float64) {
		t.Helper()
		require.Eventually(t, func() bool {
			return gauge(t, reg, "api_inbound_requests_in_flight", "reads") == serving && gauge(t, reg, "api_inbound_requests_waiting", "reads") == waiting
		}, 10*time.Second, time.Millisecond)
	}
	ask := func(stream uint32) string {
		return frame(headersFrame, endHeaders|endStream, stream, getHeader[:1]+"\x04\x05/long"+getHeader[2:])
	}
	const cancel = "\x00\x00\x00\x08"
	conn := speak(t, server, greeting(1)+ask(1))
	wait(t, entered)
	_, err = io.WriteString(conn, ask(3)+ask(5))
	require.NoError(t, err)
	in(1, 2)
	_, err = io.WriteString(conn, frame(resetFrame, 0, 3, cancel)+frame(resetFrame, 0, 5, cancel))
	require.NoError(t, err)
	in(1, 0)
	_, err = io.WriteString(conn, frame(resetFrame, 0, 1, cancel))
	require.NoError(t, err)
	in(0, 0)
	require.Eventually(t, func() bool { return served(t, reg, "499") == 2 }, 10*time.Second, time.Millisecond)
	require.Zero(t, served(t, reg, "429"))
}

// served counts the requests that ended so.
func served(t *testing.T, reg *prometheus.Registry, code string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == "api_inbound_request_count" && label.GetName() == "code" && label.GetValue() == code {
					sum += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// What clients rely on is the same over HTTP/2, on one connection, and a stop lets it finish.
func TestTheEdgeOverHTTP2(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	entered, release := make(chan struct{}), make(chan struct{})
	router := mux.NewRouter()
	router.HandleFunc("/list", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `["`+strings.Repeat("x", 3000)+`"]`)
	}).Methods(http.MethodGet)
	router.HandleFunc("/list", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			errs.RequestError(w, r, err)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(text)
	}).Methods(http.MethodPost)
	router.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "{}")
	})
	router.HandleFunc("/broken", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	server, stop := run(t, withTLS(t, httpx.ServerOptions{}), oneAtATime(t, router, errs))
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ask := func(method, path, body string, header ...string) (*http.Response, string, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+server.Address()+path, strings.NewReader(body))
		require.NoError(t, err)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		reply, err := client.Do(req)
		if err != nil {
			return nil, "", err
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		return reply, string(text), err
	}
	first, whole, err := ask("GET", "/list", "")
	require.NoError(t, err)
	require.EqualValues(t, len(whole), first.ContentLength)
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		says, means        string // of a header
	}{
		{"GET", "/list/", "", nil, 200, "ETag", first.Header.Get("ETag")},
		{"GET", "/list", "", []string{"If-None-Match", first.Header.Get("ETag")}, 304, "ETag", first.Header.Get("ETag")},
		{"GET", "/list", "", []string{"Accept-Encoding", "gzip"}, 200, "Content-Encoding", "gzip"},
		{"GET", "/list", "", []string{"Origin", "https://x"}, 200, "Access-Control-Allow-Origin", "*"},
		{"OPTIONS", "/list", "", []string{"Origin", "https://x", "Access-Control-Request-Method", "POST"}, 200, "Access-Control-Max-Age", "600"},
		{"HEAD", "/list", "", nil, 405, "Allow", "GET, POST"},
		{"POST", "/list", "{}", []string{"Expect", "100-continue"}, 202, "Cache-Control", "no-store"},
		{"POST", "/list", "{} {}", nil, 400, "Content-Type", "application/json"},
		{"POST", "/list", `"` + strings.Repeat("x", 1<<20) + `"`, nil, 400, "Content-Type", "application/json"},
		{"GET", "/none", "", nil, 404, "Content-Type", "application/json"},
	} {
		reply, _, err := ask(c.method, c.path, c.body, c.header...)
		require.NoError(t, err, "%s %s", c.method, c.path)
		require.Equal(t, "HTTP/2.0", reply.Proto)
		require.Equal(t, c.status, reply.StatusCode, "%s %s", c.method, c.path)
		require.Equal(t, c.means, reply.Header.Get(c.says), "%s %s", c.method, c.path)
	}
	_, _, err = ask("GET", "/broken", "")
	require.ErrorContains(t, err, "stream error", "the connection goes on")

	late := make(chan string, 1)
	go func() {
		_, text, err := ask("POST", "/late", "")
		late <- fmt.Sprint(text, err)
	}()
	wait(t, entered)
	reply, _, err := ask("POST", "/list", "{}")
	require.NoError(t, err)
	require.Equal(t, 429, reply.StatusCode)
	require.Equal(t, "1", reply.Header.Get("Retry-After"))
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool { // it was told to go elsewhere
		_, _, err := ask("GET", "/list", "")
		return errors.Is(err, syscall.ECONNREFUSED)
	}, 10*time.Second, time.Millisecond)
	close(release)
	require.Equal(t, "{}<nil>", <-late)
	require.NoError(t, <-stopped)
}
