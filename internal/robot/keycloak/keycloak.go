// Package keycloak keeps the accounts of our machines as clients of a Keycloak
// realm that the fleet manager administers (provider type mas_sso).
//
// It translates and has no rules. Invariant: the client id is the intent's key, so
// there is never a second one.
package keycloak

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
)

// Accounts is the machines' accounts of one realm.
type Accounts struct{ admin *keycloak.Admin }

// New makes the accounts of the realm that admin administers.
func New(admin *keycloak.Admin) *Accounts { return &Accounts{admin: admin} }

// Ensure makes the client be there as specified. Its secret is read each time,
// whoever changed it.
func (a *Accounts) Ensure(ctx context.Context, spec robot.Spec) (robot.Account, error) {
	client := keycloak.ClientSpec{
		ClientID: spec.Key, Name: spec.Key, Description: spec.Description, Attributes: spec.Claims, TokenClaims: spec.Claims, First: spec.First,
	}
	if !spec.CreatedAt.IsZero() {
		client.Once = map[string]string{"created_at": spec.CreatedAt.Format(time.RFC3339)}
	}
	made, err := a.admin.Ensure(ctx, client)
	if err != nil {
		return robot.Account{}, judged(err)
	}
	return robot.Account{ID: made.ID, ClientID: made.ClientID, Secret: made.Secret}, nil
}

// judged gives a failure its kind.
func judged(err error) error {
	if errors.Is(err, keycloak.ErrUnavailable) {
		return fmt.Errorf("%w: %w", robot.ErrUnavailable, err)
	}
	for _, passing := range []error{keycloak.ErrUnauthorised, keycloak.ErrNotFound, keycloak.ErrConflict} {
		if errors.Is(err, passing) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", robot.ErrRefused, err)
}

// Delete removes the client and tells whether there was one.
func (a *Accounts) Delete(ctx context.Context, ref robot.Ref) (existed bool, err error) {
	return a.admin.Delete(ctx, ref.Key)
}
