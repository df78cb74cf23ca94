// Package process runs fleet managers as processes of their own: the binary as
// it ships, or one with crash points.
//
// It is for tests and measurements that kill, stop and replace replicas. It knows
// nothing of the world around them. Invariant: a process started here ends with
// the one that started it, however that ends.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const startDeadline = 30 * time.Second

// Options say what to start.
type Options struct {
	Binary  string
	Dir     string // to start in
	Environ []string
	Args    []string // flags besides those of the addresses
	Output  io.Writer
}

// Addresses are where one replica listens.
type Addresses struct{ API, Metrics, Health string }

// FreeAddresses finds three addresses that nobody has at the moment.
func FreeAddresses(ctx context.Context) (Addresses, error) {
	var a Addresses
	for _, address := range []*string{&a.API, &a.Metrics, &a.Health} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return Addresses{}, fmt.Errorf("choosing a port: %w", err)
		}
		defer func() { _ = listener.Close() }() // all three are open until the last is found, so they differ
		*address = listener.Addr().String()
	}
	return a, nil
}

// Args are the flags that make a fleet manager listen there.
func (a Addresses) Args() []string {
	return []string{"--api-server-bindaddress=" + a.API, "--metrics-server-bindaddress=" + a.Metrics, "--health-check-server-bindaddress=" + a.Health}
}

// Process is one fleet manager.
type Process struct {
	At Addresses

	cmd  *exec.Cmd
	gone chan struct{}
}

// Start starts a fleet manager and returns at once.
func Start(ctx context.Context, at Addresses, o Options) (*Process, error) {
	p := &Process{At: at, gone: make(chan struct{})}
	// Not bound to the context, which would kill it where Terminate asks it to end.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), o.Binary, append(append([]string{"serve"}, at.Args()...), o.Args...)...)
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = o.Environ, o.Dir, o.Output, o.Output
	wait, err := Begin(p.cmd)
	if err != nil {
		return nil, fmt.Errorf("starting the fleet manager: %w", err)
	}
	go func() {
		_ = wait() // State tells how it ended
		close(p.gone)
	}()
	return p, nil
}

// Begin starts any child so that it ends with this process, and no sooner. wait is
// called once, in place of the command's own.
func Begin(cmd *exec.Cmd) (wait func() error, err error) {
	cmd.SysProcAttr = attributes()
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that made a child for the parent's
		// death, and Go ends threads now and then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return func() error { return <-ended }, nil
}

// Await waits until the API answers anybody anything.
func (p *Process) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.At.API+"/api/kafkas_mgmt/v1", http.NoBody)
		if err != nil {
			return fmt.Errorf("asking the fleet manager: %w", err)
		}
		if reply, err := client.Do(request); err == nil {
			_ = reply.Body.Close()
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("the fleet manager ended: %s", p.State())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), errors.New("the fleet manager does not answer"))
		case <-ticker.C:
		}
	}
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Ended tells whether it has.
func (p *Process) Ended() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// Killed tells whether the process was ended by SIGKILL. After Gone.
func (p *Process) Killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// State tells how the process ended. After Gone.
func (p *Process) State() string { return p.cmd.ProcessState.String() }

// Succeeded tells whether it ended by itself and with success. After Gone.
func (p *Process) Succeeded() bool { return p.cmd.ProcessState.Success() }

// Kill ends the process as a crash would, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // one that has ended needs none
	<-p.gone
}

// Terminate asks the process to end and does not wait for it.
func (p *Process) Terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// Pause stops the process where it stands; Resume lets it go on.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a stopped process go on.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Paused tells whether the process is stopped.
func (p *Process) Paused() bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(raw), ") ")
	return strings.HasPrefix(after, "T")
}
