// Package clusterwork is the OSD cluster reconciler: it registers the clusters
// that the operator lists and equips them by calling the provider and the SSO.
//
// It gathers, lets cluster decide, records intents, makes external things exist,
// and applies. It is not for decisions. Invariant: every line may be the last one
// the process runs, so an intent is committed before its effect, every effect can
// be repeated, and nothing but cluster.Apply ends a step.
package clusterwork

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
)

// Deps are what the loops work with.
type Deps struct {
	Store   *cluster.Store
	Ledger  *ledger.Store
	Keyring *db.Keyring
	Config  cluster.Config
	File    func() cluster.File // the operator's list as it is now
	Regions *catalog.Catalog
	// Used sums what runs on the clusters; the instances are another aggregate's.
	Used    func(ctx context.Context) ([]cluster.Usage, error)
	Metrics *cluster.Metrics
	Clock   clock.Clock
	Logger  *slog.Logger
	Robots  robot.Accounts
	Issuer  string // of the robots' tokens
	OCM     *ocm.Client
	Timing  Timing
}

// Timing is how patient the loops are.
type Timing struct {
	Tick time.Duration // the safety net under the notifications; also how soon a changed list counts
	Item time.Duration // deadline of one attempt on one cluster
}

// Work is the loops' common ground.
type Work struct{ Deps }

// New makes the reconciler.
func New(d Deps) *Work { return &Work{d} }

// Loops gives the loops of the OSD cluster reconciler.
func (w *Work) Loops() []reconcile.Loop {
	const parallel = 4
	fleet := func(name string, work func(context.Context, db.TxFunc, string) (time.Duration, error)) reconcile.Loop {
		return reconcile.Loop{
			Name: name, Workers: 1, Tick: w.Timing.Tick, Timeout: time.Minute, Work: work,
			Due: func(context.Context, int) ([]string, error) { return []string{"fleet"}, nil },
		}
	}
	return []reconcile.Loop{
		{
			Name: cluster.LoopName, Workers: parallel, Tick: w.Timing.Tick, Timeout: w.Timing.Item,
			Due: w.due, Wakes: wakes, Work: w.one, Failed: w.postpone,
		},
		fleet("cluster_file", w.register),
		fleet("cluster_gauges", w.show),
	}
}

func (w *Work) due(ctx context.Context, limit int) ([]string, error) {
	var statuses []cluster.Status
	for _, info := range cluster.Statuses() {
		if info.Loop == cluster.LoopName && (info.Status != cluster.Ready || w.Config.ReconcileReady) {
			statuses = append(statuses, info.Status)
		}
	}
	return w.Store.Due(ctx, w.Clock(), limit, statuses...)
}

// wakes listens for notifications "<word> <row id>" of rows that want attention
// at once. Those that only became ready, or not ready, have their own rhythm.
func wakes(payload string) (string, bool) {
	word, id, _ := strings.Cut(payload, " ")
	atOnce := word == cluster.WakeRecheck || word == string(cluster.Provisioning) || word == string(cluster.Provisioned)
	return id, atOnce && id != ""
}

// soon is when an item runs again that met somebody else's change.
const soon = 5 * time.Millisecond

// one takes a cluster a step further. A lost race is a reason to look again.
func (w *Work) one(ctx context.Context, tx db.TxFunc, key string) (time.Duration, error) {
	c, err := w.Store.ByID(ctx, cluster.ID(key))
	if errors.Is(err, cluster.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var again time.Duration
	switch c.Status {
	case cluster.Provisioning:
		again, err = w.install(ctx, tx, c)
	case cluster.Provisioned, cluster.WaitingForAgent:
		again, err = w.terraform(ctx, tx, c)
	case cluster.Ready:
		if w.Config.ReconcileReady {
			again, err = w.terraform(ctx, tx, c)
		}
	default: // nothing to do, or not yet this part's to do
	}
	if errors.Is(err, cluster.ErrStale) {
		return soon, nil
	}
	return again, err
}

// install follows the provider's installation of a cluster.
func (w *Work) install(ctx context.Context, tx db.TxFunc, c cluster.Cluster) (time.Duration, error) {
	seen, err := w.OCM.Cluster(ctx, c.ProviderID())
	if err != nil {
		return 0, err
	}
	plan := cluster.PlanInstall(c, cluster.Installation{State: seen.State, ExternalID: seen.ExternalID, Problem: seen.ProvisionError})
	if plan.Event == "" {
		return w.retryLater(ctx, tx, c, plan.Wait)
	}
	return 0, w.apply(ctx, tx, c, plan)
}

// apply writes a plan's transition and counts it.
func (w *Work) apply(ctx context.Context, tx db.TxFunc, c cluster.Cluster, p cluster.Plan, with ...func(db.Tx) error) error {
	now := w.Clock()
	err := tx(ctx, func(t db.Tx) error {
		for _, fn := range with {
			if err := fn(t); err != nil {
				return err
			}
		}
		_, err := cluster.Apply(t, c, cluster.Change{Event: p.Event, Actor: cluster.ByLoop, Set: p.Set, Reason: p.Reason, Now: now})
		return err
	})
	if err != nil {
		return err
	}
	w.Metrics.Transitioned(c, p.Event, now)
	w.Logger.InfoContext(ctx, "cluster moved", "cluster_id", c.ProviderID(), "event", p.Event, "reason", p.Reason)
	return nil
}

// retryLater stores that a row is not done yet and when it is due again.
func (w *Work) retryLater(ctx context.Context, tx db.TxFunc, c cluster.Cluster, cause string) (time.Duration, error) {
	pause := reconcile.Backoff(c.Attempts)
	err := tx(ctx, func(t db.Tx) error { return cluster.Postpone(t, c, w.Clock().Add(pause), cause) })
	return pause, err
}

// postpone is what happens to a row whose attempt failed: it is tried again
// after a growing pause, for as long as it takes.
func (w *Work) postpone(ctx context.Context, tx db.TxFunc, key string, cause error) (time.Duration, error) {
	c, err := w.Store.ByID(ctx, cluster.ID(key))
	if errors.Is(err, cluster.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	w.Logger.WarnContext(ctx, "attempt on a cluster failed", "cluster_id", c.ProviderID(), "status", c.Status, "attempts", c.Attempts+1, "error", cause)
	return w.retryLater(ctx, tx, c, cause.Error())
}
