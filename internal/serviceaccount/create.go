package serviceaccount

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// Deadlines of a creation and of taking one back. Together they fit into the time
// of a request, and the first is far below doubt, after which the sweeper steps in.
const (
	createDeadline = 15 * time.Second
	undoDeadline   = 8 * time.Second
)

// Create makes an account and gives it with its secret. Either the caller gets
// both or the account is taken back: at once, or by the sweeper where even that
// fails or the process dies.
func (s *Service) Create(ctx context.Context, who access.Identity, r Request) (Account, error) {
	if err := r.Validate(); err != nil {
		return Account{}, err
	}
	limited, cancel := context.WithTimeout(ctx, createDeadline)
	defer cancel()
	wanted := Account{
		ClientID: ClientIDPrefix + uuid.NewString(), Name: r.Name, Description: r.Description,
		OrgID: who.OrgID, OwnerAccountID: who.AccountID, CreatedBy: who.Username, CreatedAt: s.Clock(),
	}
	intent := ledger.Intent{
		ID: xid.New().String(), OwnerKind: ownerKind, OwnerID: who.OrgID, Kind: kindClient, Key: wanted.ClientID,
	}
	if err := s.admit(limited, who.OrgID, intent); err != nil {
		return Account{}, err
	}
	made, err := s.Provider.Create(limited, wanted)
	if err == nil {
		// Before the caller knows the account: what stays merely wanted is swept.
		err = s.mark(limited, intent.ID, ledger.Created)
	}
	if err != nil {
		s.undo(ctx, intent)
		return Account{}, err
	}
	return made, nil
}

// admit records the intent, with its call as begun, if the organisation may have one more account. The lock
// makes those wait who would count the same rows; the list of the SSO is read
// before it, because no transaction may wait for a remote call.
func (s *Service) admit(ctx context.Context, orgID string, intent ledger.Intent) error {
	exempt := s.Exempt.Get()[orgID]
	var listed []Account
	var queue []db.Statement
	if !exempt {
		queue = append(queue, db.OpenLock("service-accounts/"+orgID))
		var err error
		if listed, err = s.Provider.List(ctx, orgID); err != nil {
			return err
		}
	}
	now := s.Clock()
	return s.DB.TxInTurn(ctx, queue, func(tx db.Tx) error {
		if !exempt {
			if err := s.checkLimit(tx, orgID, listed, now); err != nil {
				return err
			}
		}
		_, err := ledger.Begin(tx, now, intent)
		return err
	})
}

func (s *Service) checkLimit(tx db.Tx, orgID string, listed []Account, now time.Time) error {
	open, err := openOf(tx, orgID)
	if err != nil {
		return err
	}
	count, vanished := occupied(listed, open, now)
	if count >= s.Config.MaxPerOrg {
		return apierr.Newf(apierr.AccountLimitReached, "The organisation has reached its limit of %d service accounts", s.Config.MaxPerOrg)
	}
	for _, i := range vanished {
		// A deletion that is on its way may have closed it by now.
		if err := ledger.Mark(tx, now, i.ID, ledger.Gone, nil); err != nil && !errors.Is(err, ledger.ErrUnknown) {
			return err
		}
	}
	return nil
}

func (s *Service) mark(ctx context.Context, intentID string, to ledger.State) error {
	return s.DB.Tx(ctx, func(tx db.Tx) error { return ledger.Mark(tx, s.Clock(), intentID, to, nil) })
}

// undo takes back a creation that failed. It works on although the caller may have
// hung up. When the account was not there to be deleted, the call that should have
// made it may still be under way: then the intent is left to the sweeper.
func (s *Service) undo(ctx context.Context, intent ledger.Intent) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoDeadline)
	defer cancel()
	err := s.mark(ctx, intent.ID, ledger.Deleting)
	existed, failure := s.Provider.Delete(ctx, intent.Key)
	if err == nil && existed {
		err = s.mark(ctx, intent.ID, ledger.Gone)
	}
	if err = errors.Join(err, failure); err != nil {
		s.Logger.WarnContext(ctx, "service account left to the sweeper", "client_id", intent.Key, "error", err)
	}
}
