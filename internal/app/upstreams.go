package app

import (
	"context"
	"fmt"
	"time"

	"github.com/getsentry/sentry-go"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	robotsinrealm "github.com/kas-fleet/kas-fleet-manager/internal/robot/keycloak"
	robotsatsso "github.com/kas-fleet/kas-fleet-manager/internal/robot/redhatsso"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/redhatsso"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
)

// upstreams are the clients of the systems around us. None is called here: a
// replica starts while they are down.
type upstreams struct {
	admin  *keycloak.Admin   // nil unless the fleet manager administers the SSO's realm …
	sso    *redhatsso.Client // … and nil unless the SSO has an API for accounts
	robots robot.Accounts    // at either of them
	dns    *route53.Client   // nil where no CNAME records are written
	ocm    *ocm.Client
	ams    *ams.Client

	metrics *observatorium.Client
}

func (a *App) openUpstreams(context.Context) (err error) {
	c := a.config
	if err := a.openSSO(); err != nil {
		return err
	}
	if c.Kafka.EnableCNAMEs {
		if a.upstreams.dns, err = route53.New(c.Route53); err != nil {
			return err
		}
	}
	if a.upstreams.ocm, err = ocm.New(c.OCM, a.logger); err != nil {
		return err
	}
	a.closers = append(a.closers, a.upstreams.ocm.Close)
	if a.upstreams.ams, err = ams.New(c.OCM, a.logger); err != nil {
		return err
	}
	a.closers = append(a.closers, a.upstreams.ams.Close)
	if a.upstreams.metrics, err = observatorium.New(c.Observatorium, observatorium.NewMetrics(a.registry), a.logger); err != nil {
		return err
	}
	if !a.upstreams.metrics.Configured() {
		a.logger.Warn("metrics of instances are not served: neither a token refresher nor an Observatorium gateway is set")
	}
	a.closers = append(a.closers, func() error { a.upstreams.metrics.Close(); return nil })
	return nil
}

// openSSO makes the client of the one kind of SSO that is used.
func (a *App) openSSO() (err error) {
	u, c := &a.upstreams, &a.config.SSO
	if c.Provider == config.RedHatSSO {
		if u.sso, err = redhatsso.New(c.RedHat); err != nil {
			return err
		}
		u.robots = robotsatsso.New(u.sso)
		a.closers = append(a.closers, func() error { u.sso.Close(); return nil })
		return nil
	}
	if u.admin, err = keycloak.New(c.Admin); err != nil {
		return err
	}
	u.robots = robotsinrealm.New(u.admin)
	a.closers = append(a.closers, func() error { u.admin.Close(); return nil })
	return nil
}

// lookUpAccount asks the accounts service for a user.
func (a *App) lookUpAccount(ctx context.Context, username string) (kafka.Account, bool, error) {
	account, found, err := a.upstreams.ams.Account(ctx, username)
	if err != nil || !found {
		return kafka.Account{}, false, err
	}
	return kafka.Account{
		ID: account.ID, Username: account.Username, OrganisationID: account.OrgExternalID,
		Banned: account.Banned || a.domain.guard.Denied(username), // who may not use the service cannot own a part of it
	}, true, nil
}

// openReporter makes what learns of errors that somebody should look at.
func (a *App) openReporter(context.Context) error {
	if !a.config.Sentry.Enabled {
		a.report = func(context.Context, error) {}
		return nil
	}
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn: a.config.Sentry.DSN.Reveal(), Environment: string(a.config.Environment), Release: a.commit,
		AttachStacktrace: true, Debug: a.config.Sentry.Debug,
	})
	if err != nil {
		return fmt.Errorf("opening the error reporter: %w", err)
	}
	hub := sentry.NewHub(client, sentry.NewScope())
	a.report = func(ctx context.Context, err error) {
		hub.WithScope(func(scope *sentry.Scope) {
			scope.SetTag("operation_id", httpx.OperationID(ctx))
			hub.CaptureException(err)
		})
	}
	a.closers = append(a.closers, func() error {
		client.Flush(max(a.config.Sentry.Timeout, time.Second))
		return nil
	})
	return nil
}
