package harness

import (
	"context"
	"net/url"
	"os"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

// Processes makes the replicas processes of a binary, which can be killed and
// paused, with more variables than the harness gives them. What they are told by
// Set they are told as flags.
func Processes(binary string, environ ...string) Option {
	return func(o *options) { o.binary, o.environ = binary, environ }
}

// startProcess starts another fleet manager as a process. Its connections bear its
// address, so that the database can tell the replicas apart.
func (w *World) startProcess() *Replica {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var r *Replica
	for left := 3; r == nil; left-- {
		p, err := w.launch(ctx)
		switch {
		case err == nil, p != nil && ctx.Err() == nil && p.Killed(): // one may be killed at its first step
			at := p.At
			r = &Replica{URL: "http://" + at.API, Metrics: "http://" + at.Metrics + "/metrics", Health: "http://" + at.Health, world: w, process: p}
		case left == 0: // an address that was free a moment ago may be taken by now
			w.t.Fatalf("starting a replica: %v\n%s", err, w.logs.tail(20))
		}
	}
	w.mu.Lock()
	w.replicas = append(w.replicas, r)
	w.mu.Unlock()
	go func() {
		<-r.process.Gone()
		w.forget(r)
	}()
	return r
}

// launch starts a process and waits until it serves.
func (w *World) launch(ctx context.Context) (*process.Process, error) {
	at, err := process.FreeAddresses(ctx)
	if err != nil {
		return nil, err
	}
	_, where := w.wayToDatabase()
	environ := append([]string{"OCM_ENV=testing", "DATABASE_URL=" + named(where, at.API), "PATH=" + os.Getenv("PATH")}, w.o.environ...)
	for flag, value := range w.values() {
		switch flag {
		case "api-server-bindaddress", "metrics-server-bindaddress", "health-check-server-bindaddress":
		default:
			environ = append(environ, config.Variable(flag)+"="+value)
		}
	}
	p, err := process.Start(ctx, at, process.Options{Binary: w.o.binary, Dir: w.dir, Environ: environ, Output: w.logs})
	if err != nil {
		return nil, err
	}
	if err := p.Await(ctx); err != nil {
		if !p.Ended() {
			p.Kill()
		}
		return p, err
	}
	return p, nil
}

// named gives a database's URL under which the server knows the client's name.
func named(databaseURL, name string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return databaseURL // opening it says so
	}
	query := u.Query()
	query.Set("application_name", name)
	u.RawQuery = query.Encode()
	return u.String()
}

// Process is the replica's own process; nil where it runs in the test's.
func (r *Replica) Process() *process.Process { return r.process }

// Kill ends a replica that is a process as a crash would.
func (r *Replica) Kill() {
	r.once.Do(func() {
		r.world.forget(r)
		r.process.Kill()
	})
}

// terminate ends the process as an operator would.
func (r *Replica) terminate() {
	w := r.world
	w.t.Helper()
	if r.process.Ended() {
		if !r.process.Killed() && !r.process.Succeeded() {
			w.t.Errorf("a replica had ended by itself: %s", r.process.State())
		}
		return
	}
	if err := r.process.Terminate(); err != nil {
		w.t.Logf("ending a replica: %v", err)
	}
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-r.process.Gone():
		if !r.process.Succeeded() {
			w.t.Errorf("a replica ended with: %s", r.process.State())
		}
	case <-timer.C:
		r.process.Kill()
		w.t.Errorf("a replica did not end within %s", stopTime)
	}
}

// Running gives the replicas that run.
func (w *World) Running() []*Replica { return w.live() }

// Withdraw keeps callers from a replica, as a balancer does with one that does not
// answer; Return lets them come again.
func (r *Replica) Withdraw() { r.world.forget(r) }

// Return puts a replica back that was withdrawn.
func (r *Replica) Return() {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	r.world.replicas = append(r.world.replicas, r)
}
