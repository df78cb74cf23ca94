package kafka

import (
	"context"
	"errors"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Patch is what a customer may change. Nil: untouched.
type Patch struct {
	Owner                   *string
	ReauthenticationEnabled *bool
}

// mayChange is the one rule of who may change or delete an instance: its
// owner, or an administrator of the organisation that it belongs to.
func mayChange(who access.Identity, k Kafka) bool {
	return who.OrgID == k.OrganisationID && (who.OrgAdmin || who.Username == k.Owner)
}

// Get finds an instance that the caller may see: any of the own organisation.
func (s *Service) Get(ctx context.Context, who access.Identity, id ID) (Kafka, error) {
	k, err := s.Store.InOrganisation(ctx, who.OrgID, id)
	if errors.Is(err, ErrNotFound) {
		return Kafka{}, notFound(who.Username, id)
	}
	return k, err
}

// Namespace gives where an instance is, for those who may see it; "" if nowhere yet.
func (s *Service) Namespace(ctx context.Context, who access.Identity, id ID) (string, error) {
	namespace, err := s.Store.NamespaceInOrganisation(ctx, who.OrgID, id)
	if errors.Is(err, ErrNotFound) {
		return "", notFound(who.Username, id)
	}
	return namespace, err
}

// Update changes what a customer may change.
func (s *Service) Update(ctx context.Context, who access.Identity, id ID, p Patch) (Kafka, error) {
	var updated Kafka
	err := retryStale(func() error {
		k, err := s.Get(ctx, who, id)
		if err != nil {
			return err
		}
		set, err := s.patchColumns(ctx, who, k, p)
		if err != nil || len(set) == 0 {
			updated = k
			return err
		}
		err = s.DB.Tx(ctx, func(tx db.Tx) error {
			_, err := Note(tx, k, set, s.Clock(), "")
			return err
		})
		if err != nil {
			return err
		}
		updated, err = s.Get(ctx, who, id)
		return err
	})
	return updated, err
}

func (s *Service) patchColumns(ctx context.Context, who access.Identity, k Kafka, p Patch) (Columns, error) {
	if !mayChange(who, k) {
		return nil, apierr.New(apierr.Unauthorized, "")
	}
	set := Columns{}
	if p.Owner != nil {
		if *p.Owner == "" {
			return nil, apierr.New(apierr.FieldTooShort, "owner is empty: at least 1 character is required")
		}
		if *p.Owner != k.Owner {
			account, err := s.newOwner(ctx, who, *p.Owner)
			if err != nil {
				return nil, err
			}
			set["owner"], set["owner_account_id"] = *p.Owner, account.ID
		}
	}
	if p.ReauthenticationEnabled != nil && *p.ReauthenticationEnabled != k.ReauthenticationEnabled {
		set["reauthentication_enabled"] = *p.ReauthenticationEnabled
	}
	if len(set) > 0 && k.Status.InDeletion() {
		return nil, apierr.New(apierr.BadRequest, "the instance is being deleted")
	}
	return set, nil
}

func (s *Service) newOwner(ctx context.Context, who access.Identity, username string) (Account, error) {
	account, found, err := s.Account(ctx, username)
	switch {
	case err != nil:
		return Account{}, apierr.Wrap(apierr.General, err, "the new owner could not be looked up")
	case !found || account.Banned || account.OrganisationID != who.OrgID:
		return Account{}, apierr.New(apierr.BadRequest, "the new owner has to be a member of the organisation who may have instances")
	}
	return account, nil
}

// Delete asks for an instance's deletion. Asking again changes nothing.
func (s *Service) Delete(ctx context.Context, who access.Identity, id ID, async string) error {
	if async != "true" {
		return apierr.New(apierr.SyncUnsupported, "")
	}
	return retryStale(func() error {
		k, err := s.Store.InOrganisation(ctx, who.OrgID, id)
		if errors.Is(err, ErrNotFound) || err == nil && !mayChange(who, k) {
			return apierr.New(apierr.NotFound, "KafkaResource with id='"+string(id)+"' not found")
		}
		if err != nil || k.Status.InDeletion() {
			return err
		}
		err = s.DB.Tx(ctx, func(tx db.Tx) error {
			_, err := Apply(tx, k, Change{Event: DeleteAsked, Actor: ByUser, Reason: "by " + who.Username, Now: s.Clock()})
			return err
		})
		if err == nil {
			s.Metrics.Deprovisioned()
		}
		return err
	})
}
