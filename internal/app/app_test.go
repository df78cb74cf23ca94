package app_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/app"
	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// A replica that restarts while its database is down has to say so.
func TestAReplicaThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := config.Config{}
	c.DB.URL = log.Secret("postgres://user:hunter2@127.0.0.1:1/nowhere")
	c.DB.MaxOpenConnections = 2
	replica, err := app.New(ctx, app.Options{Config: &c, Logger: slog.New(slog.DiscardHandler)})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	require.Nil(t, replica)
}
