package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Desired is an instance as its cluster's agent has to run it.
type Desired struct {
	Kafka
	CanarySecret log.Secret
}

// DesiredMark changes whenever DesiredOn would answer differently.
func (s *Service) DesiredMark(ctx context.Context, clusterID string) (string, error) {
	return s.Store.DesiredMark(ctx, clusterID)
}

// DesiredOn gives what a cluster's agent has to run or remove. A row that
// cannot be shown is left out and counted: the agent keeps what it has.
func (s *Service) DesiredOn(ctx context.Context, clusterID string) ([]Desired, error) {
	rows, err := s.Store.Desired(ctx, clusterID)
	if err != nil {
		return nil, err
	}
	out := make([]Desired, 0, len(rows))
	for _, k := range rows {
		secret, err := s.Keyring.Open(k.CanaryServiceAccountClientSecret, k.TableName(), canarySecretColumn, string(k.ID))
		if err != nil {
			s.Metrics.reportsRefused.WithLabelValues("unreadable_secret").Inc()
			s.Logger.ErrorContext(ctx, "instance left out of the agent's list", "kafka_id", k.ID, "error", err)
			continue
		}
		out = append(out, Desired{Kafka: k, CanarySecret: secret})
	}
	return out, nil
}

const canarySecretColumn = "canary_service_account_client_secret"

// Report takes in what a cluster's agent says of its instances. Entries stand
// alone: one that cannot be believed is counted and logged, and the others go
// on. An error means that the database did not answer; the agent repeats.
func (s *Service) Report(ctx context.Context, c cluster.Cluster, reports map[ID]Report) error {
	if len(reports) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(reports))
	rows, err := s.Store.Reported(ctx, c.ProviderID(), ids)
	if err != nil {
		return err
	}
	known := make(map[ID]bool, len(rows))
	for _, k := range rows {
		known[k.ID] = true
		if err := s.reportOne(ctx, c, k, reports[k.ID]); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if !known[id] {
			s.Metrics.reportsRefused.WithLabelValues("unknown_instance").Inc()
			s.Logger.InfoContext(ctx, "report of an instance that is not on the cluster", "kafka_id", id, "cluster_id", c.ProviderID())
		}
	}
	return nil
}

func (s *Service) reportOne(ctx context.Context, c cluster.Cluster, k Kafka, r Report) error {
	var before Kafka
	var verdict Verdict
	err := retryStale(func() error {
		now := s.Clock()
		before = k
		verdict = ReadReport(k, r, ReportFacts{
			ClusterDNS: c.ClusterDNS, CNAMEs: s.Config.EnableCNAMEs, NewPlacement: xid.New().String(), Now: now,
		})
		if !verdict.Changes() {
			return nil
		}
		err := s.DB.Tx(ctx, func(tx db.Tx) error { return s.write(tx, k, verdict) })
		if !errors.Is(err, ErrStale) {
			return err
		}
		fresh, readErr := s.Store.Reported(ctx, c.ProviderID(), []ID{k.ID})
		if readErr != nil {
			return readErr
		}
		if len(fresh) == 0 { // moved to another cluster or erased meanwhile
			verdict = Verdict{}
			return nil
		}
		k = fresh[0]
		return ErrStale
	})
	if err != nil {
		return err
	}
	if verdict.Ignored != "" {
		s.Metrics.reportsRefused.WithLabelValues("not_believed").Inc()
		s.Logger.InfoContext(ctx, "report not believed", "kafka_id", k.ID, "cluster_id", c.ProviderID(), "why", verdict.Ignored)
	}
	s.Metrics.Transitioned(before, verdict.Event, s.Clock())
	return nil
}

func (s *Service) write(tx db.Tx, k Kafka, v Verdict) error {
	now := s.Clock()
	wake := ""
	for _, r := range v.Records {
		wake = WakeRoutes
		detail, err := json.Marshal(RecordDetail{Target: r.Router})
		if err != nil {
			return err
		}
		intent := ledger.Intent{OwnerKind: OwnerKind, OwnerID: string(k.ID), Kind: KindDNSRecord, Key: r.Domain, Detail: detail}
		if err := ledger.Want(tx, now, intent); err != nil {
			return err
		}
	}
	if v.Release && k.ClusterID != "" {
		if err := cluster.Release(tx, k.ClusterID, k.CapacityConsumed); err != nil {
			return err
		}
	}
	if v.Event == "" {
		_, err := Note(tx, k, v.Set, now, wake)
		return err
	}
	_, err := Apply(tx, k, Change{Event: v.Event, Actor: ByAgent, Set: v.Set, Reason: v.Reason, Now: now})
	return err
}

// WakeRoutes is the first word of a notification that an instance has routes to write.
const WakeRoutes = "routes"

// RecordDetail is what the ledger remembers of a DNS record: the value we gave it.
type RecordDetail struct {
	Target string `json:"target"`
}
