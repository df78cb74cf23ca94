package serviceaccount

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// The ledger's rows of accounts: the owner is the organisation, the key the client id.
const (
	ownerKind  = "service_account"
	kindClient = "sso_client"
	intents    = "external_resources"
)

// unsettled are the states in which an account must not stay.
var unsettled = []ledger.State{ledger.Wanted, ledger.Deleting}

// openOf lists what an organisation has or may have.
func openOf(tx db.Tx, orgID string) ([]ledger.Intent, error) {
	var found []ledger.Intent
	err := tx.Gorm().Table(intents).
		Where("owner_kind = ? AND owner_id = ? AND kind = ? AND state <> ?", ownerKind, orgID, kindClient, ledger.Gone).
		Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("listing the organisation's open accounts: %w", err)
	}
	return found, nil
}

// openOn reads the open intent of one account and keeps others from changing it
// until the transaction ends. Accounts that other programs made have none.
func openOn(tx db.Tx, clientID string) (ledger.Intent, bool, error) {
	var found []ledger.Intent
	err := tx.Gorm().Table(intents).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("kind = ? AND key = ? AND owner_kind = ? AND state <> ?", kindClient, clientID, ownerKind, ledger.Gone).
		Find(&found).Error
	if err != nil {
		return ledger.Intent{}, false, fmt.Errorf("reading the intent of an account: %w", err)
	}
	if len(found) == 0 {
		return ledger.Intent{}, false, nil
	}
	return found[0], true, nil
}

// overdue lists the client ids of intents that were left half way.
func overdue(ctx context.Context, d *db.DB, before time.Time, limit int) ([]string, error) {
	var keys []string
	err := d.Gorm(ctx).Table(intents).
		Where("kind = ? AND owner_kind = ? AND state IN ? AND updated_at < ?", kindClient, ownerKind, unsettled, before).
		Order("updated_at, seq").Limit(limit).Pluck("key", &keys).Error
	if err != nil {
		return nil, fmt.Errorf("listing accounts left half way: %w", err)
	}
	return keys, nil
}
