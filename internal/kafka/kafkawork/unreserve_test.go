package kafkawork_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	accountsquota "github.com/kas-fleet/kas-fleet-manager/internal/quota/ams"
	upstream "github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
)

// accounts puts accounts management beside the loops.
func (b *bench) accounts() (*ams.AMS, *emulator.Emulated, accountsquota.Provider) {
	b.t.Helper()
	state := ams.New(ams.Options{
		Accounts:      []ams.Account{{Username: "alice", OrgExternalID: "org1"}},
		Organisations: []ams.Organisation{{ExternalID: "org1", Quota: []ams.Quota{{Product: "RHOSAK", BillingModel: "standard", Allowed: 9}}}},
	})
	wire := emulator.Wrap("ams", state.Handler())
	url := serve(b.t, wire)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"typ": "Bearer", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte("key"))
	require.NoError(b.t, err)
	client, err := upstream.New(ocm.Config{AMSBaseURL: url, TokenURL: url, Token: log.Secret(token), Timeout: time.Second}, slog.New(slog.DiscardHandler))
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = client.Close() })
	provider := accountsquota.New(client, &catalog.Catalog{})
	b.deps.Release = provider.Release
	b.rewire()
	return state, wire, provider
}

// halfway is an order whose process died while it reserved: its row, its room, its
// intent with a call that nobody saw end, and its key.
func (b *bench) halfway(name string) (kafka.ID, quota.Reservation) {
	b.t.Helper()
	id := b.kafka(name, kafka.Reserving, func(k *kafka.Kafka) {
		k.QuotaType, k.NextAttemptAt = quota.AMSType, b.now.Add(15*time.Second)
	})
	require.NoError(b.t, b.d.Gorm(b.ctx).Exec("UPDATE clusters SET capacity_used = capacity_used + 1").Error)
	require.NoError(b.t, b.d.Gorm(b.ctx).Exec("INSERT INTO idempotency_keys VALUES ('org1', 'alice', ?, 'hash', ?, ?)", name, id, b.now).Error)
	r := quota.Reservation{
		Key: string(id), Username: "alice", CloudProvider: "aws", Units: 1, Remote: quota.Remote{Product: "RHOSAK", Resource: "rhosak", BillingModel: "standard"},
	}
	detail, err := json.Marshal(r)
	require.NoError(b.t, err)
	require.NoError(b.t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		_, err := ledger.Begin(tx, b.now, ledger.Intent{OwnerKind: kafka.OwnerKind, OwnerID: string(id), Kind: kafka.KindSubscription, Key: r.Key, Detail: detail})
		return err
	}))
	return id, r
}

func (b *bench) undone(id kafka.ID) {
	b.t.Helper()
	_, err := b.store.Live(b.ctx, id)
	require.ErrorIs(b.t, err, kafka.ErrNotFound)
	require.Zero(b.t, b.count("SELECT capacity_used FROM clusters"))
	require.Zero(b.t, b.count("SELECT count(*) FROM idempotency_keys"))
	require.Equal(b.t, 1, b.count("SELECT count(*) FROM external_resources WHERE owner_id = ? AND state = 'gone'", id))
}

func TestWindow01AProcessThatDiesAfterReservingLeaksNothing(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	state, _, provider := b.accounts()
	id, r := b.halfway("one")
	_, err := provider.Reserve(b.ctx, r)
	require.NoError(t, err)
	require.NoError(t, b.step("reserving_kafka", id))
	require.Len(t, state.Subscriptions(), 1, "its request may still be at it")
	require.Empty(t, b.due("reserving_kafka"))
	b.now = b.now.Add(15 * time.Second)
	require.Equal(t, []string{string(id)}, b.due("reserving_kafka"))
	require.NoError(t, b.step("reserving_kafka", id))
	require.Empty(t, state.Subscriptions())
	b.undone(id)
}

func TestWindow01AProcessThatDiesBeforeReservingLeavesARowForSeconds(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	b.accounts()
	id, _ := b.halfway("one")
	b.now = b.now.Add(15 * time.Second)
	require.NoError(t, b.step("reserving_kafka", id))
	b.undone(id)
}

// A process that was paused between its intent and its call makes the call when it
// wakes: the order is long undone, and the sweeper releases what came of it.
func TestWindow01WhatAPausedProcessReservesIsSwept(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	state, _, provider := b.accounts()
	id, r := b.halfway("one")
	b.now = b.now.Add(15 * time.Second)
	require.NoError(t, b.step("reserving_kafka", id))
	b.undone(id)
	_, err := provider.Reserve(b.ctx, r)
	require.NoError(t, err)
	b.now = b.now.Add(2 * time.Minute)
	require.NoError(t, b.step("general_kafka_worker", "fleet"))
	require.Empty(t, state.Subscriptions())
}

// A call that was given up late may still take effect: that nothing is there is
// believed only after the doubt.
func TestWhatIsNotThereIsNotBelievedAtOnce(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	state, wire, provider := b.accounts()
	id, r := b.halfway("one")
	b.now = b.now.Add(10 * time.Second)
	intents, err := b.ledger.Of(b.ctx, kafka.OwnerKind, string(id))
	require.NoError(t, err)
	require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error { return ledger.Failed(tx, b.now, intents[0].ID, http.ErrHandlerTimeout) }))
	b.now = b.now.Add(5 * time.Second)
	wire.Inject(emulator.Fault{Mode: emulator.Before, Status: 503, Times: 1})
	require.Error(t, b.step("reserving_kafka", id))
	b.now = b.live(id).NextAttemptAt
	require.NoError(t, b.step("reserving_kafka", id))
	require.Equal(t, kafka.Reserving, b.live(id).Status)
	require.True(t, b.live(id).NextAttemptAt.After(b.now), "nobody looks all the time")
	_, err = provider.Reserve(b.ctx, r)
	require.NoError(t, err)
	b.now = b.live(id).NextAttemptAt
	require.NoError(t, b.step("reserving_kafka", id))
	b.undone(id)
	require.Empty(t, state.Subscriptions())
}

func TestIdempotencyKeysGoAfterADay(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	b.accounts()
	b.halfway("one")
	b.now = b.now.Add(23 * time.Hour)
	require.NoError(t, b.step("general_kafka_worker", "fleet"))
	require.Equal(t, 1, b.count("SELECT count(*) FROM idempotency_keys"))
	b.now = b.now.Add(2 * time.Hour)
	require.NoError(t, b.step("general_kafka_worker", "fleet"))
	require.Zero(t, b.count("SELECT count(*) FROM idempotency_keys"))
}
