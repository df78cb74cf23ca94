package kafkawork

import (
	"context"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// unreserve undoes an order that was left while its quota was being reserved. The
// customer never read that it was accepted, so it is never finished here: that would
// be an instance which nobody knows of. Who has an idempotency key may finish it by
// asking again, until this begins.
func (w *Work) unreserve(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (time.Duration, error) {
	if k.Status != kafka.Reserving {
		return 0, nil
	}
	if left := k.NextAttemptAt.Sub(w.Clock()); left > 0 {
		return left, nil // its request may still be at it
	}
	intents, err := w.openIntents(ctx, k, kafka.KindSubscription)
	if err != nil {
		return 0, err
	}
	if k, err = w.giveUp(ctx, tx, k, intents); err != nil {
		return 0, err
	}
	var doubt time.Duration
	for _, in := range intents {
		existed, err := w.release(ctx, in)
		if err != nil {
			return 0, w.noteOn(ctx, tx, []ledger.Intent{in}, err)
		}
		if seen := existed && in.Calls <= 1; !seen && in.Calls > 0 {
			doubt = max(doubt, w.Timing.Doubt-w.Clock().Sub(in.UpdatedAt))
		}
	}
	if doubt > 0 {
		return w.retryLater(ctx, tx, k, doubt, "a reservation that was given up may still take effect")
	}
	err = tx(ctx, func(t db.Tx) error {
		change := kafka.Change{Actor: kafka.ByLoop, Reason: "the order was left half way", Now: w.Clock()}
		return kafka.Unreserve(t, k, change, func() error { return closeAll(t, change.Now, intents, nil) })
	})
	if err == nil {
		w.Logger.WarnContext(ctx, "an order that was left half way is undone", "kafka_id", k.ID)
	}
	return 0, err
}

// giveUp writes down that the order will not be accepted any more: from here on
// neither its request nor one that asks again can finish it.
func (w *Work) giveUp(ctx context.Context, tx db.TxFunc, k kafka.Kafka, intents []ledger.Intent) (kafka.Kafka, error) {
	var fresh []string
	for _, in := range intents {
		if in.State != ledger.Deleting {
			fresh = append(fresh, in.ID)
		}
	}
	if len(fresh) == 0 {
		return k, nil
	}
	given := k
	err := tx(ctx, func(t db.Tx) (err error) {
		if given, err = kafka.Note(t, k, kafka.Columns{"last_error": "the order was left half way"}, w.Clock(), ""); err != nil {
			return err
		}
		return ledger.MarkAll(t, w.Clock(), fresh, ledger.Deleting)
	})
	return given, err
}

// release gives back the quota of an intent.
func (w *Work) release(ctx context.Context, in ledger.Intent) (existed bool, err error) {
	reservation, err := kafka.ReservationOf(in)
	if err != nil {
		return false, err
	}
	return w.Release(ctx, reservation)
}
