package harness

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/app"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

// stopTime bounds how long a replica may take to drain.
const stopTime = 40 * time.Second

// Replica is one fleet manager of the world.
type Replica struct {
	URL     string // of the API
	Metrics string // URL of the metrics page
	Health  string // URL of the health server

	Database *faultproxy.Proxy // nil without Proxied

	world   *World
	process *process.Process // nil: it runs in this one
	app     *app.App
	end     context.CancelFunc
	ended   chan error
	once    sync.Once
}

// StartReplica starts another fleet manager on the world's database.
func (w *World) StartReplica() *Replica {
	w.t.Helper()
	if w.o.binary != "" {
		return w.startProcess()
	}
	proxy, database := w.wayToDatabase()
	ctx, end := context.WithCancel(context.Background())
	made, err := app.New(ctx, app.Options{
		Config: w.configuration(database), Commit: "0123abc", Logger: log.New(w.logs, slog.LevelDebug),
	})
	if err != nil {
		end()
		w.t.Fatalf("starting a replica: %v\n%s", err, w.logs.tail(20))
	}
	r := &Replica{
		URL: "http://" + made.APIAddress(), Metrics: "http://" + made.MetricsAddress() + "/metrics", Health: "http://" + made.HealthAddress(),
		Database: proxy,
		world:    w, app: made, end: end, ended: make(chan error, 1),
	}
	go func() { r.ended <- made.Run(ctx) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas = append(w.replicas, r)
	return r
}

// Stop ends the replica as SIGTERM does, and waits until it has.
func (r *Replica) Stop() {
	r.world.t.Helper()
	r.once.Do(func() {
		w := r.world
		w.forget(r)
		if r.process != nil {
			r.terminate()
			return
		}
		r.end()
		timer := time.NewTimer(stopTime)
		defer timer.Stop()
		select {
		case err := <-r.ended:
			if err != nil {
				w.t.Errorf("a replica ended with: %v", err)
			}
		case <-timer.C:
			w.t.Errorf("a replica did not end within %s", stopTime)
			return
		}
		if err := r.app.Close(); err != nil {
			w.t.Errorf("closing a replica: %v", err)
		}
	})
}

// forget leaves a replica out of those that run.
func (w *World) forget(r *Replica) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas = slices.DeleteFunc(w.replicas, func(other *Replica) bool { return other == r })
}

// As gives a customer who calls this replica.
func (r *Replica) As(user string) *Caller {
	c := r.world.As(user)
	c.base = func() string { return r.URL }
	return c
}

// Page reads a page of the metrics or the health server, and its status.
func (r *Replica) Page(url string) (status int, body string) {
	r.world.t.Helper()
	request, err := http.NewRequestWithContext(r.world.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		r.world.t.Fatalf("reading %s: %v", url, err)
	}
	reply, err := r.world.client.Do(request)
	if err != nil {
		r.world.t.Fatalf("reading %s: %v", url, err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		r.world.t.Fatalf("reading %s: %v", url, err)
	}
	return reply.StatusCode, string(text)
}

// Leads tells whether the replica is the leader for a lease.
func (r *Replica) Leads(lease string) bool {
	r.world.t.Helper()
	return r.world.Leader(lease) == strings.TrimPrefix(r.URL, "http://")
}
