package database

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Kinds of transactions on an instance's way, by a statement that only they have.
// The first three are a customer's, who has to be told the truth.
const (
	order  = `INSERT INTO "?kafka_requests"?`
	change = `SET reauthentication_enabled`
	remove = `kafka_events.*"delete_asked"`
)

var steps = map[string]string{
	"order":              order,
	"change":             change,
	"remove":             remove,
	"placed":             `kafka_events.*"placed"`,
	"client intended":    `INSERT INTO external_resources.*"canary-`,
	"prepared":           `kafka_events.*"prepared"`,
	"routes reported":    `INSERT INTO external_resources.*"dns_record"`,
	"records noted":      `SET routes_creation_id`,
	"became ready":       `kafka_events.*"became_ready"`,
	"reported deleted":   `kafka_events.*"reported_deleted"`,
	"intents closed":     `UPDATE "?external_resources"? SET .*"gone"`,
	"erased":             `kafka_events.*"erased"`,
	"failure noted":      `UPDATE external_resources SET attempts = attempts \+ 1`,
	"instance postponed": `UPDATE kafka_requests SET attempts = attempts \+ 1`,
}

// troubled are the steps that only happen when an upstream fails.
var troubled = []string{"failure noted", "instance postponed"}

func statement(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?s)` + pattern) }

// shuffled gives the names of a table in an order of the round's own.
func shuffled(random *rand.Rand, table map[string]string) []string {
	names := slices.Sorted(maps.Keys(table))
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// each runs a round at each of the two points of a commit.
func each(t *testing.T, run campaign.Run, round func(t *testing.T, random *rand.Rand, at faultproxy.Point)) {
	t.Helper()
	for i := range run.Rounds() {
		for _, at := range []faultproxy.Point{faultproxy.BeforeCommit, faultproxy.AfterCommit} {
			t.Run(fmt.Sprintf("%d cut %s", i, at), func(t *testing.T) {
				t.Parallel()
				round(t, run.Rand(i), at)
			})
		}
	}
}

func TestNoCommitIsLostOrDoneTwiceOnAnInstancesWay(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 100})
	each(t, run, func(t *testing.T, random *rand.Rand, at faultproxy.Point) {
		w := harness.New(t, patient, harness.Proxied(), harness.Faulty())
		for _, name := range shuffled(random, steps) {
			l := &life{T: t, w: w, c: w.As(harness.Alice), step: name, at: at}
			l.live()
			run.Count("cuts", 1)
		}
	})
}

// A connection that says nothing after a COMMIT costs the time of a transaction
// each, so only the full tier tries it, one step a round.
func TestACommitWithoutAnAnswerEndsInTime(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Full: 50})
	for i := range run.Rounds() {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			w := harness.New(t, patient, harness.Proxied(), harness.Faulty())
			l := &life{T: t, w: w, c: w.As(harness.Alice), step: shuffled(run.Rand(i), steps)[0], at: faultproxy.AfterCommit, mute: true}
			began := time.Now()
			l.live()
			require.Less(t, time.Since(began), 40*time.Second, l.step)
			run.Count("cuts", 1)
		})
	}
	if run.N == 0 {
		t.Skip("only in the full tier")
	}
}

// life is one instance from order to end, with one commit cut on its way.
type life struct {
	*testing.T
	w    *harness.World
	c    *harness.Caller
	step string
	at   faultproxy.Point
	mute bool // the connection falls silent instead of being reset
}

func (l *life) live() {
	l.Helper()
	trap := l.w.Replica(0).Database.Trap(faultproxy.Cut{At: l.at, Match: statement(steps[l.step]), Mute: l.mute})
	if l.step == troubled[0] || l.step == troubled[1] {
		l.w.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: "/admin/realms/rhoas/clients$", Mode: emulator.Before, Status: 503, Times: 2})
	}
	id := l.order()
	ready(l.w, id)
	l.change(id)
	l.remove(id)
	l.w.WaitGone(id)
	require.Equal(l, 1, trap.Fired(), l.step)
	trap.Disarm()
	require.Equal(l, undisturbed, l.w.History(id), l.step)
}

// survived tells whether what a failed call had asked for was done.
func (l *life) survived(reply harness.Response, step string) bool {
	l.Helper()
	reply.MustFail(http.StatusInternalServerError, unspecified)
	require.Equal(l, steps[step], steps[l.step], "a failure without a fault")
	return l.at == faultproxy.AfterCommit
}

func (l *life) order() string {
	l.Helper()
	const name = "one"
	var k harness.Kafka
	reply := l.c.Create(harness.Order{Name: name})
	if reply.Status != http.StatusAccepted {
		if l.survived(reply, "order") {
			there := named(l.w, l.c, name)
			require.Len(l, there, 1, "the order was committed")
			l.c.Create(harness.Order{Name: name}).MustFail(http.StatusConflict, 36)
			return there[0]
		}
		require.Empty(l, named(l.w, l.c, name), "the order was not committed")
		reply = l.c.Create(harness.Order{Name: name})
	}
	reply.Must(http.StatusAccepted).Into(&k)
	require.Equal(l, []string{k.ID}, named(l.w, l.c, name))
	return k.ID
}

func (l *life) change(id string) {
	l.Helper()
	set := map[string]any{"reauthentication_enabled": false}
	if reply := l.c.Do(http.MethodPatch, "/kafkas/"+id, set); reply.Status != http.StatusOK {
		require.Equal(l, !l.survived(reply, "change"), l.c.Get(id).ReauthenticationEnabled)
	}
	require.False(l, l.c.Patch(id, set).ReauthenticationEnabled)
}

func (l *life) remove(id string) {
	l.Helper()
	reply := l.c.Do(http.MethodDelete, "/kafkas/"+id+"?async=true", nil)
	if reply.Status == http.StatusAccepted {
		return
	}
	if l.survived(reply, "remove") {
		require.Contains(l, l.w.History(id), "delete_asked")
	} else {
		require.Equal(l, "ready", l.c.Get(id).Status)
	}
	again := l.c.Do(http.MethodDelete, "/kafkas/"+id+"?async=true", nil)
	require.Contains(l, []int{http.StatusAccepted, http.StatusNotFound}, again.Status, "asking again is no mistake")
}

// accountSteps are the transactions of a service account's life.
var accountSteps = map[string]string{
	"intended":  `INSERT INTO external_resources.*"srvc-acct-`,
	"made":      `UPDATE "?external_resources"? SET .*"created"`,
	"condemned": `FOR UPDATE`,
	"closed":    `UPDATE "?external_resources"? SET .*"gone"`,
}

func TestNoServiceAccountIsLeftBehindByACommit(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 100})
	each(t, run, func(t *testing.T, random *rand.Rand, at faultproxy.Point) {
		w := harness.New(t, patient, harness.Proxied(), harness.Faulty())
		for _, name := range shuffled(random, accountSteps) {
			cutAccount(t, w, name, at)
			run.Count("cuts", 1)
		}
	})
}

func cutAccount(t *testing.T, w *harness.World, step string, at faultproxy.Point) {
	t.Helper()
	alice := w.As(harness.Alice)
	count := func() int {
		var list struct{ Items []struct{ ID string } }
		alice.Do(http.MethodGet, "/service_accounts", nil).Must(http.StatusOK).Into(&list)
		return len(list.Items)
	}
	trap := w.Replica(0).Database.Trap(faultproxy.Cut{At: at, Match: statement(accountSteps[step])})
	var account struct{ ID string }
	reply := alice.Do(http.MethodPost, "/service_accounts", `{"name":"mine"}`)
	if reply.Status != http.StatusAccepted {
		reply.MustFail(http.StatusInternalServerError, unspecified)
		require.Zero(t, count(), "of a creation that failed nothing is left: %s", step)
		reply = alice.Do(http.MethodPost, "/service_accounts", `{"name":"mine"}`)
	}
	reply.Must(http.StatusAccepted).Into(&account)
	require.Equal(t, 1, count(), step)
	insist(t, w, "the deletion of an account", func() harness.Response {
		return alice.Do(http.MethodDelete, "/service_accounts/"+account.ID, nil)
	}).Must(http.StatusNoContent)
	require.Zero(t, count(), step)
	require.Equal(t, 1, trap.Fired(), step)
	trap.Disarm()
}

func TestAClusterIsEquippedWhateverCommitIsCut(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 100})
	each(t, run, func(t *testing.T, random *rand.Rand, at faultproxy.Point) {
		w := harness.New(t, patient, harness.Proxied(), harness.Faulty(), harness.Unequipped(),
			harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 3, Pending: true}))
		w.WaitCluster(harness.ClusterOne, cluster.Provisioning)
		proxy := w.Replica(0).Database
		// Every other transaction on the way is cut, each once more or less often.
		var traps []*faultproxy.Trap
		for _, pattern := range []string{`UPDATE clusters SET`, `INSERT INTO external_resources.*"addon"`, `UPDATE "?external_resources"? SET .*"created"`} {
			traps = append(traps, proxy.Trap(faultproxy.Cut{At: at, Match: statement(pattern), Nth: 1 + random.IntN(2), Times: 1 + random.IntN(2)}))
		}
		w.OCM.SetClusterState(harness.ClusterOne, "ready", "")
		w.WaitCluster(harness.ClusterOne, cluster.Ready)
		alice := w.As(harness.Alice)
		ready(w, alice.CreateKafka("one").ID)
		fired := 0
		for _, trap := range traps {
			fired += trap.Fired()
		}
		require.GreaterOrEqual(t, fired, 2)
		run.Count("cuts", fired)
	})
}
