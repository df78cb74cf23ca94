package scenario

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// The windows on the way out, and those of DNS records; see windows_test.go.

func TestWindow13WhatIsGoneAlreadyIsNoObstacleToADeletion(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	// Both deletions take effect and then seem to fail: the next pass finds nothing.
	h.SSO.Inject(emulator.Fault{Method: http.MethodDelete, Path: ssoAdmin, Mode: emulator.ResetAfter, Times: 1})
	h.DNS.Inject(emulator.Fault{Method: http.MethodPost, Path: "/rrset", Mode: emulator.ResetAfter, Times: 1})
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow14AnInstanceWithoutAClusterLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SSO.Inject(emulator.Fault{Method: http.MethodGet, Path: "/client-secret$", Mode: emulator.Before, Status: 503})
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.Until("the client in the SSO", func() (bool, string) { return canaries(h) == 1, "none" })
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
	require.Zero(t, canaries(h))
}

func TestWindow17RecordsThatExistAlreadyAreTakenOver(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	row := h.WaitStatus(k.ID, kafka.Provisioning)
	// As a process leaves it that died between the call and the row.
	h.DNS.PutRecord(route53.Record{Name: row.BootstrapServerHost, Type: "CNAME", TTL: 60, Values: []string{"kas.mk-c1.example.test"}})
	one.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	require.Len(t, h.DNS.Of(k.ID), 5)
	alice.Delete(k.ID)
	one.Gone(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow18AnInstanceDeletedBeforeItsRecordsExist(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.DNS.Inject(emulator.Fault{Mode: emulator.Before, Status: 503})
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitRow(k.ID, "routes", func(k kafka.Kafka) bool { return k.Routes != nil && k.RoutesAttempts > 0 })
	alice.Delete(k.ID)
	h.WaitStatus(k.ID, kafka.Deleting)
	h.DNS.ClearFaults()
	h.WaitGone(k.ID)
	h.WaitStatus(alice.CreateKafka("two").ID, kafka.Ready) // nobody was hurt
}

func TestWindow19TheDNSLoopOverwritesNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.DNS.Inject(emulator.Fault{Method: http.MethodPost, Path: "/rrset", Mode: emulator.Slow, Delay: time.Second, Times: 1})
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.Until("the call that takes long", func() (bool, string) {
		return len(h.DNS.JournalOf(http.MethodPost, "/rrset$")) > 0, "none"
	})
	// What the loop has read is not what the row is now.
	alice.Patch(k.ID, map[string]any{"owner": harness.Bob, "reauthentication_enabled": false})
	row := h.WaitStatus(k.ID, kafka.Ready)
	require.Equal(t, harness.Bob, row.Owner)
	require.False(t, row.ReauthenticationEnabled)
	require.Len(t, h.DNS.Of(k.ID), 5)
}

func TestWindow20OfSeveralRecordsThoseThatExistAreDeleted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	h.DNS.Remove(t, h.DNS.Of(k.ID)[2])
	require.Len(t, h.DNS.Of(k.ID), 4)
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow21AChangedRecordIsNoObstacleToADeletion(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	own := h.DNS.Of(k.ID)[0]
	own.TTL = 60
	h.DNS.PutRecord(own)
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWindow21WhatSomebodyElseWroteIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	taken := h.DNS.Of(k.ID)[0]
	taken.Values = []string{"elsewhere.example.test"}
	h.DNS.PutRecord(taken)
	alice.Delete(k.ID)
	h.WaitRow(k.ID, "the end", func(k kafka.Kafka) bool { return k.DeletedAt != nil })
	require.Equal(t, []route53.Record{taken}, h.DNS.Of(k.ID))
	h.DNS.Remove(t, taken)
}

func TestWindow22NoTwoInstancesShareAHost(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	alice := h.As(harness.Alice)
	a, b := alice.CreateKafka("same"), h.As(harness.Mallory).CreateKafka("same")
	host := h.WaitStatus(a.ID, kafka.Provisioning).BootstrapServerHost
	require.NotEqual(t, host, h.WaitStatus(b.ID, kafka.Provisioning).BootstrapServerHost)
	// Whatever gives out names: two live rows cannot have the same.
	err := h.Within(func(ctx context.Context) error {
		return h.DB.Gorm(ctx).Exec("UPDATE kafka_requests SET bootstrap_server_host = ? WHERE id = ?", host, b.ID).Error
	})
	require.True(t, db.IsUniqueViolation(err, "kafka_requests_host_live"), "%v", err)
}

func TestWindow23AClientThatCannotBeRemovedIsNotForgotten(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	h.SSO.Inject(emulator.Fault{Method: http.MethodDelete, Path: ssoAdmin, Mode: emulator.Before, Status: 500})
	alice.Delete(k.ID)
	h.WaitRow(k.ID, "another try", func(k kafka.Kafka) bool {
		require.Nil(t, k.DeletedAt, "the row is gone and the client is not")
		return k.Status == kafka.Deleting && k.Attempts > 1
	})
	for _, in := range h.Intents(k.ID) {
		if in.Kind == kafka.KindSSOClient {
			require.NotEqual(t, ledger.Gone, in.State)
			require.NotEmpty(t, in.LastError)
		}
	}
	h.SSO.ClearFaults()
	h.WaitGone(k.ID)
}
