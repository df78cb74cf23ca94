// Package redhatsso passes the use cases of service accounts on to an SSO that
// keeps the accounts itself (provider type redhat_sso).
//
// Whose account it is and how many there may be, the SSO decides by the caller's
// own token; here is what a request must look like, and the codes of what fails.
// It is not for the accounts of our machines. Invariant: a call bears the token of
// the request that it serves and no other.
package redhatsso

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/redhatsso"
)

// Deadlines of a creation and of taking one back. Together they fit into the time of a request.
const (
	createDeadline = 15 * time.Second
	undoDeadline   = 8 * time.Second
)

// Accounts is the service accounts of those who call.
type Accounts struct {
	sso    *redhatsso.Client
	logger *slog.Logger
}

// New makes the use cases.
func New(sso *redhatsso.Client, logger *slog.Logger) *Accounts {
	return &Accounts{sso: sso, logger: logger}
}

// of gives the API as the caller of this request sees it.
func (a *Accounts) of(ctx context.Context) redhatsso.Accounts {
	return a.sso.As(access.TokenFrom(ctx))
}

// List gives a part of the accounts that the caller sees, in the SSO's order, and how
// many there are. The SSO does not tell: unless the part ends the list, all of it is read.
func (a *Accounts) List(ctx context.Context, _ access.Identity, offset, limit int) (part []serviceaccount.Account, total int, err error) {
	found, err := a.of(ctx).List(ctx, offset, limit)
	if err != nil {
		return nil, 0, coded(err, apierr.General)
	}
	part = make([]serviceaccount.Account, 0, len(found))
	for _, one := range found {
		part = append(part, accountOf(one))
	}
	total = offset + len(found)
	if endsList := len(found) < limit && (len(found) > 0 || offset == 0); endsList {
		return part, total, nil
	}
	all, err := a.of(ctx).Search(ctx, func(redhatsso.Account) bool { return true }, false)
	if err != nil {
		return nil, 0, coded(err, apierr.General)
	}
	if len(found) == 0 {
		return part, len(all), nil
	}
	return part, max(total, len(all)), nil // some may have gone meanwhile; the part that was read counts
}

// Find gives the accounts with a client id: one or none. The SSO cannot be asked
// for it, so what the caller sees is looked through.
func (a *Accounts) Find(ctx context.Context, _ access.Identity, clientID string) ([]serviceaccount.Account, error) {
	if err := serviceaccount.CheckAnyClientID(clientID); err != nil {
		return nil, err
	}
	found, err := a.of(ctx).Search(ctx, func(one redhatsso.Account) bool { return one.ClientID == clientID }, true)
	if err != nil {
		return nil, coded(err, apierr.General)
	}
	var all []serviceaccount.Account
	for _, one := range found {
		all = append(all, accountOf(one))
	}
	return all, nil
}

// Get gives one account.
func (a *Accounts) Get(ctx context.Context, _ access.Identity, id string) (serviceaccount.Account, error) {
	if err := serviceaccount.CheckID(id); err != nil {
		return serviceaccount.Account{}, err
	}
	found, err := a.of(ctx).Get(ctx, id)
	// The SSO says in more than one way that there is none; what stands before it says it in no word of the SSO's.
	if refusal := (*redhatsso.Refusal)(nil); errors.As(err, &refusal) && refusal.Status == http.StatusNotFound && refusal.Code != "" {
		return serviceaccount.Account{}, apierr.Wrap(apierr.AccountNotFound, err, "")
	}
	if err != nil {
		return serviceaccount.Account{}, coded(err, apierr.General)
	}
	return accountOf(found), nil
}

// Create makes an account and gives it with its secret. The call goes on when the
// caller hangs up: only its answer tells the id by which the account is taken back.
func (a *Accounts) Create(ctx context.Context, _ access.Identity, r serviceaccount.Request) (serviceaccount.Account, error) {
	if err := r.Validate(); err != nil {
		return serviceaccount.Account{}, err
	}
	sso := a.of(ctx)
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), createDeadline)
	defer cancel()
	made, err := sso.Create(calling, r.Name, r.Description)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		a.undo(ctx, sso, made.ID)
		return serviceaccount.Account{}, coded(err, apierr.AccountNotCreated)
	}
	return accountOf(made), nil
}

// undo removes an account whose maker will never hear of it.
func (a *Accounts) undo(ctx context.Context, sso redhatsso.Accounts, id string) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoDeadline)
	defer cancel()
	if err := sso.Delete(ctx, id); err != nil {
		a.logger.WarnContext(ctx, "service account could not be taken back", "service_account_id", id, "error", err)
	}
}

// Reset gives an account a new secret. The old one is worth nothing any more.
func (a *Accounts) Reset(ctx context.Context, _ access.Identity, id string) (serviceaccount.Account, error) {
	if err := serviceaccount.CheckID(id); err != nil {
		return serviceaccount.Account{}, err
	}
	reset, err := a.of(ctx).ResetSecret(ctx, id)
	if err != nil {
		return serviceaccount.Account{}, coded(err, apierr.General)
	}
	return accountOf(reset), nil
}

// Delete removes an account.
func (a *Accounts) Delete(ctx context.Context, _ access.Identity, id string) error {
	if err := serviceaccount.CheckID(id); err != nil {
		return err
	}
	return coded(a.of(ctx).Delete(ctx, id), apierr.AccountNotDeleted)
}

// coded gives a failure its code: what the SSO says of limits, rights and ids has
// codes of its own, anything else has that of the operation. Why nothing was
// created, the customer is told in the SSO's words.
func coded(err error, otherwise apierr.Code) error {
	if err == nil {
		return nil
	}
	var refusal *redhatsso.Refusal
	switch {
	case errors.Is(err, redhatsso.ErrLimit):
		return apierr.Wrap(apierr.AccountLimitReached, err, "")
	case errors.Is(err, redhatsso.ErrForbidden):
		return apierr.Wrap(apierr.Forbidden, err, "")
	case errors.Is(err, redhatsso.ErrNotFound):
		return apierr.Wrap(apierr.AccountNotFound, err, "")
	case otherwise == apierr.AccountNotCreated && errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError:
		return apierr.Wrap(otherwise, err, refusal.Description)
	}
	return apierr.Wrap(otherwise, err, "")
}

func accountOf(a redhatsso.Account) serviceaccount.Account {
	return serviceaccount.Account{
		ID: a.ID, ClientID: a.ClientID, Name: a.Name, Description: a.Description,
		CreatedBy: a.CreatedBy, CreatedAt: a.CreatedAt, Secret: a.Secret,
	}
}
