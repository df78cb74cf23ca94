// Package app is the process: it makes every part in order, wires them
// together, runs them and takes them down in reverse.
//
// It is wiring only: no rule lives here. Invariant: whatever New opened, Close
// closes; whatever Run started has ended when it returns.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// App is one replica of the fleet manager.
type App struct {
	config    *config.Config
	commit    string
	logger    *slog.Logger
	registry  *prometheus.Registry
	db        *db.DB
	report    func(ctx context.Context, err error)
	upstreams upstreams
	domain    domain
	servers   servers
	routes    []string
	workers   workers
	closers   []func() error
}

// Options are what a replica is made of.
type Options struct {
	Config *config.Config // validated: files are read
	Commit string         // of this build, shown to clients
	Logger *slog.Logger
}

// New makes a replica and binds its addresses; Run serves.
func New(ctx context.Context, o Options) (*App, error) {
	a := &App{config: o.Config, commit: o.Commit, logger: o.Logger, registry: prometheus.NewRegistry()}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context) error{a.openReporter, a.openDatabase, a.openUpstreams, a.openDomain, a.openServers, a.openWorkers} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

func (a *App) openDatabase(ctx context.Context) error {
	d, err := db.Open(ctx, a.config.DB, a.registry, a.logger)
	if err != nil {
		return err
	}
	a.db = d
	a.closers = append(a.closers, d.Close)
	return nil
}

// Run serves until ctx ends, then drains: readiness turns red and the leases are
// given up at once, the API goes on until the load balancers have noticed, and
// its requests in flight finish.
func (a *App) Run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	group, failing := errgroup.WithContext(ctx)
	group.Go(func() error { return a.servers.run(serving, failing) })
	a.workers.run(failing, group)
	a.runWatchers(failing, group)
	group.Go(func() error {
		<-failing.Done()
		a.servers.health.Drain()
		if ctx.Err() != nil { // asked to stop, not failed: others rely on this replica for a moment more
			pause(serving, a.config.HTTP.ShutdownDelay)
		}
		stopServing()
		return nil
	})
	err := group.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// runWatchers keeps fresh what comes from files and from the SSO.
func (a *App) runWatchers(ctx context.Context, group *errgroup.Group) {
	for _, run := range []func(context.Context){
		a.domain.guard.Run, a.domain.rules.Run, a.domain.clusterFile.Run, a.domain.exempt.Run,
	} {
		group.Go(func() error { run(ctx); return nil })
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Close takes down what New opened, last first. After Run.
func (a *App) Close() error {
	var problems []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		problems = append(problems, a.closers[i]())
	}
	a.closers = nil
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	return nil
}

// APIAddress is the address of the API server.
func (a *App) APIAddress() string { return a.servers.api.Address() }

// MetricsAddress is the address of the metrics server.
func (a *App) MetricsAddress() string { return a.servers.metrics.Address() }

// HealthAddress is the address of the health server.
func (a *App) HealthAddress() string { return a.servers.healthServer.Address() }

// Routes lists what the API serves, by method and path template: "GET /path/{id}".
func (a *App) Routes() []string { return slices.Clone(a.routes) }
