package kafkawork

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
)

// acceptNext accepts an order as it was just made, or as it is read.
func (w *Work) acceptNext(ctx context.Context, tx db.TxFunc, id kafka.ID) (time.Duration, error) {
	if p, ok := w.Handover.Take(id, kafka.Accepted); ok {
		return w.accept(ctx, tx, p.Kafka, p.On)
	}
	return w.reading(func(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (time.Duration, error) {
		if k.Status != kafka.Accepted {
			return 0, nil
		}
		if k.ClusterID == "" {
			return w.assign(ctx, tx, k)
		}
		c, err := w.Clusters.PlaceOf(ctx, k.ClusterID)
		if errors.Is(err, cluster.ErrNotFound) {
			return w.assign(ctx, tx, k) // its cluster is gone, and with it the room that was taken there
		}
		if err != nil {
			return 0, err
		}
		return w.accept(ctx, tx, k, c)
	})(ctx, tx, id)
}

// accept gives an accepted instance the versions that its cluster can run.
func (w *Work) accept(ctx context.Context, tx db.TxFunc, k kafka.Kafka, c cluster.Cluster) (time.Duration, error) {
	candidate := kafka.CandidateOf(c)
	if !candidate.Versions.Usable() {
		return w.wait(ctx, tx, k, kafka.FailedNoVersion, "no usable version is available on the data-plane cluster")
	}
	plan, now := kafka.PlanAssign(k, candidate, w.prepareFacts(candidate.DNS)), w.Clock()
	err := tx(ctx, func(t db.Tx) error {
		written, err := kafka.Apply(t, k, plan.Change(now))
		if err == nil { // before the loop that prepares is told
			written.Attempts, written.LastError = 0, "" // as Apply leaves them
			w.Handover.Give(kafka.Handed{Kafka: written, On: c})
		}
		return err
	})
	return 0, w.moved(ctx, k, plan, now, err)
}

// provision looks after instances that their agent should have: one without a
// cluster, after a full one rejected it, is placed again; one that takes too
// long fails.
func (w *Work) provision(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (time.Duration, error) {
	if k.Status != kafka.Provisioning && k.Status != kafka.Resuming {
		return 0, nil
	}
	if plan, over := kafka.PlanFailure(k, kafka.FailedTimedOut, "the data plane did not report the instance ready in time", w.Clock()); over {
		return 0, w.apply(ctx, tx, k, plan)
	}
	if k.Status == kafka.Provisioning && k.ClusterID == "" {
		return w.assign(ctx, tx, k)
	}
	return 0, nil
}

// errNoCluster ends the transaction that looked for room in vain.
var errNoCluster = errors.New("placing an instance: no cluster has room")

// assign takes room on a cluster and binds the instance to it, in one transaction.
func (w *Work) assign(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (time.Duration, error) {
	clusters, err := w.Clusters.Placeable(ctx, k.CloudProvider, k.Region, k.CapacityConsumed)
	if err != nil {
		return 0, err
	}
	if w.DNS == nil { // the host name ends in the cluster's own, which the provider may not have told yet
		clusters = slices.DeleteFunc(clusters, func(c cluster.Cluster) bool { return c.ClusterDNS == "" })
	}
	now := w.Clock()
	var plan kafka.Plan
	err = tx(ctx, func(t db.Tx) error {
		chosen, found, err := kafka.Place(t, clusters, k, now)
		if err != nil {
			return err
		}
		if !found {
			return errNoCluster
		}
		plan = kafka.PlanAssign(k, chosen, w.prepareFacts(chosen.DNS))
		_, err = kafka.Apply(t, k, plan.Change(now))
		return err
	})
	if errors.Is(err, errNoCluster) {
		return w.wait(ctx, tx, k, kafka.FailedNoCluster, "no data-plane cluster has room for the instance")
	}
	if err != nil {
		return 0, err
	}
	w.Logger.InfoContext(ctx, "instance moved", "kafka_id", k.ID, "event", plan.Event, "reason", plan.Reason)
	return 0, nil
}
