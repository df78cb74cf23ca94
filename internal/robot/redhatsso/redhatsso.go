// Package redhatsso keeps the accounts of our machines at an SSO that chooses their
// client ids itself (provider type redhat_sso).
//
// It calls as the fleet manager, never as a customer. Invariant: an account is
// looked for by its name before one is made, unless it is certain that there is
// none; so a second attempt finds what the first one made.
package redhatsso

import (
	"context"
	"errors"
	"fmt"

	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/redhatsso"
)

// Accounts is the machines' accounts of the fleet manager's own organisation.
type Accounts struct{ sso *redhatsso.Client }

// New makes the accounts of that SSO.
func New(sso *redhatsso.Client) *Accounts { return &Accounts{sso: sso} }

// Ensure finds the account or makes it. The SSO never tells a secret again: one
// that is not known is replaced.
func (a *Accounts) Ensure(ctx context.Context, spec robot.Spec) (robot.Account, error) {
	own := a.sso.Own()
	found, err := a.find(ctx, own, spec)
	if err != nil {
		return robot.Account{}, err
	}
	var made redhatsso.Account
	switch {
	case found == nil:
		made, err = own.Create(ctx, spec.Name, spec.Description)
	case found.ClientID == spec.Have.ClientID && spec.Have.Secret != "":
		made, made.Secret = *found, spec.Have.Secret
	default:
		made, err = own.ResetSecret(ctx, found.ID)
	}
	if err != nil {
		return robot.Account{}, judged(err)
	}
	return robot.Account{ID: made.ID, ClientID: made.ClientID, Secret: made.Secret}, nil
}

// find gives the account that is there, nil for none. Of several, which a call may
// have made that was given up, it is the one that is in use.
func (a *Accounts) find(ctx context.Context, own redhatsso.Accounts, spec robot.Spec) (*redhatsso.Account, error) {
	if spec.Have.ID != "" {
		found, err := own.Get(ctx, spec.Have.ID)
		if err == nil && found.Name == spec.Name {
			return &found, nil
		}
		if err != nil && !errors.Is(err, redhatsso.ErrNotFound) {
			return nil, err
		}
	}
	if spec.First {
		return nil, nil
	}
	all, err := own.Search(ctx, named(spec.Name), false)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	for i := range all {
		if all[i].ClientID == spec.Have.ClientID {
			return &all[i], nil
		}
	}
	return &all[0], nil
}

func named(name string) func(redhatsso.Account) bool {
	return func(a redhatsso.Account) bool { return a.Name == name }
}

// judged gives a failure its kind.
func judged(err error) error {
	if errors.Is(err, redhatsso.ErrUnavailable) {
		return fmt.Errorf("%w: %w", robot.ErrUnavailable, err)
	}
	var refusal *redhatsso.Refusal
	if errors.As(err, &refusal) && refusal.Unwrap() == nil {
		return fmt.Errorf("%w: %w", robot.ErrRefused, err)
	}
	return err
}

// Delete removes the account and tells whether there was one. Unless it is known
// to be the only one, all of its name are looked for.
func (a *Accounts) Delete(ctx context.Context, ref robot.Ref) (existed bool, err error) {
	own := a.sso.Own()
	if ref.ID != "" {
		return remove(ctx, own, ref.ID)
	}
	all, err := own.Search(ctx, named(ref.Name), false)
	if err != nil {
		return false, err
	}
	for _, one := range all {
		gone, failure := remove(ctx, own, one.ID)
		existed, err = existed || gone, errors.Join(err, failure)
	}
	return existed, err
}

func remove(ctx context.Context, own redhatsso.Accounts, id string) (existed bool, err error) {
	err = own.Delete(ctx, id)
	if errors.Is(err, redhatsso.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
