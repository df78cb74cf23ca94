package log_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

func TestSecretNeverPrints(t *testing.T) {
	secret := log.Secret("hunter2")
	holder := struct {
		S log.Secret
		P *log.Secret
	}{secret, &secret}
	var out bytes.Buffer
	logger := log.New(&out, slog.LevelDebug)
	logger.Info("line", "secret", secret, "holder", holder)
	raw, err := json.Marshal(holder)
	require.NoError(t, err)
	text := fmt.Sprintf("%s %v %+v %#v %q %x %d", secret, holder, holder, holder, secret, secret, secret)
	for _, printed := range []string{out.String(), string(raw), text} {
		require.NotContains(t, printed, "hunter2")
		require.NotContains(t, printed, "68756e74657232", "hex")
	}
	require.Equal(t, "hunter2", secret.Reveal())
}

func TestNoLevelLeavesOutTheAudit(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelError, slog.LevelError + 1000, math.MaxInt32 + 5} {
		var out bytes.Buffer
		logger := log.New(&out, level).With("service", "x").WithGroup("g")
		logger.Log(t.Context(), log.LevelAudit, "did it", "level", "mine")
		line := map[string]any{}
		require.NoError(t, json.Unmarshal(out.Bytes(), &line), "%s", level)
		require.Equal(t, "AUDIT", line["level"])
		require.Equal(t, "mine", line["g"].(map[string]any)["level"])
		out.Reset()
		logger.Log(t.Context(), level-1, "less")
		require.Empty(t, out.String())
	}
}

func TestContextAttributes(t *testing.T) {
	var out bytes.Buffer
	logger := log.New(&out, slog.LevelInfo).With("service", "x")
	ctx := log.With(context.Background(), "operation_id", "op1")
	ctx = log.With(ctx, "kafka_id", "k1")
	logger.InfoContext(ctx, "did it")
	line := map[string]any{}
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "op1", line["operation_id"])
	require.Equal(t, "k1", line["kafka_id"])
	require.Equal(t, "x", line["service"])
}
