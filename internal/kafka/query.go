package kafka

import (
	"context"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/internal/search"
)

// Query is one page of a list that a customer asks for.
type Query struct {
	Search, OrderBy string
	Offset, Limit   int
}

// OnOwnCluster tells whether the instance is on a cluster of the customer's own.
func (k Kafka) OnOwnCluster() bool { return k.DesiredKafkaBillingModel == quota.EnterpriseModel }

// shownCluster is the cluster of an instance where it is the customer's own, as OnOwnCluster says it.
const shownCluster = "CASE WHEN desired_kafka_billing_model = '" + quota.EnterpriseModel + "' THEN cluster_id ELSE '' END"

// What customers may search and sort by. The cluster of an instance is shown,
// and so can be searched, only where it is the customer's own.
var language = search.Language{
	Failure: "unable to list kafka requests", Default: "name ASC",
	Unique: []string{"id", "name"}, // no two live instances of an organisation have the same name
	Columns: map[string]string{
		"region": "region", "name": "name", "cloud_provider": "cloud_provider", "status": "status", "owner": "owner",
		"instance_type": "instance_type",
		"cluster_id":    shownCluster,
	},
	Order: map[string]string{
		"bootstrap_server_host": "bootstrap_server_host", "admin_api_server_url": "admin_api_server_url", "cloud_provider": "cloud_provider",
		"cluster_id": shownCluster,
		"created_at": "created_at", "href": "id", "id": "id", "instance_type": "instance_type", "multi_az": "multi_az", "name": "name",
		"organisation_id": "organisation_id", "owner": "owner", "reauthentication_enabled": "reauthentication_enabled", "region": "region",
		"status": "status", "updated_at": "updated_at", "version": "actual_kafka_version",
	},
}

// List gives a page of the caller's organisation.
func (s *Service) List(ctx context.Context, who access.Identity, q Query) (Page, error) {
	order, err := language.ParseOrder(q.OrderBy)
	if err != nil {
		return Page{}, err
	}
	filter, err := language.Parse(q.Search)
	if err != nil {
		return Page{}, err
	}
	where, args := filter.Clause()
	return s.Store.List(ctx, Filter{
		OrganisationID: who.OrgID, Where: where, Args: args, Order: order, Offset: q.Offset, Limit: q.Limit,
	})
}

// Shown gives those of the instances that the caller may see, erased ones among them.
func (s *Service) Shown(ctx context.Context, who access.Identity, ids []ID) ([]Stamped, error) {
	return s.Store.Shown(ctx, who.OrgID, ids)
}
