package robot_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
)

func TestWhatAnIntentRemembers(t *testing.T) {
	t.Parallel()
	for _, only := range []bool{true, false} {
		detail, err := robot.Remember(robot.Account{ID: "i", ClientID: "c", Secret: "hush"}, only)
		require.NoError(t, err)
		require.NotContains(t, string(detail), "hush")
		id, alone := robot.Recall(detail)
		require.Equal(t, "i", id)
		require.Equal(t, only, alone)
	}
	for _, detail := range []string{``, `{}`, `null`, `[]`, `{"target":"x"}`, `{"only":true}`} {
		id, only := robot.Recall(json.RawMessage(detail))
		require.Empty(t, id, detail)
		require.False(t, only, detail)
	}
}
