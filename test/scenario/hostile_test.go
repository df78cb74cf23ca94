package scenario

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Each of these once held up a whole fleet, or would have.

// More instances than workers wait for the SSO, and two connections are all there is.
func TestAFewConnectionsAreEnoughForManyInstances(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Set("db-max-open-connections", "2"))
	h.SSO.Inject(adminDown)
	alice := h.As(harness.Alice)
	var ids []string
	for i := range 40 {
		ids = append(ids, alice.CreateKafka("kafka-"+strconv.Itoa(i)).ID)
	}
	for _, id := range ids {
		h.WaitStatus(id, kafka.Preparing)
	}
	h.SSO.ClearFaults()
	for _, id := range ids {
		h.WaitStatus(id, kafka.Ready)
	}
}

func TestAnAgentWhoseClockRunsAheadIsHeard(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	one.Sends(map[string]agent.Status{k.ID: {
		Conditions:       []agent.Condition{{Type: "Ready", Status: "False", Reason: "Installing"}},
		UpdatedTimestamp: time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339Nano),
	}})
	require.Equal(t, kafka.ClassInstalling, h.Row(k.ID).ReportedClass)
	one.Ready(k.ID) // the clock was set right
	h.WaitStatus(k.ID, kafka.Ready)
}

func TestAReportThatOnlyPartlyMakesSense(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one, alice := h.Agent(harness.ClusterOne), h.As(harness.Alice)
	ready := []agent.Condition{{Type: "Ready", Status: "True"}}
	route := func(prefix string) agent.Route {
		return agent.Route{Name: prefix, Prefix: prefix, Router: "kas.mk-c1.example.test"}
	}
	report, bad := map[string]agent.Status{}, map[string][]agent.Route{
		"long": {route(strings.Repeat("x", 6<<10))}, "twice": {route("a"), route("a")}, "odd": {route("a b")}, "many": {},
	}
	for i := range 65 {
		bad["many"] = append(bad["many"], route("broker-"+strconv.Itoa(i)))
	}
	var ids []string
	for name, routes := range bad {
		id := alice.CreateKafka(name).ID
		h.WaitStatus(id, kafka.Provisioning)
		report[id], ids = agent.Status{Conditions: ready, Routes: routes}, append(ids, id)
	}
	good, broken := alice.CreateKafka("good").ID, alice.CreateKafka("broken").ID
	h.WaitStatus(good, kafka.Provisioning)
	h.WaitStatus(broken, kafka.Provisioning)
	report[good] = agent.Status{Conditions: ready, Routes: []agent.Route{route("")}}
	report[broken] = agent.Status{Conditions: []agent.Condition{
		{Type: "Ready", Status: "False", Reason: "Error", Message: strings.Repeat("it crashed ", 5<<20/11)},
	}}
	one.Sends(report)
	h.WaitStatus(good, kafka.Ready)
	row := h.WaitStatus(broken, kafka.Failed)
	require.True(t, strings.HasPrefix(row.FailedDetail, "it crashed it crashed"))
	require.LessOrEqual(t, len(row.FailedDetail), 1024)
	for _, id := range ids {
		require.Equal(t, kafka.Provisioning, h.Row(id).Status)
		one.Ready(id) // and said rightly it counts
		h.WaitStatus(id, kafka.Ready)
	}
}

func TestAReportOfNothingThatWeKnow(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	const unknown = 70_000
	report := make(map[string]agent.Status, unknown)
	for i := range unknown {
		report[fmt.Sprintf("unknown-%d", i)] = agent.Status{}
	}
	before := strings.Count(h.Log(), "unknown-")
	h.AsAgent(harness.ClusterOne).Do(http.MethodPut, "/agent-clusters/"+harness.ClusterOne+"/kafkas/status", report).Must(http.StatusOK)
	require.Equal(t, before, strings.Count(h.Log(), "unknown-"), "no line for each")
	require.Equal(t, 1, strings.Count(h.Log(), `"count":70000`))
	var rows int
	h.Scan(&rows, "SELECT (SELECT count(*) FROM kafka_requests) + (SELECT count(*) FROM external_resources WHERE owner_kind = 'kafka') + (SELECT count(*) FROM kafka_events)")
	require.Zero(t, rows)
}

func TestAnInstanceThatNoAgentCanHaveSeenIsNotReported(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	h.SSO.Inject(adminDown)
	one, alice := h.Agent(harness.ClusterOne), h.As(harness.Alice)
	preparing := alice.CreateKafka("preparing").ID
	h.WaitStatus(preparing, kafka.Preparing)
	withoutVersions(h)
	waiting := alice.CreateKafka("waiting").ID
	for _, id := range []string{preparing, waiting} {
		before := h.Row(id)
		for _, reason := range []string{"", "Error", "Deleted", "Rejected", "Suspended"} {
			one.Says(id, "True", reason, noRoom)
			one.Says(id, "False", reason, noRoom)
		}
		after := h.Row(id)
		require.Equal(t, []any{before.Version, before.Status, before.ReportedClass}, []any{after.Version, after.Status, after.ReportedClass})
	}
	h.SSO.ClearFaults()
	h.WaitStatus(preparing, kafka.Provisioning)
	one.Ready(preparing)
	h.WaitStatus(preparing, kafka.Ready)
}

func TestAnAgentHasTheSameListUntilARowChanges(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	one, two := alice.CreateKafka("one").ID, alice.CreateKafka("two").ID
	h.WaitStatus(one, kafka.Ready)
	h.WaitStatus(two, kafka.Ready)
	asks := h.AsAgent(harness.ClusterOne)
	path := "/agent-clusters/" + harness.ClusterOne + "/kafkas"
	first := asks.Do(http.MethodGet, path, nil).Must(http.StatusOK)
	tag := first.Header.Get("ETag")
	require.NotEmpty(t, tag)
	require.Empty(t, asks.With("If-None-Match", tag).Do(http.MethodGet, path, nil).Must(http.StatusNotModified).Body)

	// A secret that cannot be opened any more: the list has a gap, and no mark but its content.
	h.Agent(harness.ClusterOne).SetManner(agent.Silent)
	sealed := h.Row(one).CanaryServiceAccountClientSecret
	h.Exec("UPDATE kafka_requests SET canary_service_account_client_secret = 'first:AAAA', version = version + 1 WHERE id = ?", one)
	var gapTag string
	for range 2 {
		gap := asks.With("If-None-Match", tag).Do(http.MethodGet, path, nil).Must(http.StatusOK)
		gapTag = gap.Header.Get("ETag")
		require.NotContains(t, string(gap.Body), one)
		require.Contains(t, string(gap.Body), two)
	}
	h.Exec("UPDATE kafka_requests SET canary_service_account_client_secret = ? WHERE id = ?", sealed, one)
	whole := asks.With("If-None-Match", gapTag).Do(http.MethodGet, path, nil).Must(http.StatusOK)
	require.Contains(t, string(whole.Body), one, "it shows up as soon as it can be shown, though its version stayed")
	h.Exec("UPDATE kafka_requests SET canary_service_account_client_secret = 'first:AAAA', version = version + 1 WHERE id = ?", one)
	alice.Delete(one)
	require.Contains(t, string(asks.Do(http.MethodGet, path, nil).Body), one, "or it would never be removed")
	h.Agent(harness.ClusterOne).SetManner(agent.Honest)
	h.WaitGone(one)
}

func TestAnInstanceWithoutAVersionFailsAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	withoutVersions(h)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitRow(k.ID, "a try", func(k kafka.Kafka) bool { return k.Status == kafka.Accepted && k.Attempts > 0 })
	h.Age(k.ID, 5*time.Minute)
	require.Equal(t, kafka.FailedNoVersion, h.WaitStatus(k.ID, kafka.Failed).FailedCode)
	require.NotEmpty(t, alice.Get(k.ID).FailedReason)
}

func TestOrdersForAClusterOfOnesOwnAreCheckedToTheEnd(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	const id = "1sandbox0000000000000000000000c9"
	for body, code := range map[string]int{
		`{"name":"one","cluster_id":"not-one"}`:                                                         45,
		`{"name":"one","cluster_id":"not-one","plan":"nine.lives"}`:                                     45,
		`{"name":"one","cluster_id":"short"}`:                                                           24,
		`{"name":"one","cluster_id":"` + id + `","plan":"nine.lives"}`:                                  21,
		`{"name":"one","cluster_id":"` + id + `","billing_model":"standard"}`:                           43,
		`{"name":"one","cluster_id":"` + id + `","billing_model":"enterprise","marketplace":"aws"}`:     43,
		`{"name":"one","cluster_id":"` + id + `","cloud_provider":"moon","billing_model":"ENTERPRISE"}`: 24,
	} {
		reply := alice.Do(http.MethodPost, "/kafkas?async=true", body)
		require.Equal(t, "KAFKAS-MGMT-"+strconv.Itoa(code), reply.Error().Code, body)
	}
	require.Empty(t, alice.List().Items)
}

func TestANULInOneEntryHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	alice, one := h.As(harness.Alice), h.Agent(harness.ClusterOne)
	bad, good := alice.CreateKafka("bad"), alice.CreateKafka("good")
	h.WaitStatus(bad.ID, kafka.Provisioning)
	h.WaitStatus(good.ID, kafka.Provisioning)
	failed := func(message string) agent.Status {
		return agent.Status{Conditions: []agent.Condition{{Type: "Ready", Status: "False", Reason: "Error", Message: message}}}
	}
	one.Sends(map[string]agent.Status{bad.ID: failed("a\x00b"), good.ID: failed("plain"), "x\x00y": failed("nobody")})
	require.Equal(t, kafka.Failed, h.Row(good.ID).Status)
	require.Equal(t, "ab", h.Row(bad.ID).FailedDetail)
}
