package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// act applies an event to a row and gives the row as it is then.
func act(t *testing.T, d *db.DB, k Kafka, c Change) Kafka {
	t.Helper()
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		_, err := Apply(tx, k, c)
		return err
	}))
	return live(t, d, k.ID)
}

func live(t *testing.T, d *db.DB, id ID) Kafka {
	t.Helper()
	k, err := NewStore(d).Live(bound(t), id)
	require.NoError(t, err)
	return k
}

func TestStayingInAStatusKeepsItsDeadline(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	entered := clock.System().Add(-40 * time.Minute)
	k := row("one", Preparing)
	k = act(t, d, put(t, d, k), Change{Event: Prepared, Actor: ByLoop, Now: entered})
	require.Equal(t, entered, k.StatusChangedAt)
	require.Equal(t, entered.Add(time.Hour), k.NextAttemptAt)
	for i, c := range []Change{
		{Event: Rejected, Actor: ByAgent}, {Event: RejectedFull, Actor: ByAgent}, {Event: Reassigned, Actor: ByLoop}, {Event: Rejected, Actor: ByAgent},
	} {
		c.Now = entered.Add(time.Duration(i+1) * 10 * time.Minute)
		k = act(t, d, k, c)
		require.Equal(t, entered, k.StatusChangedAt, "%s", c.Event)
		require.Equal(t, entered.Add(time.Hour), k.NextAttemptAt, "%s", c.Event)
		require.Equal(t, c.Now, k.UpdatedAt)
	}
	k = act(t, d, k, Change{Event: RejectedFull, Actor: ByAgent, Now: entered.Add(50 * time.Minute), Set: Columns{"next_attempt_at": entered.Add(50 * time.Minute)}})
	require.Equal(t, entered.Add(50*time.Minute), k.NextAttemptAt, "a loop has to place it at once")
	require.True(t, k.overdue(entered.Add(time.Hour)))
	k = act(t, d, k, Change{Event: TimedOut, Actor: ByLoop, Now: entered.Add(time.Hour)})
	require.Equal(t, entered.Add(time.Hour), k.StatusChangedAt, "another status begins anew")
}

// nasty are texts that upstreams have sent, or may.
func nasty() map[string]string {
	return map[string]string{
		"NUL": "bad\x00gateway", "no UTF-8": "bad\xff\xfegateway", "a page": strings.Repeat("<p>bad gateway</p>", 300_000),
		"cut in a letter": strings.Repeat("ü", 511) + "aü", "a surrogate": "bad\xed\xa0\x80gateway", "nothing": "",
	}
}

// Text that explains a failure must never be why the failure cannot be stored.
func TestNoTextKeepsARowFromBeingPostponed(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	next := clock.System().Add(time.Hour)
	for name, text := range nasty() {
		k := put(t, d, row(strings.ReplaceAll(strings.ToLower(name), " ", "-"), Preparing))
		require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error { return Postpone(tx, k.ID, k.Version, next, text) }), name)
		require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error { return PostponeRoutes(tx, k.ID, k.Version, next, text) }), name)
		got := live(t, d, k.ID)
		require.Equal(t, []int{1, 1}, []int{got.Attempts, got.RoutesAttempts}, name)
		require.Equal(t, next, got.NextAttemptAt, name)
		require.Equal(t, next, *got.RoutesDueAt, name)
		require.LessOrEqual(t, len(got.LastError), 1024, name)

		failed := act(t, d, got, Change{
			Event: PrepareFailed, Actor: ByLoop, Reason: text, Now: clock.System(),
			Set: Columns{"failed_code": FailedPreparing, "failed_reason": text, "failed_detail": text},
		})
		require.Equal(t, Failed, failed.Status, name)
		require.LessOrEqual(t, len(failed.FailedDetail), 1024, name)
		require.Equal(t, text != "", failed.FailedDetail != "", name)
		require.Equal(t, failed.FailedDetail, failed.FailedReason, name)
		history, err := NewStore(d).History(bound(t), k.ID)
		require.NoError(t, err)
		require.LessOrEqual(t, len(history[1].Reason), 1024, name)
	}
}

func TestAnAgentSpeaksOnlyOfWhatItWasTold(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	var ids []ID
	heard := map[ID]Status{}
	for i, info := range Statuses() {
		for j, at := range [][2]string{{"c1", "h"}, {"c1", ""}, {"c2", "h"}} {
			k := row(fmt.Sprintf("k%d-%d", i, j), info.Status)
			k.ClusterID = at[0]
			if at[1] != "" {
				k.BootstrapServerHost = k.Name + ".test"
			}
			ids = append(ids, put(t, d, k).ID)
			if j == 0 && !info.Hidden && info.Status != Accepted && info.Status != Preparing {
				heard[k.ID] = info.Status
			}
		}
	}
	erased := row("erased", Deleting)
	erased.ClusterID, erased.BootstrapServerHost = "c1", "erased.test"
	erased = put(t, d, erased)
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		_, err := Apply(tx, erased, Change{Event: Erased, Actor: ByLoop, Now: clock.System()})
		return err
	}))
	rows, err := NewStore(d).Reported(bound(t), "c1", append(ids, erased.ID, "unknown"))
	require.NoError(t, err)
	got := map[ID]Status{}
	for _, k := range rows {
		got[k.ID] = k.Status
	}
	require.Equal(t, heard, got)
}

func TestRoutesThatWerePostponedWait(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	now := clock.System()
	pending := func(name string, status Status, due *time.Time, created bool) Kafka {
		k := row(name, status)
		k.Routes, k.RoutesDueAt, k.RoutesCreated = Routes{{name + ".test", "r"}}, due, created
		return put(t, d, k)
	}
	past, later := now.Add(-time.Second), now.Add(time.Minute)
	second := pending("b-due", Failed, &past, false)
	first := pending("a-new", Provisioning, nil, false)
	postponed := pending("c-later", Provisioning, &later, false)
	pending("d-done", Ready, nil, true)
	pending("e-leaving", Deprovision, nil, false)
	put(t, d, row("f-none", Provisioning))
	list := func(at time.Time, limit int) []string {
		ids, err := NewStore(d).RoutesPending(bound(t), at, limit)
		require.NoError(t, err)
		return ids
	}
	require.Equal(t, []string{string(first.ID), string(second.ID)}, list(now, 10))
	require.Equal(t, []string{string(first.ID)}, list(now, 1))
	require.Contains(t, list(later, 10), string(postponed.ID))

	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error { return PostponeRoutes(tx, first.ID, first.Version, later, "throttled") }))
	require.Equal(t, []string{string(second.ID)}, list(now, 10), "one that fails lets the others have their turn")
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error { return PostponeRoutes(tx, second.ID, second.Version+1, later, "stale") }))
	require.Equal(t, []string{string(second.ID)}, list(now, 10), "a row that changed meanwhile has another plan")
}
