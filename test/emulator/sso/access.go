package sso

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
)

// The client under which tokens are made that no login asked for.
const defaultClient = "cloud-services"

// Issuer gives the issuer of the realm's access tokens. The base URL must be set.
func (s *SSO) Issuer(realm string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issuer(realm)
}

func (s *SSO) issuer(realm string) string { return s.baseURL + "/auth/realms/" + realm }

// Mint signs an access token with any claims. They win over the usual ones (iss,
// iat, exp, jti, typ); nil takes one of those away.
func (s *SSO) Mint(realm string, claims map[string]any) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.realm(realm)
	if err != nil {
		return "", err
	}
	return s.sign(r, s.issuer(realm), claims)
}

// UserToken gives an access token as the user would get it by logging in.
func (s *SSO) UserToken(username string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, u, err := s.userNamed(username)
	if err != nil {
		return "", err
	}
	return s.sign(r, s.issuer(r.name), userClaims(u, defaultClient, uuid.NewString()))
}

// OfflineToken gives a token without end that the refresh grant takes.
func (s *SSO) OfflineToken(username string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, u, err := s.userNamed(username)
	if err != nil {
		return "", err
	}
	at := place{realm: r, canonical: s.issuer(r.name)}
	return s.renewal(at, session{user: u, client: defaultClient, id: uuid.NewString(), kind: offline})
}

// ClientToken gives an access token as the client would get it by client_credentials.
func (s *SSO) ClientToken(realm, clientID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.realm(realm)
	if err != nil {
		return "", err
	}
	c := r.byClientID(clientID)
	if c == nil || c.robot == nil {
		return "", fmt.Errorf("realm %s has no service account %q", realm, clientID)
	}
	return s.sign(r, s.issuer(realm), robotClaims(c))
}

func (s *SSO) userNamed(username string) (*realm, *User, error) {
	for _, r := range s.realms {
		if u := r.person(username); u != nil {
			return r, u, nil
		}
	}
	return nil, nil, fmt.Errorf("user %q is unknown", username)
}

// Clients lists the confidential clients of a realm, ordered by client id.
func (s *SSO) Clients(realm string) []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.realm(realm)
	if err != nil {
		return nil
	}
	found := []Client{}
	for _, c := range r.sorted(func(c *client) bool { return !c.PublicClient }) {
		found = append(found, c.exported(r.name))
	}
	return found
}

// Client finds a client by its client id.
func (s *SSO) Client(realm, clientID string) (Client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.realm(realm)
	if err != nil {
		return Client{}, false
	}
	c := r.byClientID(clientID)
	if c == nil {
		return Client{}, false
	}
	return c.exported(r.name), true
}

func (c *client) exported(realm string) Client {
	out := Client{
		Realm: realm, ID: c.ID, ClientID: c.ClientID, Secret: c.Secret, Name: c.Name, Description: c.Description,
		Public: c.PublicClient, ServiceAccount: c.ServiceAccountsEnabled, Admin: c.admin,
		RedirectURIs: slices.Clone(c.RedirectURIs), Attributes: maps.Clone(c.Attributes), Claims: map[string]string{},
	}
	if c.robot == nil {
		return out
	}
	usual := robotClaims(&client{ClientID: c.ClientID, robot: &robot{}})
	for name, value := range robotClaims(c) {
		if text, ok := value.(string); ok && usual[name] == nil {
			out.Claims[name] = text
		}
	}
	return out
}

// State gives the realms with their users and clients, without passwords and secrets.
func (s *SSO) State() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	type shown struct {
		ID         string            `json:"id"`
		ClientID   string            `json:"client_id"`
		Name       string            `json:"name,omitempty"`
		Attributes map[string]string `json:"attributes,omitempty"`
	}
	type realmState struct {
		Users   []string `json:"users"`
		Clients []shown  `json:"clients"`
	}
	state := map[string]realmState{}
	for _, r := range s.realms {
		one := realmState{Users: []string{}, Clients: []shown{}}
		for _, u := range r.users {
			one.Users = append(one.Users, u.Username)
		}
		for _, c := range r.sorted(anyClient) {
			one.Clients = append(one.Clients, shown{c.ID, c.ClientID, c.Name, maps.Clone(c.Attributes)})
		}
		state[r.name] = one
	}
	return state
}

// Whose names the user of a person's or a program's access token, for services that
// take tokens of the realm.
func (s *SSO) Whose(realm, token string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.realm(realm)
	if err != nil {
		return "", err
	}
	claims, ok := s.verify(r, token, bearer)
	if name, _ := claims["preferred_username"].(string); ok && name != "" {
		return name, nil
	}
	return "", errors.New("the token is none of the realm, or names no user")
}
