// Package serviceaccount is the service accounts of customers: names and secrets
// by which programs connect to Kafka instances.
//
// It is for who may make, read, reset and remove them and for how many an
// organisation may have. It is not for the canaries of instances nor for the
// agents of clusters, and it keeps no account: those live in the SSO, and here is
// only the ledger of what we made there. Invariant: a creation that fails leaves no
// account behind, whatever fails in between.
package serviceaccount

import (
	"context"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// ClientIDPrefix begins the client id of every customer's account. What lacks it
// is not shown to customers, whoever asks.
const ClientIDPrefix = "srvc-acct-"

// Account is one service account.
type Account struct {
	ID             string // the SSO's own
	ClientID       string
	Name           string
	Description    string
	OrgID          string
	OwnerAccountID string
	CreatedBy      string // user name of the maker
	CreatedAt      time.Time
	Secret         log.Secret // after Create and Reset only
}

// Ref names an account by one of its two ids.
type Ref struct{ ID, ClientID string }

// Provider is an SSO that holds accounts. Its errors are of the catalogue, since
// each kind of SSO has codes of its own; an account that is not there, or is none
// of a customer, is always apierr.AccountNotFound.
type Provider interface {
	// List gives all accounts of an organisation.
	List(ctx context.Context, orgID string) ([]Account, error)
	Get(ctx context.Context, ref Ref) (Account, error)
	// Create makes the account with its secret. When it fails, a part may be there
	// or may still come into being.
	Create(ctx context.Context, account Account) (Account, error)
	// Reset replaces the secret.
	Reset(ctx context.Context, account Account) (log.Secret, error)
	// Delete tells whether there was an account. Deleting again is no error.
	Delete(ctx context.Context, clientID string) (existed bool, err error)
}

// right is what a caller wants to do with an account.
type right int

const (
	toRead   right = iota // everybody of the organisation, as the list shows it anyway
	toChange              // the owner and the organisation's administrators
)

// check is the one rule of rights on accounts. A stranger is told that the account
// is not theirs and not that it is unknown: clients know that answer.
func (a Account) check(who access.Identity, wanted right) error {
	sameOrg := who.OrgID != "" && a.OrgID == who.OrgID
	if sameOrg && (wanted == toRead || who.OrgAdmin || a.ownedBy(who)) {
		return nil
	}
	return apierr.New(apierr.Forbidden, "The account is not allowed to use this service account")
}

// ownedBy compares names only where no account id was recorded: names are given anew.
func (a Account) ownedBy(who access.Identity) bool {
	if a.OwnerAccountID != "" {
		return a.OwnerAccountID == who.AccountID
	}
	return a.CreatedBy != "" && a.CreatedBy == who.Username
}
