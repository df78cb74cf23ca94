package kafka

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestEveryPairOfStatusAndEvent writes down what each event does in each status.
func TestEveryPairOfStatusAndEvent(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, info := range Statuses() {
		for _, tr := range Transitions() {
			outcome := "refused"
			if slices.Contains(tr.From, info.Status) {
				outcome = string(tr.To)
				if tr.Final {
					outcome += ", erased"
				}
			}
			fmt.Fprintf(&out, "%-13s %-18s %s\n", info.Status, tr.Event, outcome)
		}
	}
	const golden = "testdata/transitions.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String(), "the life of an instance changed; if that is meant, run the test with -update")
}

func TestTableIsWhole(t *testing.T) {
	t.Parallel()
	seen := map[Event]bool{}
	for _, tr := range Transitions() {
		require.False(t, seen[tr.Event], "%s stands twice", tr.Event)
		seen[tr.Event] = true
		require.NotEmpty(t, tr.Doc)
		require.NotEmpty(t, tr.Actors)
		require.NotEmpty(t, tr.From)
		require.NotEmpty(t, tr.To.Info().Doc, "%s leads to an unknown status", tr.Event)
		for _, from := range tr.From {
			require.NotEmpty(t, from.Info().Doc, "%s starts from an unknown status", tr.Event)
			if from.InDeletion() {
				require.True(t, tr.To.InDeletion(), "a deletion is never undone")
			}
		}
	}
	for _, info := range Statuses() {
		if info.Deadline > 0 {
			tr, ok := transitionOf(info.OnDeadline)
			require.True(t, ok)
			require.Contains(t, tr.From, info.Status)
			require.True(t, tr.To == Failed || info.Hidden && tr.Final, "who waits too long fails, or was never there")
			require.Contains(t, tr.Actors, ByLoop)
		}
		if !info.Status.InDeletion() && !info.Hidden {
			asked, _ := transitionOf(DeleteAsked)
			require.Contains(t, asked.From, info.Status, "every instance can be deleted")
		}
	}
}

func TestDeadlinesCountFromTheStatusNotFromCreation(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	k := Kafka{Status: Preparing, CreatedAt: now.Add(-24 * time.Hour), StatusChangedAt: now.Add(-time.Minute)}
	_, over := PlanFailure(k, FailedPreparing, "x", now)
	require.False(t, over)
	k.StatusChangedAt = now.Add(-5 * time.Minute)
	plan, over := PlanFailure(k, FailedPreparing, "x", now)
	require.True(t, over)
	require.Equal(t, PrepareFailed, plan.Event)
	k.Status, k.StatusChangedAt = Ready, now.AddDate(-1, 0, 0)
	_, over = PlanFailure(k, FailedPreparing, "x", now)
	require.False(t, over, "a settled status has no deadline")
}

func TestDueAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	require.Equal(t, now, Accepted.dueAt(now))
	require.Equal(t, now, Deprovision.dueAt(now), "a loop looks whether any agent has it")
	require.Equal(t, now.Add(time.Hour), Provisioning.dueAt(now))
	require.True(t, Ready.dueAt(now).After(now.AddDate(50, 0, 0)))
}
