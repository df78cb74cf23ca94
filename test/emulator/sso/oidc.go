package sso

import (
	"crypto/rand"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// code is an authorization that waits to be exchanged for tokens.
type code struct {
	user      *User
	client    *client
	redirect  string
	challenge string // PKCE, S256; empty: none was sent
	nonce     string
	scopes    []string
	expires   time.Time
}

const codeLifetime = time.Minute

func (s *SSO) discovery(w http.ResponseWriter, _ *http.Request, at place) {
	connect := at.url + "/protocol/openid-connect"
	reply(w, http.StatusOK, map[string]any{
		"issuer": at.url, "authorization_endpoint": connect + "/auth", "token_endpoint": connect + "/token",
		"jwks_uri": connect + "/certs", "userinfo_endpoint": connect + "/userinfo", "end_session_endpoint": connect + "/logout",
		"grant_types_supported":                 []string{"authorization_code", "refresh_token", "password", "client_credentials"},
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"code_challenge_methods_supported":      []string{"S256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
}

func (s *SSO) certs(w http.ResponseWriter, _ *http.Request, at place) {
	reply(w, http.StatusOK, jwks(at.realm.key, at.realm.kid))
}

var page = template.Must(template.New("login").Parse(`<!doctype html><html lang="en"><title>Log in</title>
<h1>Log in to {{.Realm}}</h1>{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form method="post"><label>Username <input name="username" list="people" autofocus></label>
<datalist id="people">{{range .People}}<option value="{{.}}">{{end}}</datalist>
<label>Password <input name="password" type="password"></label><button>Log in</button></form>
<p>The people of this realm: {{range .People}}<code>{{.}}</code> {{else}}none{{end}}</p></html>
`))

func (s *SSO) loginPage(w http.ResponseWriter, r *http.Request, at place) {
	if _, problem := asked(r.URL.Query(), at.realm); problem != "" {
		fail(w, http.StatusBadRequest, "invalid_request", problem)
		return
	}
	showPage(w, http.StatusOK, at, "")
}

func showPage(w http.ResponseWriter, status int, at place, problem string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	var people []string
	for _, u := range at.realm.users {
		people = append(people, u.Username)
	}
	_ = page.Execute(w, struct {
		Realm, Problem string
		People         []string
	}{at.realm.name, problem, people})
}

// login takes the page's form; the query is still that of the page.
func (s *SSO) login(w http.ResponseWriter, r *http.Request, at place) {
	query := r.URL.Query()
	wanted, problem := asked(query, at.realm)
	if problem != "" {
		fail(w, http.StatusBadRequest, "invalid_request", problem)
		return
	}
	u := at.realm.person(r.PostFormValue("username"))
	if u == nil || !samePassword(u, r.PostFormValue("password")) {
		showPage(w, http.StatusUnauthorized, at, "Invalid username or password.")
		return
	}
	wanted.user, wanted.expires = u, s.now().Add(codeLifetime)
	key := rand.Text()
	at.realm.codes[key] = wanted
	back, err := url.Parse(wanted.redirect)
	if err != nil {
		fail(w, http.StatusBadRequest, "invalid_request", "Invalid parameter: redirect_uri")
		return
	}
	values := back.Query()
	values.Set("code", key)
	values.Set("iss", at.url)
	if state := query.Get("state"); state != "" {
		values.Set("state", state)
	}
	back.RawQuery = values.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// asked reads an authorization request; the text says what is wrong with it.
func asked(query url.Values, in *realm) (code, string) {
	c := in.byClientID(query.Get("client_id"))
	if c == nil || !c.Enabled || !c.StandardFlowEnabled {
		return code{}, "Client not found or not enabled for this flow"
	}
	redirect := query.Get("redirect_uri")
	if !allowed(c.RedirectURIs, redirect) {
		return code{}, "Invalid parameter: redirect_uri"
	}
	if query.Get("response_type") != "code" {
		return code{}, "Invalid parameter: response_type"
	}
	challenge, method := query.Get("code_challenge"), query.Get("code_challenge_method")
	if (challenge != "" || method != "") && (challenge == "" || method != "S256") {
		return code{}, "Invalid parameter: code_challenge_method"
	}
	return code{
		client: c, redirect: redirect, challenge: challenge,
		nonce: query.Get("nonce"), scopes: strings.Fields(query.Get("scope")),
	}, ""
}

func allowed(patterns []string, redirect string) bool {
	for _, pattern := range patterns {
		prefix, open := strings.CutSuffix(pattern, "*")
		if redirect == pattern || open && strings.HasPrefix(redirect, prefix) {
			return true
		}
	}
	return false
}

func (s *SSO) logout(w http.ResponseWriter, r *http.Request, at place) {
	claims, ok := s.verify(at.realm, r.PostFormValue("refresh_token"), refresh, offline)
	if !ok {
		fail(w, http.StatusBadRequest, "invalid_grant", "Invalid refresh token")
		return
	}
	if id, _ := claims["sid"].(string); id != "" {
		at.realm.ended[id] = true
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *SSO) userinfo(w http.ResponseWriter, r *http.Request, at place) {
	claims, ok := s.bearerOf(r, at)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+at.realm.name+`", error="invalid_token"`)
		fail(w, http.StatusUnauthorized, "invalid_token", "Token verification failed")
		return
	}
	info := map[string]any{}
	for _, name := range []string{"sub", "preferred_username", "email", "org_id", "account_id", "is_org_admin", "rh-org-id"} {
		if value, ok := claims[name]; ok {
			info[name] = value
		}
	}
	reply(w, http.StatusOK, info)
}
