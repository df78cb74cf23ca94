package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// useOf finds what a key was used for, as long as it lives.
func (s *Store) useOf(ctx context.Context, key orderKey) (keyUse, bool, error) {
	var uses []keyUse
	err := s.db.Gorm(ctx).Raw(`SELECT request_hash AS hash, kafka_id FROM idempotency_keys
		WHERE organisation_id = ? AND owner = ? AND key = ? AND created_at > ?`,
		key.organisationID, key.owner, key.key, key.now.Add(-KeyLife)).Scan(&uses).Error
	if err != nil || len(uses) == 0 {
		if err != nil {
			err = fmt.Errorf("looking for an idempotency key: %w", err)
		}
		return keyUse{}, false, err
	}
	return uses[0], true, nil
}

// takeKey binds a key to the instance that the transaction makes. It comes before
// all that is judged, so that a twin hears of its key and not of its own name.
func takeKey(tx db.Tx, key orderKey, id ID) error {
	result := tx.Gorm().Exec(`INSERT INTO idempotency_keys AS have (organisation_id, owner, key, request_hash, kafka_id, created_at)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (organisation_id, owner, key) DO UPDATE
		SET request_hash = EXCLUDED.request_hash, kafka_id = EXCLUDED.kafka_id, created_at = EXCLUDED.created_at
		WHERE have.created_at <= ?`,
		key.organisationID, key.owner, key.key, key.hash, id, key.now, key.now.Add(-KeyLife))
	if result.Error != nil {
		return fmt.Errorf("taking an idempotency key: %w", result.Error)
	}
	if result.RowsAffected == 0 {
		return apierr.New(apierr.Conflict, "another request with this Idempotency-Key was faster")
	}
	return nil
}

// forgetKey frees the key of an order that came to nothing.
func forgetKey(tx db.Tx, k Kafka) error {
	err := tx.Gorm().Exec("DELETE FROM idempotency_keys WHERE organisation_id = ? AND owner = ? AND kafka_id = ?", k.OrganisationID, k.Owner, k.ID).Error
	if err != nil {
		return fmt.Errorf("freeing an idempotency key: %w", err)
	}
	return nil
}

// PurgeKeys removes idempotency keys from before that time, and tells how many.
func PurgeKeys(tx db.Tx, before time.Time, limit int) (int, error) {
	return purge(tx, `DELETE FROM idempotency_keys WHERE (organisation_id, owner, key) IN
		(SELECT organisation_id, owner, key FROM idempotency_keys WHERE created_at < ? ORDER BY created_at LIMIT ?)`, before, limit)
}
