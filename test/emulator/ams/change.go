package ams

import (
	"encoding/json"
	"net/http"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

// accountChange and organisationChange are what may be changed by hand. What is
// absent stays as it is.
type (
	accountChange struct {
		Banned        *bool `json:"banned"`
		TermsRequired *bool `json:"terms_required"`
	}
	organisationChange struct {
		Quota         *[]Quota        `json:"quota"`
		CloudAccounts *[]CloudAccount `json:"cloud_accounts"`
	}
)

// Changes gives the routes by which people change what the service knows, such as
// that terms were accepted. Like those of faults they belong on another listener.
func (e *AMS) Changes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PATCH /accounts/{username}", func(w http.ResponseWriter, r *http.Request) {
		var in accountChange
		if !decode(w, r, &in) {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		a := e.account(r.PathValue("username"))
		if a == nil {
			Service.Fail(w, http.StatusNotFound, "there is no such account")
			return
		}
		set(&a.Banned, in.Banned)
		set(&a.TermsRequired, in.TermsRequired)
		wire.Reply(w, http.StatusOK, a.Account)
	})
	mux.HandleFunc("PATCH /organisations/{external}", func(w http.ResponseWriter, r *http.Request) {
		var in organisationChange
		if !decode(w, r, &in) {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		o := e.organisation(r.PathValue("external"))
		if o == nil {
			Service.Fail(w, http.StatusNotFound, "there is no such organisation")
			return
		}
		set(&o.Quota, in.Quota)
		set(&o.CloudAccounts, in.CloudAccounts)
		wire.Reply(w, http.StatusOK, o.Organisation)
	})
	return mux
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// decode refuses what it does not know: a change that changes nothing misleads.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		Service.Fail(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}
