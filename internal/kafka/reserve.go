package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
)

// reserveWithin bounds the reservation of an order. It is shorter than a row may
// be in status reserving, so that nobody undoes an order which is still under way.
const reserveWithin = 10 * time.Second

// reservationOf is what a granted order has to reserve outside, nil for nothing.
func reservationOf(k Kafka, g quota.Grant) *quota.Reservation {
	if g.Remote == nil {
		return nil
	}
	return &quota.Reservation{
		Key: quota.Key(string(k.ID), g.BillingModel), Username: k.Owner, CloudProvider: k.CloudProvider, MultiAZ: k.MultiAZ,
		Units: k.QuotaConsumed, Remote: *g.Remote, Instead: g.Instead,
	}
}

// ReservationOf reads what an intent says of the quota that it stands for.
func ReservationOf(in ledger.Intent) (quota.Reservation, error) {
	var r quota.Reservation
	if err := json.Unmarshal(in.Detail, &r); err != nil {
		return r, fmt.Errorf("reading the detail of intent %s: %w", in.ID, err)
	}
	r.Key = in.Key
	return r, nil
}

// beginReservation writes the intent of the call that comes next. Until here the
// order may have waited long for its locks: its time begins now, or the loop would
// undo it while it is still under way.
func beginReservation(tx db.Tx, p *placed, now time.Time) error {
	k := &p.kafka
	k.NextAttemptAt = k.Status.dueAt(now)
	if err := lookAt(tx, *k, k.NextAttemptAt); err != nil {
		return err
	}
	detail, err := json.Marshal(p.reservation)
	if err != nil {
		return fmt.Errorf("writing down a reservation: %w", err)
	}
	_, err = ledger.Begin(tx, now, ledger.Intent{
		ID: p.intent, OwnerKind: OwnerKind, OwnerID: string(k.ID), Kind: KindSubscription, Key: p.reservation.Key, Detail: detail,
	})
	return err
}

// mostReserving is how many orders of one organisation may be reserving at a time:
// as many as three replicas let it place at once. Each holds room that others want,
// and while nobody answers none of them ends.
const mostReserving = 24

func checkReserving(tx db.Tx, k Kafka) error {
	have, err := reservingOf(tx, k.OrganisationID)
	if err == nil && have >= mostReserving {
		return tooManyReserving{}
	}
	return err
}

// tooManyReserving refuses an order until others of its organisation are through.
type tooManyReserving struct{}

func (tooManyReserving) Error() string {
	return "too many orders of one organisation are reserving quota"
}

// RetryAfter is for the header of that name.
func (tooManyReserving) RetryAfter() time.Duration { return 3 * time.Second }

// Unwrap gives the customers' text.
func (tooManyReserving) Unwrap() error {
	return apierr.New(apierr.TooManyRequests, "Too many orders of the organisation are waiting for their quota, please try again later")
}

// finish reserves the quota of an order, if it has any outside, and accepts it. The
// customer may hang up meanwhile: it goes on all the same, or somebody else would
// have to find out what came of it.
func (s *Service) finish(ctx context.Context, p placed) (Kafka, error) {
	if p.reservation == nil {
		return p.kafka, nil
	}
	ctx = context.WithoutCancel(ctx)
	within, cancel := context.WithTimeout(ctx, reserveWithin)
	defer cancel()
	var err error
	p.reservation.SubscriptionID, err = s.Quota.Reserve(within, *p.reservation)
	if err == nil {
		return s.accept(ctx, p)
	}
	// After a second call the first may still take effect, whatever became of the second.
	if refused := apierr.Is(err, apierr.InsufficientQuota); refused && !p.reservation.Again {
		s.withdraw(ctx, p, err)
	} else {
		s.abandon(ctx, p, err)
	}
	if p.keyed { // a twin may have had it accepted meanwhile: both are to read the same
		if k, found := s.accepted(ctx, p.kafka.ID); found {
			return k, nil
		}
		return Kafka{}, err // asking again finishes it, so that may be soon
	}
	var passing interface{ RetryAfter() time.Duration }
	if errors.As(err, &passing) && !apierr.Is(err, apierr.InsufficientQuota) {
		return Kafka{}, held{err}
	}
	return Kafka{}, err
}

// heldFor is how long the loop usually takes to undo an order: as long as its call may
// still take effect, and a little more. Until then the order has its name and room.
const heldFor = 20 * time.Second

// held is a failure of an order that has its name and room a while longer: asked for
// again before, it would be refused for the sake of itself.
type held struct{ error }

// RetryAfter is for the header of that name.
func (held) RetryAfter() time.Duration { return heldFor }

// Unwrap gives the failure.
func (h held) Unwrap() error { return h.error }

// lookWithin bounds a look at a row whose customer may have hung up: while the
// database hangs, nobody else would end it.
const lookWithin = 5 * time.Second

// accepted finds an order that got through, by whatever request.
func (s *Service) accepted(ctx context.Context, id ID) (Kafka, bool) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	k, err := s.Store.Live(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		s.Logger.WarnContext(ctx, "what became of an order could not be read", "kafka_id", id, "error", err)
	}
	return k, err == nil && k.Status != Reserving
}

// accept shows the row. Where it changed meanwhile, a twin of the request accepted
// it, or the loop gave it up and looks after what is reserved.
func (s *Service) accept(ctx context.Context, p placed) (Kafka, error) {
	k, now := p.kafka, s.Clock()
	detail, err := json.Marshal(p.reservation)
	if err != nil {
		return Kafka{}, fmt.Errorf("writing down a reservation: %w", err)
	}
	mark := func(tx db.Tx) error { return ledger.Mark(tx, now, p.intent, ledger.Created, detail) }
	var accepted Kafka
	err = s.DB.Tx(ctx, func(tx db.Tx) (err error) {
		set := Columns{"subscription_id": p.reservation.SubscriptionID}
		if accepted, err = Apply(tx, k, Change{Event: Reserved, Actor: ByUser, Set: set, Reason: "quota is reserved", Now: now}); err != nil {
			return err
		}
		return mark(tx)
	})
	if err == nil {
		accepted.SubscriptionID, accepted.UpdatedAt = p.reservation.SubscriptionID, now
		return accepted, nil
	}
	k, through := s.accepted(ctx, k.ID)
	switch stale := errors.Is(err, ErrStale); {
	case through && stale:
		return k, s.DB.Tx(ctx, mark) // the call is over, and would count as under way for ever
	case through: // it was committed, and only the reply was lost
		return k, nil
	case stale:
		return Kafka{}, apierr.Wrap(apierr.General, errGivenUp, "")
	}
	return Kafka{}, err
}

var errGivenUp = errors.New("accepting an order: it took too long and was given up")

// subscription finds the open intent of an order's quota.
func (s *Service) subscription(ctx context.Context, id ID) (ledger.Intent, error) {
	intents, err := s.Ledger.Of(ctx, OwnerKind, string(id))
	for _, in := range intents {
		if in.Kind == KindSubscription {
			return in, nil
		}
	}
	return ledger.Intent{}, errors.Join(fmt.Errorf("finding the reservation of %s: %w", id, ledger.ErrUnknown), err)
}

// withdraw removes an order whose quota was refused, with all that it held. A twin
// of the request may still be at it; then, and when anything goes wrong, the loop
// decides what becomes of the row.
func (s *Service) withdraw(ctx context.Context, p placed, refusal error) {
	closing := ledger.Refused
	if errors.Is(refusal, quota.ErrDenied) {
		closing = ledger.RefusedInDoubt // the sweeper looks again
	}
	err := s.DB.Tx(ctx, func(tx db.Tx) error {
		change := Change{Actor: ByUser, Reason: refusal.Error(), Now: s.Clock()}
		return Unreserve(tx, p.kafka, change, func() error { return closing(tx, change.Now, p.intent) })
	})
	switch {
	case err == nil, errors.Is(err, ErrStale):
	case errors.Is(err, ledger.ErrUnknown):
		s.abandon(ctx, p, refusal)
	default:
		s.Logger.ErrorContext(ctx, "an order that was refused could not be removed, the loop will", "kafka_id", p.kafka.ID, "error", err)
	}
}

// Unreserve ends an order that has nothing outside any more: the row goes, room and
// name are free, and its idempotency key may be used again. closing closes the intents,
// while nobody else can begin a call. The key comes first, as where an order is made:
// one that takes the key over when it has expired waits for the row's name after it.
func Unreserve(tx db.Tx, k Kafka, c Change, closing func() error) error {
	if err := forgetKey(tx, k); err != nil {
		return err
	}
	c.Event = Unreserved
	if _, err := Apply(tx, k, c); err != nil {
		return err
	}
	if err := closing(); err != nil {
		return err
	}
	if k.ClusterID == "" {
		return nil
	}
	return cluster.Release(tx, k.ClusterID, k.CapacityConsumed)
}

// abandon leaves an order of which nobody knows whether its quota is reserved. A
// customer with a key may ask again and have it finished, until the loop undoes it;
// without one, or when the answer was no, there is nothing to wait for.
func (s *Service) abandon(ctx context.Context, p placed, cause error) {
	err := s.DB.Tx(ctx, func(tx db.Tx) error {
		if !p.keyed || apierr.Is(cause, apierr.InsufficientQuota) {
			if err := lookAt(tx, p.kafka, s.Clock()); err != nil {
				return err
			}
		}
		return ledger.Failed(tx, s.Clock(), p.intent, cause)
	})
	if err != nil && !errors.Is(err, ErrStale) { // a twin took it over
		s.Logger.ErrorContext(ctx, "an order was left half way, the loop will find it", "kafka_id", p.kafka.ID, "error", err)
	}
}

// resumeWithin is how long an order that was left half way may be finished. Who asks
// again and again would else keep its name and room for ever.
const resumeWithin = 2 * time.Minute

var errBeingUndone = held{apierr.New(apierr.Conflict, "the order of this Idempotency-Key was left half way and is being undone, try again in some seconds")}

// resume goes on with an order that was left half way, for the customer who asks
// for it again by its key.
func (s *Service) resume(ctx context.Context, k Kafka) (Kafka, error) {
	if s.Clock().Sub(k.CreatedAt) > resumeWithin {
		return Kafka{}, errBeingUndone
	}
	intent, err := s.subscription(ctx, k.ID)
	if err != nil {
		return Kafka{}, err
	}
	reservation, err := ReservationOf(intent)
	if err != nil {
		return Kafka{}, err
	}
	reservation.Again = true
	err = s.DB.Tx(ctx, func(tx db.Tx) error {
		// The row comes first, as wherever both are written.
		if err := lookAt(tx, k, Reserving.dueAt(s.Clock())); err != nil {
			return err
		}
		_, err := ledger.Begin(tx, s.Clock(), ledger.Intent{OwnerKind: OwnerKind, OwnerID: string(k.ID), Kind: KindSubscription, Key: intent.Key})
		return err
	})
	if errors.Is(err, ledger.ErrDeleting) {
		return Kafka{}, errBeingUndone
	}
	if err != nil {
		return Kafka{}, err
	}
	return s.finish(ctx, placed{kafka: k, reservation: &reservation, intent: intent.ID, keyed: true})
}
