package scenario

import (
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Leases of the two reconcilers.
const (
	kafkaLease   = "kafka_reconciler"
	clusterLease = "cluster_reconciler"
)

// outcome is what a reply says in short: a status and, for a refusal, its code.
type outcome struct {
	status int
	code   string
}

var accepted = outcome{status: http.StatusAccepted}

func refused(status, code int) outcome {
	return outcome{status, "KAFKAS-MGMT-" + strconv.Itoa(code)}
}

// together sends the calls at the same time and counts what comes back.
func together(calls ...func() harness.Response) map[outcome]int {
	begin := make(chan struct{})
	replies := make([]harness.Response, len(calls))
	var running sync.WaitGroup
	for i, call := range calls {
		running.Go(func() {
			<-begin
			replies[i] = call()
		})
	}
	close(begin)
	running.Wait()
	counts := map[outcome]int{}
	for _, r := range replies {
		counts[outcome{r.Status, r.Error().Code}]++
	}
	return counts
}

// orders gives n orders that go to the replicas in turn.
func orders(h *harness.World, n int, order func(i int) (user string, o harness.Order)) []func() harness.Response {
	var calls []func() harness.Response
	for i := range n {
		user, o := order(i)
		caller := h.Replica(i % 2).As(user)
		calls = append(calls, func() harness.Response { return caller.CreateInTurn(o) })
	}
	return calls
}

func TestInstancesOrderedAtAnyReplicaBecomeReady(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	for i := range 4 {
		k := h.Replica(i % 2).As(harness.Alice).CreateKafka("kafka-" + strconv.Itoa(i))
		h.WaitStatus(k.ID, kafka.Ready)
		require.Equal(t, "ready", h.Replica((i+1)%2).As(harness.Bob).Get(k.ID).Status)
	}
}

func TestAnotherReplicaGoesOnWhenTheLeaderStops(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	h.Agent(harness.ClusterOne).SetFate(agent.Stuck)
	h.SSO.Inject(adminDown)
	before := h.As(harness.Alice).CreateKafka("before")
	h.WaitStatus(before.ID, kafka.Preparing)
	for _, lease := range []string{kafkaLease, clusterLease} {
		leader := h.WaitLeader(lease)
		leader.Stop()
		next := h.WaitLeader(lease)
		require.NotEqual(t, leader.URL, next.URL)
		h.StartReplica()
	}
	h.SSO.ClearFaults()
	after := h.As(harness.Alice).CreateKafka("after")
	h.WaitStatus(before.ID, kafka.Provisioning)
	h.WaitStatus(after.ID, kafka.Provisioning)
	h.Agent(harness.ClusterOne).SetFate(agent.Healthy)
	h.WaitStatus(before.ID, kafka.Ready)
	h.WaitStatus(after.ID, kafka.Ready)
}

func TestAWholeFleetOfReplicasIsReplaced(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.Replica(0).Stop()
	h.Replica(0).Stop()
	h.StartReplica()
	h.WaitStatus(k.ID, kafka.Ready)
	alice.Delete(k.ID)
	h.Replica(0).Stop()
	h.StartReplica()
	h.WaitGone(k.ID)
}

func TestTheLastTrialInstanceIsGivenOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2))
	counts := together(orders(h, 6, func(i int) (string, harness.Order) {
		return harness.Mallory, harness.Order{Name: "trial-" + strconv.Itoa(i)}
	})...)
	require.Equal(t, map[outcome]int{accepted: 1, refused(403, 24): 5}, counts)
	require.Equal(t, "developer", h.As(harness.Mallory).List().Items[0].InstanceType)
}

func TestTheLastUnitOfARegionIsGivenOnce(t *testing.T) {
	t.Parallel()
	// Of several organisations, since those of one wait for each other anyway.
	h := harness.New(t, harness.Replicas(2), harness.Providers(`
supported_providers:
- name: aws
  default: true
  regions:
  - {name: us-east-1, default: true, supported_instance_type: {standard: {limit: 3}, developer: {limit: 0}}}
`), harness.QuotaList(`
registered_users_per_organisation:
- {id: "`+harness.Organisation+`", any_user: true, max_allowed_instances: 10}
- {id: "`+harness.LimitedOrganisation+`", any_user: true, max_allowed_instances: 10}
- {id: "`+harness.StrangeOrganisation+`", any_user: true, max_allowed_instances: 10}
`))
	users := []string{harness.Alice, harness.Dave, harness.Mallory}
	counts := together(orders(h, 12, func(i int) (string, harness.Order) {
		return users[i%3], harness.Order{Name: "kafka-" + strconv.Itoa(i)}
	})...)
	require.Equal(t, map[outcome]int{accepted: 3, refused(403, 24): 9}, counts)
}

func TestAClosedRegionTakesNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Providers(`
supported_providers:
- name: aws
  default: true
  regions:
  - {name: us-east-1, default: true, supported_instance_type: {standard: {}, developer: {limit: 0}}}
  - {name: eu-west-1, supported_instance_type: {developer: {}}}
`))
	h.As(harness.Mallory).Create(harness.Order{Name: "trial"}).MustFail(403, 24)
	h.As(harness.Alice).Create(harness.Order{Name: "one", Region: "eu-west-1"}).MustFail(400, 41)
	h.As(harness.Mallory).Create(harness.Order{Name: "trial", Region: "eu-west-1"}).MustFail(403, 24) // there is no cluster
}

func TestTheMetricsNameNoInstanceAndNoCustomer(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
	status, page := h.Replica(0).Page(h.Replica(0).Metrics)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "kas_fleet_manager_")
	for _, word := range []string{k.ID, harness.Alice, harness.Organisation} {
		require.NotContains(t, page, word)
	}
}
