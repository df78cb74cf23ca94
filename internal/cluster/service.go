package cluster

import (
	"context"
	"errors"
	"log/slog"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Deps are what the use cases work with.
type Deps struct {
	DB      *db.DB
	Store   *Store
	Config  Config
	Metrics *Metrics
	Clock   clock.Clock
	Logger  *slog.Logger
}

// Service is the use cases of clusters.
type Service struct{ Deps }

// NewService makes the use cases.
func NewService(d Deps) *Service { return &Service{d} }

// ForAgent finds the cluster of an agent that may ask for it.
func (s *Service) ForAgent(ctx context.Context, clusterID string) (Cluster, error) {
	c, err := s.Store.ByClusterID(ctx, clusterID)
	if errors.Is(err, ErrNotFound) {
		// 404 is what those see who may not be here; this agent may.
		return Cluster{}, apierr.New(apierr.BadRequest, "cluster "+clusterID+" is not there any more")
	}
	return c, err
}

// staleRetries is how often a report is judged anew because the row changed
// under it. Each try loses only against somebody who won.
const staleRetries = 5

// Report takes in what an agent says of its cluster. One that changes nothing
// writes nothing but, now and then, that the agent was heard.
func (s *Service) Report(ctx context.Context, clusterID string, r Report) error {
	versions, err := r.Versions()
	if err != nil {
		return err
	}
	for range staleRetries {
		var c Cluster
		if c, err = s.ForAgent(ctx, clusterID); err != nil {
			return err
		}
		if err = s.take(ctx, c, ReadReport(c, r, versions)); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return apierr.Wrap(apierr.General, err, "")
}

func (s *Service) take(ctx context.Context, c Cluster, v Verdict) error {
	now := s.Clock()
	if !v.Changes() && !c.beats(now) {
		return nil
	}
	err := s.DB.Tx(ctx, func(tx db.Tx) error {
		if c.beats(now) {
			if err := Heartbeat(tx, c.ID, now); err != nil {
				return err
			}
		}
		var err error
		switch {
		case v.Event != "":
			_, err = Apply(tx, c, Change{Event: v.Event, Actor: ByAgent, Set: v.Set, Reason: v.Reason, Now: now})
		case v.Changes():
			_, err = Note(tx, c, v.Set, now, "")
		}
		return err
	})
	if err != nil || v.Event == "" {
		return err
	}
	s.Metrics.Transitioned(c, v.Event, now)
	s.Logger.InfoContext(ctx, "cluster moved", "cluster_id", c.ProviderID(), "event", v.Event, "reason", v.Reason)
	return nil
}
