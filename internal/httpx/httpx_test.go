package httpx_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = "/api/kafkas_mgmt/v1"

// lockedBuffer is a log that a test may read while the server writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type edge struct {
	t        *testing.T
	url      string
	client   *http.Client
	logs     *lockedBuffer
	reg      *prometheus.Registry
	errs     *httpx.Errors
	mu       sync.Mutex
	reported []error
}

func (e *edge) reports() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]error(nil), e.reported...)
}

func newErrors(w io.Writer) *httpx.Errors {
	return &httpx.Errors{API: apierr.Kafkas, Logger: log.New(w, slog.LevelInfo)}
}

// newEdge serves the routes behind the chain. Every request with an
// Authorization header is let in.
func newEdge(t *testing.T, routes func(r *mux.Router, errs *httpx.Errors)) *edge {
	e := &edge{t: t, logs: &lockedBuffer{}, reg: prometheus.NewRegistry()}
	e.errs = newErrors(e.logs)
	e.errs.Report = func(_ context.Context, err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.reported = append(e.reported, err)
	}
	router := mux.NewRouter()
	router.HandleFunc(base+"/kafkas/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"id":%q}`, mux.Vars(r)["id"])
	}).Methods(http.MethodGet)
	router.HandleFunc(base+"/kafkas/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
	}).Methods(http.MethodDelete)
	router.HandleFunc(base+"/body", e.decode).Methods(http.MethodPost)
	router.HandleFunc(base+"/large", e.decode).Methods(http.MethodPut)
	if routes != nil {
		routes(router, e.errs)
	}
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: e.errs, Logger: e.errs.Logger, Metrics: httpx.NewMetrics(e.reg, nil),
		Authorize: func(r *http.Request, _ string) (context.Context, error) {
			if r.Header.Get("Authorization") == "" {
				return nil, apierr.New(apierr.Unauthenticated, "")
			}
			return r.Context(), nil
		},
		Who:        func(context.Context) (string, string) { return "alice", "13640203" },
		Actions:    map[string]string{"GET " + base + "/kafkas/{id}": "get-kafka"},
		Batches:    []string{base + "/large"},
		FirstValue: []string{"page"},
	})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	e.url, e.client = server.URL, server.Client()
	return e
}

func (e *edge) decode(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name string `json:"name"`
		Size int    `json:"size"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		e.errs.RequestError(w, r, fmt.Errorf("can't decode JSON body: %w", err))
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

type answer struct {
	*http.Response
	text string
	err  apierr.Body
}

func (e *edge) send(method, path string, body io.Reader, headers ...string) answer {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, body)
	require.NoError(e.t, err)
	req.Header.Set("Authorization", "Bearer x")
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	res, err := e.client.Do(req)
	require.NoError(e.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(e.t, err)
	got := answer{Response: res, text: string(text)}
	_ = json.Unmarshal(text, &got.err)
	return got
}

// refused checks a reply of the catalogue, with one operation id in header, body and log.
func (e *edge) refused(got answer, status int, code apierr.Code) {
	e.t.Helper()
	require.Equal(e.t, status, got.StatusCode, got.text)
	require.Equal(e.t, fmt.Sprintf("KAFKAS-MGMT-%d", code), got.err.Code)
	require.Equal(e.t, "application/json", got.Header.Get("Content-Type"))
	require.Regexp(e.t, "^[0-9a-v]{20}$", got.err.OperationID)
	require.Equal(e.t, got.Header.Get(httpx.OperationIDHeader), got.err.OperationID)
	require.Eventually(e.t, func() bool {
		return strings.Contains(e.logs.String(), `"msg":"request served"`) &&
			strings.Contains(e.logs.String(), got.err.OperationID)
	}, 5*time.Second, time.Millisecond)
}

func TestRoutesAndRefusals(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	got := e.send("GET", base+"/kafkas/k1", nil)
	require.Equal(t, 200, got.StatusCode)
	require.Equal(t, `{"id":"k1"}`, got.text)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Contains(t, got.Header.Values("Vary"), "Authorization")
	require.Regexp(t, "^[0-9a-v]{20}$", got.Header.Get("X-Operation-ID"))

	require.Equal(t, 200, e.send("GET", base+"/kafkas/k1/", nil).StatusCode, "one slash is taken off")
	e.refused(e.send("GET", base+"/kafkas/k1//", nil), 404, apierr.NotFound)

	got = e.send("DELETE", base+"/kafkas/k1", nil)
	require.Equal(t, 202, got.StatusCode)
	require.Empty(t, got.text)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))

	e.refused(e.send("GET", base+"/nothing", nil), 404, apierr.NotFound)
	e.refused(e.send("GET", "/", nil), 404, apierr.NotFound)
	e.refused(e.send("GET", base+"/kafkas/%00", nil), 404, apierr.NotFound)
	e.refused(e.send("GET", base+"/kafkas/%ff", nil), 404, apierr.NotFound)
	e.refused(e.send("GET", base+"/kafkas/a%2Fb", nil), 404, apierr.NotFound)
	got = e.send("PUT", base+"/kafkas/k1", nil)
	e.refused(got, 405, apierr.MethodNotAllowed)
	require.Equal(t, "DELETE, GET", got.Header.Get("Allow"))
	require.Equal(t, 405, e.send("HEAD", base+"/kafkas/k1", nil).StatusCode)
	for _, path := range []string{"/kafkas/k1", "/nothing", "/kafkas/%00"} {
		got = e.send("GET", base+path, nil, "Authorization", "")
		e.refused(got, 401, apierr.Unauthenticated)
		require.Equal(t, `Bearer realm="KAFKAS-MGMT/v1"`, got.Header.Get("WWW-Authenticate"))
	}
	require.NotEqual(t, e.send("GET", base+"/kafkas/k", nil, "X-Operation-ID", "mine").Header.Get("X-Operation-ID"), "mine")
	require.Empty(t, e.reports())
}

func TestOptionsForUnknownTemplatesAreRefused(t *testing.T) {
	t.Parallel()
	_, err := httpx.NewHandler(httpx.Options{Router: mux.NewRouter(), Batches: []string{"/typo"}})
	require.ErrorContains(t, err, `"/typo"`)
}

func TestMetricsAndAccessLog(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.send("GET", base+"/kafkas/k1?search=topsecret", nil, "X-Request-ID", "trace-1", "Cookie", "topsecret")
	e.send("GET", base+"/kafkas/k1", nil, "X-Request-ID", "not sane\ttext")
	e.send("GET", base+"/kafkas/k1", nil, "Authorization", "")
	e.send("BREW", "/x", nil)
	require.Eventually(t, func() bool {
		return maps.Equal(map[string]float64{
			"GET " + base + "/kafkas/- 200": 2, "GET " + base + "/kafkas/- 401": 1, "OTHER /- 404": 1,
		}, counts(t, e.reg))
	}, 5*time.Second, time.Millisecond)
	var first map[string]any
	require.Eventually(t, func() bool {
		line, _, ok := strings.Cut(e.logs.String(), "\n")
		return ok && json.Unmarshal([]byte(line), &first) == nil
	}, 5*time.Second, time.Millisecond)
	for key, value := range map[string]any{"msg": "request served", "action": "get-kafka", "method": "GET",
		"path": base + "/kafkas/-", "status": 200.0, "user": "alice", "org": "13640203", "request_id": "trace-1"} {
		require.Equal(t, value, first[key], key)
	}
	require.NotContains(t, e.logs.String(), "topsecret")
	require.NotContains(t, e.logs.String(), "not sane")
}

func TestPanics(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(r *mux.Router, _ *httpx.Errors) {
		r.HandleFunc("/before", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(http.StatusAccepted)
			panic("password=hunter2")
		})
		r.HandleFunc("/after", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"half":`)
			_ = http.NewResponseController(w).Flush()
			panic("late")
		})
		r.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"half":`)
			panic("late")
		})
		r.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	})
	got := e.send("GET", "/before", nil)
	e.refused(got, 500, apierr.General)
	require.NotContains(t, got.text, "hunter2")
	require.Empty(t, got.Header.Get("ETag"))
	require.Len(t, e.reports(), 1)
	e.refused(e.send("GET", "/half", nil), 500, apierr.General) // nothing of it had left
	require.Len(t, e.reports(), 2)

	for _, path := range []string{"/after", "/abort"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", e.url+path, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer x")
		// On a connection of its own, or else the client would try again.
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		require.Error(t, err, "the client must notice that %s broke off", path)
	}
	require.Eventually(t, func() bool {
		seen := counts(t, e.reg)
		return seen["GET /after 0"] == 1 && seen["GET /abort 0"] == 1
	}, 5*time.Second, time.Millisecond)
	require.Len(t, e.reports(), 3, "an abort is on purpose")
}

// counts reads the request counter as "method path code" → value.
func counts(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	families, err := reg.Gather()
	require.NoError(t, err)
	seen := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if family.GetName() == "api_inbound_request_count" {
				seen[labels["method"]+" "+labels["path"]+" "+labels["code"]] = metric.GetCounter().GetValue()
			}
		}
	}
	return seen
}

type busy struct{ error }

func (b busy) Unwrap() error { return b.error }

func (busy) RetryAfter() time.Duration { return 1500 * time.Millisecond }

func TestErrorMapping(t *testing.T) {
	t.Parallel()
	handling := make(chan struct{})
	e := newEdge(t, func(r *mux.Router, errs *httpx.Errors) {
		for path, err := range map[string]error{
			"/unknown": errors.New("dial tcp 10.0.0.1: hunter2"),
			"/quota":   fmt.Errorf("creating: %w", apierr.Wrap(apierr.InsufficientQuota, errors.New("hunter2"), "100%s")),
			"/busy":    busy{apierr.New(apierr.TooManyRequests, "")},
			"/syntax":  json.Unmarshal([]byte("{"), &struct{}{}),
		} {
			r.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { errs.ResponseError(w, r, err) })
		}
		r.HandleFunc("/replaced", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			errs.ResponseError(w, r, errors.New("no JSON form"))
		})
		r.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) {
			close(handling)
			<-r.Context().Done()
			errs.ResponseError(w, r, fmt.Errorf("querying: %w", r.Context().Err()))
		})
	})
	got := e.send("GET", "/unknown", nil)
	e.refused(got, 500, apierr.General)
	require.NotContains(t, got.text, "hunter2")
	require.Contains(t, e.logs.String(), "hunter2")
	got = e.send("GET", "/quota", nil)
	e.refused(got, 403, apierr.InsufficientQuota)
	require.Contains(t, got.err.Reason, "100%s")
	got = e.send("GET", "/busy", nil)
	e.refused(got, 429, apierr.TooManyRequests)
	require.Equal(t, "2", got.Header.Get("Retry-After"))
	e.refused(e.send("GET", "/syntax", nil), 500, apierr.General)
	e.refused(e.send("GET", "/replaced", nil), 500, apierr.General)
	require.Len(t, e.reports(), 3)

	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", e.url+"/gone", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer x")
	go func() { <-handling; cancel() }()
	_, err = e.client.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return strings.Contains(e.logs.String(), `"status":499`) }, 5*time.Second, time.Millisecond)
	require.Len(t, e.reports(), 3, "nobody is to blame for a client that left")
}

func TestBodies(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for body, want := range map[string]string{
		`{"name":"a","size":1}`:                      "",
		" {\"name\":\"a}\\\"\",\"more\":[{}]}\r\n\t": "",
		`null`:                 "",
		` null `:               "",
		``:                     "the body is empty",
		`{`:                    "the JSON text ends too early",
		`{"name":}`:            "invalid JSON at byte 9",
		`{"name":1}`:           "field 'name' cannot be a JSON number",
		`[]`:                   "the body cannot be a JSON array",
		`"a"`:                  "the body cannot be a JSON string",
		`7`:                    "the body cannot be a JSON number",
		`{} {}`:                "something behind the JSON value",
		`{}x`:                  "something behind the JSON value",
		`null{}`:               "something behind the JSON value",
		`null,`:                "something behind the JSON value",
		`null null`:            "something behind the JSON value",
		`{}}`:                  "something behind the JSON value",
		`{"name":"a\u0000b"}`:  "a NUL character is not allowed",
		`{"name":"a\\u0000b"}`: "",
		`}`:                    "invalid JSON at byte 1",
	} {
		got := e.send("POST", base+"/body", strings.NewReader(body))
		if want == "" {
			require.Equal(t, 200, got.StatusCode, "%s: %s", body, got.text)
			continue
		}
		e.refused(got, 400, apierr.Malformed)
		require.Contains(t, got.err.Reason, "invalid request format: ", body)
		require.Contains(t, got.err.Reason, want, body)
	}
	padded := func(n int) io.Reader { return strings.NewReader(`{"name":"` + strings.Repeat("x", n) + `"}`) }
	got := e.send("POST", base+"/body", padded(1<<20))
	e.refused(got, 400, apierr.Malformed)
	require.Contains(t, got.err.Reason, "the body is larger than 1048576 bytes")
	require.Equal(t, 200, e.send("PUT", base+"/large", padded(1<<20)).StatusCode)
	got = e.send("POST", base+"/body", strings.NewReader("\x1f\x8b"), "Content-Encoding", "gzip")
	e.refused(got, 400, apierr.Malformed)
	require.Contains(t, got.err.Reason, "a body with a Content-Encoding is not read")
	got = e.send("POST", base+"/body", strings.NewReader("{}"), "Content-Encoding", "Identity")
	require.Equal(t, 200, got.StatusCode)
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"), "a secret may be in it")
	require.Empty(t, e.send("GET", base+"/kafkas/k", nil).Header.Get("Cache-Control"))
	require.Equal(t, 202, e.send("DELETE", base+"/kafkas/k", strings.NewReader("{} garbage")).StatusCode, "not read, not judged")
}

func TestQueries(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(r *mux.Router, _ *httpx.Errors) {
		r.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.URL.Query()) })
	})
	require.JSONEq(t, `{"page":["1"],"filters":["a","b"]}`, e.send("GET", "/query?page=1&page=2&filters=a&filters=b", nil).text)
	require.JSONEq(t, `{"search":["name like %x%"]}`, e.send("GET", "/query?search=name+like+%25x%25", nil).text)
	e.refused(e.send("GET", "/query?search=name+like+%x%", nil), 400, apierr.Malformed)
}

func TestCompression(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(r *mux.Router, errs *httpx.Errors) {
		r.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				_, _ = io.WriteString(w, strings.Repeat("x", 1500))
			}
		})
		r.HandleFunc("/panics", func(http.ResponseWriter, *http.Request) { panic(strings.Repeat("x", 2000)) })
	})
	zipped := e.send("GET", "/large", nil, "Accept-Encoding", "br, GZIP;q=0.5")
	require.Equal(t, "gzip", zipped.Header.Get("Content-Encoding"))
	require.ElementsMatch(t, []string{"Authorization", "Accept-Encoding"}, zipped.Header.Values("Vary"))
	require.Less(t, len(zipped.text), 500)
	reader, err := gzip.NewReader(strings.NewReader(zipped.text))
	require.NoError(t, err)
	plain, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Len(t, plain, 4500)
	for _, encoding := range []string{"identity", "gzip;q=0", "gzip; q=0.0", "br"} {
		got := e.send("GET", "/large", nil, "Accept-Encoding", encoding)
		require.Empty(t, got.Header.Get("Content-Encoding"), encoding)
		require.Len(t, got.text, 4500)
	}
	for _, got := range []answer{
		e.send("GET", base+"/kafkas/k1", nil, "Accept-Encoding", "gzip"),
		e.send("DELETE", base+"/kafkas/k1", nil, "Accept-Encoding", "gzip"),
		e.send("GET", "/panics", nil, "Accept-Encoding", "gzip"),
	} {
		require.Empty(t, got.Header.Get("Content-Encoding"))
	}
}

// deadlined notes the write deadline that a handler asked for.
type deadlined struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (d *deadlined) SetWriteDeadline(until time.Time) error { d.until = until; return nil }

func TestHandlersHaveADeadline(t *testing.T) {
	t.Parallel()
	router := mux.NewRouter()
	errs := newErrors(io.Discard)
	router.HandleFunc("/usual", func(http.ResponseWriter, *http.Request) {})
	router.HandleFunc("/long", func(http.ResponseWriter, *http.Request) {})
	router.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		errs.ResponseError(w, r, r.Context().Err())
	})
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Timeouts:  map[string]time.Duration{"/short": 10 * time.Millisecond, "/long": time.Hour},
	})
	require.NoError(t, err)
	ask := func(path string) *deadlined {
		d := &deadlined{ResponseRecorder: httptest.NewRecorder()}
		handler.ServeHTTP(d, httptest.NewRequest(http.MethodGet, path, nil))
		return d
	}
	require.Equal(t, 500, ask("/short").Code)
	require.True(t, ask("/usual").until.IsZero(), "the server's own limit holds")
	require.True(t, ask("/long").until.After(time.Now().Add(50*time.Minute)))
}
