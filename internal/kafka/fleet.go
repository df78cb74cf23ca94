package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/search"
)

// What administrators may search and sort by. All rows are theirs to see, so a
// column needs no condition here; a search knows every text that is shown to them.
var fleetLanguage = search.Language{
	Failure: language.Failure, Default: language.Default, Unique: []string{"id"},
	Columns: map[string]string{
		"id": "id", "region": "region", "name": "name", "cloud_provider": "cloud_provider", "status": "status", "owner": "owner",
		"owner_account_id": "owner_account_id", "organisation_id": "organisation_id", "instance_type": "instance_type", "size_id": "size_id",
		"cluster_id": "cluster_id", "namespace": "namespace", "bootstrap_server_host": "bootstrap_server_host", "quota_type": "quota_type",
		"subscription_id": "subscription_id", "actual_kafka_version": "actual_kafka_version", "desired_kafka_version": "desired_kafka_version",
		"actual_strimzi_version": "actual_strimzi_version", "desired_strimzi_version": "desired_strimzi_version",
		"actual_kafka_ibp_version": "actual_kafka_ibp_version", "desired_kafka_ibp_version": "desired_kafka_ibp_version",
	},
	Order: map[string]string{
		"bootstrap_server_host": "bootstrap_server_host", "admin_api_server_url": "admin_api_server_url", "cloud_provider": "cloud_provider",
		"cluster_id": "cluster_id", "created_at": "created_at", "href": "id", "id": "id", "instance_type": "instance_type", "multi_az": "multi_az",
		"name": "name", "organisation_id": "organisation_id", "owner": "owner", "reauthentication_enabled": "reauthentication_enabled",
		"region": "region", "status": "status", "updated_at": "updated_at", "version": "actual_kafka_version",
	},
}

// ListFleet gives a page of the instances of all organisations, to administrators.
func (s *Service) ListFleet(ctx context.Context, q Query) (FleetPage, error) {
	order, err := fleetLanguage.ParseOrder(q.OrderBy)
	if err != nil {
		return FleetPage{}, err
	}
	filter, err := fleetLanguage.Parse(q.Search)
	if err != nil {
		return FleetPage{}, err
	}
	where, args := filter.Clause()
	return s.Store.ListFleet(ctx, Filter{Where: where, Args: args, Order: order, Offset: q.Offset, Limit: q.Limit})
}

// GetInFleet reads an instance of any organisation, for administrators.
func (s *Service) GetInFleet(ctx context.Context, id ID) (Kafka, error) {
	k, err := s.Store.InFleet(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Kafka{}, apierr.New(apierr.NotFound, "KafkaResource with id='"+string(id)+"' not found")
	}
	return k, err
}

// numbersPatience is how long a page may wait for the numbers of its organisations.
const numbersPatience = 2 * time.Second

// AccountNumbers gives the billing system's numbers of the instances'
// organisations. They are only for reading along: what cannot be had in time is
// left out, so that the fleet can be looked at while accounts management is away.
func (s *Service) AccountNumbers(ctx context.Context, rows ...Kafka) map[string]string {
	var organisations []string
	for _, k := range rows {
		organisations = append(organisations, k.OrganisationID)
	}
	slices.Sort(organisations)
	organisations = slices.Compact(organisations)
	if len(organisations) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, numbersPatience)
	defer cancel()
	known, err := s.Numbers(ctx, organisations)
	if err != nil {
		s.Logger.WarnContext(ctx, "account numbers are left out", "organisations", len(organisations), "known", len(known), "cause", err.Error())
	}
	return known
}

// Trouble is what an administrator reads of what went wrong: the customer's words
// with the cause behind them. An instance on its way has not failed yet; its last
// failed attempt is told, since that is where help is needed.
func (k Kafka) Trouble() string {
	switch {
	case k.FailedReason != "" && k.FailedDetail != "":
		return k.FailedReason + ": " + k.FailedDetail
	case k.FailedReason != "" || k.FailedDetail != "":
		return k.FailedReason + k.FailedDetail
	case k.Status == Ready || k.Status == Suspended: // what went wrong on the way is over
		return ""
	}
	return k.LastError
}
