package kafkawork

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
)

// routes writes the DNS records of an instance and waits until all name
// servers have them.
func (w *Work) routes(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (time.Duration, error) {
	if k.Routes == nil || k.RoutesCreated || k.Status.InDeletion() {
		return 0, nil
	}
	if w.DNS == nil { // switched off while routes were pending: nothing to wait for
		return 0, w.routesCreated(ctx, tx, k)
	}
	if k.RoutesCreationID == "" {
		var err error
		if k, err = w.writeRecords(ctx, tx, k); err != nil {
			return 0, err
		}
	}
	synced, err := w.DNS.InSync(ctx, k.RoutesCreationID)
	if errors.Is(err, route53.ErrNotFound) { // the change was forgotten: write the records again
		return soon, w.note(ctx, tx, k, kafka.Columns{"routes_creation_id": ""})
	}
	if err != nil {
		return 0, err
	}
	if !synced {
		return w.nextLook(k), nil
	}
	return 0, w.routesCreated(ctx, tx, k)
}

func (w *Work) routesCreated(ctx context.Context, tx db.TxFunc, k kafka.Kafka) error {
	plan := kafka.PlanRoutesCreated(k)
	if plan.Event == "" {
		return w.note(ctx, tx, k, plan.Set)
	}
	return w.apply(ctx, tx, k, plan)
}

// nextLook is when to ask again whether a change is in sync: soon after it was
// made, then less and less often.
func (w *Work) nextLook(k kafka.Kafka) time.Duration {
	age := w.Clock().Sub(k.UpdatedAt)
	return min(max(age/4, 50*time.Millisecond), 10*time.Second)
}

func (w *Work) writeRecords(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (kafka.Kafka, error) {
	records := make([]route53.Record, 0, len(k.Routes))
	for _, r := range k.Routes {
		records = append(records, route53.Record{Name: r.Domain, Target: r.Router, TTL: kafka.RecordTTL})
	}
	wanted, err := kafka.RecordIntents(k.ID, k.Routes)
	if err != nil {
		return k, err
	}
	// Noted anew before each attempt: from now on the call may take effect.
	intents, err := w.begin(ctx, tx, k, wanted)
	if err != nil {
		return k, err
	}
	change, err := w.DNS.Upsert(ctx, records)
	if err != nil {
		return k, w.noteOnBegun(ctx, tx, intents, err)
	}
	now := w.Clock()
	routes := k.Routes
	mark := func(t db.Tx) error { return markRecords(t, now, intents, routes) }
	err = tx(ctx, func(t db.Tx) error {
		if err := mark(t); err != nil {
			return err
		}
		k, err = kafka.Note(t, k, kafka.Columns{"routes_creation_id": change}, now, "")
		return err
	})
	if errors.Is(err, kafka.ErrStale) {
		err = errors.Join(err, tx(ctx, mark)) // the call is over all the same, and would count as under way for ever
	}
	k.RoutesCreationID, k.UpdatedAt = change, now
	return k, err
}

// markRecords notes that the records exist, and their values where the ledger has others.
func markRecords(t db.Tx, now time.Time, intents []ledger.Intent, routes kafka.Routes) error {
	targets := map[string]string{}
	for _, r := range routes {
		targets[r.Domain] = r.Router
	}
	var same []ledger.Intent
	for _, in := range intents {
		var have kafka.RecordDetail
		target, ours := targets[in.Key]
		switch err := json.Unmarshal(in.Detail, &have); {
		case err != nil:
			return fmt.Errorf("reading the detail of intent %s: %w", in.ID, err)
		case !ours:
			continue
		case have.Target == target:
			same = append(same, in)
			continue
		}
		detail, err := json.Marshal(kafka.RecordDetail{Target: target})
		if err != nil {
			return err
		}
		if err := ledger.Mark(t, now, in.ID, ledger.Created, detail); err != nil {
			return err
		}
	}
	return ledger.MarkAll(t, now, idsOf(same), ledger.Created)
}

func (w *Work) note(ctx context.Context, tx db.TxFunc, k kafka.Kafka, set kafka.Columns) error {
	return tx(ctx, func(t db.Tx) error {
		_, err := kafka.Note(t, k, set, w.Clock(), "")
		return err
	})
}
