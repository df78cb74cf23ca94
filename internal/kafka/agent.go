package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"

	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Desired is an instance as its cluster's agent has to run it.
type Desired struct {
	Stamped
	CanarySecret log.Secret
}

// DesiredMark changes whenever what a cluster has to run does.
func (s *Service) DesiredMark(ctx context.Context, clusterID string) (Mark, error) {
	return s.Store.DesiredMark(ctx, clusterID)
}

// DesiredStamps gives the stamps of what a cluster's agent has to run or remove, and their mark.
func (s *Service) DesiredStamps(ctx context.Context, clusterID string) ([]Stamp, Mark, error) {
	return s.Store.DesiredStamps(ctx, clusterID)
}

// DesiredOn gives those of the instances that a cluster's agent has to run or
// remove. A row that cannot be shown is left out and counted, and the list is not
// whole then: the agent keeps what it has.
func (s *Service) DesiredOn(ctx context.Context, clusterID string, ids []ID) (out []Desired, whole bool, err error) {
	rows, err := s.Store.Desired(ctx, clusterID, ids)
	if err != nil {
		return nil, false, err
	}
	out, whole = make([]Desired, 0, len(rows)), true
	for _, k := range rows {
		secret, err := s.Keyring.Open(k.CanaryServiceAccountClientSecret, k.TableName(), CanarySecretColumn, string(k.ID))
		reason := "unreadable_secret"
		if err == nil { // limits of 0 would be worse than none that are new
			reason, err = "unreadable_size", k.Spoilt
		}
		if err != nil && k.Status != Deprovision { // what is removed needs neither any more
			whole = false
			s.Metrics.reportsRefused.WithLabelValues(reason).Inc()
			s.Logger.ErrorContext(ctx, "instance left out of the agent's list", "kafka_id", k.ID, "error", err)
			continue
		}
		out = append(out, Desired{Stamped: k, CanarySecret: secret})
	}
	return out, whole, nil
}

// CanarySecretColumn is where a canary's secret is sealed.
const CanarySecretColumn = "canary_service_account_client_secret"

// Report takes in what a cluster's agent says of its instances. Entries stand
// alone: one that cannot be believed, or that the database refuses, is counted
// and logged, and the others go on. An error means that the database did not
// answer; the agent repeats.
func (s *Service) Report(ctx context.Context, c cluster.Cluster, reports map[ID]Report) error {
	if len(reports) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(reports))
	// What cannot be an id is no question to the database, which would refuse all of them for it.
	ids = slices.DeleteFunc(ids, func(id ID) bool { return !idPattern.MatchString(string(id)) })
	rows, err := s.Store.Reported(ctx, c.ProviderID(), ids)
	if err != nil {
		return err
	}
	unknown := len(reports)
	for _, k := range rows {
		report, named := reports[k.ID]
		if !named {
			continue
		}
		unknown--
		err := s.reportOne(ctx, c, k, report.storable())
		if db.IsRefused(err) || errors.Is(err, ledger.ErrTaken) || errors.Is(err, ledger.ErrDeleting) {
			s.Metrics.reportsRefused.WithLabelValues("not_storable").Inc()
			s.Logger.WarnContext(ctx, "report could not be stored", "kafka_id", k.ID, "cluster_id", c.ProviderID(), "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	if unknown > 0 {
		s.Metrics.reportsRefused.WithLabelValues("unknown_instance").Add(float64(unknown))
		s.Logger.InfoContext(ctx, "reports of instances that are not on the cluster", "count", unknown, "cluster_id", c.ProviderID())
	}
	return nil
}

var idPattern = regexp.MustCompile(`^[a-z0-9]{1,64}$`)

// storable bounds the texts that end up in columns.
func (r Report) storable() Report {
	r.KafkaVersion, r.StrimziVersion, r.IBPVersion = db.Text(r.KafkaVersion), db.Text(r.StrimziVersion), db.Text(r.IBPVersion)
	r.AdminServerURI = db.Text(r.AdminServerURI)
	return r
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
		fresh = slices.DeleteFunc(fresh, func(row Kafka) bool { return row.ID != k.ID })
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
	if len(v.Records) > 0 {
		wake = WakeRoutes
		intents, err := RecordIntents(k.ID, v.Records)
		if err != nil {
			return err
		}
		if err := ledger.Want(tx, now, intents...); err != nil {
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
	if err == nil && wake != "" {
		tx.Notify(NotifyChannel, wake+" "+string(k.ID))
	}
	return err
}

// RecordIntents are the intents to have a DNS record for each route.
func RecordIntents(id ID, routes Routes) ([]ledger.Intent, error) {
	intents := make([]ledger.Intent, 0, len(routes))
	for _, r := range routes {
		detail, err := json.Marshal(RecordDetail{Target: r.Router})
		if err != nil {
			return nil, err
		}
		intents = append(intents, ledger.Intent{OwnerKind: OwnerKind, OwnerID: string(id), Kind: KindDNSRecord, Key: r.Domain, Detail: detail})
	}
	return intents, nil
}

// WakeRoutes is the first word of a notification that an instance has routes to write.
const WakeRoutes = "routes"

// RecordDetail is what the ledger remembers of a DNS record.
type RecordDetail struct {
	Target string `json:"target"`         // the value it was seen to have, or was to have
	Late   string `json:"late,omitempty"` // what a call that nobody saw end may still write
}
