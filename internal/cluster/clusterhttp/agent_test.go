package clusterhttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster/clusterhttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bench struct {
	t     *testing.T
	ctx   context.Context
	d     *db.DB
	agent *clusterhttp.Agent
	store *cluster.Store
}

func setup(t *testing.T, capacity cluster.Capacities, o cluster.Observability) bench {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	b := bench{t: t, ctx: ctx, d: postgres.Database(t)}
	b.store = cluster.NewStore(b.d)
	b.agent = clusterhttp.NewAgent(cluster.NewService(cluster.Deps{
		DB: b.d, Store: b.store, Config: cluster.Config{Observability: o},
		Metrics: cluster.NewMetrics(prometheus.NewRegistry(), cluster.Config{}), Clock: clock.System, Logger: slog.New(slog.DiscardHandler),
	}))
	id, now := "c1", clock.System()
	require.NoError(t, b.d.Tx(ctx, func(tx db.Tx) error {
		return cluster.Insert(tx, cluster.Cluster{
			ID: "row1", CreatedAt: now, UpdatedAt: now, StatusChangedAt: now, NextAttemptAt: now, Version: 1, ClusterID: &id,
			CloudProvider: "aws", Region: "us-east-1", Status: cluster.WaitingForAgent, ClusterType: "managed", DynamicCapacityInfo: capacity,
		})
	}))
	return b
}

func (b bench) config() string {
	b.t.Helper()
	answer, err := b.agent.GetKafkaAgent(b.ctx, agent.GetKafkaAgentRequestObject{ID: "c1"})
	require.NoError(b.t, err)
	w := httptest.NewRecorder()
	require.NoError(b.t, answer.VisitGetKafkaAgentResponse(w))
	return w.Body.String()
}

func (b bench) report(id, body string) (int, error) {
	b.t.Helper()
	var in agent.DataPlaneClusterUpdateStatusRequest
	require.NoError(b.t, json.NewDecoder(bytes.NewBufferString(body)).Decode(&in))
	answer, err := b.agent.UpdateAgentClusterStatus(b.ctx, agent.UpdateAgentClusterStatusRequestObject{ID: id, Body: &in})
	if err != nil {
		return 0, err
	}
	w := httptest.NewRecorder()
	require.NoError(b.t, answer.VisitUpdateAgentClusterStatusResponse(w))
	require.Empty(b.t, w.Body.String())
	return w.Code, nil
}

func TestConfigWithoutLimits(t *testing.T) {
	b := setup(t, nil, cluster.Observability{})
	require.Equal(t, `{"spec":{"net":{"private":false},"observability":{"accessToken":""}}}`+"\n", b.config())
}

func TestConfigIsStableByTheByte(t *testing.T) {
	b := setup(t, cluster.Capacities{"standard": {MaxNodes: 9, MaxUnits: 3}, "developer": {MaxNodes: 3}, "other": {}},
		cluster.Observability{Repository: "quay.io/x/y", Channel: "resources", Tag: "latest", Token: "t0ken"})
	want := `{"spec":{"capacity":{"developer":{"maxNodes":3},"other":{},"standard":{"maxNodes":9}},"net":{"private":false},` +
		`"observability":{"accessToken":"t0ken","channel":"resources","repository":"quay.io/x/y","tag":"latest"}}}` + "\n"
	for range 20 {
		require.Equal(t, want, b.config())
	}
	status, err := b.report("c1", `{"conditions":[{"type":"Ready","status":"True"}]}`)
	require.NoError(t, err)
	require.Equal(t, 204, status)
	require.Equal(t, want, b.config(), "what the agent reports is no news to it")
}

func TestStatus(t *testing.T) {
	b := setup(t, cluster.Capacities{"standard": {MaxNodes: 9}}, cluster.Observability{})
	status, err := b.report("c1", `{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"x"}],
		"strimzi":[{"ready":true,"version":"so.v0.23.0-4","kafkaVersions":["2.8.0","2.7.0"],"kafkaIbpVersions":["2.8","2.7"]}],
		"capacity":{"standard":{"maxUnits":3,"remainingUnits":2}},"updatedTimestamp":"2026-11-22T12:00:00Z"}`)
	require.NoError(t, err)
	require.Equal(t, 204, status)
	c, err := b.store.ByClusterID(b.ctx, "c1")
	require.NoError(t, err)
	require.Equal(t, cluster.Ready, c.Status)
	require.Equal(t, cluster.Capacities{"standard": {MaxNodes: 9, MaxUnits: 3, RemainingUnits: 2}}, c.DynamicCapacityInfo)
	require.Equal(t, cluster.StrimziVersions{{
		Version: "so.v0.23.0-4", Ready: true, KafkaVersions: []cluster.VersionName{{Version: "2.7.0"}, {Version: "2.8.0"}},
		KafkaIBPVersions: []cluster.VersionName{{Version: "2.7"}, {Version: "2.8"}},
	}}, c.AvailableStrimziVersions)
}

func TestAVanishedClusterIsABadRequest(t *testing.T) {
	b := setup(t, nil, cluster.Observability{})
	_, err := b.agent.GetKafkaAgent(b.ctx, agent.GetKafkaAgentRequestObject{ID: "gone"})
	require.True(t, apierr.Is(err, apierr.BadRequest))
	_, err = b.report("gone", `null`)
	require.True(t, apierr.Is(err, apierr.BadRequest))
	_, err = b.report("c1", `{"strimzi":[{"ready":true,"version":"x"}]}`)
	require.True(t, apierr.Is(err, apierr.FieldInvalid))
	status, err := b.report("c1", `null`)
	require.NoError(t, err, "nothing is said, so nothing is wrong")
	require.Equal(t, 204, status)
}
