// Package gateway emulates the one origin under which the public tools find all
// services: the fleet manager, accounts, clusters and service accounts.
//
// It is for the sandbox and for tests with the public tools' habits. It looks into
// no request and decides nothing but where to send it. Invariant: a request reaches
// one service, once.
package gateway

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

// Services are what is behind the gateway.
type Services struct {
	Replicas []*url.URL // of the fleet manager
	Accounts *url.URL   // and authorisations
	Clusters *url.URL
	SSO      *url.URL
	Realm    string // of the SSO, whose service accounts are meant
	// TokenOf gives a token of a person, for clients that cannot log in.
	TokenOf func(user string) (string, error)
}

// New gives the origin: the fleet manager's replicas in turn, and the emulated
// services. Below /as/<user> it is the same for clients that cannot log in: their
// requests are given a token of that person.
func New(s Services) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/kafkas_mgmt", proxy("", s.Replicas...))
	mux.Handle("/api/kafkas_mgmt/", proxy("", s.Replicas...))
	mux.Handle("/api/accounts_mgmt/", proxy("", s.Accounts))
	mux.Handle("/api/authorizations/", proxy("", s.Accounts))
	mux.Handle("/api/clusters_mgmt/", proxy("", s.Clusters))
	mux.Handle(accountsPath, proxy("/auth/realms/"+s.Realm, s.SSO))
	mux.HandleFunc("/as/{user}/", func(w http.ResponseWriter, r *http.Request) {
		user := r.PathValue("user")
		token, err := s.TokenOf(user)
		if err != nil {
			Refuse(w, http.StatusNotFound, err.Error())
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		http.StripPrefix("/as/"+user, mux).ServeHTTP(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, http.StatusNotFound, "the gateway knows no service at "+r.URL.Path)
	})
	return mux
}

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
			Refuse(w, http.StatusBadGateway, "no answer from behind the gateway: "+err.Error())
		},
	}
}

// Refuse answers in the form of the services, with the gateway as the one that speaks.
func Refuse(w http.ResponseWriter, status int, reason string) {
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
