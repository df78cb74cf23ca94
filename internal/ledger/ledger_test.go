package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

type bench struct {
	t   *testing.T
	ctx context.Context
	d   *db.DB
}

func setup(t *testing.T) bench {
	t.Parallel()
	d := postgres.Database(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return bench{t, ctx, d}
}

func (b bench) tx(fn func(db.Tx) error) error { return b.d.Tx(b.ctx, fn) }

func (b bench) want(in ...ledger.Intent) error {
	return b.tx(func(tx db.Tx) error { return ledger.Want(tx, now, in...) })
}

func (b bench) mark(id string, to ledger.State, detail string) error {
	var raw json.RawMessage
	if detail != "" {
		raw = json.RawMessage(detail)
	}
	return b.tx(func(tx db.Tx) error { return ledger.Mark(tx, now.Add(time.Minute), id, to, raw) })
}

func (b bench) of(owner string) []ledger.Intent {
	b.t.Helper()
	found, err := ledger.NewStore(b.d).Of(b.ctx, "kafka", owner)
	require.NoError(b.t, err)
	return found
}

func client(owner string) ledger.Intent {
	return ledger.Intent{OwnerKind: "kafka", OwnerID: owner, Kind: "sso_client", Key: "canary"}
}

func TestIntentsAreListedInTheOrderOfTheirCreation(t *testing.T) {
	b := setup(t)
	second := client("k1")
	second.Kind, second.Key, second.Detail = "dns_record", "a.example.test", json.RawMessage(`{"zone": "z1"}`)
	require.NoError(t, b.want(client("k1"), second))
	found := b.of("k1")
	require.Len(t, found, 2)
	require.Equal(t, "canary", found[0].Key)
	require.Equal(t, ledger.Wanted, found[0].State)
	require.Equal(t, now, found[0].CreatedAt)
	require.JSONEq(t, `{}`, string(found[0].Detail))
	require.JSONEq(t, `{"zone": "z1"}`, string(found[1].Detail))
	require.NotEqual(t, found[0].ID, found[1].ID)
}

func TestWantingAgainChangesNothing(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.want(client("k1")))
	id := b.of("k1")[0].ID
	require.NoError(t, b.mark(id, ledger.Created, `{"uuid": "u1"}`))
	before := b.of("k1")
	require.NoError(t, b.want(client("k1")))
	require.Equal(t, before, b.of("k1"))
}

func TestKeyOfAnotherOwnerIsRefused(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.want(client("k1")))
	require.ErrorIs(t, b.want(client("k2")), ledger.ErrTaken)
	require.Empty(t, b.of("k2"))
}

func TestWhatIsBeingDeletedCannotBeWanted(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.want(client("k1")))
	id := b.of("k1")[0].ID
	require.NoError(t, b.mark(id, ledger.Deleting, ""))
	require.ErrorIs(t, b.want(client("k1")), ledger.ErrDeleting)
	require.ErrorIs(t, b.mark(id, ledger.Created, ""), ledger.ErrUnknown, "a deletion does not turn back")
}

func TestGoneKeyIsFreeAgain(t *testing.T) {
	b := setup(t)
	later := client("k1")
	later.Key = "another"
	require.NoError(t, b.want(client("k1"), later))
	old := b.of("k1")[0].ID
	require.NoError(t, b.mark(old, ledger.Created, `{"uuid": "u1"}`))
	require.NoError(t, b.mark(old, ledger.Deleting, ""))
	require.NoError(t, b.mark(old, ledger.Gone, ""))
	require.NoError(t, b.mark(old, ledger.Gone, ""), "noting it twice is no error")

	require.NoError(t, b.want(client("k1")))
	found := b.of("k1")
	require.Equal(t, "another", found[0].Key, "the new one is the younger now")
	require.Equal(t, ledger.Wanted, found[1].State)
	require.JSONEq(t, `{}`, string(found[1].Detail))
	require.ErrorIs(t, b.mark(old, ledger.Created, ""), ledger.ErrUnknown, "a late note of the old one does not reach the new one")

	require.NoError(t, b.mark(found[1].ID, ledger.Gone, ""))
	require.NoError(t, b.want(client("k2")))
	require.Len(t, b.of("k2"), 1)
}

func TestFailuresAreCountedUntilTheNextStep(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.want(client("k1")))
	id := b.of("k1")[0].ID
	cause := errors.New("bad gateway\x00 " + strings.Repeat("ü", 2000))
	for range 2 {
		require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.Failed(tx, now, id, cause) }))
	}
	got := b.of("k1")[0]
	require.Equal(t, 2, got.Attempts)
	require.True(t, strings.HasPrefix(got.LastError, "bad gateway "))
	require.LessOrEqual(t, len(got.LastError), 1024)
	require.NoError(t, b.mark(id, ledger.Created, ""))
	require.Zero(t, b.of("k1")[0].Attempts)
	require.Empty(t, b.of("k1")[0].LastError)
	require.ErrorIs(t, b.tx(func(tx db.Tx) error { return ledger.Failed(tx, now, "nobody", cause) }), ledger.ErrUnknown)
}

func TestUnsettledIsWhatSomebodyMustLookAt(t *testing.T) {
	b := setup(t)
	for _, key := range []string{"a", "b", "c"} {
		in := client("k-" + key)
		in.Key = key
		require.NoError(t, b.want(in))
	}
	require.NoError(t, b.mark(b.of("k-a")[0].ID, ledger.Gone, ""))
	require.NoError(t, b.mark(b.of("k-b")[0].ID, ledger.Created, ""), "touched a minute later")
	store := ledger.NewStore(b.d)
	for older, want := range map[time.Time]int{now.Add(time.Hour): 1, now: 0} {
		unsettled, err := store.CountUnsettled(b.ctx, "kafka", "sso_client", older)
		require.NoError(t, err)
		require.Equal(t, want, unsettled, "the one that is neither made nor gone, once it is old enough")
	}
	unsettled, err := store.CountUnsettled(b.ctx, "cluster", "sso_client", now.Add(time.Hour))
	require.NoError(t, err)
	require.Zero(t, unsettled)

	for owner, want := range map[string]error{"k-a": nil, "k-b": ledger.ErrOpen, "nobody": nil} {
		require.ErrorIs(t, b.tx(func(tx db.Tx) error { return tx.Send(ledger.AllGone("kafka", owner)) }), want, owner)
	}
}

func TestSeveralIntentsAreWantedAndMarkedTogether(t *testing.T) {
	b := setup(t)
	record := func(key, owner string) ledger.Intent {
		return ledger.Intent{OwnerKind: "kafka", OwnerID: owner, Kind: "dns_record", Key: key, Detail: []byte(`{"target": "first"}`)}
	}
	again := record("a", "k1")
	again.Detail = []byte(`{"target": "second"}`)
	require.NoError(t, b.want(record("a", "k1"), record("b", "k1"), again), "a key that is named twice counts once")
	require.NoError(t, b.want(record("a", "k1"), record("b", "k1"), record("c", "k1")), "some are there, one is new")
	all := b.of("k1")
	require.Len(t, all, 3)
	require.JSONEq(t, `{"target": "first"}`, string(all[0].Detail))
	require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.MarkAll(tx, now, []string{all[0].ID, all[1].ID}, ledger.Created) }))
	require.Equal(t, []ledger.State{ledger.Created, ledger.Created, ledger.Wanted}, []ledger.State{b.of("k1")[0].State, b.of("k1")[1].State, b.of("k1")[2].State})

	require.ErrorIs(t, b.want(record("d", "k2"), record("a", "k2")), ledger.ErrTaken)
	require.Empty(t, b.of("k2"), "none of them is wanted if one is another's")
	require.ErrorIs(t, b.tx(func(tx db.Tx) error { return ledger.MarkAll(tx, now, []string{all[0].ID, "unknown"}, ledger.Gone) }), ledger.ErrUnknown)
	require.Equal(t, ledger.Created, b.of("k1")[0].State)
	require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.MarkAll(tx, now, nil, ledger.Gone) }))
	require.NoError(t, b.want())
}

func TestARefusalClosesOnlyWhatNobodyElseIsMaking(t *testing.T) {
	b := setup(t)
	begin := func() {
		require.NoError(t, b.tx(func(tx db.Tx) error {
			_, err := ledger.Begin(tx, now, client("k1"))
			return err
		}))
	}
	refused := func(id string) error { return b.tx(func(tx db.Tx) error { return ledger.Refused(tx, now, id) }) }
	begin()
	begin()
	id := b.of("k1")[0].ID
	require.ErrorIs(t, refused(id), ledger.ErrUnknown, "the other call may still make it")
	require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.CallFailed(tx, now, id, errors.New("refused")) }))
	require.NoError(t, refused(id))
	require.Equal(t, ledger.Gone, b.of("k1")[0].State)
	doubted, err := ledger.NewStore(b.d).ClosedInDoubt(b.ctx, "kafka", now.Add(-time.Hour), ledger.Intent{}, 10)
	require.NoError(t, err)
	require.Empty(t, doubted, "there is nothing to look for")
	begin()
	require.NoError(t, b.mark(b.of("k1")[0].ID, ledger.Created, ""))
	require.ErrorIs(t, refused(b.of("k1")[0].ID), ledger.ErrUnknown, "it exists")
}

func TestCallsAreCountedUntilTheyAreSeenToEnd(t *testing.T) {
	b := setup(t)
	begin := func() {
		require.NoError(t, b.tx(func(tx db.Tx) error {
			_, err := ledger.Begin(tx, now, client("k1"))
			return err
		}))
	}
	calls := func() int { return b.of("k1")[0].Calls }
	require.NoError(t, b.want(client("k1")))
	require.Zero(t, calls(), "wanting is no call")
	begin()
	begin()
	require.Equal(t, 2, calls(), "the first was never heard of again")
	id := b.of("k1")[0].ID
	require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.CallFailed(tx, now, id, errors.New("refused")) }))
	require.Equal(t, 1, calls())
	require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.Failed(tx, now, id, errors.New("could not be deleted")) }))
	require.Equal(t, 1, calls(), "that was another call")
	begin()
	require.NoError(t, b.mark(id, ledger.Created, ""))
	require.Equal(t, 1, calls())
	require.NoError(t, b.mark(id, ledger.Gone, ""))
	require.Equal(t, 1, calls())
	begin()
	require.Equal(t, 1, calls(), "opened anew")
	require.NoError(t, b.mark(b.of("k1")[0].ID, ledger.Created, ""))
	require.Zero(t, calls())
	require.NoError(t, b.mark(b.of("k1")[0].ID, ledger.Created, ""))
	require.Zero(t, calls())
}

// A ledger that grew fast, or was restored, has no statistics yet. What is wanted
// again has to be found by its keys even then: it once read all rows of its kind,
// which cost more with each instance that there was.
func TestWantingAgainReadsNoRowsOfOthers(t *testing.T) {
	b := setup(t)
	records := func(owner string) []ledger.Intent {
		var all []ledger.Intent
		for _, host := range []string{"a.", "b.", "c.", "d.", "e."} {
			all = append(all, ledger.Intent{OwnerKind: "kafka", OwnerID: owner, Kind: "dns_record", Key: host + owner})
		}
		return all
	}
	require.NoError(t, b.tx(func(tx db.Tx) error {
		return tx.Gorm().Exec("ALTER TABLE external_resources SET (autovacuum_enabled = false)").Error
	}))
	for owner := range 400 {
		require.NoError(t, b.want(records(strconv.Itoa(owner))...))
	}
	var before, after int64
	require.NoError(t, b.tx(func(tx db.Tx) error {
		const rowsRead = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'external_resources'"
		if err := tx.Gorm().Raw(rowsRead).Scan(&before).Error; err != nil {
			return err
		}
		if _, err := ledger.Begin(tx, now, records("17")...); err != nil {
			return err
		}
		return tx.Gorm().Raw(rowsRead).Scan(&after).Error
	}))
	require.LessOrEqual(t, after-before, int64(10), "five rows, each read a time or two")
}
