package sso

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// accountLimit is how many service accounts an organisation may have in this API.
	accountLimit = 50
	// maxAccounts is how many it shows at a time.
	maxAccounts   = 100
	accountPrefix = "srvc-acct-"
)

const (
	orgAttribute     = "rh-org-id"
	userAttribute    = "rh-user-id"
	nameAttribute    = "username"
	createdAttribute = "created_at"
)

// account is a service account as this API shows it.
type account struct {
	ID          string `json:"id"`
	ClientID    string `json:"clientId"`
	Secret      string `json:"secret,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	CreatedBy   string `json:"createdBy"`
	CreatedAt   int64  `json:"createdAt"`
}

func accountOf(c *client, withSecret bool) account {
	a := account{
		ID: c.ID, ClientID: c.ClientID, Name: c.Name, Description: c.Description, CreatedBy: c.Attributes[nameAttribute],
	}
	if created, err := time.Parse(time.RFC3339, c.Attributes[createdAttribute]); err == nil {
		a.CreatedAt = created.Unix()
	}
	if withSecret {
		a.Secret = c.Secret
	}
	return a
}

// accountScope is what a token of a program needs to keep service accounts.
const accountScope = "api.iam.service_accounts"

// maxAccountName is the longest name of a service account.
const maxAccountName = 50

// owner is who calls this API, as far as accounts are concerned.
type owner struct {
	org, id, name string
	admin         bool
}

// ownerOf reads the caller out of a token of the realm: a person, or a program that
// was given the scope. Whoever belongs to no organisation owns nothing.
func ownerOf(claims map[string]any, in *realm) (owner, bool) {
	subject, _ := claims["sub"].(string)
	if u := in.personByID(subject); u != nil {
		return owner{org: u.OrgID, id: u.AccountID, name: u.Username, admin: u.OrgAdmin}, u.OrgID != ""
	}
	id, _ := claims["clientId"].(string)
	scope, _ := claims["scope"].(string)
	c := in.byClientID(id)
	if c == nil || c.robot == nil || !slices.Contains(strings.Fields(scope), accountScope) {
		return owner{}, false
	}
	one := owner{org: first(c.robot.Attributes[orgAttribute]), id: c.robot.ID, name: c.robot.Username}
	return one, one.org != ""
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// keeper is the accounts' API for one caller. Its clients may be those of another
// realm than the one that the caller logged in to.
type keeper struct {
	sso   *SSO
	realm *realm
	who   owner
}

// keeping lets only those through who may own accounts.
func (s *SSO) keeping(handle func(keeper, http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request, place) {
	return func(w http.ResponseWriter, r *http.Request, at place) {
		claims, ok := s.bearerOf(r, at)
		if !ok {
			fail(w, http.StatusUnauthorized, "unauthorized", "Token verification failed")
			return
		}
		who, ok := ownerOf(claims, at.realm)
		if !ok {
			fail(w, http.StatusForbidden, "service_account_access_invalid", "No organisation, or no scope for service accounts")
			return
		}
		k := keeper{sso: s, realm: at.realm, who: who}
		if s.accountRealm != nil {
			k.realm = s.accountRealm
		}
		handle(k, w, r)
	}
}

func (k keeper) accounts(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		k.list(w, r)
	case http.MethodPost:
		k.create(w, r)
	default:
		notAllowed(w)
	}
}

// visible tells whether a client is an account of the caller's organisation. Others
// of its clients, such as canaries, are none.
func (k keeper) visible(c *client) bool {
	return c != nil && strings.HasPrefix(c.ClientID, accountPrefix) && c.Attributes[orgAttribute] == k.who.org
}

// all gives the organisation's accounts, the oldest first.
func (k keeper) all() []account {
	found := []account{}
	for _, c := range k.realm.clients {
		if k.visible(c) {
			found = append(found, accountOf(c, false))
		}
	}
	return found
}

func (k keeper) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit := query.Get("max")
	if limit == "" {
		limit = strconv.Itoa(maxAccounts)
	}
	if n, err := strconv.Atoi(limit); err != nil || n < 1 || n > maxAccounts {
		fail(w, http.StatusBadRequest, "invalid_request", "max must be between 1 and 100")
		return
	}
	reply(w, http.StatusOK, window(k.all(), query.Get("first"), limit))
}

func (k keeper) create(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Name        string  `json:"name"`
		Description *string `json:"description"`
	}
	err := json.NewDecoder(r.Body).Decode(&wanted)
	if err != nil || wanted.Name == "" || len(wanted.Name) > maxAccountName || wanted.Description != nil && *wanted.Description == "" {
		fail(w, http.StatusBadRequest, "invalid_field", "name, of at most 50 characters, and description if given, must not be empty")
		return
	}
	if limit := k.sso.accountLimit; len(k.all()) >= limit && !k.sso.unlimited[k.who.org] {
		fail(w, http.StatusForbidden, "service_account_limit_exceeded", "Limit of service accounts is reached")
		return
	}
	claims := map[string]string{orgAttribute: k.who.org, userAttribute: k.who.id, nameAttribute: k.who.name}
	attributes := maps.Clone(claims)
	attributes[createdAttribute] = k.sso.now().UTC().Format(time.RFC3339)
	id := uuid.NewString()
	made := Client{
		ID: id, ClientID: accountPrefix + id, Name: wanted.Name, ServiceAccount: true, Attributes: attributes, Claims: claims,
	}
	if wanted.Description != nil {
		made.Description = *wanted.Description
	}
	kept := seeded(made)
	k.realm.add(kept, k.sso.now())
	reply(w, http.StatusCreated, accountOf(kept, true))
}

func (k keeper) account(w http.ResponseWriter, r *http.Request) {
	c := k.realm.byID(r.PathValue("id"))
	switch {
	case !k.visible(c):
		fail(w, http.StatusNotFound, "service_account_not_found", "Service account not found")
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, accountOf(c, false))
	case r.Method == http.MethodDelete && k.mayChange(c):
		k.realm.remove(c)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		fail(w, http.StatusForbidden, "service_account_access_invalid", "Not the owner of the service account")
	default:
		notAllowed(w)
	}
}

func (k keeper) reset(w http.ResponseWriter, r *http.Request) {
	c := k.realm.byID(r.PathValue("id"))
	switch {
	case !k.visible(c):
		fail(w, http.StatusNotFound, "service_account_not_found", "Service account not found")
	case !k.mayChange(c):
		fail(w, http.StatusForbidden, "service_account_access_invalid", "Not the owner of the service account")
	default:
		c.Secret = ""
		c.complete(k.sso.now())
		reply(w, http.StatusOK, accountOf(c, true))
	}
}

func (k keeper) mayChange(c *client) bool {
	return k.who.admin || c.Attributes[userAttribute] == k.who.id
}
