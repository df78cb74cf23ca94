package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

const startDeadline = 30 * time.Second

// ports are the addresses of one replica.
type ports = process.Addresses

// replica is one process of the fleet manager.
type replica struct {
	ports   ports
	process *process.Process
	log     string
	started time.Time
	answers time.Duration // from the start to the first 200
	gone    <-chan struct{}
}

// environ gives the fleet manager nothing of this process's environment but its own flags.
func (s *stage) environ() []string {
	kept := []string{"OCM_ENV=development", "DATABASE_URL=" + s.url, "PATH=" + os.Getenv("PATH")}
	for _, pair := range os.Environ() {
		if strings.HasPrefix(pair, "KFM_") || strings.HasPrefix(pair, "GO") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// call runs a command of the binary to its end.
func (s *stage) call(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.settings.Binary, args...)
	cmd.Env, cmd.Dir = s.environ(), s.folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running kas-fleet-manager %s: %w: %s", strings.Join(args, " "), err, lastLines(out))
	}
	return nil
}

// startReplica starts the n-th replica and waits until a customer gets a reply.
func (s *stage) startReplica(ctx context.Context, n int) (*replica, error) {
	r := &replica{ports: s.ports[n], log: filepath.Join(s.folder, fmt.Sprintf("replica-%d.log", n))}
	out, err := os.Create(r.log)
	if err != nil {
		return nil, fmt.Errorf("opening a replica's log: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	r.started = time.Now()
	r.process, err = process.Start(ctx, r.ports, process.Options{
		Binary: s.settings.Binary, Dir: s.folder, Environ: s.environ(), Args: s.args, Output: out,
	})
	if err != nil {
		return nil, err
	}
	r.gone = r.process.Gone()
	first := request{method: http.MethodGet, path: kafkasPath + "?size=1", token: s.customers[0]}
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	for {
		reply, err := one(ctx, r.ports.API, first)
		if err == nil && reply.status == http.StatusOK {
			r.answers = time.Since(r.started)
			return r, nil
		}
		select {
		case <-r.gone:
			return nil, fmt.Errorf("the fleet manager ended: %s", r.lastLog(""))
		case <-ctx.Done():
			r.kill()
			return nil, fmt.Errorf("waiting for the fleet manager: %w: %s", ctx.Err(), r.lastLog(""))
		case <-time.After(time.Millisecond):
		}
	}
}

func (r *replica) pid() int { return r.process.PID() }

func (r *replica) ended() bool { return r.process.Ended() }

// kill ends the process as a crash would.
func (r *replica) kill() { r.process.Kill() }

// terminate asks the process to end and does not wait for it.
func (r *replica) terminate() error { return r.process.Terminate() }

// lastLog gives the last lines of the log that have a text in them.
func (r *replica) lastLog(having string) string {
	raw, _ := os.ReadFile(r.log)
	var kept []byte
	for line := range bytes.Lines(raw) {
		if bytes.Contains(line, []byte(having)) {
			kept = append(kept, line...)
		}
	}
	return lastLines(kept)
}

func lastLines(raw []byte) string {
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}
