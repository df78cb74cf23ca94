package harness

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// gateway is the address that the world knows the fleet manager by. It spreads
// requests over the replicas that run and holds every reply against its
// specification; agents call it, and find their fleet manager again after it
// was replaced.
type gateway struct {
	world  *World
	url    string
	proxy  http.Handler // the way in that is never cut off
	next   atomic.Uint64
	closed atomic.Bool // agents are cut off
}

func newGateway(w *World) *gateway {
	g := &gateway{world: w}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if all := w.live(); len(all) > 0 {
				if target, err := url.Parse(all[g.next.Add(1)%uint64(len(all))].URL); err == nil {
					r.SetURL(target)
				}
			}
		},
		ModifyResponse: g.check,
		Transport:      transport,
		ErrorLog:       log.New(io.Discard, "", 0),
		ErrorHandler:   func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}
	g.proxy = proxy
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if g.closed.Load() {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	g.url = server.URL
	w.t.Cleanup(transport.CloseIdleConnections)
	w.t.Cleanup(server.Close)
	return g
}

func (g *gateway) check(reply *http.Response) error {
	if reply.Header.Get("Content-Encoding") != "" {
		return nil // as the caller asked; the plain replies show the same bodies
	}
	if reply.Request.Method == http.MethodOptions {
		return nil // what a browser asks before an operation is none itself
	}
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	reply.Body = io.NopCloser(bytes.NewReader(body))
	g.world.judge(reply.Request, Response{Status: reply.StatusCode, Header: reply.Header, Body: body})
	return nil
}

// CutAgents keeps all agents from reaching the fleet manager until the returned function is called.
func (w *World) CutAgents() (restore func()) {
	w.gateway.closed.Store(true)
	return func() { w.gateway.closed.Store(false) }
}
