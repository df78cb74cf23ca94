package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

const (
	readyDeadline   = 60 * time.Second
	stopDeadline    = 20 * time.Second
	migrateDeadline = 2 * time.Minute
	restartPause    = time.Second
)

// fleet runs the fleet manager's replicas as a platform does: one that ends is
// started again.
type fleet struct {
	binary  string
	environ []string
	folder  *folder
	say     func(format string, args ...any)
	changed func() // a replica has another pid

	replicas []*replica
	stopping chan struct{}
	wait     sync.WaitGroup
	died     chan error // the first end of a replica
}

// replica is one process of the fleet manager.
type replica struct {
	ports replicaPorts
	args  []string

	mu  sync.Mutex
	cmd *exec.Cmd
}

func (r *replica) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil || r.cmd.Process == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

func (r *replica) log() string { return "fleet-manager-" + strconv.Itoa(r.ports.API) + ".log" }

// call runs a command of the binary to its end.
func (f *fleet) call(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, migrateDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.binary, args...)
	cmd.Env, cmd.Dir = f.environ, f.folder.path
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running kas-fleet-manager %s: %w: %s", strings.Join(args, " "), err, lastLines(out))
	}
	return nil
}

// start begins to run the replicas.
func (f *fleet) start() {
	f.stopping = make(chan struct{})
	f.died = make(chan error, 1)
	for _, r := range f.replicas {
		_ = os.Remove(f.folder.file(r.log()))
		f.wait.Go(func() { f.keep(r) })
	}
}

// keep runs a replica again and again until the fleet stops.
func (f *fleet) keep(r *replica) {
	for {
		err := f.once(r)
		select {
		case <-f.stopping:
			return
		default:
		}
		select {
		case f.died <- fmt.Errorf("fleet manager at port %d ended: %w: %s", r.ports.API, err, f.lastLog(r)):
		default:
		}
		f.say("fleet manager at port %d ended (%v); it starts again, log in %s", r.ports.API, err, f.folder.file(r.log()))
		select {
		case <-f.stopping:
			return
		case <-time.After(restartPause):
		}
	}
}

func (f *fleet) once(r *replica) error {
	log, err := os.OpenFile(f.folder.file(r.log()), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// Not bound to a context, which would kill it where stop asks it to end.
	cmd := exec.CommandContext(context.Background(), f.binary, append([]string{"serve"}, r.args...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = f.environ, f.folder.path, log, log
	r.mu.Lock()
	select {
	case <-f.stopping:
		r.mu.Unlock()
		return nil
	default:
	}
	wait, err := process.Begin(cmd)
	r.cmd = cmd
	r.mu.Unlock()
	if err != nil {
		return err
	}
	f.changed()
	if err := wait(); err != nil {
		return err
	}
	return errors.New("exit code 0")
}

func (f *fleet) lastLog(r *replica) string {
	raw, _ := os.ReadFile(f.folder.file(r.log()))
	return lastLines(raw)
}

func lastLines(raw []byte) string {
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// ready waits until every replica says that it is.
func (f *fleet) ready(ctx context.Context) error {
	for _, r := range f.replicas {
		err := until(ctx, readyDeadline, f.died, func(ctx context.Context) error { return healthy(ctx, r.ports.Health) })
		if err != nil {
			return fmt.Errorf("waiting for the fleet manager at port %d: %w (log in %s)", r.ports.API, err, f.folder.file(r.log()))
		}
	}
	return nil
}

func healthy(ctx context.Context, port int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address(port)+"/healthcheck", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("its health check answers %d", resp.StatusCode)
	}
	return nil
}

// until tries something often until it works, the deadline or a failure comes.
func until(ctx context.Context, deadline time.Duration, failed <-chan error, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		problem := try(ctx)
		if problem == nil {
			return nil
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%w, last: %w", ctx.Err(), problem)
		case <-ticker.C:
		}
	}
}

func (f *fleet) pids() []int {
	var pids []int
	for _, r := range f.replicas {
		pids = append(pids, r.pid())
	}
	return pids
}

// stop asks all replicas to end and kills those that do not.
func (f *fleet) stop() error {
	close(f.stopping)
	f.signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.wait.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(stopDeadline):
	}
	f.signal(syscall.SIGKILL)
	<-ended
	return fmt.Errorf("a fleet manager did not end within %s and was killed", stopDeadline)
}

func (f *fleet) signal(signal syscall.Signal) {
	for _, r := range f.replicas {
		r.mu.Lock()
		if r.cmd != nil && r.cmd.Process != nil {
			_ = r.cmd.Process.Signal(signal) // one that has ended needs none
		}
		r.mu.Unlock()
	}
}
