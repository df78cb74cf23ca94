package kafka

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// orders sends n orders at once and counts those that are accepted and, by code, those that are not.
func (o office) orders(n int, who func(i int) access.Identity) (accepted int, refused map[apierr.Code]int) {
	o.t.Helper()
	begin, refused := make(chan struct{}), map[apierr.Code]int{}
	var lock sync.Mutex
	var all sync.WaitGroup
	ctx := bound(o.t)
	for i := range n {
		all.Go(func() {
			<-begin
			_, err := o.Create(ctx, who(i), Request{Async: "true", Name: fmt.Sprintf("kafka-%d", i)})
			lock.Lock()
			defer lock.Unlock()
			if err == nil {
				accepted++
				return
			}
			refused[apierr.From(err).Code]++
		})
	}
	close(begin)
	all.Wait()
	return accepted, refused
}

func of(username, org string) access.Identity { return access.Identity{Username: username, OrgID: org} }

// A grant of an account counts what its user owns, in whichever organisation; so
// no lock of one organisation can keep the limit.
func TestTheLimitOfAnAccountHoldsAcrossItsOrganisations(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "registered_service_accounts:\n- {username: alice, max_allowed_instances: 3}\n")
	accepted, refused := o.orders(16, func(i int) access.Identity { return of("alice", fmt.Sprintf("org%d", i%2)) })
	require.Equal(t, 3, accepted)
	require.Equal(t, map[apierr.Code]int{apierr.TooManyInstances: 13}, refused)
	_, err := o.Create(bound(t), of("bob", "org0"), Request{Async: "true", Name: "bobs"})
	require.NoError(t, err, "somebody else gets a trial")
}

func TestTheLimitOfAnOrganisationHoldsAcrossItsUsers(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "registered_users_per_organisation:\n- {id: org1, any_user: true, max_allowed_instances: 3}\n")
	accepted, refused := o.orders(16, func(i int) access.Identity { return of(fmt.Sprintf("user%d", i%4), "org1") })
	require.Equal(t, 3, accepted)
	require.Equal(t, map[apierr.Code]int{apierr.TooManyInstances: 13}, refused)
}

// The limit of 2 is that of a user in one organisation; 1 is what an account
// without an entry gets at all.
func TestTheLimitOfTrialsHolds(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	accepted, refused := o.orders(12, func(i int) access.Identity { return of("mallory", fmt.Sprintf("org%d", i%2)) })
	require.Equal(t, 1, accepted)
	require.Equal(t, 11, refused[apierr.TooManyInstances]+refused[apierr.CapacityReached])
}

// All locks are taken at once by orders of every kind: nobody may wait in a circle.
func TestOrdersOfAllKindsEnd(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "registered_service_accounts:\n- {username: alice, max_allowed_instances: 4}\n"+
		"registered_users_per_organisation:\n- {id: org1, any_user: true, max_allowed_instances: 4}\n")
	people := []access.Identity{of("alice", "org0"), of("alice", "org1"), of("bob", "org1"), of("mallory", "org2"), of("mallory", "org0")}
	accepted, refused := o.orders(40, func(i int) access.Identity { return people[i%len(people)] })
	total := accepted
	for code, n := range refused {
		require.Contains(t, []apierr.Code{apierr.TooManyInstances, apierr.CapacityReached}, code)
		total += n
	}
	require.Equal(t, 40, total)
	c, err := o.Clusters.ByClusterID(bound(t), "c1")
	require.NoError(t, err)
	require.Equal(t, accepted, c.CapacityUsed)
}

func TestARefusedOrderTakesNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "registered_users_per_organisation:\n- {id: org1, any_user: true, max_allowed_instances: 1}\n")
	first, err := o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: "one"})
	require.NoError(t, err)
	require.Equal(t, "c1", first.ClusterID)
	require.Equal(t, live(t, o.d, first.ID).Version, first.Version)
	for _, order := range []Request{{Name: "two"}, {Name: "one"}, {Name: "three", BillingModel: "eval"}, {Name: "four", Plan: "standard.x2"}} {
		order.Async = "true"
		_, err := o.Create(bound(t), of("alice", "org1"), order)
		require.Error(t, err)
	}
	c, err := o.Clusters.ByClusterID(bound(t), "c1")
	require.NoError(t, err)
	require.Equal(t, 1, c.CapacityUsed)
	var rows int64
	require.NoError(t, o.d.Gorm(bound(t)).Table("kafka_events").Count(&rows).Error)
	require.EqualValues(t, 1, rows)
}
