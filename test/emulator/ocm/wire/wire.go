// Package wire holds what the emulated OCM services have in common on the wire:
// error and list bodies, the bearer check and their small search language.
//
// It is for the emulators of the cluster and the account service. It holds no
// state. Invariant: every body it writes is declared as JSON, without which the
// SDK sees no status.
package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Service is one of the services: where it lives and the prefix of its error codes.
type Service struct {
	Base string // such as /api/clusters_mgmt/v1
	Code string // such as CLUSTERS-MGMT
}

// Reply writes a JSON body; nil writes none.
func Reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

// Fail writes an error body.
func (s Service) Fail(w http.ResponseWriter, status int, reason string) {
	id := strconv.Itoa(status)
	Reply(w, status, map[string]string{
		"kind": "Error", "id": id, "href": s.Base + "/errors/" + id, "code": s.Code + "-" + id,
		"reason": reason, "operation_id": "emulated",
	})
}

// List writes the page of the items that the request asks for.
func List[T any](w http.ResponseWriter, r *http.Request, kind string, items []T) {
	page, size := number(r, "page", 1), number(r, "size", 100)
	from := min((page-1)*size, len(items))
	shown := append([]T{}, items[from:min(from+size, len(items))]...)
	Reply(w, http.StatusOK, map[string]any{
		"kind": kind, "page": page, "size": len(shown), "total": len(items), "items": shown,
	})
}

func number(r *http.Request, name string, fallback int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 || n > 100000 {
		return fallback
	}
	return n
}

// Decode reads the request's body; on failure it has answered.
func (s Service) Decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		s.Fail(w, http.StatusBadRequest, fmt.Sprintf("the body cannot be read: %v", err))
		return false
	}
	return true
}

// Verify judges a bearer token and names its user.
type Verify func(token string) (username string, err error)

// User gives the name of the request's user, "" when verify is nil. On failure it has answered 401.
func (s Service) User(w http.ResponseWriter, r *http.Request, verify Verify) (username string, ok bool) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer || token == "" {
		s.Fail(w, http.StatusUnauthorized, "The request has no bearer token")
		return "", false
	}
	if verify == nil {
		return "", true
	}
	username, err := verify(token)
	if err != nil {
		s.Fail(w, http.StatusUnauthorized, "Bearer token is not valid")
		return "", false
	}
	return username, true
}

// Otherwise answers what no other route took.
func (s Service) Otherwise(mux *http.ServeMux) {
	mux.HandleFunc(s.Base+"/", func(w http.ResponseWriter, r *http.Request) {
		s.Fail(w, http.StatusNotFound, fmt.Sprintf("The requested resource '%s' doesn't exist", r.URL.Path))
	})
}
