// Command kas-fleet-manager is the fleet manager: it serves the APIs, runs the
// reconcilers, changes the schema of its database, and explains its configuration.
//
// Here are commands, exit codes and what people read on a terminal. What the
// process does is in internal/app. Invariant: exit code 0 is success, 1 a failure
// while running, 2 a mistake in usage or configuration; every problem is one line
// on standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, process{args: os.Args[1:], environ: os.Environ(), out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// process is what a run of the binary is given from outside.
type process struct {
	args     []string
	environ  []string
	out, err io.Writer
}

// failure is an error of a command that was called and configured well.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// failed marks an error as a failure.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return failure{err}
}

func execute(ctx context.Context, p process) int {
	root := newRoot(p, config.New(p.environ))
	root.SetArgs(p.args)
	root.SetOut(p.out)
	root.SetErr(p.err)
	err := root.ExecuteContext(ctx)
	for _, line := range config.Lines(err) {
		_, _ = fmt.Fprintln(p.err, "error: "+line)
	}
	var run failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &run):
		return exitFailure
	default:
		return exitUsage
	}
}
