package app

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/db/migrations"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// servers are the listeners.
type servers struct {
	api, metrics, healthServer *httpx.Server
	profiles                   *httpx.Server // nil if nobody asked for it
	health                     *httpx.Health
}

func (a *App) openServers(ctx context.Context) error {
	errs := &httpx.Errors{API: apierr.Kafkas, Logger: a.logger, Report: a.report}
	handler, err := a.apiHandler(errs)
	if err != nil {
		return err
	}
	a.servers.health = httpx.NewHealth(errs,
		httpx.Check{Name: "database", Run: a.db.Ping},
		httpx.Check{Name: "schema", Run: func(ctx context.Context) error { return migrations.Check(ctx, a.db) }},
		httpx.Check{Name: "token_keys", Run: a.keysLoaded},
	)
	h := &a.config.HTTP
	if a.servers.api, err = httpx.Listen(ctx, h.API(), handler, a.logger); err != nil {
		return err
	}
	a.closers = append(a.closers, a.servers.api.Close)
	if a.servers.metrics, err = httpx.Listen(ctx, h.Metrics(), httpx.MetricsHandler(a.registry, errs), a.logger); err != nil {
		return err
	}
	a.closers = append(a.closers, a.servers.metrics.Close)
	if a.servers.healthServer, err = httpx.Listen(ctx, h.Health(), a.servers.health.Handler(), a.logger); err != nil {
		return err
	}
	a.closers = append(a.closers, a.servers.healthServer.Close)
	if h.ProfileAddress == "" {
		return nil
	}
	if a.servers.profiles, err = httpx.Listen(ctx, h.Profile(), httpx.ProfileHandler(), a.logger); err != nil {
		return err
	}
	a.closers = append(a.closers, a.servers.profiles.Close)
	return nil
}

var errNoKeys = errors.New("checking token keys: none of the customers' issuer are loaded yet")

func (a *App) keysLoaded(context.Context) error {
	if !a.domain.guard.KeysLoaded() {
		return errNoKeys
	}
	return nil
}

// run serves until the context ends. Metrics and health outlive the API, so
// that the drain itself can be watched. A server that fails takes the others down.
func (s *servers) run(serving, failing context.Context) error {
	watching, stopWatching := context.WithCancel(context.WithoutCancel(serving))
	defer stopWatching()
	group, _ := errgroup.WithContext(failing)
	group.Go(func() error { return s.metrics.Run(watching) })
	group.Go(func() error { return s.healthServer.Run(watching) })
	if s.profiles != nil {
		group.Go(func() error { return s.profiles.Run(watching) })
	}
	err := s.api.Run(serving)
	stopWatching()
	if watchErr := group.Wait(); err == nil {
		err = watchErr
	}
	return err
}
