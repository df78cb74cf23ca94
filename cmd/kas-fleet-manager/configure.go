package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *commands) configCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "config", Short: "Shows and checks the configuration", Args: cobra.NoArgs,
		Example: "  OCM_ENV=stage kas-fleet-manager config print --log-level=debug\n  kas-fleet-manager config validate",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(
		&cobra.Command{
			Use: "print", Short: "Shows the value of each flag and where it comes from", Args: cobra.NoArgs,
			Long:    "Shows the value of each flag and where it comes from. Secrets are hidden; their files are named.",
			Example: "  OCM_ENV=production kas-fleet-manager config print | grep -v default",
			RunE: func(*cobra.Command, []string) error {
				if err := c.resolve(noCheck); err != nil {
					return err
				}
				c.warn()
				return failed(c.settings.Print(c.out))
			},
		},
		&cobra.Command{
			Use: "validate", Short: "Tells everything that is wrong with the configuration", Args: cobra.NoArgs,
			Long:    "Tells everything that is wrong with the configuration, the files that it names included. Nothing is called or changed.",
			Example: "  kas-fleet-manager config validate --providers-config-file=providers.yaml",
			RunE: func(*cobra.Command, []string) error {
				err := c.resolve(c.settings.Config.Validate)
				c.warn()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.out, "the configuration is valid")
				return failed(err)
			},
		},
	)
	return command
}

// noCheck lets a configuration be shown that is not valid yet.
func noCheck() error { return nil }

// warn is for people at a terminal; serve logs the same.
func (c *commands) warn() {
	for _, warning := range c.settings.Warnings() {
		_, _ = fmt.Fprintln(c.err, "warning: "+warning)
	}
}
