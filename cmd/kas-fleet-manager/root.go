package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// commands share what a run is given and the configuration that its flags fill.
type commands struct {
	process
	settings *config.Settings
}

func newRoot(p process, settings *config.Settings) *cobra.Command {
	c := &commands{process: p, settings: settings}
	root := &cobra.Command{
		Use:   "kas-fleet-manager",
		Short: "Manages a fleet of Kafka instances on data plane clusters",
		Long: "Manages a fleet of Kafka instances on data plane clusters.\n\n" +
			"A value comes from the command line, else from the environment variable of the flag (KFM_ and\n" +
			"its name in upper case, - written as _), else from the environment that OCM_ENV names\n" +
			"(development, testing, integration, stage, production), else from the flag's default.\n" +
			"DATABASE_URL takes the place of the db-*-file flags.",
		Example: "  kas-fleet-manager migrate && kas-fleet-manager serve\n" +
			"  OCM_ENV=production KFM_LOG_LEVEL=debug kas-fleet-manager serve --enable-https=true\n" +
			"  kas-fleet-manager serve --help    # all flags",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	settings.Bind(root.PersistentFlags())
	root.AddCommand(c.serveCommand(), c.migrateCommand(), c.configCommand(), c.versionCommand())
	root.SetUsageFunc(func(cmd *cobra.Command) error { return c.usage(cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
	})
	return root
}

// flagGroups says which flags the help of a command shows: all (serve), some, or
// none, because every command accepts every flag and hardly any needs them.
const flagGroups = "flags"

func (c *commands) usage(cmd *cobra.Command) error {
	var out strings.Builder
	fmt.Fprintf(&out, "Usage:\n  %s [flags]\n", cmd.CommandPath())
	if cmd.HasExample() {
		fmt.Fprintf(&out, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		out.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&out, "  %-15s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	switch cmd.Annotations[flagGroups] {
	case "all":
		out.WriteString("\n" + c.settings.Usage())
	case "database":
		out.WriteString("\n" + c.settings.DatabaseUsage())
	}
	_, err := fmt.Fprintln(cmd.OutOrStderr(), strings.TrimRight(out.String(), "\n"))
	return err
}

// resolve reads the configuration and has it checked.
func (c *commands) resolve(validate func() error) error {
	if err := c.settings.Resolve(); err != nil {
		return err
	}
	return validate()
}

// logger logs as the configuration says; the first lines are its warnings.
func (c *commands) logger() *slog.Logger {
	logger := log.New(c.err, c.settings.Config.Log.Level())
	for _, warning := range c.settings.Warnings() {
		logger.Warn("configuration warning", "warning", warning)
	}
	return logger
}
