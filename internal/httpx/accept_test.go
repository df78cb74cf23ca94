package httpx_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// withPages serves a long reply with a tag of our own and one without.
func withPages(t *testing.T) *edge {
	return newEdge(t, func(r *mux.Router, errs *httpx.Errors) {
		long := strings.Repeat("x", 5000)
		r.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }).Methods(http.MethodGet)
		r.HandleFunc("/own", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"mine"`)
			_, _ = io.WriteString(w, long)
		}).Methods(http.MethodGet)
		r.HandleFunc("/unpacked", func(w http.ResponseWriter, r *http.Request) { // as files are that are kept packed
			w.Header().Add("Vary", "Accept-Encoding")
			if httpx.SameTag(r.Header.Get("If-None-Match"), `W/"file"`) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, long)
		}).Methods(http.MethodGet)
		r.HandleFunc("/known", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }).Methods(http.MethodGet)
		r.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) {
			errs.WriteError(w, r, apierr.New(apierr.NotFound, ""))
		}).Methods(http.MethodGet)
	})
}

func TestGzipIsForThoseWhoWantIt(t *testing.T) {
	t.Parallel()
	e := withPages(t)
	for wish, want := range map[string]bool{
		"gzip": true, "GZIP;q=0.1": true, "br, gzip": true, "x-gzip": true, "*": true, "br, *;q=0.1": true, "identity;q=0, *": true, "identity;q=0.5, gzip": true,
		"deflate": false, "gzip;q=0": false, "gzip;q=0, *": false, "*;q=0": false, "identity": false, "identity;q=0": false,
		"identity, gzip;q=0.5": false, "gzip;q=abc": false, "gzip;q=NaN": false, "gzipped": false,
	} {
		got := e.send("GET", "/long", nil, "Accept-Encoding", wish)
		require.Equal(t, want, got.Header.Get("Content-Encoding") == "gzip", wish)
		require.Contains(t, got.Header.Values("Vary"), "Accept-Encoding", wish)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+"/long", nil)
	require.NoError(t, err)
	request.Header = http.Header{"Authorization": {"Bearer x"}, "Accept-Encoding": {"br", "gzip"}}
	reply, err := e.client.Do(request)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	require.Equal(t, "gzip", reply.Header.Get("Content-Encoding"), "a list may come in several lines")
}

// A strong tag promises the same bytes, which a packed body does not have.
func TestAPackedReplyHasAWeakTag(t *testing.T) {
	t.Parallel()
	e := withPages(t)
	require.Equal(t, `"mine"`, e.send("GET", "/own", nil, "Accept-Encoding", "identity").Header.Get("ETag"))
	require.Equal(t, `W/"mine"`, e.send("GET", "/own", nil, "Accept-Encoding", "gzip").Header.Get("ETag"))
	for _, path := range []string{"/own", "/long"} {
		full := e.send("GET", path, nil, "Accept-Encoding", "gzip")
		got := e.send("GET", path, nil, "Accept-Encoding", "gzip", "If-None-Match", full.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, got.StatusCode)
		require.Equal(t, full.Header.Get("ETag"), got.Header.Get("ETag"))
		require.Equal(t, full.Header.Values("Vary"), got.Header.Values("Vary"), "a cache keeps both apart by the same headers")
		require.Empty(t, got.Header.Get("Content-Encoding"))
	}
}

func TestWhatARepliesHeadersDependOnIsSaidOnce(t *testing.T) {
	t.Parallel()
	e := withPages(t)
	for _, got := range []answer{
		e.send("GET", "/long", nil), e.send("GET", "/unpacked", nil), e.send("GET", "/unpacked", nil, "If-None-Match", `"file"`), e.send("GET", "/known", nil),
	} {
		require.Equal(t, []string{"Authorization", "Accept-Encoding"}, got.Header.Values("Vary"))
	}
}

func TestTagsInSeveralLines(t *testing.T) {
	t.Parallel()
	e := withPages(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+"/own", nil)
	require.NoError(t, err)
	request.Header = http.Header{"Authorization": {"Bearer x"}, "If-None-Match": {`"other"`, `"mine"`}}
	reply, err := e.client.Do(request)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	require.Equal(t, http.StatusNotModified, reply.StatusCode)
}
