package kafka

import (
	"context"
	"time"

	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
)

// Create accepts a new instance: room, quota and name are taken and the row is
// written in one transaction, so that no replica can take them twice. Quota that
// is reserved outside is reserved after it, while nobody sees the row.
func (s *Service) Create(ctx context.Context, who access.Identity, r Request) (Kafka, error) {
	if r.IdempotencyKey != nil {
		return s.createOnce(ctx, who, r)
	}
	placed, err := s.place(ctx, who, r, nil)
	if err != nil {
		return Kafka{}, err
	}
	return s.finish(ctx, placed)
}

// placed is an order that has its row, its room and its place in the quota.
type placed struct {
	kafka       Kafka
	reservation *quota.Reservation // what is to be reserved before the row is shown; nil: nothing
	intent      string             // id of the reservation's intent
	keyed       bool               // the customer can ask again for the same order
}

// place does all of an order that needs nobody outside but the word on what the
// customer may order.
func (s *Service) place(ctx context.Context, who access.Identity, r Request, key *orderKey) (placed, error) {
	rules := s.Rules()
	account := quota.Account{Username: who.Username, OrgID: who.OrgID}
	var standing quota.Standing
	admission, err := Admit(r, AdmitFacts{
		Catalog:   rules.Catalog,
		NameTaken: func() (bool, error) { return s.Store.nameTaken(ctx, who.OrgID, r.Name) },
		InstanceType: func() (kind string, err error) {
			if standing, err = s.Quota.Standing(ctx, account); err != nil {
				return "", err
			}
			return standing.InstanceType()
		},
		BillingAccount: func(a Admission) error { return standing.ValidateBillingAccount(quotaRequest(account, a)) },
	})
	if err != nil {
		return placed{}, err
	}
	clusters, err := s.Clusters.Placeable(ctx, admission.CloudProvider, admission.Region, admission.Size.CapacityConsumed)
	if err != nil {
		return placed{}, err
	}
	out := placed{kafka: s.newKafka(who, admission), intent: xid.New().String(), keyed: key != nil}
	limit := limits{rules: rules.Config, region: admission.Limit}
	limit.grant, limit.refusal = standing.Resolve(quotaRequest(account, admission), out.kafka.CreatedAt)
	out.kafka.grant(limit.grant)
	limit.order = out.kafka
	out.reservation = reservationOf(out.kafka, limit.grant)
	candidates := Rank(Candidates(clusters), demandOf(out.kafka), out.kafka.CreatedAt)
	err = s.DB.TxInTurn(ctx, limit.openings(), func(tx db.Tx) error {
		if key != nil {
			if err := takeKey(tx, *key, out.kafka.ID); err != nil {
				return err
			}
		}
		if err := limit.check(len(candidates) > 0); err != nil {
			return err
		}
		if out.reservation != nil {
			if err := checkReserving(tx, out.kafka); err != nil {
				return err
			}
		}
		if err := out.write(tx, candidates); err != nil {
			return err
		}
		if out.reservation != nil {
			return beginReservation(tx, &out, s.Clock())
		}
		s.handOver(out.kafka, clusters)
		return nil
	})
	return out, err
}

// handOver gives a new row to the loop that goes on with it.
func (s *Service) handOver(k Kafka, clusters []cluster.Cluster) {
	for _, c := range clusters {
		if c.ProviderID() == k.ClusterID {
			s.Handover.Give(Handed{Kafka: k, On: c})
			return
		}
	}
}

// write inserts the row and takes its room. That comes last, since every order waits
// for the cluster's row until the transaction ends.
func (p *placed) write(tx db.Tx, candidates []Candidate) error {
	first, taken := candidates[0].ClusterID, false
	p.kafka.ClusterID = first
	if err := insert(tx, p.kafka, cluster.Reserving(first, p.kafka.CapacityConsumed, &taken)); err != nil || taken {
		return err
	}
	chosen, err := reserve(tx, candidates[1:], p.kafka)
	if err != nil {
		return err
	}
	p.kafka.ClusterID = chosen.ClusterID
	return moveInserted(tx, p.kafka)
}

func quotaRequest(account quota.Account, a Admission) quota.Request {
	return quota.Request{
		Account: account, InstanceType: a.Type.ID, BillingModel: a.BillingModel, Marketplace: a.Marketplace,
		BillingAccount: a.BillingCloudAccountID, CloudProvider: a.CloudProvider, Units: a.Size.QuotaConsumed,
	}
}

func (s *Service) newKafka(who access.Identity, a Admission) Kafka {
	now := s.Clock()
	k := Kafka{
		ID: ID(xid.New().String()), CreatedAt: now, UpdatedAt: now, Version: 1,
		Name: a.Name, Status: Accepted, StatusChangedAt: now, NextAttemptAt: Accepted.dueAt(now),
		CloudProvider: a.CloudProvider, Region: a.Region, MultiAZ: a.MultiAZ,
		Owner: who.Username, OwnerAccountID: who.AccountID, OrganisationID: who.OrgID,
		InstanceType: a.Type.ID, SizeID: a.Size.ID, SizeSnapshot: snapshot(a.Type, a.Size),
		CapacityConsumed: a.Size.CapacityConsumed, QuotaConsumed: a.Size.QuotaConsumed,
		MaxDataRetentionSize: a.Size.MaxDataRetentionSize.Text, ReauthenticationEnabled: a.ReauthenticationEnabled, PlacementExclusions: Exclusions{},
	}
	if life := a.Size.LifespanSeconds.Duration(); life > 0 {
		expires := now.Add(life)
		k.ExpiresAt = &expires
	}
	return k
}

// grant writes down what was granted. A row with something to reserve is born hidden.
func (k *Kafka) grant(g quota.Grant) {
	k.QuotaType, k.BillingCloudAccountID, k.Marketplace = g.QuotaType, g.BillingAccount, g.Marketplace
	k.ActualKafkaBillingModel, k.DesiredKafkaBillingModel = g.BillingModel, g.BillingModel
	if g.Remote != nil {
		k.Status, k.NextAttemptAt = Reserving, Reserving.dueAt(k.CreatedAt)
	}
}

func snapshot(t catalog.InstanceType, size catalog.Size) SizeSnapshot {
	return SizeSnapshot{
		InstanceTypeName:            t.DisplayName,
		IngressThroughputPerSec:     size.IngressThroughputPerSec.Text,
		EgressThroughputPerSec:      size.EgressThroughputPerSec.Text,
		TotalMaxConnections:         size.TotalMaxConnections,
		MaxPartitions:               size.MaxPartitions,
		MaxDataRetentionPeriod:      size.MaxDataRetentionPeriod,
		MaxConnectionAttemptsPerSec: size.MaxConnectionAttemptsPerSec,
	}
}

// reserve takes room on the first candidate that still has it.
func reserve(tx db.Tx, candidates []Candidate, k Kafka) (Candidate, error) {
	for _, c := range candidates {
		taken, err := cluster.Reserve(tx, c.ClusterID, k.CapacityConsumed)
		if err != nil {
			return Candidate{}, err
		}
		if taken {
			return c, nil
		}
	}
	return Candidate{}, noRoom(k)
}

func noRoom(k Kafka) error {
	return apierr.New(apierr.CapacityReached, "no data-plane cluster in region "+k.Region+" has room for the instance, choose another region or try again later")
}

func demandOf(k Kafka) Demand {
	return Demand{InstanceType: k.InstanceType, MultiAZ: k.MultiAZ, Units: k.CapacityConsumed, Exclusions: k.PlacementExclusions}
}

// Candidates shows clusters as placement sees them.
func Candidates(clusters []cluster.Cluster) []Candidate {
	out := make([]Candidate, 0, len(clusters))
	for _, c := range clusters {
		out = append(out, CandidateOf(c))
	}
	return out
}

// CandidateOf shows one cluster as placement sees it.
func CandidateOf(c cluster.Cluster) Candidate {
	strimzi, kafka, ibp := c.AvailableStrimziVersions.LatestReady()
	return Candidate{
		ClusterID: c.ProviderID(), DNS: c.ClusterDNS, MultiAZ: c.MultiAZ, InstanceTypes: c.SupportedInstanceType,
		Schedulable: c.Schedulable, Limit: c.CapacityLimit, Used: c.CapacityUsed,
		Versions: Versions{Strimzi: strimzi, Kafka: kafka, IBP: ibp},
	}
}

// Place reserves room for an instance that has none, in the given transaction.
// Without room it gives false.
func Place(tx db.Tx, clusters []cluster.Cluster, k Kafka, now time.Time) (Candidate, bool, error) {
	for _, c := range Rank(Candidates(clusters), demandOf(k), now) {
		if !c.Versions.Usable() {
			continue
		}
		taken, err := cluster.Reserve(tx, c.ClusterID, k.CapacityConsumed)
		if err != nil || taken {
			return c, taken, err
		}
	}
	return Candidate{}, false, nil
}
