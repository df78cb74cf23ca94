package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

// accountsPath is where tools look for the service account API on the gateway.
const accountsPath = "/apis/service_accounts/"

// gateway gives one origin with the layout of the public one: the fleet manager's
// replicas in turn, and the emulated services. Below /as/<user> it is the same for
// clients that cannot log in: their requests are given a token of that person.
func gateway(p ports, tokenOf func(user string) (string, error)) http.Handler {
	var replicas []*url.URL
	for _, r := range p.Replicas {
		replicas = append(replicas, origin(r.API))
	}
	mux := http.NewServeMux()
	mux.Handle("/api/kafkas_mgmt", proxy("", replicas...))
	mux.Handle("/api/kafkas_mgmt/", proxy("", replicas...))
	for _, service := range []string{"/api/accounts_mgmt/", "/api/authorizations/", "/api/clusters_mgmt/"} {
		mux.Handle(service, proxy("", origin(p.OCM)))
	}
	mux.Handle(accountsPath, proxy("/auth/realms/"+customerRealm, origin(p.SSO)))
	mux.HandleFunc("/as/{user}/", func(w http.ResponseWriter, r *http.Request) {
		user := r.PathValue("user")
		token, err := tokenOf(user)
		if err != nil {
			refuse(w, http.StatusNotFound, err.Error())
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		http.StripPrefix("/as/"+user, mux).ServeHTTP(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "the gateway knows no service at "+r.URL.Path)
	})
	return mux
}

func origin(port int) *url.URL { return &url.URL{Scheme: "http", Host: local(port)} }

// proxy passes requests on, below a prefix, to one target after the other.
func proxy(prefix string, targets ...*url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = targets[0].Scheme, targets[0].Host
			if prefix != "" {
				r.Out.URL.Path, r.Out.URL.RawPath = prefix+r.In.URL.Path, ""
			}
			r.SetXForwarded()
		},
		Transport: &rotation{targets: targets},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refuse(w, http.StatusBadGateway, "no answer from behind the gateway: "+err.Error())
		},
	}
}

func refuse(w http.ResponseWriter, status int, reason string) {
	wire.Service{Base: "/api/gateway", Code: "GATEWAY"}.Fail(w, status, strings.TrimSpace(reason))
}

// rotation sends each request to the next target, and to the one after that where
// nobody listens: a request that was not sent may be repeated, whatever it is.
type rotation struct {
	targets []*url.URL
	turn    atomic.Uint64
}

// RoundTrip sends the request.
func (t *rotation) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	body := r.Body
	if body != nil {
		defer func() { _ = body.Close() }()
	}
	first := t.turn.Add(1)
	for n := range t.targets {
		target := t.targets[(first+uint64(n))%uint64(len(t.targets))]
		attempt := r.Clone(r.Context())
		attempt.URL.Scheme, attempt.URL.Host = target.Scheme, target.Host
		if body != nil {
			attempt.Body = io.NopCloser(body) // the transport closes what it could not send
		}
		resp, err = http.DefaultTransport.RoundTrip(attempt)
		var dialling *net.OpError
		if err == nil || !errors.As(err, &dialling) || dialling.Op != "dial" {
			return resp, err
		}
	}
	return resp, err
}
