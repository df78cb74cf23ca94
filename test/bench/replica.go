package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const startDeadline = 30 * time.Second

// ports are the addresses of one replica.
type ports struct{ API, Metrics, Health string }

// freePorts finds three ports that nobody has at the moment.
func freePorts(ctx context.Context) (ports, error) {
	var p ports
	for _, address := range []*string{&p.API, &p.Metrics, &p.Health} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("choosing a port: %w", err)
		}
		defer func() { _ = listener.Close() }() // all three are open until the last is found, so they differ
		*address = listener.Addr().String()
	}
	return p, nil
}

// replica is one process of the fleet manager.
type replica struct {
	ports   ports
	cmd     *exec.Cmd
	log     string
	started time.Time
	answers time.Duration // from the start to the first 200
	gone    chan struct{}
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
	r := &replica{ports: s.ports[n], log: filepath.Join(s.folder, fmt.Sprintf("replica-%d.log", n)), gone: make(chan struct{})}
	out, err := os.Create(r.log)
	if err != nil {
		return nil, fmt.Errorf("opening a replica's log: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	args := append([]string{"serve", "--api-server-bindaddress=" + r.ports.API, "--metrics-server-bindaddress=" + r.ports.Metrics,
		"--health-check-server-bindaddress=" + r.ports.Health}, s.args...)
	// Not bound to a context, which would kill it where stop asks it to end.
	r.cmd = exec.CommandContext(context.WithoutCancel(ctx), s.settings.Binary, args...)
	r.cmd.Env, r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr, r.cmd.SysProcAttr = s.environ(), s.folder, out, out, attributes()
	r.started = time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the fleet manager: %w", err)
	}
	go func() {
		_ = r.cmd.Wait() // how it ended is in its log
		close(r.gone)
	}()
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

func (r *replica) pid() int { return r.cmd.Process.Pid }

func (r *replica) ended() bool {
	select {
	case <-r.gone:
		return true
	default:
		return false
	}
}

// kill ends the process as a crash would.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill() // one that has ended needs none
	<-r.gone
}

// terminate asks the process to end and does not wait for it.
func (r *replica) terminate() error { return r.cmd.Process.Signal(syscall.SIGTERM) }

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
