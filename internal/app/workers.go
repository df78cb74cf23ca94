package app

import (
	"context"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/lease"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
)

// reconciler is one leader-elected set of loops.
type reconciler struct {
	lease   *lease.Lease
	engine  *reconcile.Engine
	channel string // where the writes of its rows are announced
	loops   []reconcile.Loop
}

// workers are the background work of a replica.
type workers struct {
	app         *App
	reconcilers []*reconciler
}

// Lease types: one leader for each among all replicas.
const (
	kafkaLease   = "kafka_reconciler"
	clusterLease = "cluster_reconciler"
)

func (a *App) openWorkers(context.Context) error {
	kafkaLoops, clusterLoops := a.kafkaLoops(), a.clusterLoops()
	var names []string
	for _, l := range append(append([]reconcile.Loop{}, kafkaLoops...), clusterLoops...) {
		names = append(names, l.Name)
	}
	metrics, err := reconcile.NewMetrics(a.registry, names...)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	holder := host + " " + a.servers.api.Address()
	a.workers = workers{app: a}
	for _, r := range []struct {
		lease, channel string
		loops          []reconcile.Loop
		leads          func(bool)
	}{
		{kafkaLease, kafka.NotifyChannel, kafkaLoops, func(leading bool) {
			a.domain.handover.Open(leading)
			if !leading {
				a.domain.kafkaMetrics.HideCounts()
			}
		}},
		{clusterLease, cluster.NotifyChannel, clusterLoops, func(leading bool) {
			if !leading {
				a.domain.clusterMetrics.HideCounts()
			}
		}},
	} {
		options := a.config.Lease.Options(func(leading bool) {
			a.logger.Info("leadership changed", "lease", r.lease, "leading", leading)
			r.leads(leading)
		})
		a.workers.reconcilers = append(a.workers.reconcilers, &reconciler{
			lease:   lease.New(a.db, r.lease, holder, options, a.logger),
			engine:  reconcile.New(a.logger, metrics, a.report),
			channel: r.channel, loops: r.loops,
		})
	}
	return nil
}

// run contends for the leases and listens for wake-ups until the context ends.
func (w *workers) run(ctx context.Context, group *errgroup.Group) {
	for _, r := range w.reconcilers {
		w.app.db.TakeHere(r.channel, r.engine.Take)
		group.Go(func() error {
			return r.lease.Run(ctx, func(ctx context.Context, term *lease.Term) error { return r.engine.Run(ctx, term.Tx, r.loops) })
		})
		group.Go(func() error { return w.app.db.Listen(ctx, r.channel, r.engine.WakeAll, r.engine.Wake) })
	}
	group.Go(func() error {
		all := func() {
			for _, r := range w.reconcilers {
				r.lease.WakeAll()
			}
		}
		return w.app.db.Listen(ctx, lease.Channel, all, func(payload string) {
			for _, r := range w.reconcilers {
				r.lease.Wake(payload)
			}
		})
	})
}
