package sso

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// accountLimit is how many service accounts an organisation may have in this API.
const accountLimit = 50

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

// person lets only users of the realm who belong to an organisation through.
func (s *SSO) person(handle func(http.ResponseWriter, *http.Request, place, *User)) func(http.ResponseWriter, *http.Request, place) {
	return func(w http.ResponseWriter, r *http.Request, at place) {
		claims, ok := s.bearerOf(r, at)
		if !ok {
			fail(w, http.StatusUnauthorized, "unauthorized", "Token verification failed")
			return
		}
		subject, _ := claims["sub"].(string)
		u := at.realm.personByID(subject)
		if u == nil || u.OrgID == "" {
			fail(w, http.StatusForbidden, "service_account_access_invalid", "No organisation")
			return
		}
		handle(w, r, at, u)
	}
}

func (s *SSO) accounts(w http.ResponseWriter, r *http.Request, at place, u *User) {
	switch r.Method {
	case http.MethodGet:
		s.listAccounts(w, r, at, u)
	case http.MethodPost:
		s.createAccount(w, r, at, u)
	default:
		notAllowed(w)
	}
}

func ofOrganisation(at place, u *User) []account {
	found := []account{}
	for _, c := range at.realm.sorted() {
		if c.Attributes[orgAttribute] == u.OrgID {
			found = append(found, accountOf(c, false))
		}
	}
	return found
}

func (s *SSO) listAccounts(w http.ResponseWriter, r *http.Request, at place, u *User) {
	query := r.URL.Query()
	if limit := query.Get("max"); limit != "" {
		if n, err := strconv.Atoi(limit); err != nil || n < 1 || n > 100 {
			fail(w, http.StatusBadRequest, "invalid_request", "max must be between 1 and 100")
			return
		}
	}
	reply(w, http.StatusOK, window(ofOrganisation(at, u), query.Get("first"), query.Get("max")))
}

func (s *SSO) createAccount(w http.ResponseWriter, r *http.Request, at place, u *User) {
	var wanted struct {
		Name        string  `json:"name"`
		Description *string `json:"description"`
	}
	err := json.NewDecoder(r.Body).Decode(&wanted)
	if err != nil || wanted.Name == "" || wanted.Description != nil && *wanted.Description == "" {
		fail(w, http.StatusBadRequest, "invalid_field", "name, and description if given, must not be empty")
		return
	}
	if len(ofOrganisation(at, u)) >= accountLimit {
		fail(w, http.StatusForbidden, "service_account_limit_exceeded", "Limit of service accounts is reached")
		return
	}
	claims := map[string]string{orgAttribute: u.OrgID, userAttribute: u.AccountID, nameAttribute: u.Username}
	attributes := maps.Clone(claims)
	attributes[createdAttribute] = s.now().UTC().Format(time.RFC3339)
	id := uuid.NewString()
	made := Client{
		ID: id, ClientID: "srvc-acct-" + id, Name: wanted.Name, ServiceAccount: true, Attributes: attributes, Claims: claims,
	}
	if wanted.Description != nil {
		made.Description = *wanted.Description
	}
	kept := seeded(made)
	at.realm.add(kept, s.now())
	reply(w, http.StatusCreated, accountOf(kept, true))
}

func (s *SSO) account(w http.ResponseWriter, r *http.Request, at place, u *User) {
	c := at.realm.byID(r.PathValue("id"))
	switch {
	case c == nil || c.Attributes[orgAttribute] != u.OrgID:
		fail(w, http.StatusNotFound, "service_account_not_found", "Service account not found")
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, accountOf(c, false))
	case r.Method == http.MethodDelete && mayChange(c, u):
		at.realm.remove(c)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		fail(w, http.StatusForbidden, "service_account_access_invalid", "Not the owner of the service account")
	default:
		notAllowed(w)
	}
}

func (s *SSO) accountReset(w http.ResponseWriter, r *http.Request, at place, u *User) {
	c := at.realm.byID(r.PathValue("id"))
	switch {
	case c == nil || c.Attributes[orgAttribute] != u.OrgID:
		fail(w, http.StatusNotFound, "service_account_not_found", "Service account not found")
	case !mayChange(c, u):
		fail(w, http.StatusForbidden, "service_account_access_invalid", "Not the owner of the service account")
	default:
		c.Secret = ""
		c.complete(s.now())
		reply(w, http.StatusOK, accountOf(c, true))
	}
}

func mayChange(c *client, u *User) bool {
	return u.OrgAdmin || c.Attributes[userAttribute] == u.AccountID
}
