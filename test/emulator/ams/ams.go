// Package ams emulates the account and authorisation services of OCM: accounts,
// organisations, their quota, cluster authorisations, subscriptions and terms.
//
// It is for tests and for the sandbox. It issues no tokens and knows no roles.
// Invariant: an organisation's consumed quota is the sum of its active
// subscriptions, and there is at most one of these for a cluster id.
//
// Assumptions about the real service that nothing here can prove: an
// authorisation for a known cluster id answers with the subscription that
// exists, a banned or unknown user is refused with an error, not with
// "allowed: false", and a deleted subscription is listed as deprovisioned.
package ams

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

// Service is the account service.
var Service = wire.Service{Base: "/api/accounts_mgmt/v1", Code: "ACCT-MGMT"}

// Authorisations is the service that reviews terms.
var Authorisations = wire.Service{Base: "/api/authorizations/v1", Code: "AUTHZ"}

// Account is a user.
type Account struct {
	ID            string `json:"id"` // made if empty
	Username      string `json:"username"`
	OrgExternalID string `json:"org_external_id"`
	Banned        bool   `json:"banned"`
	TermsRequired bool   `json:"terms_required"`
}

// Organisation is a customer with what it may use.
type Organisation struct {
	ExternalID    string         `json:"external_id"`
	Name          string         `json:"name"`
	EBSAccountID  string         `json:"ebs_account_id"`
	Quota         []Quota        `json:"quota"`
	CloudAccounts []CloudAccount `json:"cloud_accounts"`
}

// Quota is so much of one product under one billing model.
type Quota struct {
	Product      string `json:"product"`       // such as RHOSAK
	BillingModel string `json:"billing_model"` // such as standard
	Allowed      int    `json:"allowed"`
	Free         bool   `json:"free"` // costs nothing, so that Allowed does not matter
}

// CloudAccount is a marketplace account of an organisation.
type CloudAccount struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
}

// Options configure the emulator.
type Options struct {
	Accounts      []Account
	Organisations []Organisation
	// Verify names the user of a token for the routes about oneself. With nil any
	// bearer token will do and stands for Self.
	Verify wire.Verify
	Self   string
}

// AMS is the emulator's state.
type AMS struct {
	verify wire.Verify
	self   string
	mux    *http.ServeMux

	mu            sync.Mutex
	accounts      []*account
	organisations []*organisation
	subscriptions []*Subscription
	last          int
}

type account struct {
	Account
	id  string
	org *organisation
}

type organisation struct {
	Organisation
	id string
}

// created is the birthday of all organisations: nothing depends on it.
var created = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)

// New makes an emulator. An account of an organisation that is not listed gets one without quota.
func New(o Options) *AMS {
	e := &AMS{verify: o.Verify, self: o.Self, mux: http.NewServeMux()}
	for _, org := range o.Organisations {
		e.addOrganisation(org)
	}
	for _, a := range o.Accounts {
		e.addAccount(a)
	}
	at := Service.Base
	e.mux.HandleFunc("GET "+at+"/current_account", e.currentAccount)
	e.mux.HandleFunc("GET "+at+"/accounts", e.listAccounts)
	e.mux.HandleFunc("GET "+at+"/organizations", e.listOrganisations)
	e.mux.HandleFunc("GET "+at+"/organizations/{org}", e.getOrganisation)
	e.mux.HandleFunc("GET "+at+"/organizations/{org}/quota_cost", e.listQuotaCost)
	e.mux.HandleFunc("POST "+at+"/cluster_authorizations", e.authorise)
	e.mux.HandleFunc("GET "+at+"/subscriptions", e.listSubscriptions)
	e.mux.HandleFunc("GET "+at+"/subscriptions/{subscription}", e.getSubscription)
	e.mux.HandleFunc("DELETE "+at+"/subscriptions/{subscription}", e.deleteSubscription)
	e.mux.HandleFunc("POST "+Authorisations.Base+"/terms_review", e.reviewTerms)
	e.mux.HandleFunc("POST "+Authorisations.Base+"/self_terms_review", e.reviewOwnTerms)
	Service.Otherwise(e.mux)
	Authorisations.Otherwise(e.mux)
	return e
}

// Handler serves both services.
func (e *AMS) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := Service.User(w, r, e.verify); !ok {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.mux.ServeHTTP(w, r)
	})
}

func (e *AMS) addOrganisation(o Organisation) *organisation {
	fresh := &organisation{Organisation: o, id: fmt.Sprintf("org%d", len(e.organisations)+1)}
	fresh.Quota = slices.Clone(o.Quota)
	e.organisations = append(e.organisations, fresh)
	return fresh
}

func (e *AMS) addAccount(a Account) {
	org := e.organisation(a.OrgExternalID)
	if org == nil {
		org = e.addOrganisation(Organisation{ExternalID: a.OrgExternalID})
	}
	if a.ID == "" {
		a.ID = fmt.Sprintf("account%d", len(e.accounts)+1)
	}
	fresh := &account{Account: a, id: a.ID, org: org}
	e.accounts = append(e.accounts, fresh)
}

func (e *AMS) organisation(externalID string) *organisation {
	for _, o := range e.organisations {
		if o.ExternalID == externalID {
			return o
		}
	}
	return nil
}

func (e *AMS) account(username string) *account {
	for _, a := range e.accounts {
		if a.Username == username {
			return a
		}
	}
	return nil
}

// PutAccount adds the account or replaces what is known of it.
func (e *AMS) PutAccount(a Account) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accounts = slices.DeleteFunc(e.accounts, func(old *account) bool { return old.Username == a.Username })
	e.addAccount(a)
}

// PutOrganisation adds the organisation or replaces what is known of it.
func (e *AMS) PutOrganisation(o Organisation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.organisation(o.ExternalID); known != nil {
		known.Organisation = o
		return
	}
	e.addOrganisation(o)
}

// SetAllowed changes how much an organisation may use of a product under a billing model.
func (e *AMS) SetAllowed(orgExternalID string, q Quota) {
	e.mu.Lock()
	defer e.mu.Unlock()
	org := e.organisation(orgExternalID)
	if org == nil {
		org = e.addOrganisation(Organisation{ExternalID: orgExternalID})
	}
	for i, have := range org.Quota {
		if have.Product == q.Product && have.BillingModel == q.BillingModel {
			org.Quota[i] = q
			return
		}
	}
	org.Quota = append(org.Quota, q)
}

// SetCloudAccounts replaces an organisation's accounts at marketplaces.
func (e *AMS) SetCloudAccounts(orgExternalID string, accounts ...CloudAccount) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if org := e.organisation(orgExternalID); org != nil {
		org.CloudAccounts = accounts
	}
}

// Reserve makes a subscription for its creator's organisation, whatever quota there
// is: as a call does that takes effect long after it was sent.
func (e *AMS) Reserve(s Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if creator := e.account(s.Creator); creator != nil {
		e.last++
		s.ID, s.OrganisationID = fmt.Sprintf("subscription%d", e.last), creator.org.id
		e.subscriptions = append(e.subscriptions, &s)
	}
}

// Subscriptions gives all active subscriptions in the order of their creation.
func (e *AMS) Subscriptions() []Subscription {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := []Subscription{}
	for _, s := range e.subscriptions {
		if !s.over {
			all = append(all, *s)
		}
	}
	return all
}

// State gives what the emulator holds, for a management route.
func (e *AMS) State() any {
	subscriptions := e.Subscriptions()
	e.mu.Lock()
	defer e.mu.Unlock()
	accounts, organisations := []Account{}, []Organisation{}
	for _, a := range e.accounts {
		accounts = append(accounts, a.Account)
	}
	for _, o := range e.organisations {
		organisations = append(organisations, o.Organisation)
	}
	return object{"accounts": accounts, "organisations": organisations, "subscriptions": subscriptions}
}
