// Command sandbox is the world outside of the fleet manager for a laptop: emulated
// upstreams, data-plane agents with real brokers, a private PostgreSQL, and the
// fleet manager's own binary as its child processes.
//
// It is never shipped, and nothing of it must last: each world begins with an
// empty database. Invariant: whatever a world started ends with it, also when the
// sandbox itself is killed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox: "+strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
}
