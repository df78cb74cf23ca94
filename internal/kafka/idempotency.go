package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// KeyLife is how long an idempotency key stands for the instance that it made.
const KeyLife = 24 * time.Hour

// orderKey is a customer's name for one order, and what was ordered by it.
type orderKey struct {
	organisationID string
	owner          string
	key            string
	hash           string
	now            time.Time
}

// keyUse is what a key was used for.
type keyUse struct {
	Hash    string
	KafkaID ID
}

// createOnce is Create for an order with a key: asked for again it gives the same
// instance. A request without a key pays nothing for it.
func (s *Service) createOnce(ctx context.Context, who access.Identity, r Request) (Kafka, error) {
	if err := admitForm(r); err != nil {
		return Kafka{}, err
	}
	key := orderKey{organisationID: who.OrgID, owner: who.Username, key: *r.IdempotencyKey, now: s.Clock()}
	var err error
	if key.hash, err = r.hash(); err != nil {
		return Kafka{}, err
	}
	k, known, err := s.known(ctx, key)
	if err != nil || known {
		return k, err
	}
	placed, refusal := s.place(ctx, who, r, &key)
	if refusal == nil {
		return s.finish(ctx, placed)
	}
	// What stands in the way may be the request's own twin, which was faster.
	if k, known, err = s.known(ctx, key); known {
		return k, err
	}
	if err != nil {
		refusal = errors.Join(refusal, err)
	}
	return Kafka{}, refusal
}

// known finds the instance that the key made.
func (s *Service) known(ctx context.Context, key orderKey) (k Kafka, known bool, err error) {
	use, known, err := s.Store.useOf(ctx, key)
	if err != nil || !known {
		return Kafka{}, false, err
	}
	if use.Hash != key.hash {
		return Kafka{}, true, apierr.New(apierr.BadRequest, "this Idempotency-Key was used for an order with other parameters")
	}
	k, err = s.Store.Live(ctx, use.KafkaID)
	switch {
	case errors.Is(err, ErrNotFound):
		return Kafka{}, true, apierr.New(apierr.Gone, "the instance that this Idempotency-Key made, "+string(use.KafkaID)+", was deleted")
	case err == nil && k.Status == Reserving:
		if k, err = s.resume(ctx, k); errors.Is(err, ErrStale) {
			return s.known(ctx, key) // somebody ended it meanwhile
		}
	}
	return k, true, err
}

// hash is the same for requests that mean the same. Async is not in it: there is
// but one value that gets this far.
func (r Request) hash() (string, error) {
	raw, err := json.Marshal([]any{
		"v1", r.Name, r.CloudProvider, r.Region, r.Plan, r.ReauthenticationEnabled == nil || *r.ReauthenticationEnabled,
		r.BillingModel, r.BillingCloudAccountID, r.Marketplace, r.ClusterID,
	})
	if err != nil {
		return "", fmt.Errorf("hashing an order: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}
