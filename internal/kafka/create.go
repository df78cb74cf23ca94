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
// written in one transaction, so that no replica can take them twice.
func (s *Service) Create(ctx context.Context, who access.Identity, r Request) (Kafka, error) {
	rules := s.Rules()
	account := quota.Account{Username: who.Username, OrgID: who.OrgID}
	admission, err := Admit(r, AdmitFacts{
		Catalog:      rules.Catalog,
		NameTaken:    func() (bool, error) { return s.Store.nameTaken(ctx, who.OrgID, r.Name) },
		InstanceType: rules.InstanceTypeFor(account),
	})
	if err != nil {
		return Kafka{}, err
	}
	if admission.BillingCloudAccountID != "" {
		if err := rules.ValidateBillingAccount(s.quotaRequest(account, admission)); err != nil {
			return Kafka{}, err
		}
	}
	clusters, err := s.Clusters.Placeable(ctx, admission.CloudProvider, admission.Region)
	if err != nil {
		return Kafka{}, err
	}
	k := s.newKafka(who, admission)
	order := quotaOrder{rules: rules}
	order.grant, order.refusal = rules.Resolve(s.quotaRequest(account, admission), k.CreatedAt)
	err = s.txAfterQueue(ctx, func(tx db.Tx) error {
		if err := lockLimits(tx, k, admission.Limit, order); err != nil {
			return err
		}
		if err := checkRegion(tx, k, admission.Limit); err != nil {
			return err
		}
		candidates := Rank(Candidates(clusters), demandOf(k), k.CreatedAt)
		if len(candidates) == 0 {
			return noRoom(k)
		}
		if err := takeQuota(tx, &k, order); err != nil {
			return err
		}
		k.ClusterID = candidates[0].ClusterID
		if err := insert(tx, k); err != nil {
			return err
		}
		// Last, since every order waits for the cluster's row until the transaction ends.
		chosen, err := reserve(tx, candidates, k)
		if err != nil || chosen.ClusterID == k.ClusterID {
			return err
		}
		k.ClusterID = chosen.ClusterID
		return moveInserted(tx, k)
	})
	if err != nil {
		return Kafka{}, err
	}
	return k, nil
}

// txAfterQueue runs a transaction that waits its turn at locks which every order
// of an organisation or region needs. Where the queue is longer than the
// connection waits for a lock, the order stands in line again: it has done
// nothing yet, and the request still has time.
func (s *Service) txAfterQueue(ctx context.Context, fn func(db.Tx) error) error {
	for {
		err := s.DB.Tx(ctx, fn)
		if !db.IsLockTimeout(err) || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Service) quotaRequest(account quota.Account, a Admission) quota.Request {
	return quota.Request{Account: account, InstanceType: a.Type.ID, BillingModel: a.BillingModel, Marketplace: a.Marketplace}
}

func (s *Service) newKafka(who access.Identity, a Admission) Kafka {
	now := s.Clock()
	k := Kafka{
		ID: ID(xid.New().String()), CreatedAt: now, UpdatedAt: now, Version: 1,
		Name: a.Name, Status: Accepted, StatusChangedAt: now, NextAttemptAt: Accepted.dueAt(now),
		CloudProvider: a.CloudProvider, Region: a.Region, MultiAZ: a.MultiAZ,
		Owner: who.Username, OwnerAccountID: who.AccountID, OrganisationID: who.OrgID,
		InstanceType: a.Type.ID, SizeID: a.Size.ID, SizeSnapshot: snapshot(a.Type, a.Size),
		CapacityConsumed: a.Size.CapacityConsumed, QuotaConsumed: a.Size.QuotaConsumed, QuotaType: quota.ListType,
		BillingCloudAccountID: a.BillingCloudAccountID, Marketplace: a.Marketplace,
		MaxDataRetentionSize: a.Size.MaxDataRetentionSize.Text, ReauthenticationEnabled: a.ReauthenticationEnabled,
	}
	if life := a.Size.LifespanSeconds.Duration(); life > 0 {
		expires := now.Add(life)
		k.ExpiresAt = &expires
	}
	return k
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

// quotaOrder is what the quota says of an order, before anything is counted. A
// refusal is told in its turn: what comes before it in the order of checks wins.
type quotaOrder struct {
	rules   quota.Rules
	grant   quota.Grant
	refusal error
}

// lockLimits makes those wait who would count the same rows: first those of the
// owner, then of the organisation, then of the region. Always in this order, so
// that nobody waits in a circle; and only where something is counted.
func lockLimits(tx db.Tx, k Kafka, limit catalog.Limit, order quotaOrder) error {
	byOwner := order.grant.Scope == quota.ByOwner && !order.grant.Unlimited
	if byOwner || k.InstanceType == catalog.Developer {
		if err := tx.Lock("quota/owner/" + k.Owner); err != nil {
			return err
		}
	}
	if order.grant.Scope == quota.ByOrganisation && !order.grant.Unlimited {
		if err := tx.Lock("quota/organisation/" + k.OrganisationID); err != nil {
			return err
		}
	}
	if limit.Limited {
		return tx.Lock("region/" + k.CloudProvider + "/" + k.Region + "/" + k.InstanceType)
	}
	return nil
}

func checkRegion(tx db.Tx, k Kafka, limit catalog.Limit) error {
	if !limit.Limited {
		return nil
	}
	used := 0
	if !limit.Closed() {
		var err error
		if used, err = regionUnits(tx, k.CloudProvider, k.Region, k.InstanceType); err != nil {
			return err
		}
	}
	if !limit.Allows(used, k.CapacityConsumed) {
		return apierr.New(apierr.CapacityReached, "region "+k.Region+" has no room for another "+k.InstanceType+" instance")
	}
	return nil
}

func takeQuota(tx db.Tx, k *Kafka, order quotaOrder) error {
	if k.InstanceType == catalog.Developer {
		_, rows, err := unitsOf(tx, Counted{InstanceType: k.InstanceType, OrganisationID: k.OrganisationID, Owner: k.Owner})
		if err != nil {
			return err
		}
		if err := order.rules.Config.CheckDeveloper(rows); err != nil {
			return err
		}
	}
	if order.refusal != nil {
		return order.refusal
	}
	grant := order.grant
	k.ActualKafkaBillingModel, k.DesiredKafkaBillingModel = grant.BillingModel, grant.BillingModel
	if grant.Unlimited {
		return nil
	}
	counted := Counted{InstanceType: grant.InstanceType, BillingModel: grant.BillingModel}
	if grant.Scope == quota.ByOrganisation {
		counted.OrganisationID = k.OrganisationID
	} else {
		counted.Owner = k.Owner
	}
	units, _, err := unitsOf(tx, counted)
	if err != nil {
		return err
	}
	return grant.Check(units, k.CapacityConsumed)
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
	return apierr.New(apierr.CapacityReached, "no data-plane cluster in region "+k.Region+" has room for the instance")
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
