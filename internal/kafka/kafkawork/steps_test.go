package kafkawork_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
)

// A step that needed a second connection while it holds one would wait for
// itself as soon as all workers do so.
func TestEveryStepMakesDoWithOneConnection(t *testing.T) {
	b := newBench(t, 1)
	b.cluster("c1", "strimzi-1")
	id := b.kafka("one", kafka.Accepted)
	require.NoError(t, b.step("accepted_kafka", id))
	require.NoError(t, b.step("preparing_kafka", id))
	k := b.live(id)
	require.Equal(t, kafka.Provisioning, k.Status)
	require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		_, err := kafka.Note(tx, k, kafka.Columns{"routes": kafka.Routes{{Domain: "one." + domain, Router: "r.example.test"}}, "reported_class": kafka.ClassReady}, b.now, "")
		return err
	}))
	require.NoError(t, b.step("kafka_dns", id))
	require.NoError(t, b.step("kafka_dns", id))
	require.Equal(t, kafka.Ready, b.live(id).Status)
	require.NoError(t, b.step("general_kafka_worker", "fleet"))
	b.move(id, kafka.DeleteAsked, kafka.ByUser)
	b.move(id, kafka.ReportedDeleted, kafka.ByAgent)
	require.NoError(t, b.step("deleting_kafka", id))
	require.NoError(t, b.step("deleting_kafka", id))
	_, err := b.store.Live(b.ctx, id)
	require.ErrorIs(t, err, kafka.ErrNotFound)
	require.Equal(t, []string{foreign}, b.clients())
	require.Empty(t, b.dns.Records(domain))
}

// move applies an event that comes from outside the loops.
func (b *bench) move(id kafka.ID, event kafka.Event, by kafka.Actor) {
	b.t.Helper()
	k := b.live(id)
	require.NoError(b.t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		_, err := kafka.Apply(tx, k, kafka.Change{Event: event, Actor: by, Now: b.now})
		return err
	}))
}

func TestWithoutAVersionAnInstanceWaitsFiveMinutes(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "")
	id := b.kafka("one", kafka.Accepted, func(k *kafka.Kafka) { k.CreatedAt = b.now.Add(-24 * time.Hour) })
	for end := b.now.Add(5 * time.Minute); b.now.Before(end); b.now = b.live(id).NextAttemptAt {
		require.NoError(t, b.step("accepted_kafka", id))
		k := b.live(id)
		require.Equal(t, kafka.Accepted, k.Status)
		require.True(t, k.NextAttemptAt.After(b.now))
		require.LessOrEqual(t, k.NextAttemptAt.Sub(b.now), 10*time.Second, "nothing tells it that a version came")
	}
	require.Equal(t, []string{string(id)}, b.due("accepted_kafka"))
	require.NoError(t, b.step("accepted_kafka", id))
	k := b.live(id)
	require.Equal(t, kafka.Failed, k.Status)
	require.Equal(t, kafka.FailedNoVersion, k.FailedCode)
	require.NotEmpty(t, k.FailedReason)
}

func TestPlacementAgainTakesOnlyAClusterThatCanRunIt(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("old", "")
	unassigned := func(k *kafka.Kafka) { k.ClusterID = "" }
	id := b.kafka("one", kafka.Provisioning, unassigned)
	require.NoError(t, b.step("provisioning_kafka", id))
	require.Empty(t, b.live(id).ClusterID)
	b.cluster("young", "strimzi-1")
	for _, status := range []kafka.Status{kafka.Accepted, kafka.Provisioning} {
		id := b.kafka("new-"+string(status), status, unassigned)
		loop := map[kafka.Status]string{kafka.Accepted: "accepted_kafka", kafka.Provisioning: "provisioning_kafka"}[status]
		require.NoError(t, b.step(loop, id))
		require.Equal(t, "young", b.live(id).ClusterID, "though another is older")
	}
}

// Where no CNAME records are written the host name ends in the cluster's own.
func TestPlacementAgainTakesNoClusterWhoseNameIsNotKnown(t *testing.T) {
	b := newBench(t, 4)
	b.deps.DNS, b.deps.Config.EnableCNAMEs = nil, false
	b.rewire()
	b.cluster("nameless", "strimzi-1")
	require.NoError(t, b.d.Gorm(b.ctx).Exec("UPDATE clusters SET cluster_dns = ''").Error)
	id := b.kafka("one", kafka.Provisioning, func(k *kafka.Kafka) { k.ClusterID = "" })
	require.NoError(t, b.step("provisioning_kafka", id))
	k := b.live(id)
	require.Empty(t, k.BootstrapServerHost)
	require.Empty(t, k.ClusterID)
	b.cluster("young", "strimzi-1")
	b.now = k.NextAttemptAt
	require.NoError(t, b.step("provisioning_kafka", id))
	require.Equal(t, "one-"+string(id)+".kas.young.example.test", b.live(id).BootstrapServerHost)
}

// The cluster does nothing but reject: its instance fails an hour after it was
// handed over, not an hour after the last rejection.
func TestAnHourOfRejectionsEndsInAFailure(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	id := b.kafka("one", kafka.Preparing)
	require.NoError(t, b.step("preparing_kafka", id))
	entered, rejections := b.live(id).StatusChangedAt, 0
	agents := kafka.NewService(kafka.Deps{
		DB: b.d, Store: b.store, Clusters: b.deps.Clusters, Config: b.deps.Config, Metrics: b.deps.Metrics, Clock: b.deps.Clock, Logger: b.deps.Logger,
	})
	c, err := b.deps.Clusters.ByClusterID(b.ctx, "c1")
	require.NoError(t, err)
	for b.now.Before(entered.Add(time.Hour)) {
		message := []string{"does not fit", "Cluster has insufficient resources"}[rejections%2]
		require.NoError(t, agents.Report(b.ctx, c, map[kafka.ID]kafka.Report{
			id: {Conditions: []kafka.Condition{{Type: "Ready", Status: "False", Reason: "Rejected", Message: message}}},
		}))
		rejections++
		b.now = b.now.Add(3 * time.Minute)
		require.NoError(t, b.step("provisioning_kafka", id))
		k := b.live(id)
		if k.Status == kafka.Provisioning {
			require.Equal(t, entered, k.StatusChangedAt)
			require.False(t, k.NextAttemptAt.After(entered.Add(time.Hour)), "it is looked at by then")
		}
	}
	require.NoError(t, b.step("provisioning_kafka", id))
	require.Equal(t, kafka.Failed, b.live(id).Status)
	require.Greater(t, rejections, 15)
}

func TestNoTextOfAnUpstreamKeepsARowPastItsDeadline(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	novel := errors.New("bad\x00gate\xffway " + strings.Repeat("<p>no</p>", 1<<19))
	id := b.kafka("one", kafka.Preparing)
	entered := b.now
	fail := func(loop string) {
		_, err := b.loops[loop].Failed(b.ctx, b.d.Tx, string(id), novel)
		require.NoError(t, err)
	}
	for b.now.Before(entered.Add(5 * time.Minute)) {
		fail("preparing_kafka")
		k := b.live(id)
		require.Equal(t, kafka.Preparing, k.Status)
		require.False(t, k.NextAttemptAt.After(entered.Add(5*time.Minute)))
		b.now = k.NextAttemptAt
	}
	fail("preparing_kafka")
	k := b.live(id)
	require.Equal(t, kafka.Failed, k.Status)
	require.Equal(t, kafka.FailedPreparing, k.FailedCode)
	require.True(t, strings.HasPrefix(k.FailedDetail, "badgateway <p>"))
	require.LessOrEqual(t, len(k.FailedDetail), 1024)
	fail("kafka_dns")
	require.Equal(t, 1, b.live(id).RoutesAttempts)
}

func TestRoutesThatNobodyWritesAnyMoreAreDone(t *testing.T) {
	b := newBench(t, 4)
	pending := func(k *kafka.Kafka) {
		k.Routes, k.ReportedClass = kafka.Routes{{Domain: "one." + domain, Router: "r"}}, kafka.ClassReady
	}
	written := b.kafka("one", kafka.Provisioning, pending)
	said := b.kafka("two", kafka.Provisioning, pending, func(k *kafka.Kafka) { k.ReportedClass = kafka.ClassInstalling })
	b.deps.DNS = nil
	b.rewire()
	for _, id := range b.due("kafka_dns") {
		require.NoError(t, b.step("kafka_dns", kafka.ID(id)))
	}
	require.Empty(t, b.due("kafka_dns"))
	require.Equal(t, kafka.Ready, b.live(written).Status)
	require.Equal(t, kafka.Provisioning, b.live(said).Status, "its agent has not said ready")
	require.True(t, b.live(said).RoutesCreated)
}

func TestRoutesThatFailAreTriedLessAndLessOften(t *testing.T) {
	b := newBench(t, 4)
	b.dnsWire.Inject(emulator.Fault{Method: http.MethodPost, Mode: emulator.Before, Status: http.StatusForbidden})
	id := b.kafka("one", kafka.Provisioning, func(k *kafka.Kafka) { k.Routes = kafka.Routes{{Domain: "one." + domain, Router: "r.example.test"}} })
	for tries := 1; tries <= 3; tries++ {
		require.Equal(t, []string{string(id)}, b.due("kafka_dns"))
		require.Error(t, b.step("kafka_dns", id))
		k := b.live(id)
		require.Equal(t, []int{tries, 0}, []int{k.RoutesAttempts, k.Attempts}, "its life has a rhythm of its own")
		require.True(t, k.RoutesDueAt.After(b.now))
		require.Empty(t, b.due("kafka_dns"))
		b.now = *k.RoutesDueAt
	}
	b.dnsWire.ClearFaults()
	require.NoError(t, b.step("kafka_dns", id))
	require.Len(t, b.dns.Records(domain), 1)
	intents, err := b.ledger.Of(b.ctx, kafka.OwnerKind, string(id))
	require.NoError(t, err)
	require.Equal(t, ledger.Created, intents[0].State)
}

func TestAnInstanceWhoseClusterIsGoneIsPlacedAgain(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c2", "strimzi-1")
	id := b.kafka("one", kafka.Accepted)
	require.NoError(t, b.step("accepted_kafka", id))
	require.Equal(t, "c2", b.live(id).ClusterID)
	c, err := cluster.NewStore(b.d).ByClusterID(b.ctx, "c2")
	require.NoError(t, err)
	require.Equal(t, 1, c.CapacityUsed)
}

// The loop that prepares takes the row as the one before has left it. Whoever changed
// or removed it meanwhile must find that nothing was begun for what it was.
func TestARowThatWasHandedOnIsOldWhenItChanged(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	accepted := func(name string) kafka.ID {
		id := b.kafka(name, kafka.Accepted)
		require.NoError(t, b.step("accepted_kafka", id))
		require.Equal(t, kafka.Preparing, b.live(id).Status)
		return id
	}
	searches := func() (n int) {
		for _, call := range b.ssoWire.Journal() {
			if call.Method == http.MethodGet && strings.HasSuffix(call.Path, "/clients") {
				n++
			}
		}
		return n
	}
	id := accepted("usual")
	require.NoError(t, b.step("preparing_kafka", id))
	require.Equal(t, kafka.Provisioning, b.live(id).Status)
	require.ElementsMatch(t, []string{foreign, kafka.CanaryClientID(id)}, b.clients())
	require.Zero(t, searches(), "what nobody can have made is not looked for")

	id = accepted("other-owner")
	require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		_, err := kafka.Note(tx, b.live(id), kafka.Columns{"owner": "bob"}, b.now, "")
		return err
	}))
	require.NoError(t, b.step("preparing_kafka", id), "a lost race is no failure")
	require.Equal(t, kafka.Preparing, b.live(id).Status)
	require.Len(t, b.clients(), 2)
	require.NoError(t, b.step("preparing_kafka", id))
	require.Equal(t, kafka.Provisioning, b.live(id).Status)
	for _, c := range b.sso.Clients(realm) {
		if c.ClientID == kafka.CanaryClientID(id) {
			require.Equal(t, "bob", c.Attributes["username"])
		}
	}

	id = accepted("gone")
	b.move(id, kafka.DeleteAsked, kafka.ByUser)
	require.NoError(t, b.step("deleting_kafka", id))
	require.NoError(t, b.step("deleting_kafka", id))
	require.NoError(t, b.step("preparing_kafka", id))
	require.Len(t, b.clients(), 3, "nothing is made for who is gone")
	intents, err := b.ledger.Of(b.ctx, kafka.OwnerKind, string(id))
	require.NoError(t, err)
	require.Empty(t, intents)
}
