package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
)

func command(out io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "sandbox",
		Short: "Runs the fleet manager in a world of emulated upstreams",
		Long: "Runs the fleet manager in a world of emulated upstreams, with agents whose Kafkas are real brokers.\n\n" +
			"Each flag can also be set by the environment variable in its description.",
		Example: "  make run                      # builds first; the same as: sandbox run\n" +
			"  REPLICAS=3 sandbox run        # three fleet managers behind one gateway\n" +
			"  SSO_PROVIDER=redhat_sso sandbox run   # the SSO keeps the service accounts\n" +
			"  sandbox run --agents=none     # you play the data-plane agent\n" +
			"  sandbox run --port-offset=200 # a second world beside the first\n" +
			"  sandbox demo                  # one Kafka from request to gone, then the end",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(runCommand(out), demoCommand(out), guardCommand())
	return root
}

func runCommand(out io.Writer) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "run", Short: "Keeps a world up until Ctrl-C", Args: cobra.NoArgs,
		Long: "Keeps a world up until Ctrl-C. What a client needs is in sandbox.env of the world's folder:\n" +
			"addresses, tokens of all users, credentials of the agent, process ids.",
		Example: "  sandbox run &\n" +
			"  . .run/sandbox.env && curl -H \"Authorization: Bearer $USER_TOKEN\" $API_URL/api/kafkas_mgmt/v1/kafkas",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.resolve(c.Flags(), os.Getenv); err != nil {
				return err
			}
			return run(c.Context(), s, out)
		},
	}
	s.flags(c.Flags(), ".run")
	return c
}

func demoCommand(out io.Writer) *cobra.Command {
	var s settings
	var messages int
	c := &cobra.Command{
		Use: "demo", Short: "Shows a Kafka from request to gone", Args: cobra.NoArgs,
		Long: "Starts a world of its own, orders a Kafka as a customer, sends messages through it, deletes it,\n" +
			"and shows that nothing is left. Exits with 0 when all of that went well.",
		Example: "  sandbox demo\n  sandbox demo --messages=10000",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.resolve(c.Flags(), os.Getenv); err != nil {
				return err
			}
			return demo(c.Context(), s, messages, out)
		},
	}
	s.flags(c.Flags(), ".run/demo")
	c.Flags().IntVar(&messages, "messages", 1000, "messages to produce and consume")
	return c
}

// guardCommand is for the sandbox itself, which starts it beside a PostgreSQL.
func guardCommand() *cobra.Command {
	return &cobra.Command{
		Use: guardName + " FOLDER", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return guardDatabase(c.Context(), args[0], c.InOrStdin()) },
	}
}
