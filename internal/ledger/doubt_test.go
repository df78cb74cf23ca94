package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

func keyed(owner, key string) ledger.Intent {
	in := client(owner)
	in.ID, in.Key = key, key
	return in
}

func TestOnlyWhatWasClosedUnseenIsInDoubt(t *testing.T) {
	b := setup(t)
	cluster := keyed("c1", "cluster")
	cluster.OwnerKind = "cluster"
	require.NoError(t, b.want(keyed("k1", "doubted"), keyed("k1", "seen"), keyed("k1", "open"), keyed("k2", "failed"), keyed("k3", "again"), cluster))
	require.NoError(t, b.tx(func(tx db.Tx) error {
		if err := ledger.Failed(tx, now, "failed", errors.New("no answer")); err != nil {
			return err
		}
		for _, id := range []string{"doubted", "again", "cluster"} {
			if err := ledger.MarkInDoubt(tx, now, id, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, b.mark("seen", ledger.Created, ""))
	require.NoError(t, b.mark("seen", ledger.Gone, ""))
	require.NoError(t, b.mark("failed", ledger.Gone, ""), "an error before the end is no doubt after it")
	require.NoError(t, b.want(keyed("k3", "again")), "wanted anew, it is no longer closed")
	doubted := func(since time.Time, limit int) []string {
		found, err := ledger.NewStore(b.d).ClosedInDoubt(b.ctx, "kafka", since, ledger.Intent{}, limit)
		require.NoError(t, err)
		keys := []string{}
		for _, in := range found {
			keys = append(keys, in.Key)
		}
		return keys
	}
	require.Equal(t, []string{"doubted"}, doubted(now.Add(-time.Second), 10))
	require.Empty(t, doubted(now, 10), "of that time and before")
	require.Empty(t, doubted(now.Add(-time.Second), 0))
	require.NoError(t, b.want(keyed("k4", "denied")))
	require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.RefusedInDoubt(tx, now, "denied") }))
	require.Equal(t, []string{"denied", "doubted"}, doubted(now.Add(-time.Second), 10))
	require.NoError(t, b.mark("denied", ledger.Gone, ""))
	require.NoError(t, b.mark("doubted", ledger.Gone, ""), "looked for and not found")
	require.Empty(t, doubted(now.Add(-time.Second), 10))
	require.ErrorIs(t, b.tx(func(tx db.Tx) error { return ledger.MarkInDoubt(tx, now, "nobody", nil) }), ledger.ErrUnknown)
}

// The time of the last attempt is from when on a call may still take effect.
func TestWantingAgainNotesTheTimeUntilItIsCreated(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.want(client("k1")))
	wantAt := func(at time.Time) ledger.Intent {
		require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.Want(tx, at, client("k1")) }))
		return b.of("k1")[0]
	}
	later := now.Add(time.Hour)
	again := wantAt(later)
	require.Equal(t, []time.Time{now, later}, []time.Time{again.CreatedAt, again.UpdatedAt})
	require.Equal(t, ledger.Wanted, again.State)
	require.NoError(t, b.mark(again.ID, ledger.Created, ""))
	seen := b.of("k1")[0]
	require.Equal(t, seen, wantAt(later.Add(time.Hour)))
}

func TestTheDoubtedAreReadPageByPage(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.want(keyed("k1", "b"), keyed("k1", "a"), keyed("k1", "c")))
	for id, at := range map[string]time.Time{"a": now, "b": now, "c": now.Add(-time.Second)} {
		require.NoError(t, b.tx(func(tx db.Tx) error { return ledger.MarkInDoubt(tx, at, id, nil) }))
	}
	var keys []string
	for last := (ledger.Intent{}); ; {
		page, err := ledger.NewStore(b.d).ClosedInDoubt(b.ctx, "kafka", now.Add(-time.Minute), last, 1)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		last = page[0]
		keys = append(keys, last.Key)
	}
	require.Equal(t, []string{"c", "a", "b"}, keys)
}
