// Command pgserver runs a private PostgreSQL for make targets: start leaves it in
// the background, stop ends it, url and pid tell about it, run keeps it in the
// foreground until a signal comes.
//
// It is not for data that must last. Invariant: it touches no server but its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kas-fleet/kas-fleet-manager/test/postgres/server"
)

const limit = 2 * time.Minute

func main() {
	if err := command().ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "pgserver:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o server.Options
	root := &cobra.Command{Use: "pgserver", Short: "Runs a private PostgreSQL", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVar(&o.Dir, "dir", ".run/postgres", "Folder of the server, made if absent")
	starts := func(use, short string, run func(context.Context, server.Options) error) {
		c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return run(c.Context(), o)
		}}
		c.Flags().IntVar(&o.Port, "port", 0, "Port on 127.0.0.1, 0 = a free one")
		c.Flags().BoolVar(&o.Fast, "fast", false, "Do not sync to disk: a crash of the machine may lose the data")
		root.AddCommand(c)
	}
	starts("start", "Starts it in the background and prints its URL", start)
	starts("run", "Runs it until a signal comes; prints its URL when it is ready", run)
	asks := func(use, short string, run func(context.Context, *server.Server) error) {
		root.AddCommand(&cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), limit)
			defer cancel()
			s, err := server.Open(ctx, o.Dir)
			if err != nil {
				return err
			}
			return run(ctx, s)
		}})
	}
	asks("stop", "Stops it", func(ctx context.Context, s *server.Server) error { return s.Stop(ctx) })
	asks("remove", "Stops it and removes its data", func(ctx context.Context, s *server.Server) error { return s.Remove(ctx) })
	asks("url", "Prints its URL", func(_ context.Context, s *server.Server) error {
		_, err := fmt.Println(s.URL())
		return err
	})
	asks("pid", "Prints its process id", func(_ context.Context, s *server.Server) error {
		pid, err := s.PID()
		if err == nil {
			_, err = fmt.Println(pid)
		}
		return err
	})
	return root
}

func start(ctx context.Context, o server.Options) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := server.Start(ctx, o)
	if err != nil {
		return err
	}
	_, err = fmt.Println(s.URL())
	return err
}

func run(ctx context.Context, o server.Options) error {
	// From before the start on, so that no signal leaves a server behind.
	signalled, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, o); err != nil {
		return err
	}
	<-signalled.Done()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := server.Open(ctx, o.Dir)
	if err != nil {
		return err
	}
	return s.Stop(ctx)
}
