package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

func TestAssignmentsAreStableAndBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	list, args := db.Assignments(map[string]any{"b": "x\x00y", "a": "x\x00y", "c": 3}, now, "b")
	require.Equal(t, "a = ?, b = ?, c = ?, version = version + 1, updated_at = ?", list)
	require.Equal(t, []any{"x\x00y", "xy", 3, now}, args, "only what is foreign is touched")
}
