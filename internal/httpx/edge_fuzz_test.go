package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// echo is a chain around one route that decodes its body into anything.
func echo(f *testing.F) http.Handler {
	f.Helper()
	errs := newErrors(io.Discard)
	router := mux.NewRouter()
	router.HandleFunc(base+"/body/{id}", func(w http.ResponseWriter, r *http.Request) {
		var content any
		if err := json.NewDecoder(r.Body).Decode(&content); err != nil {
			errs.RequestError(w, r, err)
			return
		}
		if list, err := httpx.ParseList("unable to list", r.URL.Query().Get("page"), r.URL.Query().Get("size")); err != nil {
			errs.WriteError(w, r, err)
			return
		} else if list.Size < 1 || list.Size > 1000 || list.Offset < 0 || list.Page < 0 {
			panic(fmt.Sprintf("a list of %+v", list))
		}
		if err := json.NewEncoder(w).Encode(content); err != nil {
			panic(err)
		}
	}).Methods(http.MethodPost)
	handler, err := httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: errs.Logger, Metrics: httpx.NewMetrics(prometheus.NewRegistry(), nil),
		Authorize:  func(r *http.Request, _ string) (context.Context, error) { return r.Context(), nil },
		FirstValue: []string{"page", "size"},
	})
	require.NoError(f, err)
	return handler
}

// answered sends a request and demands an answer that is sound whatever was asked.
func answered(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	out := httptest.NewRecorder()
	h.ServeHTTP(out, r)
	id := out.Header().Get(httpx.OperationIDHeader)
	require.Len(t, id, 20)
	require.Less(t, out.Code, 500, "%s", out.Body)
	if out.Code >= 400 {
		var fault struct {
			Code        string `json:"code"`
			OperationID string `json:"operation_id"`
		}
		require.NoError(t, json.Unmarshal(out.Body.Bytes(), &fault))
		require.Equal(t, id, fault.OperationID)
		require.True(t, strings.HasPrefix(fault.Code, apierr.Kafkas.Prefix))
	}
	return out
}

// FuzzBody: a body is taken if and only if it is one JSON value without a NUL.
func FuzzBody(f *testing.F) {
	h := echo(f)
	for _, seed := range []string{
		`{"name":"one"}`, ``, `null`, ` 1 `, `1 2`, `{}{}`, `{"a":"\u0000"}`, `{"a":"\\u0000"}`, `{"\u0000":1}`, `"\ud800"`, "\"\x00\"", `[1,2`, `tru`,
		`-0.1E+2`, `1.`, `{"a":[{"b":"]}\""}]}`, "\ufeff{}", strings.Repeat("[", 20_000), `"a"b`, `nulll`, `1e999`, `{"a":1,}`, "1\x0c",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out := answered(t, h, httptest.NewRequest(http.MethodPost, base+"/body/x", bytes.NewReader(body)))
		var content any
		good := json.Unmarshal(body, &content) == nil && !holdsNUL(content)
		require.Equal(t, good, out.Code == http.StatusOK, "%d %s", out.Code, out.Body)
	})
}

func holdsNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		for _, item := range v {
			if holdsNUL(item) {
				return true
			}
		}
	case map[string]any:
		for name, item := range v {
			if holdsNUL(name) || holdsNUL(item) {
				return true
			}
		}
	}
	return false
}

// FuzzAddress: any method, path, query and header get a sound answer.
func FuzzAddress(f *testing.F) {
	h := echo(f)
	for _, seed := range [][4]string{
		{"POST", base + "/body/x", "page=1&size=10", ""}, {"GET", base + "/body/", "page=2&page=-1", "gzip"}, {"BREW", "/", "%zz", "gzip;q=0"},
		{"POST", base + "/body/a/b", "size=99999999999999999999", "*"}, {"OPTIONS", "*", "a;b", ""}, {"HEAD", base + "/body/\x00", "page=%00", ""},
		{"POST", base + "/body/\xff", "page=2147483648", "gzip;q=1;x, gzip"}, {"POST", base + "/body/../body/x", "page=+1", ""},
		{"POST", base + "/body/x/", "page=0&size=0", ""}, {"POST", "//" + base, "size=1e3", ""}, {"", "", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, path, query, header string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		r.Header.Set("Accept-Encoding", header)
		r.Header.Set("X-Request-ID", header)
		answered(t, h, r)
	})
}
