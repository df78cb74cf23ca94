package app

import (
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster/clusterwork"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka/kafkawork"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/serviceaccountwork"
)

// Patience of the loops; their tick is configured.
const (
	itemDeadline  = 30 * time.Second
	doubtOfCalls  = 15 * time.Second // longer than the deadline of any single upstream call
	sweepInterval = 10 * time.Minute
)

// kafkaLoops and clusterLoops are THE list of background work.
func (a *App) kafkaLoops() []reconcile.Loop {
	d, tick := &a.domain, a.config.Reconcile.Tick
	deps := kafkawork.Deps{
		Store: d.kafkaStore, Clusters: d.clusterStore, Ledger: d.ledger, Handover: &d.handover, Keyring: a.config.Secrets.Keyring, Config: a.config.Kafka,
		Metrics: d.kafkaMetrics, Clock: clock.System, Logger: a.logger, DNS: a.upstreams.dns, Robots: a.upstreams.robots,
		Release: d.accountsQuota.Release,
		Timing:  kafkawork.Timing{Tick: tick, Item: itemDeadline, Doubt: doubtOfCalls, Sweep: sweepInterval},
	}
	loops := kafkawork.New(deps).Loops()
	if d.kept == nil {
		return loops
	}
	return append(loops, serviceaccountwork.Loops(d.kept, serviceaccountwork.Timing{
		Tick: tick, Sweep: sweepInterval, Kept: a.config.Kafka.DeletedRetention,
	})...)
}

func (a *App) clusterLoops() []reconcile.Loop {
	d := &a.domain
	return clusterwork.New(clusterwork.Deps{
		Store: d.clusterStore, Ledger: d.ledger, Keyring: a.config.Secrets.Keyring, Config: a.config.Cluster, File: d.clusterFile.Get,
		Regions: d.rules.Get().Catalog, Used: d.kafkaStore.UnitsByCluster, Metrics: d.clusterMetrics, Clock: clock.System, Logger: a.logger,
		Robots: a.upstreams.robots, Issuer: a.config.SSO.Realm().Issuer(), OCM: a.upstreams.ocm,
		Timing: clusterwork.Timing{Tick: a.config.Reconcile.Tick, Item: itemDeadline},
	}).Loops()
}
