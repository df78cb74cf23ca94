// Package sso emulates the single sign-on service: OIDC for people and service
// accounts, the Keycloak admin API as gocloak uses it, and the service account
// API that the customers' CLI calls. One handler serves several realms, each
// below /auth/realms and /realms alike, because clients exist for both layouts.
//
// It is for tests and the sandbox: passwords are plain, nothing survives the
// process. Invariant: a token that one realm signed is worth nothing in another.
package sso

import (
	"cmp"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
)

const defaultLifetime = 5 * time.Minute

// Options are the world that the emulator starts with. All have defaults.
type Options struct {
	BaseURL       string                     // as callers reach it, without /auth; empty: see SetBaseURL
	Realms        []string                   // empty: redhat-external, rhoas, rhoas-kafka-sre
	Keys          map[string]*rsa.PrivateKey // signing keys by realm; others are made
	TokenLifetime time.Duration              // of access tokens; empty: five minutes
	Users         []User
	Clients       []Client // besides the public ones that every realm has
	AccountRealm  string   // whose clients the service-account API of every realm keeps; empty: each its own
	AccountLimit  int      // of an organisation in that API; 0: fifty
	Unlimited     []string // organisations without one
	Clock         clock.Clock
}

// User is a person who can log in.
type User struct {
	Realm     string // empty: the first realm
	Username  string
	Password  string
	OrgID     string // empty: tokens carry no organisation
	AccountID string
	OrgAdmin  bool
	Roles     []string

	id string
}

// Client is an OIDC client, to be made at the start or as found by Clients.
type Client struct {
	Realm          string // empty: the first realm
	ID             string // the realm's own id; made when empty
	ClientID       string
	Secret         string // made when empty, unless the client is public
	Name           string
	Description    string
	Public         bool
	ServiceAccount bool              // may use client_credentials
	Admin          bool              // its tokens open the admin API of the realm
	Scopes         []string          // that it is given when it asks for them
	RedirectURIs   []string          // a trailing * stands for anything
	Attributes     map[string]string // of the client, searchable by q=
	Claims         map[string]string // extra claims of its service account's tokens
}

// SSO is the emulated service.
type SSO struct {
	mux      *http.ServeMux
	now      clock.Clock
	lifetime time.Duration

	accountRealm *realm // nil: each its own
	accountLimit int
	unlimited    map[string]bool

	mu      sync.Mutex // guards all below; every request holds it from begin to end
	baseURL string
	realms  []*realm
}

// New makes the service with its realms, users and clients.
func New(o Options) (*SSO, error) {
	if len(o.Realms) == 0 {
		o.Realms = []string{"redhat-external", "rhoas", "rhoas-kafka-sre"}
	}
	s := &SSO{mux: http.NewServeMux(), now: o.Clock, lifetime: o.TokenLifetime}
	if s.now == nil {
		s.now = clock.System
	}
	if s.lifetime == 0 {
		s.lifetime = defaultLifetime
	}
	for i, name := range o.Realms {
		r, err := newRealm(name, o.Keys[name], i)
		if err != nil {
			return nil, err
		}
		s.realms = append(s.realms, r)
	}
	if err := s.populate(o); err != nil {
		return nil, err
	}
	if err := s.keepAccounts(o); err != nil {
		return nil, err
	}
	s.SetBaseURL(o.BaseURL)
	s.routes()
	return s, nil
}

func (s *SSO) populate(o Options) error {
	for _, u := range o.Users {
		r, err := s.realm(orFirst(u.Realm, o.Realms))
		if err != nil {
			return err
		}
		u.Realm, u.id = r.name, uuid.NewString()
		r.users = append(r.users, &u)
	}
	for _, c := range o.Clients {
		r, err := s.realm(orFirst(c.Realm, o.Realms))
		if err != nil {
			return err
		}
		if r.byClientID(c.ClientID) != nil {
			return fmt.Errorf("client %q is given twice", c.ClientID)
		}
		r.add(seeded(c), s.now())
	}
	return nil
}

func (s *SSO) keepAccounts(o Options) (err error) {
	s.accountLimit, s.unlimited = cmp.Or(o.AccountLimit, accountLimit), map[string]bool{}
	for _, org := range o.Unlimited {
		s.unlimited[org] = true
	}
	if o.AccountRealm != "" {
		s.accountRealm, err = s.realm(o.AccountRealm)
	}
	return err
}

func orFirst(name string, realms []string) string {
	if name == "" {
		return realms[0]
	}
	return name
}

// Handler gives what callers reach. Pages of any origin may call it, as a browser's
// client must exchange its code for tokens.
func (s *SSO) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Vary", "Origin")
			if r.Method == http.MethodOptions {
				w.Header().Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
				w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Requested-With")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		s.mux.ServeHTTP(w, r)
	})
}

// SetBaseURL says by which URL callers reach the handler, once that is known.
// Issuers follow it. Without one the Host of each request counts.
func (s *SSO) SetBaseURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baseURL = strings.TrimRight(url, "/")
}

// place is where a request came in: the realm, and the URL it was reached by.
type place struct {
	realm *realm
	// url is what discovery shows; canonical is the issuer of access tokens, the
	// same for both path layouts, since resource servers trust one issuer per realm.
	url, canonical string
}

func (s *SSO) routes() {
	for _, prefix := range []string{"/auth", ""} {
		realm := prefix + "/realms/{realm}"
		admin := prefix + "/admin/realms/{realm}"
		for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request, place){
			"GET " + realm + "/.well-known/openid-configuration":           s.discovery,
			"GET " + realm + "/protocol/openid-connect/certs":              s.certs,
			"POST " + realm + "/protocol/openid-connect/token":             s.token,
			"GET " + realm + "/protocol/openid-connect/auth":               s.loginPage,
			"POST " + realm + "/protocol/openid-connect/auth":              s.login,
			"POST " + realm + "/protocol/openid-connect/logout":            s.logout,
			"GET " + realm + "/protocol/openid-connect/userinfo":           s.userinfo,
			realm + "/apis/service_accounts/v1":                            s.keeping(keeper.accounts),
			realm + "/apis/service_accounts/v1/{id}":                       s.keeping(keeper.account),
			"POST " + realm + "/apis/service_accounts/v1/{id}/resetSecret": s.keeping(keeper.reset),
			"GET " + admin + "/clients":                                    s.admin(s.listClients),
			"POST " + admin + "/clients":                                   s.admin(s.createClient),
			admin + "/clients/{id}":                                        s.admin(s.client),
			admin + "/clients/{id}/client-secret":                          s.admin(s.clientSecret),
			"GET " + admin + "/clients/{id}/service-account-user":          s.admin(s.serviceAccountUser),
			admin + "/clients/{id}/protocol-mappers/models":                s.admin(s.mappers),
			admin + "/clients/{id}/protocol-mappers/models/{mapper}":       s.admin(s.mapper),
			admin + "/users/{id}":                                          s.admin(s.user),
		} {
			s.mux.HandleFunc(pattern, s.in(prefix, handle))
		}
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "Unable to find matching target resource method")
	})
}

// in finds the realm of a request and keeps the state to itself until it is answered.
func (s *SSO) in(prefix string, handle func(http.ResponseWriter, *http.Request, place)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		realm, err := s.realm(r.PathValue("realm"))
		if err != nil {
			fail(w, http.StatusNotFound, "Realm does not exist", "")
			return
		}
		base := s.baseURL
		if base == "" {
			base = "http://" + r.Host
		}
		handle(w, r, place{
			realm:     realm,
			url:       base + prefix + "/realms/" + realm.name,
			canonical: base + "/auth/realms/" + realm.name,
		})
	}
}

func (s *SSO) realm(name string) (*realm, error) {
	for _, r := range s.realms {
		if r.name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("realm %q is unknown", name)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, code, description string) {
	body := map[string]string{"error": code}
	if description != "" {
		body["error_description"] = description
	}
	reply(w, status, body)
}
