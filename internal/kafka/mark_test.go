package kafka_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/xid"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka/kafkahttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// desk is what a cluster's agent asks, of a build of ours.
type desk struct {
	t       *testing.T
	d       *db.DB
	keyring *db.Keyring
	service *kafka.Service
}

func newDesk(t *testing.T) desk {
	t.Helper()
	d := postgres.Database(t)
	keyring, err := db.ParseKeyring("test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	require.NoError(t, err)
	return desk{t, d, keyring, kafka.NewService(kafka.Deps{
		DB: d, Store: kafka.NewStore(d), Clusters: cluster.NewStore(d), Keyring: keyring,
		Metrics: kafka.NewMetrics(prometheus.NewRegistry()), Clock: clock.System, Logger: slog.New(slog.DiscardHandler),
	})}
}

func (k desk) within() context.Context {
	ctx, cancel := context.WithTimeout(k.t.Context(), 30*time.Second)
	k.t.Cleanup(cancel)
	return ctx
}

// put stores an instance whose secret is sealed for its own row or for another.
func (k desk) put(name string, status kafka.Status, sealedFor kafka.ID) kafka.ID {
	k.t.Helper()
	now, id := clock.System(), kafka.ID(xid.New().String())
	if sealedFor == "" {
		sealedFor = id
	}
	sealed, err := k.keyring.Seal(log.Secret("canary's own"), "kafka_requests", kafka.CanarySecretColumn, string(sealedFor))
	require.NoError(k.t, err)
	row := kafka.Kafka{
		ID: id, CreatedAt: now, UpdatedAt: now, Version: 1, Name: name, Status: status, StatusChangedAt: now, NextAttemptAt: now,
		CloudProvider: "aws", Region: "us-east-1", Owner: "alice", OrganisationID: "org1", InstanceType: "standard", SizeID: "x1",
		CapacityConsumed: 1, QuotaConsumed: 1, QuotaType: "quota-management-list", MaxDataRetentionSize: "1000Gi", ClusterID: "c1", BootstrapServerHost: name + ".kafka.test",
		CanaryServiceAccountClientID: "canary-" + string(id), CanaryServiceAccountClientSecret: sealed,
	}
	require.NoError(k.t, k.d.Gorm(k.within()).Create(&row).Error)
	return id
}

// asks is what the agent reads; tag is what it has.
func (k desk) asks(build, tag string) (status int, etag, body string) {
	k.t.Helper()
	handlers, err := kafkahttp.NewAgent(k.service, k.service.Clusters, kafkahttp.AgentSettings{Build: build, Auth: true})
	require.NoError(k.t, err)
	reply, err := handlers.GetKafkas(k.within(), agent.GetKafkasRequestObject{ID: "c1", Params: agent.GetKafkasParams{IfNoneMatch: tag}})
	require.NoError(k.t, err)
	seen := httptest.NewRecorder()
	require.NoError(k.t, reply.VisitGetKafkasResponse(seen))
	return seen.Code, seen.Header().Get("ETag"), seen.Body.String()
}

func TestAnotherBuildIsAskedAnew(t *testing.T) {
	t.Parallel()
	k := newDesk(t)
	k.put("one", kafka.Ready, "")
	status, tag, body := k.asks("build-1", "")
	require.Equal(t, http.StatusOK, status)
	require.NotEmpty(t, tag)
	status, again, _ := k.asks("build-1", tag)
	require.Equal(t, http.StatusNotModified, status)
	require.Equal(t, tag, again)
	status, other, same := k.asks("build-2", tag)
	require.Equal(t, http.StatusOK, status, "it may show the same rows in another way")
	require.NotEqual(t, tag, other)
	require.Equal(t, body, same)
}

func TestAListWithAGapHasNoMark(t *testing.T) {
	t.Parallel()
	k := newDesk(t)
	whole := k.put("one", kafka.Ready, "")
	status, tag, _ := k.asks("build-1", "")
	require.Equal(t, http.StatusOK, status)

	unreadable := k.put("two", kafka.Ready, "somebody-else")
	leaving := k.put("three", kafka.Deprovision, "somebody-else")
	k.put("four", kafka.Ready, "somebody-else") // whatever the order, a good row comes behind a bad one
	spoilt, gone := k.put("five", kafka.Ready, ""), k.put("six", kafka.Deprovision, "")
	require.NoError(t, k.d.Gorm(k.within()).Exec("UPDATE kafka_requests SET size_snapshot = '[]' WHERE id IN ?", []kafka.ID{spoilt, gone}).Error)
	for range 2 {
		status, etag, body := k.asks("build-1", tag)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, []string{"", `""`}, etag, "what is missing must be seen as soon as it can be shown")
		require.Contains(t, body, string(whole))
		require.NotContains(t, body, string(unreadable))
		require.NotContains(t, body, string(spoilt), "no limits are better than 0")
		require.Contains(t, body, string(leaving), "what is removed needs no secret")
		require.Contains(t, body, string(gone), "nor a size")
	}
}
