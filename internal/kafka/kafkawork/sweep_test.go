package kafkawork_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
)

// lost brings an instance from preparing to its end, with a call to the SSO that
// was given up before anybody saw the client.
func (b *bench) lost(name string) kafka.ID {
	b.t.Helper()
	b.ssoWire.Inject(emulator.Fault{Method: http.MethodPost, Path: "/clients$", Mode: emulator.Before, Status: 503})
	id := b.kafka(name, kafka.Preparing)
	require.Error(b.t, b.step("preparing_kafka", id))
	b.ssoWire.ClearFaults()
	b.move(id, kafka.DeleteAsked, kafka.ByUser)
	require.NoError(b.t, b.step("deleting_kafka", id)) // never placed
	require.NoError(b.t, b.step("deleting_kafka", id))
	require.Equal(b.t, kafka.Deleting, b.live(id).Status, "the call may still take effect")
	b.now = b.now.Add(doubt)
	require.NoError(b.t, b.step("deleting_kafka", id))
	require.NoError(b.t, b.step("deleting_kafka", id))
	_, err := b.store.Live(b.ctx, id)
	require.ErrorIs(b.t, err, kafka.ErrNotFound)
	return id
}

// appear makes the client of a call that everybody had given up.
func (b *bench) appear(clientID string) {
	b.t.Helper()
	_, err := b.deps.Robots.Ensure(b.ctx, robot.Spec{Key: clientID, Name: clientID})
	require.NoError(b.t, err)
}

func (b *bench) sweep() error {
	b.t.Helper()
	b.now = b.now.Add(time.Minute)
	return b.step("general_kafka_worker", "fleet")
}

func TestAClientThatAppearsAfterTheEndIsRemovedAndNoOther(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	id := b.lost("one")
	require.NoError(t, b.sweep())
	b.appear(kafka.CanaryClientID(id))
	b.appear("canary-cb0b8ss5m2vs73f1jk2g") // of another installation in this realm
	mine := b.kafka("mine", kafka.Preparing)
	require.NoError(t, b.step("preparing_kafka", mine))
	require.Len(t, b.clients(), 4)

	require.NoError(t, b.sweep())
	require.ElementsMatch(t, []string{foreign, "canary-cb0b8ss5m2vs73f1jk2g", kafka.CanaryClientID(mine)}, b.clients())

	// Nobody believes for ever that a call may take effect.
	b.now = b.now.Add(2 * time.Hour)
	b.appear(kafka.CanaryClientID(id))
	require.NoError(t, b.sweep())
	require.Contains(t, b.clients(), kafka.CanaryClientID(id))
}

func TestWhatWasSeenCreatedIsNotLookedForAfterItsEnd(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	id := b.kafka("one", kafka.Preparing)
	require.NoError(t, b.step("preparing_kafka", id))
	b.move(id, kafka.DeleteAsked, kafka.ByUser)
	b.move(id, kafka.ReportedDeleted, kafka.ByAgent)
	require.NoError(t, b.step("deleting_kafka", id))
	require.NoError(t, b.step("deleting_kafka", id))
	b.ssoWire.ClearJournal()
	require.NoError(t, b.sweep())
	require.Empty(t, b.ssoWire.Journal(), "its end is certain, so nobody asks")
}

// A leader that was paused in the middle of a call wakes up and sends it, after its
// successor made the same thing, saw it, and removed it.
func TestWhatAPausedLeaderMakesAfterTheEndIsRemoved(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	id := b.kafka("one", kafka.Preparing)
	require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		_, err := ledger.Begin(tx, b.now, ledger.Intent{OwnerKind: kafka.OwnerKind, OwnerID: string(id), Kind: kafka.KindSSOClient, Key: kafka.CanaryClientID(id)})
		return err
	}))
	require.NoError(t, b.step("preparing_kafka", id))
	require.Len(t, b.clients(), 2)
	b.move(id, kafka.DeleteAsked, kafka.ByUser)
	b.move(id, kafka.ReportedDeleted, kafka.ByAgent)
	require.NoError(t, b.step("deleting_kafka", id))
	require.NoError(t, b.step("deleting_kafka", id))
	_, err := b.store.Live(b.ctx, id)
	require.ErrorIs(t, err, kafka.ErrNotFound)

	b.appear(kafka.CanaryClientID(id))
	require.NoError(t, b.sweep())
	require.Equal(t, []string{foreign}, b.clients())
}

// Whoever changes the row while a call is under way does not make the call one that nobody saw end.
func TestACallEndsThoughTheRowChangedMeanwhile(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	id := b.kafka("one", kafka.Preparing)
	b.ssoWire.Inject(emulator.Fault{Method: http.MethodPost, Path: "/clients$", Mode: emulator.Slow, Delay: 500 * time.Millisecond, Times: 1})
	stepped := make(chan error, 1)
	go func() { stepped <- b.step("preparing_kafka", id) }()
	require.Eventually(t, func() bool {
		found, err := b.deps.Ledger.Of(b.ctx, kafka.OwnerKind, string(id))
		return err == nil && len(found) == 1 && found[0].Calls == 1
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		_, err := kafka.Note(tx, b.live(id), kafka.Columns{"owner": "bob"}, b.now, "")
		return err
	}))
	require.NoError(t, <-stepped)
	require.Equal(t, kafka.Preparing, b.live(id).Status, "its plan was for the row as it was")
	require.NoError(t, b.step("preparing_kafka", id))
	found, err := b.deps.Ledger.Of(b.ctx, kafka.OwnerKind, string(id))
	require.NoError(t, err)
	require.Equal(t, ledger.Created, found[0].State)
	require.Zero(t, found[0].Calls)
}

func TestARecordThatAppearsAfterTheEndIsRemovedUnlessItIsAnothers(t *testing.T) {
	b := newBench(t, 4)
	want := func(id, key, target string) {
		require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error {
			detail := []byte(`{"target": "` + target + `"}`)
			err := ledger.Want(tx, b.now, ledger.Intent{ID: id, OwnerKind: kafka.OwnerKind, OwnerID: "k1", Kind: kafka.KindDNSRecord, Key: key, Detail: detail})
			if err != nil {
				return err
			}
			return ledger.MarkInDoubt(tx, b.now, id, nil)
		}))
	}
	want("i1", "one."+domain, "r.example.test")
	want("i2", "two."+domain, "r.example.test")
	b.dns.Put("Z1", route53.Record{Name: "one." + domain, Type: "CNAME", TTL: 300, Values: []string{"r.example.test"}})
	b.dns.Put("Z1", route53.Record{Name: "two." + domain, Type: "CNAME", TTL: 300, Values: []string{"elsewhere.example.test"}})
	require.NoError(t, b.sweep())
	left := b.dns.Records(domain)
	require.Len(t, left, 1)
	require.Equal(t, "two."+domain, left[0].Name)
}

func TestOneThatCannotBeRemovedKeepsNoOther(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	first, second := b.lost("one"), b.lost("two")
	b.appear(kafka.CanaryClientID(first))
	b.appear(kafka.CanaryClientID(second))
	stuck, _ := b.sso.Client(realm, kafka.CanaryClientID(first))
	b.ssoWire.Inject(emulator.Fault{Method: http.MethodDelete, Path: stuck.ID, Mode: emulator.Before, Status: 403})
	require.Error(t, b.sweep())
	require.ElementsMatch(t, []string{foreign, kafka.CanaryClientID(first)}, b.clients())
	b.ssoWire.ClearFaults()
	require.NoError(t, b.sweep())
	require.Equal(t, []string{foreign}, b.clients())
}

// A great outage may leave more behind than one round looks at, and the first may
// go on failing.
func TestEveryRoundGoesOnWhereTheLastOneEnded(t *testing.T) {
	b := newBench(t, 4)
	const many = 501
	ids := make([]string, many)
	intents := make([]ledger.Intent, many)
	for i := range intents {
		ids[i] = fmt.Sprintf("canary-%04d", i)
		intents[i] = ledger.Intent{ID: ids[i], OwnerKind: kafka.OwnerKind, OwnerID: "k1", Kind: kafka.KindSSOClient, Key: ids[i]}
	}
	require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		if err := ledger.Want(tx, b.now, intents...); err != nil {
			return err
		}
		for i, id := range ids {
			if err := ledger.MarkInDoubt(tx, b.now.Add(time.Duration(i)*time.Millisecond), id, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	b.appear(ids[0])
	b.appear(ids[many-1])
	stuck, _ := b.sso.Client(realm, ids[0])
	b.ssoWire.Inject(emulator.Fault{Method: http.MethodDelete, Path: stuck.ID, Mode: emulator.Before, Status: 403})
	require.Error(t, b.sweep())
	require.NoError(t, b.sweep())
	require.ElementsMatch(t, []string{foreign, ids[0]}, b.clients())
	b.ssoWire.ClearFaults()
	require.NoError(t, b.sweep(), "after the last comes the first again")
	require.Equal(t, []string{foreign}, b.clients())
}

// An instance that was placed anew has records with the first cluster's value, and
// a call with the second one's may be under way when it ends.
func TestALateRecordMayHaveTheNewValue(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	id := b.kafka("one", kafka.Deleting)
	name := "late." + domain
	intent := ledger.Intent{OwnerKind: kafka.OwnerKind, OwnerID: string(id), Kind: kafka.KindDNSRecord, Key: name, Detail: []byte(`{"target": "first.example.test"}`)}
	require.NoError(t, b.d.Tx(b.ctx, func(tx db.Tx) error {
		if _, err := ledger.Begin(tx, b.now, intent); err != nil {
			return err
		}
		_, err := kafka.Note(tx, b.live(id), kafka.Columns{"routes": kafka.Routes{{Domain: name, Router: "second.example.test"}}}, b.now, "")
		return err
	}))
	b.now = b.now.Add(doubt)
	require.NoError(t, b.step("deleting_kafka", id))
	require.NoError(t, b.step("deleting_kafka", id))
	_, err := b.store.Live(b.ctx, id)
	require.ErrorIs(t, err, kafka.ErrNotFound)
	b.dns.Put("Z1", route53.Record{Name: name, Type: "CNAME", TTL: 300, Values: []string{"second.example.test"}})
	require.NoError(t, b.sweep())
	require.Empty(t, b.dns.Records(domain))
}

// No answer is no end: the call may still be under way.
func TestOnlyAnAnswerEndsACall(t *testing.T) {
	b := newBench(t, 4)
	b.cluster("c1", "strimzi-1")
	id := b.kafka("one", kafka.Preparing)
	require.NoError(t, b.step("preparing_kafka", id))
	calls := func(kind string) []int {
		found, err := b.deps.Ledger.Of(b.ctx, kafka.OwnerKind, string(id))
		require.NoError(t, err)
		var counts []int
		for _, in := range found {
			if in.Kind == kind {
				counts = append(counts, in.Calls)
			}
		}
		return counts
	}
	require.Equal(t, []int{0}, calls(kafka.KindSSOClient))

	lost := b.kafka("two", kafka.Preparing)
	id = lost
	b.ssoWire.Inject(emulator.Fault{Method: http.MethodPost, Path: "/clients$", Mode: emulator.ResetAfter, Times: 1})
	b.ssoWire.Inject(emulator.Fault{Method: http.MethodGet, Path: "/clients$", Mode: emulator.ResetBefore})
	require.Error(t, b.step("preparing_kafka", lost))
	require.Equal(t, []int{1}, calls(kafka.KindSSOClient))
}
