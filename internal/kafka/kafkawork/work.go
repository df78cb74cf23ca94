// Package kafkawork is the Kafka reconciler: it moves instances along by
// calling the systems around us.
//
// It gathers, lets kafka decide, records intents, makes external things exist
// or go, and applies. It is not for decisions. Invariant: every line may be the
// last one the process runs, so an intent is committed before its effect, every
// effect can be repeated, and nothing but kafka.Apply ends a step.
package kafkawork

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
)

// Deps are what the loops work with.
type Deps struct {
	Store    *kafka.Store
	Clusters *cluster.Store
	Ledger   *ledger.Store
	Handover *kafka.Handover
	Keyring  *db.Keyring
	Config   kafka.Config
	Metrics  *kafka.Metrics
	Clock    clock.Clock
	Logger   *slog.Logger
	Robots   robot.Accounts
	DNS      *route53.Client // nil where no CNAME records are written
	// Release gives back quota that was reserved outside, and tells whether any was.
	Release func(ctx context.Context, r quota.Reservation) (existed bool, err error)
	Timing  Timing
}

// Timing is how patient the loops are.
type Timing struct {
	Tick  time.Duration // the safety net under the notifications
	Item  time.Duration // deadline of one attempt on one instance
	Doubt time.Duration // how long a call of ours may still take effect after we gave it up
	Sweep time.Duration // how often the world is compared with the ledger
}

// Work is the loops' common ground.
type Work struct {
	Deps
	busy sync.Map // ids that a loop is working on; see claimed
}

// New makes the reconciler.
func New(d Deps) *Work { return &Work{Deps: d} }

// Loops gives the loops of the Kafka reconciler.
func (w *Work) Loops() []reconcile.Loop {
	const parallel = 8
	item := func(name string, wake []string, due func(context.Context, int) ([]string, error), work keyed, failed failure) reconcile.Loop {
		return reconcile.Loop{
			Name: name, Workers: parallel, Tick: w.Timing.Tick, Timeout: w.Timing.Item,
			Due: due, Wakes: wakesOn(wake...), Work: w.claimed(work), Failed: failed,
		}
	}
	due := func(statuses ...kafka.Status) func(context.Context, int) ([]string, error) {
		return func(ctx context.Context, limit int) ([]string, error) {
			return w.Store.Due(ctx, w.Clock(), limit, statuses...)
		}
	}
	return []reconcile.Loop{
		item("reserving_kafka", []string{"reserving"}, due(kafka.Reserving), w.reading(w.unreserve), w.postpone),
		item("accepted_kafka", []string{"accepted"}, due(kafka.Accepted), w.acceptNext, w.postpone),
		item("preparing_kafka", []string{"preparing"}, due(kafka.Preparing), w.prepareNext, w.postpone),
		item("provisioning_kafka", []string{"provisioning"}, due(kafka.Provisioning, kafka.Resuming), w.reading(w.provision), w.postpone),
		item("kafka_dns", []string{kafka.WakeRoutes}, func(ctx context.Context, limit int) ([]string, error) {
			return w.Store.RoutesPending(ctx, w.Clock(), limit)
		}, w.reading(w.routes), w.postponeRoutes),
		item("deleting_kafka", []string{"deprovision", "deleting"}, due(kafka.Deleting, kafka.Deprovision), w.reading(w.retire), w.postpone),
		{
			Name: "general_kafka_worker", Workers: 1, Tick: w.Timing.Tick, Timeout: 5 * time.Minute,
			Due:    func(context.Context, int) ([]string, error) { return []string{"fleet"}, nil },
			Wakes:  func(string) (string, bool) { return "", false },
			Work:   w.newSweeper().work,
			Failed: func(context.Context, db.TxFunc, string, error) (time.Duration, error) { return 0, nil },
		},
	}
}

type (
	step    func(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (again time.Duration, err error)
	keyed   func(ctx context.Context, tx db.TxFunc, id kafka.ID) (again time.Duration, err error)
	failure func(ctx context.Context, tx db.TxFunc, key string, cause error) (again time.Duration, err error)
)

// wakesOn listens for notifications "<word> <id>".
func wakesOn(words ...string) func(string) (string, bool) {
	return func(payload string) (string, bool) {
		word, id, ok := strings.Cut(payload, " ")
		if !ok {
			return "", false
		}
		for _, w := range words {
			if word == w {
				return id, true
			}
		}
		return "", false
	}
}

// soon is when an item runs again that met somebody else's change, and taken
// when it runs again that another loop is working on.
const (
	soon  = 5 * time.Millisecond
	taken = 5 * time.Millisecond
)

// waitAtMost is the longest pause of a row that waits for room or a version:
// nothing tells it that they came.
const waitAtMost = 10 * time.Second

// reading wraps a step that begins with the row as it is now.
func (w *Work) reading(work step) keyed {
	return func(ctx context.Context, tx db.TxFunc, id kafka.ID) (time.Duration, error) {
		k, err := w.Store.Live(ctx, id)
		if errors.Is(err, kafka.ErrNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		return work(ctx, tx, k)
	}
}

// claimed lets no two loops work on one instance at a time (one that is deleted
// while it is prepared must not have its client deleted before it is created), and
// takes a lost race for what it is: a reason to look again.
func (w *Work) claimed(work keyed) func(context.Context, db.TxFunc, string) (time.Duration, error) {
	return func(ctx context.Context, tx db.TxFunc, key string) (time.Duration, error) {
		if _, busy := w.busy.LoadOrStore(key, true); busy {
			return taken, nil
		}
		defer w.busy.Delete(key)
		again, err := work(ctx, tx, kafka.ID(key))
		if errors.Is(err, kafka.ErrStale) {
			return soon, nil
		}
		return again, err
	}
}

// apply writes a plan's transition, with what else belongs to it, and counts it.
func (w *Work) apply(ctx context.Context, tx db.TxFunc, k kafka.Kafka, p kafka.Plan, with ...db.Statement) error {
	now := w.Clock()
	err := tx(ctx, func(t db.Tx) error {
		_, err := kafka.Apply(t, k, p.Change(now), with...)
		return err
	})
	return w.moved(ctx, k, p, now, err)
}

// moved counts and logs a transition that was written.
func (w *Work) moved(ctx context.Context, k kafka.Kafka, p kafka.Plan, now time.Time, err error) error {
	if err != nil {
		return err
	}
	w.Metrics.Transitioned(k, p.Event, now)
	w.Logger.InfoContext(ctx, "instance moved", "kafka_id", k.ID, "event", p.Event, "reason", p.Reason)
	return nil
}

// wait ends an attempt that found nothing wrong but nothing to do yet: the row
// is due again after a growing pause, and fails once its deadline has passed.
func (w *Work) wait(ctx context.Context, tx db.TxFunc, k kafka.Kafka, code kafka.FailedCode, reason string) (time.Duration, error) {
	if plan, over := kafka.PlanFailure(k, code, reason, w.Clock()); over {
		return 0, w.apply(ctx, tx, k, plan)
	}
	return w.retryLater(ctx, tx, k, min(reconcile.Backoff(k.Attempts), waitAtMost), reason)
}

// retryLater stores when a row is due again, never later than its deadline. That of
// a hidden row only says when somebody begins.
func (w *Work) retryLater(ctx context.Context, tx db.TxFunc, k kafka.Kafka, pause time.Duration, cause string) (time.Duration, error) {
	now := w.Clock()
	if info := k.Status.Info(); info.Deadline > 0 && !info.Hidden {
		pause = max(soon, min(pause, k.StatusChangedAt.Add(info.Deadline).Sub(now)))
	}
	err := tx(ctx, func(t db.Tx) error { return kafka.Postpone(t, k.ID, k.Version, now.Add(pause), cause) })
	return pause, err
}

// postpone is what happens to a row whose attempt failed: it fails at its
// deadline, and is tried again until then.
func (w *Work) postpone(ctx context.Context, tx db.TxFunc, key string, cause error) (time.Duration, error) {
	k, err := w.Store.Live(ctx, kafka.ID(key))
	if errors.Is(err, kafka.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	w.Logger.WarnContext(ctx, "attempt on an instance failed", "kafka_id", k.ID, "status", k.Status, "attempts", k.Attempts+1, "error", cause)
	if k.Status == kafka.Preparing {
		k.LastError = cause.Error()
		if plan, over := kafka.PlanFailure(k, kafka.FailedPreparing, "an upstream service was not available", w.Clock()); over {
			return 0, ignoreStale(w.apply(ctx, tx, k, plan))
		}
	}
	return w.retryLater(ctx, tx, k, reconcile.Backoff(k.Attempts), cause.Error())
}

// postponeRoutes is postpone for the writing of routes, which has its own rhythm.
func (w *Work) postponeRoutes(ctx context.Context, tx db.TxFunc, key string, cause error) (time.Duration, error) {
	k, err := w.Store.Live(ctx, kafka.ID(key))
	if errors.Is(err, kafka.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	w.Logger.WarnContext(ctx, "writing an instance's routes failed", "kafka_id", k.ID, "attempts", k.RoutesAttempts+1, "error", cause)
	pause := reconcile.Backoff(k.RoutesAttempts)
	err = tx(ctx, func(t db.Tx) error {
		return kafka.PostponeRoutes(t, k.ID, k.Version, w.Clock().Add(pause), cause.Error())
	})
	return pause, err
}

func ignoreStale(err error) error {
	if errors.Is(err, kafka.ErrStale) {
		return nil
	}
	return err
}

func (w *Work) prepareFacts(clusterDNS string) kafka.PrepareFacts {
	return kafka.PrepareFacts{
		Domain: w.Config.DomainName, ClusterDNS: clusterDNS, CNAMEs: w.DNS != nil, SSO: w.Config.EnableAuth,
		NewPlacement: xid.New().String(), Now: w.Clock(),
	}
}
