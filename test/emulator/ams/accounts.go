package ams

import (
	"fmt"
	"net/http"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

type object = map[string]any

func (a *account) toWire() object {
	return object{
		"kind": "Account", "id": a.id, "href": Service.Base + "/accounts/" + a.id,
		"username": a.Username, "banned": a.Banned, "organization": a.org.toWire(),
	}
}

func (o *organisation) toWire() object {
	return object{
		"kind": "Organization", "id": o.id, "href": Service.Base + "/organizations/" + o.id, "external_id": o.ExternalID,
		"name": o.Name, "ebs_account_id": o.EBSAccountID, "created_at": created, "updated_at": created,
	}
}

// own gives the account of the token's user or answers 404.
func (e *AMS) own(w http.ResponseWriter, r *http.Request) *account {
	username, ok := Service.User(w, r, e.verify)
	if !ok {
		return nil
	}
	if e.verify == nil {
		username = e.self
	}
	found := e.account(username)
	if found == nil {
		Service.Fail(w, http.StatusNotFound, fmt.Sprintf("Account '%s' not found", username))
	}
	return found
}

func (e *AMS) currentAccount(w http.ResponseWriter, r *http.Request) {
	if a := e.own(w, r); a != nil {
		wire.Reply(w, http.StatusOK, a.toWire())
	}
}

func (e *AMS) listAccounts(w http.ResponseWriter, r *http.Request) {
	search, err := wire.ParseSearch(r.URL.Query().Get("search"), "username", "id")
	if err != nil {
		Service.Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	found := []object{}
	for _, a := range e.accounts {
		if search.Matches(map[string]string{"username": a.Username, "id": a.id}) {
			found = append(found, a.toWire())
		}
	}
	wire.List(w, r, "AccountList", found)
}

func (e *AMS) listOrganisations(w http.ResponseWriter, r *http.Request) {
	search, err := wire.ParseSearch(r.URL.Query().Get("search"), "external_id", "id")
	if err != nil {
		Service.Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	found := []object{}
	for _, o := range e.organisations {
		if search.Matches(map[string]string{"external_id": o.ExternalID, "id": o.id}) {
			found = append(found, o.toWire())
		}
	}
	wire.List(w, r, "OrganizationList", found)
}

// pathOrganisation finds the path's organisation or answers 404.
func (e *AMS) pathOrganisation(w http.ResponseWriter, r *http.Request) *organisation {
	id := r.PathValue("org")
	for _, o := range e.organisations {
		if o.id == id {
			return o
		}
	}
	Service.Fail(w, http.StatusNotFound, fmt.Sprintf("Organization with id='%s' not found", id))
	return nil
}

func (e *AMS) getOrganisation(w http.ResponseWriter, r *http.Request) {
	if o := e.pathOrganisation(w, r); o != nil {
		wire.Reply(w, http.StatusOK, o.toWire())
	}
}

func (e *AMS) reviewTerms(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Username string `json:"account_username"`
	}
	if !Authorisations.Decode(w, r, &in) {
		return
	}
	a := e.account(in.Username)
	if a == nil {
		Authorisations.Fail(w, http.StatusNotFound, fmt.Sprintf("Account '%s' not found", in.Username))
		return
	}
	answerTerms(w, a)
}

func (e *AMS) reviewOwnTerms(w http.ResponseWriter, r *http.Request) {
	if a := e.own(w, r); a != nil {
		answerTerms(w, a)
	}
}

func answerTerms(w http.ResponseWriter, a *account) {
	redirect := ""
	if a.TermsRequired {
		redirect = "https://terms.example.test/?redirect=ocm"
	}
	wire.Reply(w, http.StatusOK, object{
		"account_id": a.id, "organization_id": a.org.id, "terms_available": a.TermsRequired,
		"terms_required": a.TermsRequired, "redirect_url": redirect,
	})
}
