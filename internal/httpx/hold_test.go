package httpx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

func TestACallerGetsNothingItHas(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	e := newEdge(t, func(r *mux.Router, errs *httpx.Errors) {
		serve := func(path string, h http.HandlerFunc) { r.HandleFunc(path, h) }
		serve("/long", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(long) })
		serve("/parts", func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				_, _ = io.WriteString(w, "1")
			}
		})
		serve("/own", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"mine"`)
			_, _ = io.WriteString(w, "{}")
		})
		serve("/huge", func(w http.ResponseWriter, _ *http.Request) {
			for range 300 {
				_, _ = io.WriteString(w, long)
			}
		})
		serve("/error", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			errs.WriteError(w, r, apierr.New(apierr.NotFound, ""))
		})
	})
	for _, path := range []string{base + "/kafkas/k1", "/long", "/parts"} {
		first := e.send("GET", path, nil, "Accept-Encoding", "identity")
		tag := first.Header.Get("ETag")
		require.Regexp(t, `^W/"[0-9a-z]+"$`, tag, path)
		require.Equal(t, fmt.Sprint(len(first.text)), first.Header.Get("Content-Length"), path)
		for _, asked := range []string{tag, `"other", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
			got := e.send("GET", path, nil, "If-None-Match", asked)
			require.Equal(t, http.StatusNotModified, got.StatusCode, "%s %s", path, asked)
			require.Empty(t, got.text)
			require.Equal(t, tag, got.Header.Get("ETag"))
			require.NotEmpty(t, got.Header.Get("X-Operation-ID"))
			require.Contains(t, got.Header.Values("Vary"), "Authorization")
		}
		require.Equal(t, first.text, e.send("GET", path, nil, "If-None-Match", `"other"`).text)
		zipped := e.send("GET", path, nil, "If-None-Match", tag, "Accept-Encoding", "gzip")
		require.Equal(t, http.StatusNotModified, zipped.StatusCode, "compression is no other content")
	}
	require.NotEqual(t, e.send("GET", base+"/kafkas/k1", nil).Header.Get("ETag"), e.send("GET", base+"/kafkas/k2", nil).Header.Get("ETag"))
	require.Equal(t, `"mine"`, e.send("GET", "/own", nil).Header.Get("ETag"))
	huge := e.send("GET", "/huge", nil)
	require.Len(t, huge.text, 300*len(long))
	require.Empty(t, huge.Header.Get("ETag"), "what was sent on its way has no tag")
	failed := e.send("GET", "/error", nil, "If-None-Match", "*")
	e.refused(failed, 404, apierr.NotFound)
	require.NotContains(t, failed.text, "half")
	require.Empty(t, e.send("POST", base+"/body", strings.NewReader(`{}`), "If-None-Match", "*").Header.Get("ETag"), "only what is read")
}

func TestAReplyThatIsTooLongIsNoFaultOfTheCaller(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(r *mux.Router, errs *httpx.Errors) {
		r.HandleFunc("/upstream", func(w http.ResponseWriter, r *http.Request) {
			errs.WriteError(w, r, fmt.Errorf("asking the SSO: %w", &http.MaxBytesError{Limit: 5}))
		})
	})
	e.refused(e.send("GET", "/upstream", nil), 500, apierr.General)
}

// A client that does not read what it asked for keeps nobody from being served.
func TestASlowReaderKeepsNoPlace(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 900_000)
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"own"`)
		_, _ = io.WriteString(w, large)
	})
	limits := httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: 5 * time.Second})
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil), Limits: limits,
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    func(context.Context, string, string) httpx.Caller { return httpx.Caller{} },
	})
	require.NoError(t, err)
	slow, ended := newUnread(), make(chan struct{})
	go func() {
		handler.ServeHTTP(slow, httptest.NewRequestWithContext(t.Context(), "GET", "/large", nil))
		close(ended)
	}()
	wait(t, slow.began)
	quick := httptest.NewRecorder()
	handler.ServeHTTP(quick, httptest.NewRequestWithContext(t.Context(), "GET", "/large", nil))
	require.Equal(t, 200, quick.Code)
	close(slow.ends)
	wait(t, ended)
}

// What waits for slow readers is bounded: beyond that they wait in their own turn.
func TestSlowReadersOfOneTenantHoldSoMuch(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1_000_000)
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	tenant := func(ctx context.Context, _, _ string) httpx.Caller {
		key, _ := ctx.Value(tenantKey{}).(string)
		return httpx.Caller{Key: key}
	}
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Limits:    httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 2, WritesInFlight: 1, Patience: 10 * time.Millisecond}),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    tenant,
	})
	require.NoError(t, err)
	get := func(w http.ResponseWriter, who string) {
		ctx := context.WithValue(t.Context(), tenantKey{}, who)
		handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/large", nil))
	}
	var all sync.WaitGroup
	var slow []*unread
	began := 0
	for range 40 {
		one, over := newUnread(), make(chan struct{})
		slow = append(slow, one)
		all.Go(func() {
			get(one, "flood")
			close(over)
		})
		select {
		case <-one.began:
			began++
		case <-over:
			require.Equal(t, 429, one.Code)
		}
	}
	require.InDelta(t, 16+2, began, 1, "16 MiB, and two turns")
	calm := httptest.NewRecorder()
	get(calm, "calm")
	require.Equal(t, 200, calm.Code)
	for _, one := range slow {
		close(one.ends)
	}
	all.Wait()
	after := httptest.NewRecorder()
	get(after, "flood")
	require.Equal(t, 200, after.Code)
	require.NotEmpty(t, after.Header().Get("ETag"), "what was held is given back")
}

type tenantKey struct{}

func wait(t *testing.T, came <-chan struct{}) {
	t.Helper()
	select {
	case <-came:
	case <-time.After(10 * time.Second):
		require.Fail(t, "it did not come")
	}
}

// unread is a connection whose other end does not read.
type unread struct {
	*httptest.ResponseRecorder

	began, ends chan struct{}
	first       sync.Once
}

func newUnread() *unread {
	return &unread{ResponseRecorder: httptest.NewRecorder(), began: make(chan struct{}), ends: make(chan struct{})}
}

func (u *unread) Write(b []byte) (int, error) {
	if u.Code == 429 {
		return u.ResponseRecorder.Write(b)
	}
	u.first.Do(func() { close(u.began) })
	<-u.ends
	return u.ResponseRecorder.Write(b)
}

func TestSameTag(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{`"a"`: true, `W/"a"`: true, `"b", "a"`: true, "*": true, "": false, `"b"`: false, "a": false, ",": false} {
		require.Equal(t, want, httpx.SameTag(header, `"a"`), header)
		require.Equal(t, want, httpx.SameTag(header, `W/"a"`), header)
	}
}

func TestProblemsForThoseWhoAskForThem(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for accept, want := range map[string]bool{
		"application/problem+json": true, "application/json, application/problem+json": true, "application/json, application/problem+json;q=0.5": false, "application/problem+json, application/json;q=0.9": true, "Application/Problem+JSON": true,
		"": false, "*/*": false, "application/*": false, "application/json": false, "application/problem+json;q=0": false, "application/problem+xml": false,
	} {
		got := e.send("GET", base+"/nothing", nil, "Accept", accept)
		require.Equal(t, 404, got.StatusCode)
		require.Contains(t, got.Header.Values("Vary"), "Accept")
		var problem map[string]any
		require.NoError(t, json.Unmarshal([]byte(got.text), &problem))
		if !want {
			require.Equal(t, "application/json", got.Header.Get("Content-Type"), accept)
			require.NotContains(t, problem, "title")
			e.refused(got, 404, apierr.NotFound)
			continue
		}
		require.Equal(t, "application/problem+json", got.Header.Get("Content-Type"), accept)
		require.Equal(t, "Resource not found", problem["title"])
		require.Equal(t, "Resource not found", problem["detail"])
		require.InDelta(t, 404, problem["status"], 0)
		require.Equal(t, base+"/errors/7", problem["type"])
		require.Equal(t, "KAFKAS-MGMT-7", problem["code"])
	}
}

// One organisation fills its share and its queue; another is served at once.
func TestTheOthersAreServedWhileOneFloods(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	open := make(chan struct{})
	inside := make(chan struct{}, 10)
	router := mux.NewRouter()
	router.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		inside <- struct{}{}
		<-open
		_, _ = io.WriteString(w, "{}")
	}).Methods("GET")
	router.HandleFunc("/fast", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	type org struct{}
	reg := prometheus.NewRegistry()
	limits := httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 2, WritesInFlight: 1, Patience: 20 * time.Millisecond})
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(reg, limits), Limits: limits,
		Authorize: func(r *http.Request, _ string) (context.Context, error) {
			return context.WithValue(r.Context(), org{}, r.Header.Get("Authorization")), nil
		},
		Caller: func(ctx context.Context, _, _ string) httpx.Caller {
			key, _ := ctx.Value(org{}).(string)
			return httpx.Caller{Key: key}
		},
	})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	release := sync.OnceFunc(func() { close(open) })
	t.Cleanup(release)
	ask := func(method, path, who string) (int, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", who)
		res, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode, res.Header
	}
	served := make(chan int, 2)
	for range 2 {
		go func() {
			status, _ := ask("GET", "/slow", "one")
			served <- status
		}()
		<-inside
	}
	status, header := ask("GET", "/fast", "one")
	require.Equal(t, 429, status)
	require.Equal(t, "1", header.Get("Retry-After"))
	status, _ = ask("GET", "/fast", "two")
	require.Equal(t, 200, status)
	status, _ = ask("POST", "/fast", "one")
	require.Equal(t, 200, status, "writes do not wait for reads")
	require.Equal(t, 2.0, gauge(t, reg, "api_inbound_requests_in_flight", "reads"))
	release()
	require.Equal(t, []int{200, 200}, []int{<-served, <-served})
	status, _ = ask("GET", "/fast", "one")
	require.Equal(t, 200, status)
}

func gauge(t *testing.T, reg *prometheus.Registry, name, lane string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && metric.GetLabel()[0].GetValue() == lane {
				return metric.GetGauge().GetValue()
			}
		}
	}
	require.Fail(t, "there is no such series")
	return 0
}

// What breaks while a caller is admitted takes no place for ever, nor room for bodies.
func TestAPlaceIsGivenBackWhateverHappens(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/orders", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	asked := 0
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Limits:    httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: time.Millisecond}),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    func(context.Context, string, string) httpx.Caller { return httpx.Caller{Key: "org"} },
		Admit: func(context.Context, string, string) error {
			switch asked++; asked {
			case 1:
				panic("the terms are not there")
			case 2:
				return apierr.New(apierr.TermsNotAccepted, "")
			}
			return nil
		},
	})
	require.NoError(t, err)
	for _, want := range []int{500, 403, 200, 200} {
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), "POST", "/orders", strings.NewReader("{}")))
		require.Equal(t, want, got.Code)
	}
}

// Who waited is served by another goroutine than its own, and may break there.
func TestWhatBreaksAfterItWaitedBreaksItsOwnRequest(t *testing.T) {
	t.Parallel()
	logged := &lockedBuffer{}
	errs := newErrors(logged)
	router := mux.NewRouter()
	begun, release := make(chan struct{}), make(chan struct{})
	router.HandleFunc("/wait", func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	})
	router.HandleFunc("/break", breakDown)
	router.HandleFunc("/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	router.HandleFunc("/work", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	limits := httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: 10 * time.Second})
	registry := prometheus.NewRegistry()
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(registry, limits), Limits: limits,
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    func(context.Context, string, string) httpx.Caller { return httpx.Caller{Key: "org"} },
	})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	type end struct {
		status int
		err    error
	}
	ask := func(path string) <-chan end {
		over := make(chan end, 1)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, nil)
		require.NoError(t, err)
		go func() {
			reply, err := server.Client().Do(request)
			if err != nil {
				over <- end{err: err}
				return
			}
			_ = reply.Body.Close()
			over <- end{status: reply.StatusCode}
		}()
		return over
	}
	first := ask("/wait")
	<-begun
	var others []<-chan end
	for i, path := range []string{"/break", "/cut", "/work"} {
		others = append(others, ask(path))
		require.Eventually(t, func() bool { return gauge(t, registry, "api_inbound_requests_waiting", "writes") == float64(i+1) }, 10*time.Second, time.Millisecond)
	}
	close(release)
	require.Equal(t, 200, (<-first).status)
	require.Equal(t, 500, (<-others[0]).status)
	require.Error(t, (<-others[1]).err, "the connection is cut")
	require.Equal(t, 200, (<-others[2]).status)
	require.Contains(t, logged.String(), "breakDown", "the stack of what broke, not of who waited for it")
}

func breakDown(http.ResponseWriter, *http.Request) { panic("out of order") }
