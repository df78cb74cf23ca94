package serviceaccount

import (
	"context"
	"errors"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// Delete removes an account. Once it began it ends: where the SSO fails, the
// caller learns so and the sweeper finishes it.
func (s *Service) Delete(ctx context.Context, who access.Identity, id string) error {
	account, err := s.get(ctx, who, id, toChange)
	if err != nil {
		return err
	}
	intent, known, err := s.condemn(ctx, s.DB.Tx, account.ClientID, func(ledger.Intent) bool { return true })
	if err != nil {
		return err
	}
	if _, err := s.Provider.Delete(ctx, account.ClientID); err != nil || !known {
		return err
	}
	if err := s.mark(context.WithoutCancel(ctx), intent.ID, ledger.Gone); err != nil {
		// The account is gone and that is what the caller asked for.
		s.Logger.WarnContext(ctx, "deleted service account left to the sweeper", "client_id", account.ClientID, "error", err)
	}
	return nil
}

// condemn notes that an account is to be deleted, if it has an open intent that
// fits. From then on no creation can complete it.
func (s *Service) condemn(ctx context.Context, tx db.TxFunc, clientID string, fits func(ledger.Intent) bool) (ledger.Intent, bool, error) {
	var intent ledger.Intent
	var found bool
	err := tx(ctx, func(tx db.Tx) error {
		var err error
		if intent, found, err = openOn(tx, clientID); err != nil || !found {
			return err
		}
		if found = fits(intent); !found || intent.State == ledger.Deleting {
			return nil // marking again would forget its failures
		}
		return ledger.Mark(tx, s.Clock(), intent.ID, ledger.Deleting, nil)
	})
	return intent, found && err == nil, err
}

// Overdue lists the client ids of accounts that were left half way: creations and
// deletions whose process died or whose SSO did not answer.
func (s *Service) Overdue(ctx context.Context, limit int) ([]string, error) {
	return overdue(ctx, s.DB, s.Clock().Add(-doubt), limit)
}

// Sweep removes an account that was left half way. It reads the intent again: the
// creation may have come to its end meanwhile, and then the account is in use.
func (s *Service) Sweep(ctx context.Context, tx db.TxFunc, clientID string) error {
	before := s.Clock().Add(-doubt)
	intent, found, err := s.condemn(ctx, tx, clientID, func(i ledger.Intent) bool {
		return i.State != ledger.Created && i.UpdatedAt.Before(before)
	})
	if err != nil || !found {
		return err
	}
	existed, err := s.Provider.Delete(ctx, clientID)
	if err != nil {
		return err
	}
	if existed {
		s.Logger.WarnContext(ctx, "removed a service account that was left half way", "client_id", clientID)
	}
	err = tx(ctx, func(tx db.Tx) error { return ledger.Mark(tx, s.Clock(), intent.ID, ledger.Gone, nil) })
	if errors.Is(err, ledger.ErrUnknown) {
		return nil
	}
	return err
}

// SweepFailed notes that an account could not be removed yet. It is overdue again
// once the usual time has passed.
func (s *Service) SweepFailed(ctx context.Context, tx db.TxFunc, clientID string, cause error) error {
	return tx(ctx, func(tx db.Tx) error {
		intent, found, err := openOn(tx, clientID)
		if err != nil || !found {
			return err
		}
		return ledger.Failed(tx, s.Clock(), intent.ID, cause)
	})
}
