package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kas-fleet/kas-fleet-manager/internal/app"
)

func (c *commands) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Serves the APIs and runs the reconcilers until SIGINT or SIGTERM", Args: cobra.NoArgs,
		Long: "Serves the APIs, the metrics and the health pages, and runs the reconcilers, until SIGINT or SIGTERM.\n" +
			"Any number of replicas may run; they share one database, which migrate must have prepared.",
		Example: "  kas-fleet-manager serve\n" +
			"  OCM_ENV=production kas-fleet-manager serve --api-server-bindaddress=:8000 --enable-https --https-cert-file=tls.crt --https-key-file=tls.key",
		Annotations: map[string]string{flagGroups: "all"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.resolve(c.settings.Config.Validate); err != nil {
				return err
			}
			return failed(c.serve(cmd.Context()))
		},
	}
}

// garbage is how much may be allocated, in percent of what is in use, before it is
// collected. A replica uses little memory, so Go's 100 would have it collect all
// the time: that costs a tenth of the processor under load and saves some 20 MB.
const garbage = 200

func (c *commands) serve(ctx context.Context) error {
	if os.Getenv("GOGC") == "" { // the operator's word counts
		debug.SetGCPercent(garbage)
	}
	logger := c.logger()
	slog.SetDefault(logger) // for libraries that log by themselves
	b := thisBuild()
	logger.Info("starting", "version", b.Version, "revision", b.Revision, "committed", b.Time, "go", b.Go,
		"platform", b.Platform, "environment", c.settings.Config.Environment)
	replica, err := app.New(ctx, app.Options{Config: &c.settings.Config, Commit: b.Revision, Logger: logger})
	if err != nil {
		return err
	}
	logger.Info("listening", "api", replica.APIAddress(), "metrics", replica.MetricsAddress(), "health", replica.HealthAddress())
	return errors.Join(replica.Run(ctx), replica.Close())
}
