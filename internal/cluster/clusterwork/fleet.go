package clusterwork

import (
	"context"
	"errors"
	"time"

	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// register brings the rows in line with the operator's list. One entry that
// cannot be written does not keep the others back.
func (w *Work) register(ctx context.Context, tx db.TxFunc, _ string) (time.Duration, error) {
	live, err := w.Store.Live(ctx)
	if err != nil {
		return 0, err
	}
	now := w.Clock()
	plan := cluster.PlanFile(w.File(), live, now)
	var problems []error
	for _, c := range plan.Register {
		c.ID = cluster.ID(xid.New().String())
		err := tx(ctx, func(t db.Tx) error { return cluster.Insert(t, c) })
		if err == nil {
			w.Logger.InfoContext(ctx, "cluster registered", "cluster_id", c.ProviderID(), "status", c.Status)
		}
		problems = append(problems, err)
	}
	stale := false
	for _, u := range plan.Update {
		err := w.correct(ctx, tx, u, now)
		if errors.Is(err, cluster.ErrStale) {
			stale = true
			continue
		}
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil || !stale {
		return 0, err
	}
	return soon, nil
}

func (w *Work) correct(ctx context.Context, tx db.TxFunc, u cluster.Correction, now time.Time) error {
	wake := cluster.WakeRecheck
	if u.Dropped {
		wake = ""
	}
	err := tx(ctx, func(t db.Tx) error {
		_, err := cluster.Note(t, u.Cluster, u.Set, now, wake)
		return err
	})
	if err != nil {
		return err
	}
	if u.Dropped {
		w.Logger.WarnContext(ctx, "cluster is not in the file any more: it takes no new instances", "cluster_id", u.Cluster.ProviderID())
		return nil
	}
	w.Logger.InfoContext(ctx, "cluster changed as its file says", "cluster_id", u.Cluster.ProviderID())
	return nil
}

// show sets the leader's gauges.
func (w *Work) show(ctx context.Context, _ db.TxFunc, _ string) (time.Duration, error) {
	clusters, err := w.Store.Live(ctx)
	if err != nil {
		return 0, err
	}
	w.Metrics.ShowClusters(clusters, w.Clock())
	used, err := w.Used(ctx)
	if err != nil {
		return 0, err
	}
	w.Metrics.ShowRooms(cluster.Rooms(clusters, used, w.Regions))
	w.Metrics.ShowUsage(clusters, used)
	return 0, nil
}
