package httpx_test

import (
	"context"
	"encoding/json"
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

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// readers is a chain with one place for each tenant's writes, where handlers read what they are sent.
func readers(t *testing.T, agent bool) func(who string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		var text string
		if err := json.NewDecoder(r.Body).Decode(&text); err != nil {
			errs.RequestError(w, r, err)
			return
		}
		_ = json.NewEncoder(w).Encode(len(text))
	})
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Limits:    httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: 5 * time.Second}),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller: func(ctx context.Context, _, _ string) httpx.Caller {
			key, _ := ctx.Value(tenantKey{}).(string)
			return httpx.Caller{Key: key, Agent: agent}
		},
		Timeouts: map[string]time.Duration{"/read": 10 * time.Second},
	})
	require.NoError(t, err)
	return func(who string, body io.Reader) *httptest.ResponseRecorder {
		reply := httptest.NewRecorder()
		handler.ServeHTTP(reply, httptest.NewRequestWithContext(context.WithValue(t.Context(), tenantKey{}, who), "POST", "/read", body))
		return reply
	}
}

// dripping is a body whose sender stops after the first part.
type dripping struct {
	first io.Reader
	stuck chan struct{} // closed when the first part was read
	goOn  chan struct{}
	once  sync.Once
}

func newDripping(first string) *dripping {
	return &dripping{first: strings.NewReader(first), stuck: make(chan struct{}), goOn: make(chan struct{})}
}

func (d *dripping) Read(p []byte) (int, error) {
	if n, err := d.first.Read(p); err == nil {
		return n, nil
	}
	d.once.Do(func() { close(d.stuck) })
	<-d.goOn
	return 0, io.EOF
}

// A client that sends slowly keeps nobody from being served, not of its own organisation either.
func TestASlowSenderKeepsNoPlace(t *testing.T) {
	t.Parallel()
	for _, agent := range []bool{false, true} {
		send := readers(t, agent)
		slow := make([]*dripping, 10) // more than the lane has places
		var all sync.WaitGroup
		for i := range slow {
			slow[i] = newDripping(`"ab"`)
			all.Go(func() { assertReply(t, send("one", slow[i]), 200, "2\n") })
			wait(t, slow[i].stuck)
		}
		assertReply(t, send("one", strings.NewReader(`"abc"`)), 200, "3\n")
		for _, one := range slow {
			close(one.goOn)
		}
		all.Wait()
	}
}

func assertReply(t *testing.T, reply *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if reply.Code != status || text != "" && reply.Body.String() != text {
		t.Errorf("%d %s, expected %d %s", reply.Code, reply.Body, status, text)
	}
}

// Bodies that wait are bounded for each sender, and short ones need no room.
func TestBodiesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	send := readers(t, false)
	large := `"` + strings.Repeat("x", 900_000) + `"`
	var all sync.WaitGroup
	var slow []*dripping
	refused := 0
	for range 30 {
		one, over := newDripping(large), make(chan struct{})
		slow = append(slow, one)
		var reply *httptest.ResponseRecorder
		all.Go(func() {
			reply = send("flood", one)
			close(over)
		})
		select {
		case <-one.stuck:
		case <-over:
			refused++
			assertReply(t, reply, 429, "")
			require.Equal(t, "1", reply.Header().Get("Retry-After"))
		}
	}
	require.InDelta(t, 30-17, refused, 2, "16 MiB")
	assertReply(t, send("flood", strings.NewReader(large)), 429, "")
	assertReply(t, send("flood", strings.NewReader(`"abc"`)), 200, "3\n")
	assertReply(t, send("calm", strings.NewReader(large)), 200, "900000\n")
	for _, one := range slow {
		close(one.goOn)
	}
	all.Wait()
	assertReply(t, send("flood", strings.NewReader(large)), 200, "900000\n")
}

// A body that took all the time of its request is told so, and does not wait for a turn.
func TestABodyThatComesTooLate(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/read", func(http.ResponseWriter, *http.Request) { t.Error("it was served") })
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Limits:    httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: 5 * time.Second}),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    func(context.Context, string, string) httpx.Caller { return httpx.Caller{} },
		Timeouts:  map[string]time.Duration{"/read": 20 * time.Millisecond},
	})
	require.NoError(t, err)
	late := newDripping(`"a"`)
	time.AfterFunc(200*time.Millisecond, func() { close(late.goOn) })
	reply := httptest.NewRecorder()
	handler.ServeHTTP(reply, httptest.NewRequestWithContext(t.Context(), "POST", "/read", late))
	require.Equal(t, 400, reply.Code)
	require.Contains(t, reply.Body.String(), "the body did not arrive in time")
}

// A body that its handler does not read keeps nobody from being served, and what is wrong with it is nobody's business.
func TestABodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc("/unread/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Err() == nil {
			_, _ = io.WriteString(w, "served")
		}
	})
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Limits:    httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1, Patience: 5 * time.Second}),
		Authorize: func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		Caller:    func(context.Context, string, string) httpx.Caller { return httpx.Caller{} },
		Bodiless:  []string{"/unread/{id}"},
	})
	require.NoError(t, err)
	for _, coding := range []string{"", "gzip"} {
		never := newDripping("{")
		served := make(chan *httptest.ResponseRecorder)
		go func() {
			reply := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), "POST", "/unread/x", never)
			if coding != "" {
				request.Header.Set("Content-Encoding", coding)
			}
			handler.ServeHTTP(reply, request)
			served <- reply
		}()
		select {
		case reply := <-served:
			assertReply(t, reply, 200, "served")
			close(never.goOn)
		case <-never.stuck:
			close(never.goOn)
			<-served
			t.Error("the body was waited for")
		}
	}
}
