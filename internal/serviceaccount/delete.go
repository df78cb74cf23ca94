package serviceaccount

import (
	"context"
	"errors"
	"time"

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
	if err := s.removeLeft(ctx, clientID); err != nil {
		return err
	}
	err = tx(ctx, func(tx db.Tx) error {
		if intent.Calls > 0 { // nobody saw it end: its process may be paused, not dead
			return ledger.MarkInDoubt(tx, s.Clock(), intent.ID, nil)
		}
		return ledger.Mark(tx, s.Clock(), intent.ID, ledger.Gone, nil)
	})
	if errors.Is(err, ledger.ErrUnknown) {
		return nil
	}
	return err
}

func (s *Service) removeLeft(ctx context.Context, clientID string) error {
	existed, err := s.Provider.Delete(ctx, clientID)
	if existed {
		s.Logger.WarnContext(ctx, "removed a service account that was left half way", "client_id", clientID)
	}
	return err
}

const (
	// doubtedFor is how long is looked again for what a paused process may still make.
	doubtedFor = time.Hour
	// doubtedAtOnce bounds one round; the next goes on where it ended.
	doubtedAtOnce = 500
	// purgedAtOnce keeps each transaction of the purge short.
	purgedAtOnce = 1000
)

// SweepDoubted removes what a call made that everybody had given up, after its
// intent was closed because nothing was there. No customer was given it: what was
// closed can never be marked as created. It begins after the intent that a round
// before ended with, and gives the one for the next.
func (s *Service) SweepDoubted(ctx context.Context, after ledger.Intent) (last ledger.Intent, err error) {
	doubted, err := ledger.NewStore(s.DB).ClosedInDoubt(ctx, ownerKind, s.Clock().Add(-doubtedFor), after, doubtedAtOnce)
	if err != nil {
		return after, err
	}
	if len(doubted) == doubtedAtOnce { // the next round goes on behind them, whatever comes of these
		last = doubted[len(doubted)-1]
	}
	var problems []error
	for _, in := range doubted { // one that cannot be removed does not keep the others
		problems = append(problems, s.removeLeft(ctx, in.Key))
		if ctx.Err() != nil { // the rest would fail too, one by one
			break
		}
	}
	return last, errors.Join(problems...)
}

// Purge forgets what is gone for that long. Zero keeps it for ever.
func (s *Service) Purge(ctx context.Context, tx db.TxFunc, kept time.Duration) error {
	for removed := purgedAtOnce; kept > 0 && removed == purgedAtOnce; {
		err := tx(ctx, func(tx db.Tx) (err error) {
			removed, err = ledger.PurgeGone(tx, ownerKind, s.Clock().Add(-kept), purgedAtOnce)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
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
