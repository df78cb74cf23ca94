package sso

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// token answers the token endpoint.
func (s *SSO) token(w http.ResponseWriter, r *http.Request, at place) {
	if err := r.ParseForm(); err != nil {
		fail(w, http.StatusBadRequest, "invalid_request", "Form cannot be read")
		return
	}
	at = s.home(r.PostForm, at)
	c := authenticated(r, at.realm)
	if c == nil {
		fail(w, http.StatusUnauthorized, "unauthorized_client", "Invalid client or Invalid client credentials")
		return
	}
	var body map[string]any
	var err error
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
		body, err = s.grantClient(r.PostForm, at, c)
	case "password":
		body, err = s.grantPassword(r.PostForm, at, c)
	case "refresh_token":
		body, err = s.grantRefresh(r.PostForm, at, c)
	case "authorization_code":
		body, err = s.grantCode(r.PostForm, at, c)
	default:
		err = refusal{http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type"}
	}
	var refused refusal
	switch {
	case errors.As(err, &refused):
		fail(w, refused.status, refused.code, refused.text)
	case err != nil:
		fail(w, http.StatusInternalServerError, "unknown_error", err.Error())
	default:
		reply(w, http.StatusOK, body)
	}
}

// home is where a client that asks for its own token lives. Tools write down the
// token endpoint of the realm that people log in to, beside the credentials of an
// account that was made there: it opens for that account, wherever it is kept.
func (s *SSO) home(form url.Values, at place) place {
	away := s.accountRealm != nil && s.accountRealm != at.realm && form.Get("grant_type") == "client_credentials"
	if !away || !strings.HasPrefix(form.Get("client_id"), accountPrefix) {
		return at
	}
	there := s.issuer(s.accountRealm.name)
	return place{realm: s.accountRealm, url: there, canonical: there}
}

// refusal is an error of the protocol.
type refusal struct {
	status     int
	code, text string
}

func (r refusal) Error() string { return r.code + ": " + r.text }

// authenticated finds the client that asks: by Basic credentials, by the form's
// secret, or by its id alone when it is public.
func authenticated(r *http.Request, in *realm) *client {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if basicID, basicSecret, ok := r.BasicAuth(); ok {
		id, secret = unescaped(basicID), unescaped(basicSecret)
	}
	c := in.byClientID(id)
	if c == nil || !c.Enabled {
		return nil
	}
	if !c.PublicClient && subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) != 1 {
		return nil
	}
	return c
}

// unescaped undoes the form encoding that RFC 6749 asks for in Basic
// credentials; many clients leave it out, so a text that is none stays as it is.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil && strings.Contains(text, "%") {
		return plain
	}
	return text
}

func (s *SSO) grantClient(form url.Values, at place, c *client) (map[string]any, error) {
	if c.PublicClient || !c.ServiceAccountsEnabled {
		return nil, refusal{http.StatusUnauthorized, "unauthorized_client", "Client not enabled to retrieve service account"}
	}
	scopes := []string{"profile"}
	for _, scope := range strings.Fields(form.Get("scope")) {
		if slices.Contains(c.scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	claims := robotClaims(c)
	claims["scope"] = strings.Join(scopes, " ")
	access, err := s.sign(at.realm, at.canonical, claims)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"access_token": access, "token_type": bearer, "expires_in": int(s.lifetime.Seconds()),
		"refresh_expires_in": 0, "not-before-policy": 0, "scope": claims["scope"],
	}, nil
}

func (s *SSO) grantPassword(form url.Values, at place, c *client) (map[string]any, error) {
	if !c.DirectAccessGrantsEnabled {
		return nil, refusal{http.StatusBadRequest, "unauthorized_client", "Client not allowed for direct access grants"}
	}
	u := at.realm.person(form.Get("username"))
	if u == nil || !samePassword(u, form.Get("password")) {
		return nil, refusal{http.StatusUnauthorized, "invalid_grant", "Invalid user credentials"}
	}
	scopes := strings.Fields(form.Get("scope"))
	return s.sessionReply(at, newSession(u, c, scopes, ""))
}

func samePassword(u *User, password string) bool {
	return u.Password != "" && subtle.ConstantTimeCompare([]byte(password), []byte(u.Password)) == 1
}

func newSession(u *User, c *client, scopes []string, nonce string) session {
	in := session{user: u, client: c.ClientID, id: uuid.NewString(), kind: refresh, nonce: nonce}
	for _, scope := range scopes {
		switch scope {
		case "openid":
			in.openID = true
		case "offline_access":
			in.kind = offline
		}
	}
	return in
}

// grantRefresh takes a refresh token of any public client: people carry one
// offline token from tool to tool.
func (s *SSO) grantRefresh(form url.Values, at place, c *client) (map[string]any, error) {
	claims, ok := s.verify(at.realm, form.Get("refresh_token"), refresh, offline)
	if !ok {
		return nil, refusal{http.StatusBadRequest, "invalid_grant", "Invalid refresh token"}
	}
	subject, _ := claims["sub"].(string)
	u := at.realm.personByID(subject)
	if u == nil {
		return nil, refusal{http.StatusBadRequest, "invalid_grant", "Invalid refresh token"}
	}
	id, _ := claims["sid"].(string)
	kind, _ := claims["typ"].(string)
	openID := strings.Contains(form.Get("scope"), "openid")
	return s.sessionReply(at, session{user: u, client: c.ClientID, id: id, kind: kind, openID: openID})
}

func (s *SSO) grantCode(form url.Values, at place, c *client) (map[string]any, error) {
	key := form.Get("code")
	known, ok := at.realm.codes[key]
	delete(at.realm.codes, key) // good for one try, right or wrong
	if !ok || s.now().After(known.expires) || known.client != c || known.redirect != form.Get("redirect_uri") {
		return nil, refusal{http.StatusBadRequest, "invalid_grant", "Code not valid"}
	}
	if known.challenge != "" {
		digest := sha256.Sum256([]byte(form.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(digest[:]) != known.challenge {
			return nil, refusal{http.StatusBadRequest, "invalid_grant", "PKCE verification failed"}
		}
	}
	return s.sessionReply(at, newSession(known.user, c, known.scopes, known.nonce))
}
