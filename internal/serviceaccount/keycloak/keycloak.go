// Package keycloak keeps service accounts as clients of a Keycloak realm that the
// fleet manager administers (provider type mas_sso).
//
// It is for translating between accounts and clients, and failures into codes. It
// is not for rights or limits. Invariant: a client without the prefix of
// customers' accounts is never shown, changed or deleted, whoever asks for it.
package keycloak

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
)

// The attributes of a client. The first three are claims of its tokens too: by
// them an instance knows the organisation of who connects.
const (
	orgAttribute       = "rh-org-id"
	accountAttribute   = "rh-user-id"
	usernameAttribute  = "username"
	createdAtAttribute = "created_at"
)

// Accounts is the service accounts of one realm.
type Accounts struct{ admin *keycloak.Admin }

// New makes the provider for the realm that admin administers.
func New(admin *keycloak.Admin) *Accounts { return &Accounts{admin: admin} }

// List gives all accounts of an organisation.
func (a *Accounts) List(ctx context.Context, orgID string) ([]serviceaccount.Account, error) {
	if orgID == "" {
		return nil, nil // accounts without an organisation are nobody's
	}
	clients, err := a.admin.List(ctx, keycloak.Query{Attribute: orgAttribute, Value: orgID, Prefix: serviceaccount.ClientIDPrefix})
	if err != nil {
		return nil, apierr.Wrap(apierr.General, err, "")
	}
	all := make([]serviceaccount.Account, 0, len(clients))
	for _, c := range clients {
		all = append(all, accountOf(c))
	}
	return all, nil
}

// Get reads one account.
func (a *Accounts) Get(ctx context.Context, ref serviceaccount.Ref) (serviceaccount.Account, error) {
	read, key := a.admin.Get, ref.ID
	if ref.ClientID != "" {
		read, key = a.admin.Find, ref.ClientID
	}
	c, err := read(ctx, key)
	switch {
	case errors.Is(err, keycloak.ErrNotFound), err == nil && !customers(c.ClientID):
		return serviceaccount.Account{}, apierr.Wrap(apierr.AccountNotFound, err, "")
	case err != nil:
		return serviceaccount.Account{}, apierr.Wrap(apierr.AccountNotObtained, err, "")
	}
	return accountOf(c), nil
}

// Create makes the client with its service account, claims and secret.
func (a *Accounts) Create(ctx context.Context, account serviceaccount.Account) (serviceaccount.Account, error) {
	claims := map[string]string{}
	for name, value := range map[string]string{
		orgAttribute: account.OrgID, accountAttribute: account.OwnerAccountID, usernameAttribute: account.CreatedBy,
	} {
		if value != "" { // the server drops empty ones
			claims[name] = value
		}
	}
	made, err := a.admin.Ensure(ctx, keycloak.ClientSpec{
		ClientID: account.ClientID, Name: account.Name, Description: account.Description,
		Attributes: claims, TokenClaims: claims,
		Once: map[string]string{createdAtAttribute: account.CreatedAt.UTC().Format(time.RFC3339Nano)},
	})
	if err != nil {
		return serviceaccount.Account{}, apierr.Wrap(failedStep(err), err, "")
	}
	out := accountOf(made)
	out.Secret = made.Secret
	return out, nil
}

// failedStep is the code of the call that failed while an account was made.
func failedStep(err error) apierr.Code {
	switch {
	case errors.Is(err, keycloak.StepSecret):
		return apierr.SSOSecretNotObtained
	case errors.Is(err, keycloak.StepUser):
		return apierr.AccountNotObtained
	case errors.Is(err, keycloak.StepFind):
		return apierr.General
	}
	return apierr.AccountNotCreated
}

// Reset replaces the secret.
func (a *Accounts) Reset(ctx context.Context, account serviceaccount.Account) (log.Secret, error) {
	secret, err := a.admin.Regenerate(ctx, account.ID)
	switch {
	case errors.Is(err, keycloak.ErrNotFound):
		return "", apierr.Wrap(apierr.AccountNotFound, err, "")
	case err != nil:
		return "", apierr.Wrap(apierr.General, err, "")
	}
	return secret, nil
}

// Delete removes an account and tells whether there was one.
func (a *Accounts) Delete(ctx context.Context, clientID string) (existed bool, err error) {
	if !customers(clientID) {
		return false, nil
	}
	existed, err = a.admin.Delete(ctx, clientID)
	if err != nil {
		return existed, apierr.Wrap(apierr.AccountNotDeleted, err, "")
	}
	return existed, nil
}

func customers(clientID string) bool {
	return strings.HasPrefix(clientID, serviceaccount.ClientIDPrefix)
}

// accountOf reads an account out of a client. One that somebody made by hand may
// lack attributes; it is shown without what is missing.
func accountOf(c keycloak.Client) serviceaccount.Account {
	created, err := time.Parse(time.RFC3339, c.Attributes[createdAtAttribute])
	if err != nil {
		created = time.Time{}
	}
	return serviceaccount.Account{
		ID: c.ID, ClientID: c.ClientID, Name: c.Name, Description: c.Description,
		OrgID: c.Attributes[orgAttribute], OwnerAccountID: c.Attributes[accountAttribute],
		CreatedBy: c.Attributes[usernameAttribute], CreatedAt: created.UTC(),
	}
}
