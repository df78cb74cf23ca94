package cluster

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

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// TestEveryPairOfStatusAndEvent writes down what each event does in each status.
func TestEveryPairOfStatusAndEvent(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, info := range Statuses() {
		for _, tr := range Transitions() {
			outcome := "refused"
			if slices.Contains(tr.From, info.Status) {
				outcome = string(tr.To)
			}
			fmt.Fprintf(&out, "%-36s %-18s %s\n", info.Status, tr.Event, outcome)
		}
	}
	const golden = "testdata/transitions.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String(), "the life of a cluster changed; if that is meant, run the test with -update")
}

func TestTableIsWhole(t *testing.T) {
	t.Parallel()
	seen := map[Event]bool{}
	for _, tr := range Transitions() {
		require.False(t, seen[tr.Event], "%s stands twice", tr.Event)
		seen[tr.Event] = true
		require.NotEmpty(t, tr.Doc)
		require.NotEmpty(t, tr.Actors)
		require.NotEmpty(t, tr.To.Info().Doc, "%s leads to an unknown status", tr.Event)
		for _, from := range tr.From {
			require.NotEmpty(t, from.Info().Doc, "%s starts from an unknown status", tr.Event)
			if slices.Contains(tr.Actors, ByAgent) {
				require.True(t, from.reports())
				require.True(t, tr.To.reports(), "agents move clusters between waiting and ready only")
			}
			if slices.Contains(tr.Actors, ByLoop) {
				require.NotEmpty(t, from.Info().Loop, "nobody would make %s happen", tr.Event)
			}
		}
	}
	require.Len(t, Statuses(), 8)
}

func TestDueAt(t *testing.T) {
	t.Parallel()
	require.Equal(t, noon, Provisioning.dueAt(noon))
	require.Equal(t, noon, Provisioned.dueAt(noon))
	require.Equal(t, noon.Add(Recheck), WaitingForAgent.dueAt(noon))
	require.Equal(t, noon.Add(Recheck), Ready.dueAt(noon))
	require.True(t, Failed.dueAt(noon).After(noon.AddDate(50, 0, 0)))
}

func TestOverdueCountsFromTheStatus(t *testing.T) {
	t.Parallel()
	c := Cluster{Status: Provisioned, CreatedAt: noon.AddDate(-1, 0, 0), StatusChangedAt: noon.Add(-time.Minute)}
	require.False(t, c.overdue(noon))
	c.StatusChangedAt = noon.Add(-time.Hour)
	require.True(t, c.overdue(noon))
	c.Status, c.StatusChangedAt = Ready, noon.AddDate(-1, 0, 0)
	require.False(t, c.overdue(noon))
}
