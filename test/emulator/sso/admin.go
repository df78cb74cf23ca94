package sso

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// admin lets only tokens of the realm's administrating clients through.
func (s *SSO) admin(handle func(http.ResponseWriter, *http.Request, place)) func(http.ResponseWriter, *http.Request, place) {
	return func(w http.ResponseWriter, r *http.Request, at place) {
		claims, ok := s.bearerOf(r, at)
		if !ok {
			fail(w, http.StatusUnauthorized, "HTTP 401 Unauthorized", "")
			return
		}
		id, _ := claims["clientId"].(string)
		if c := at.realm.byClientID(id); c == nil || !c.admin {
			fail(w, http.StatusForbidden, "unknown_error", "")
			return
		}
		handle(w, r, at)
	}
}

// listClients follows Keycloak: q beats clientId, clientId is exact unless search=true.
func (s *SSO) listClients(w http.ResponseWriter, r *http.Request, at place) {
	query := r.URL.Query()
	fits := anyClient
	switch clientID := query.Get("clientId"); {
	case query.Get("q") != "":
		wanted := attributeQuery(query.Get("q"))
		fits = func(c *client) bool { return contains(c.Attributes, wanted) }
	case clientID != "" && query.Get("search") == "true":
		fits = func(c *client) bool {
			return strings.Contains(strings.ToLower(c.ClientID), strings.ToLower(clientID))
		}
	case clientID != "":
		fits = func(c *client) bool { return c.ClientID == clientID }
	}
	reply(w, http.StatusOK, window(at.realm.sorted(fits), query.Get("first"), query.Get("max")))
}

func window[T any](all []T, first, limit string) []T {
	from, err := strconv.Atoi(first)
	if err != nil || from < 0 {
		from = 0
	}
	from = min(from, len(all))
	count, err := strconv.Atoi(limit)
	if err != nil || count < 0 {
		count = len(all)
	}
	return all[from:min(from+count, len(all))]
}

// attributeQuery reads `key:value other:"two words"`.
func attributeQuery(q string) map[string]string {
	wanted := map[string]string{}
	quoted := false
	for _, pair := range strings.FieldsFunc(q, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		key, value, ok := strings.Cut(pair, ":")
		if ok {
			wanted[strings.Trim(key, `"`)] = strings.Trim(value, `"`)
		}
	}
	return wanted
}

func contains(all, wanted map[string]string) bool {
	for key, value := range wanted {
		if all[key] != value {
			return false
		}
	}
	return true
}

func (s *SSO) createClient(w http.ResponseWriter, r *http.Request, at place) {
	made := &client{Enabled: true, StandardFlowEnabled: true}
	if err := json.NewDecoder(r.Body).Decode(made); err != nil || made.ClientID == "" {
		fail(w, http.StatusBadRequest, "invalid_request", "Cannot parse the client")
		return
	}
	if at.realm.byClientID(made.ClientID) != nil || made.ID != "" && at.realm.byID(made.ID) != nil {
		reply(w, http.StatusConflict, map[string]string{"errorMessage": "Client " + made.ClientID + " already exists"})
		return
	}
	at.realm.add(made, s.now())
	w.Header().Set("Location", strings.Replace(at.canonical, "/realms/", "/admin/realms/", 1)+"/clients/"+made.ID)
	w.WriteHeader(http.StatusCreated)
}

// client answers for one client. PUT changes only the keys it names, save that a
// list of mappers replaces the old one, as in Keycloak.
func (s *SSO) client(w http.ResponseWriter, r *http.Request, at place) {
	c := at.realm.byID(r.PathValue("id"))
	if c == nil {
		fail(w, http.StatusNotFound, "Could not find client", "")
		return
	}
	switch r.Method {
	case http.MethodGet:
		reply(w, http.StatusOK, c)
	case http.MethodDelete:
		at.realm.remove(c)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPut:
		changed := *c
		changed.Attributes, changed.RedirectURIs, changed.ProtocolMappers = maps.Clone(c.Attributes), slices.Clone(c.RedirectURIs), nil
		if err := json.NewDecoder(r.Body).Decode(&changed); err != nil {
			fail(w, http.StatusBadRequest, "invalid_request", "Cannot parse the client")
			return
		}
		if other := at.realm.byClientID(changed.ClientID); other != nil && other != c {
			reply(w, http.StatusConflict, map[string]string{"errorMessage": "Client " + changed.ClientID + " already exists"})
			return
		}
		if changed.ProtocolMappers == nil {
			changed.ProtocolMappers = c.ProtocolMappers
		}
		changed.ID = c.ID
		changed.complete(s.now())
		*c = changed
		w.WriteHeader(http.StatusNoContent)
	default:
		notAllowed(w)
	}
}

func (s *SSO) clientSecret(w http.ResponseWriter, r *http.Request, at place) {
	c := at.realm.byID(r.PathValue("id"))
	switch {
	case c == nil:
		fail(w, http.StatusNotFound, "Could not find client", "")
		return
	case r.Method == http.MethodPost:
		c.Secret = ""
		c.complete(s.now())
	case r.Method != http.MethodGet:
		notAllowed(w)
		return
	}
	reply(w, http.StatusOK, map[string]string{"type": "secret", "value": c.Secret})
}

func (s *SSO) serviceAccountUser(w http.ResponseWriter, r *http.Request, at place) {
	c := at.realm.byID(r.PathValue("id"))
	switch {
	case c == nil:
		fail(w, http.StatusNotFound, "Could not find client", "")
	case c.robot == nil:
		fail(w, http.StatusBadRequest, "Service account not enabled for the client", "")
	default:
		reply(w, http.StatusOK, c.robot)
	}
}

// user answers for a service account's user. Attributes are replaced as a whole.
func (s *SSO) user(w http.ResponseWriter, r *http.Request, at place) {
	c := at.realm.byRobot(r.PathValue("id"))
	switch {
	case c == nil:
		fail(w, http.StatusNotFound, "User not found", "")
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, c.robot)
	case r.Method == http.MethodPut:
		var change struct {
			Attributes map[string][]string `json:"attributes"`
		}
		if err := json.NewDecoder(r.Body).Decode(&change); err != nil {
			fail(w, http.StatusBadRequest, "invalid_request", "Cannot parse the user")
			return
		}
		if change.Attributes != nil {
			c.robot.Attributes = change.Attributes
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		notAllowed(w)
	}
}

func (s *SSO) mappers(w http.ResponseWriter, r *http.Request, at place) {
	c := at.realm.byID(r.PathValue("id"))
	switch {
	case c == nil:
		fail(w, http.StatusNotFound, "Could not find client", "")
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, append([]mapper{}, c.ProtocolMappers...))
	case r.Method == http.MethodPost:
		var made mapper
		if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
			fail(w, http.StatusBadRequest, "invalid_request", "Cannot parse the mapper")
			return
		}
		if slices.ContainsFunc(c.ProtocolMappers, func(m mapper) bool { return m.Name == made.Name }) {
			reply(w, http.StatusConflict, map[string]string{"errorMessage": "Protocol mapper exists with same name"})
			return
		}
		made.ID = uuid.NewString()
		c.ProtocolMappers = append(c.ProtocolMappers, made)
		w.Header().Set("Location", r.URL.Path+"/"+made.ID)
		w.WriteHeader(http.StatusCreated)
	default:
		notAllowed(w)
	}
}

func (s *SSO) mapper(w http.ResponseWriter, r *http.Request, at place) {
	c, i := at.realm.byID(r.PathValue("id")), -1
	if c != nil {
		i = slices.IndexFunc(c.ProtocolMappers, func(m mapper) bool { return m.ID == r.PathValue("mapper") })
	}
	switch {
	case i < 0:
		fail(w, http.StatusNotFound, "Model not found", "")
	case r.Method == http.MethodDelete:
		c.ProtocolMappers = slices.Delete(c.ProtocolMappers, i, i+1)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		var changed mapper
		if err := json.NewDecoder(r.Body).Decode(&changed); err != nil {
			fail(w, http.StatusBadRequest, "invalid_request", "Cannot parse the mapper")
			return
		}
		changed.ID = c.ProtocolMappers[i].ID
		c.ProtocolMappers[i] = changed
		w.WriteHeader(http.StatusNoContent)
	default:
		notAllowed(w)
	}
}

func notAllowed(w http.ResponseWriter) {
	fail(w, http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed", "")
}
