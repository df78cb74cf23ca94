package sso

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/google/uuid"
)

// sessionLifetime is how long a refresh token lives; offline tokens have no end.
const sessionLifetime = 10 * time.Hour

const (
	bearer  = "Bearer"
	refresh = "Refresh"
	offline = "Offline"
)

// sign makes a token of the realm. Claims that are given win over the usual
// ones; one that is given as nil is left out.
func (s *SSO) sign(r *realm, issuer string, claims map[string]any) (string, error) {
	now := s.now()
	all := jwt.MapClaims{
		"iss": issuer, "iat": now.Unix(), "exp": now.Add(s.lifetime).Unix(), "jti": uuid.NewString(), "typ": bearer,
	}
	for name, value := range claims {
		if value == nil {
			delete(all, name)
			continue
		}
		all[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, all)
	token.Header["kid"] = r.kid
	signed, err := token.SignedString(r.key)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// verify gives the claims of a token that this realm signed and that is not over.
func (s *SSO) verify(r *realm, token string, types ...string) (jwt.MapClaims, bool) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return &r.key.PublicKey, nil })
	if err != nil || !claims.VerifyExpiresAt(s.now().Unix(), false) {
		return nil, false
	}
	session, _ := claims["sid"].(string)
	if session != "" && r.ended[session] {
		return nil, false
	}
	kind, _ := claims["typ"].(string)
	for _, wanted := range types {
		if kind == wanted {
			return claims, true
		}
	}
	return nil, false
}

// bearerOf gives the claims of the request's access token.
func (s *SSO) bearerOf(r *http.Request, at place) (jwt.MapClaims, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, bearer) {
		return nil, false
	}
	return s.verify(at.realm, token, bearer)
}

func userClaims(u *User, clientID, session string) map[string]any {
	claims := map[string]any{
		"sub": u.id, "azp": clientID, "sid": session, "session_state": session, "scope": "openid",
		"username": u.Username, "preferred_username": u.Username, "email": u.Username + "@example.test",
		"first_name": u.Username, "last_name": "Example", "is_org_admin": u.OrgAdmin,
	}
	if u.OrgID != "" {
		claims["org_id"] = u.OrgID
	}
	if u.AccountID != "" {
		claims["account_id"] = u.AccountID
	}
	if len(u.Roles) > 0 {
		claims["realm_access"] = map[string]any{"roles": u.Roles}
	}
	return claims
}

func robotClaims(c *client) map[string]any {
	claims := map[string]any{
		"sub": c.robot.ID, "azp": c.ClientID, "clientId": c.ClientID, "client_id": c.ClientID,
		"preferred_username": c.robot.Username, "scope": "profile",
	}
	for _, m := range c.ProtocolMappers {
		values := c.robot.Attributes[m.Config["user.attribute"]]
		if m.ProtocolMapper == attributeMapper && m.Config["access.token.claim"] == "true" && len(values) > 0 {
			claims[m.Config["claim.name"]] = values[0]
		}
	}
	return claims
}

// session is what a login or a refresh yields.
type session struct {
	user   *User
	client string
	id     string
	kind   string // of the refresh token: Refresh or Offline
	nonce  string
	openID bool
}

func (s *SSO) sessionReply(at place, in session) (map[string]any, error) {
	access, err := s.sign(at.realm, at.canonical, userClaims(in.user, in.client, in.id))
	if err != nil {
		return nil, err
	}
	renewal, err := s.renewal(at, in)
	if err != nil {
		return nil, err
	}
	body := map[string]any{
		"access_token": access, "refresh_token": renewal, "token_type": bearer,
		"expires_in": int(s.lifetime.Seconds()), "refresh_expires_in": int(sessionLifetime.Seconds()),
		"not-before-policy": 0, "session_state": in.id, "scope": "openid",
	}
	if in.kind == offline {
		body["refresh_expires_in"], body["scope"] = 0, "openid offline_access"
	}
	if in.openID {
		claims := map[string]any{
			"typ": "ID", "aud": in.client, "azp": in.client, "sub": in.user.id, "sid": in.id,
			"preferred_username": in.user.Username, "email": in.user.Username + "@example.test",
		}
		if in.nonce != "" {
			claims["nonce"] = in.nonce
		}
		if body["id_token"], err = s.sign(at.realm, at.url, claims); err != nil {
			return nil, err
		}
	}
	return body, nil
}

func (s *SSO) renewal(at place, in session) (string, error) {
	claims := map[string]any{
		"typ": in.kind, "aud": at.canonical, "azp": in.client, "sub": in.user.id, "sid": in.id,
		"preferred_username": in.user.Username, "exp": s.now().Add(sessionLifetime).Unix(),
	}
	if in.kind == offline {
		claims["exp"] = nil
	}
	return s.sign(at.realm, at.canonical, claims)
}
