package kafkawork

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
)

// retire removes what an instance left outside, newest first, and then its row.
// It goes by the ledger, not by the row's columns: what was begun and never
// noted on the row is removed too.
func (w *Work) retire(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (time.Duration, error) {
	if !k.Status.InDeletion() {
		return 0, nil
	}
	intents, err := w.Ledger.Of(ctx, kafka.OwnerKind, string(k.ID))
	if err != nil {
		return 0, err
	}
	open, plan := kafka.PlanRetire(k, intents)
	switch {
	case plan.Event == kafka.NeverPlaced:
		var room []db.Statement
		if k.ClusterID != "" {
			room = append(room, cluster.Releasing(k.ClusterID, k.CapacityConsumed))
		}
		return 0, w.apply(ctx, tx, k, plan, room...)
	case plan.Event == kafka.Erased:
		return 0, w.apply(ctx, tx, k, plan, ledger.AllGone(kafka.OwnerKind, string(k.ID)))
	case len(open) == 0:
		return 0, w.parked(ctx, tx, k)
	}
	return w.removeAll(ctx, tx, k, open)
}

// parked keeps a row whose agent has not let go yet out of the list of due
// rows; the agent's report makes it due again.
func (w *Work) parked(ctx context.Context, tx db.TxFunc, k kafka.Kafka) error {
	if k.NextAttemptAt.After(w.Clock().AddDate(1, 0, 0)) {
		return nil
	}
	return tx(ctx, func(t db.Tx) error { return kafka.Park(t, k, w.Clock()) })
}

func (w *Work) removeAll(ctx context.Context, tx db.TxFunc, k kafka.Kafka, open []ledger.Intent) (time.Duration, error) {
	var records []ledger.Intent
	for _, in := range open {
		if in.Kind == kafka.KindDNSRecord {
			records = append(records, in)
		}
	}
	if len(records) > 0 {
		if err := w.removeRecords(ctx, records, k.Routes); err != nil {
			return 0, w.noteOn(ctx, tx, records, err)
		}
	}
	for _, in := range open {
		switch in.Kind {
		case kafka.KindDNSRecord:
		case kafka.KindSSOClient:
			if _, err := w.Robots.Delete(ctx, canaryRef(in)); err != nil {
				return 0, w.noteOn(ctx, tx, []ledger.Intent{in}, err)
			}
		case kafka.KindSubscription:
			if _, err := w.release(ctx, in); err != nil {
				return 0, w.noteOn(ctx, tx, []ledger.Intent{in}, err)
			}
		default:
			return 0, fmt.Errorf("removing %s %s: unknown kind of intent", in.Kind, in.Key)
		}
	}
	if doubt := w.inDoubt(open); doubt > 0 {
		return doubt, nil
	}
	return soon, tx(ctx, func(t db.Tx) error { return closeAll(t, w.Clock(), open, k.Routes) })
}

// closeAll closes intents of which nothing is outside; in doubt, where nobody saw a
// call end.
func closeAll(t db.Tx, now time.Time, open []ledger.Intent, routes kafka.Routes) error {
	var seen []ledger.Intent
	for _, in := range open {
		if in.State != ledger.Wanted && in.Calls == 0 {
			seen = append(seen, in)
			continue
		}
		detail, err := lateDetail(in, routes)
		if err != nil {
			return err
		}
		if err := ledger.MarkInDoubt(t, now, in.ID, detail); err != nil {
			return err
		}
	}
	return ledger.MarkAll(t, now, idsOf(seen), ledger.Gone)
}

// lateDetail keeps the value that a late call would give to a record: the row,
// which knows it, will be gone. Nil leaves the detail as it is.
func lateDetail(in ledger.Intent, routes kafka.Routes) (json.RawMessage, error) {
	for _, r := range routes {
		if in.Kind != kafka.KindDNSRecord || r.Domain != in.Key {
			continue
		}
		var detail kafka.RecordDetail
		if err := json.Unmarshal(in.Detail, &detail); err != nil {
			return nil, fmt.Errorf("reading the detail of intent %s: %w", in.ID, err)
		}
		detail.Late = r.Router
		return json.Marshal(detail)
	}
	return nil, nil
}

// inDoubt is how long to wait before "not there" can be believed: an intent
// that was never seen created may belong to a call that we gave up and that
// still takes effect.
func (w *Work) inDoubt(open []ledger.Intent) time.Duration {
	var wait time.Duration
	for _, in := range open {
		if in.State == ledger.Wanted {
			wait = max(wait, w.Timing.Doubt-w.Clock().Sub(in.UpdatedAt))
		}
	}
	return wait
}

// removeRecords deletes the records that hold one of our own values: what
// somebody else wrote there is not ours to delete.
func (w *Work) removeRecords(ctx context.Context, records []ledger.Intent, routes kafka.Routes) error {
	if w.DNS == nil {
		return errors.New("removing DNS records: CNAME registration is off, but this instance has records")
	}
	ours := map[string]bool{}
	for _, r := range routes {
		ours[r.Router] = true
	}
	names := make([]string, 0, len(records))
	for _, in := range records {
		names = append(names, in.Key)
		var detail kafka.RecordDetail
		if err := json.Unmarshal(in.Detail, &detail); err != nil {
			return fmt.Errorf("reading the detail of intent %s: %w", in.ID, err)
		}
		ours[detail.Target], ours[detail.Late] = true, true
	}
	delete(ours, "") // of a detail that names no value
	done, err := w.DNS.Delete(ctx, names, func(r route53.Record) bool { return ours[r.Target] })
	for _, kept := range done.Kept {
		w.Logger.WarnContext(ctx, "DNS record left alone: its value is not ours", "kafka_id", records[0].OwnerID, "record", kept.Name, "target", kept.Target)
	}
	return err
}

// begin notes that a call is under way which makes these things for a row that is
// still as it was read, and gives the intents as they are then.
func (w *Work) begin(ctx context.Context, tx db.TxFunc, k kafka.Kafka, wanted []ledger.Intent) (begun []ledger.Intent, err error) {
	err = tx(ctx, func(t db.Tx) (err error) {
		if err := t.Send(kafka.Unchanged(k)); err != nil {
			return err
		}
		begun, err = ledger.Begin(t, w.Clock(), wanted...)
		return err
	})
	return begun, err
}

// noteOnBegun stores a failed attempt on intents that were begun. It also tells
// retire from when on the call may still take effect. An answer ends the call;
// without one the call stays counted, since it may still be under way.
func (w *Work) noteOnBegun(ctx context.Context, tx db.TxFunc, begun []ledger.Intent, cause error) error {
	if errors.Is(cause, robot.ErrUnavailable) || errors.Is(cause, route53.ErrUnavailable) {
		return w.noteOn(ctx, tx, begun, cause)
	}
	return w.noteWith(ctx, tx, begun, cause, ledger.CallFailed)
}

const noteTimeout = 5 * time.Second

// noteOn stores a failure on the intents that it concerns, and gives it back. The
// attempt may have used up its own deadline.
func (w *Work) noteOn(ctx context.Context, tx db.TxFunc, intents []ledger.Intent, cause error) error {
	return w.noteWith(ctx, tx, intents, cause, ledger.Failed)
}

func (w *Work) noteWith(
	ctx context.Context, tx db.TxFunc, intents []ledger.Intent, cause error, note func(db.Tx, time.Time, string, error) error,
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	err := tx(ctx, func(t db.Tx) error {
		for _, in := range intents {
			if err := note(t, w.Clock(), in.ID, cause); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(cause, err)
}
