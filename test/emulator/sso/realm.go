package sso

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// attributeMapper is Keycloak's name for "attribute of the user becomes a claim".
const attributeMapper = "oidc-usermodel-attribute-mapper"

// realm is one tenant of the service.
type realm struct {
	name    string
	key     *rsa.PrivateKey
	kid     string
	users   []*User
	clients []*client
	codes   map[string]code
	ended   map[string]bool // sessions that were logged out
}

// client is a client as the admin API shows it, and what hangs on it.
type client struct {
	ID                        string            `json:"id"`
	ClientID                  string            `json:"clientId"`
	Name                      string            `json:"name"`
	Description               string            `json:"description"`
	Enabled                   bool              `json:"enabled"`
	Protocol                  string            `json:"protocol"`
	ClientAuthenticatorType   string            `json:"clientAuthenticatorType"`
	Secret                    string            `json:"secret,omitempty"`
	RedirectURIs              []string          `json:"redirectUris"`
	PublicClient              bool              `json:"publicClient"`
	StandardFlowEnabled       bool              `json:"standardFlowEnabled"`
	DirectAccessGrantsEnabled bool              `json:"directAccessGrantsEnabled"`
	ServiceAccountsEnabled    bool              `json:"serviceAccountsEnabled"`
	Attributes                map[string]string `json:"attributes"`
	ProtocolMappers           []mapper          `json:"protocolMappers"`

	admin  bool
	scopes []string
	robot  *robot
}

// mapper puts an attribute of the service account's user into its tokens.
type mapper struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Protocol       string            `json:"protocol"`
	ProtocolMapper string            `json:"protocolMapper"`
	Config         map[string]string `json:"config"`
}

// robot is the user that stands behind a client with a service account.
type robot struct {
	ID               string              `json:"id"`
	Username         string              `json:"username"`
	Enabled          bool                `json:"enabled"`
	CreatedTimestamp int64               `json:"createdTimestamp"`
	ClientID         string              `json:"serviceAccountClientId"`
	Attributes       map[string][]string `json:"attributes,omitempty"`
}

func newRealm(name string, key *rsa.PrivateKey, position int) (*realm, error) {
	if key == nil {
		var err error
		if key, err = keyAt(position); err != nil {
			return nil, fmt.Errorf("making the signing key of %s: %w", name, err)
		}
	}
	r := &realm{name: name, key: key, kid: keyID(key), codes: map[string]code{}, ended: map[string]bool{}}
	for _, id := range []string{"rhoas-cli-prod", "cloud-services", "admin-cli"} {
		r.add(seeded(Client{
			ClientID: id, Public: true,
			RedirectURIs: []string{"http://localhost:*", "http://127.0.0.1:*"},
		}), time.Time{})
	}
	return r, nil
}

// seeded turns the options' view of a client into the realm's.
func seeded(c Client) *client {
	made := &client{
		ID: c.ID, ClientID: c.ClientID, Name: c.Name, Description: c.Description, Secret: c.Secret,
		Enabled: true, PublicClient: c.Public, StandardFlowEnabled: len(c.RedirectURIs) > 0,
		DirectAccessGrantsEnabled: c.Public, ServiceAccountsEnabled: c.ServiceAccount || c.Admin,
		RedirectURIs: c.RedirectURIs, Attributes: maps.Clone(c.Attributes), admin: c.Admin, scopes: c.Scopes,
	}
	if len(c.Claims) == 0 {
		return made
	}
	made.robot = &robot{Attributes: map[string][]string{}}
	for _, name := range slices.Sorted(maps.Keys(c.Claims)) {
		made.robot.Attributes[name] = []string{c.Claims[name]}
		made.ProtocolMappers = append(made.ProtocolMappers, mapper{
			Name: name, Protocol: "openid-connect", ProtocolMapper: attributeMapper,
			Config: map[string]string{"user.attribute": name, "claim.name": name, "access.token.claim": "true"},
		})
	}
	return made
}

// add completes a client and keeps it.
func (r *realm) add(c *client, now time.Time) {
	if c.ID == "" {
		c.ID = uuid.NewString()
	}
	c.complete(now)
	r.clients = append(r.clients, c)
}

// complete fills what Keycloak itself would have filled.
func (c *client) complete(now time.Time) {
	if c.Secret == "" && !c.PublicClient {
		c.Secret = rand.Text()
	}
	if c.Protocol == "" {
		c.Protocol = "openid-connect"
	}
	if c.ClientAuthenticatorType == "" {
		c.ClientAuthenticatorType = "client-secret"
	}
	if c.Attributes == nil {
		c.Attributes = map[string]string{}
	}
	if c.RedirectURIs == nil {
		c.RedirectURIs = []string{}
	}
	for i := range c.ProtocolMappers {
		if c.ProtocolMappers[i].ID == "" {
			c.ProtocolMappers[i].ID = uuid.NewString()
		}
	}
	if !c.ServiceAccountsEnabled {
		return
	}
	if c.robot == nil {
		c.robot = &robot{}
	}
	if c.robot.ID == "" {
		c.robot.ID, c.robot.Enabled, c.robot.CreatedTimestamp = uuid.NewString(), true, now.UnixMilli()
	}
	c.robot.ClientID, c.robot.Username = c.ClientID, "service-account-"+strings.ToLower(c.ClientID)
}

func (r *realm) byClientID(clientID string) *client {
	return find(r.clients, func(c *client) bool { return c.ClientID == clientID })
}

func (r *realm) byID(id string) *client {
	return find(r.clients, func(c *client) bool { return c.ID == id })
}

func (r *realm) byRobot(id string) *client {
	return find(r.clients, func(c *client) bool { return c.robot != nil && c.robot.ID == id })
}

func (r *realm) person(username string) *User {
	return find(r.users, func(u *User) bool { return u.Username == username })
}

func (r *realm) personByID(id string) *User {
	return find(r.users, func(u *User) bool { return u.id == id })
}

func (r *realm) remove(gone *client) {
	r.clients = slices.DeleteFunc(r.clients, func(c *client) bool { return c == gone })
}

// sorted gives the clients that fit in the order in which Keycloak lists them. It
// sorts no others, which are many in a large fleet.
func (r *realm) sorted(fits func(*client) bool) []*client {
	found := []*client{}
	for _, c := range r.clients {
		if fits(c) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *client) int { return strings.Compare(a.ClientID, b.ClientID) })
	return found
}

func anyClient(*client) bool { return true }

func find[T any](all []*T, fits func(*T) bool) *T {
	for _, one := range all {
		if fits(one) {
			return one
		}
	}
	return nil
}
