package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/test/broker"
	"github.com/kas-fleet/kas-fleet-manager/test/prometheus"
)

// world is everything that one sandbox runs.
type world struct {
	settings  settings
	ports     ports
	folder    *folder
	database  *database
	upstreams *upstreams
	plane     *dataPlane
	authority *broker.Authority
	measuring *prometheus.Server // nil: there is no Prometheus on this machine
	fleet     *fleet
	tokens    map[string]string

	began   time.Time
	out     io.Writer
	outLock sync.Mutex
	closers []func() error

	written sync.Mutex // one writer of sandbox.env at a time
	whole   bool       // the world is up: sandbox.env is kept up to date from now on
}

// openWorld starts everything and returns when customers can be served. What it
// started has ended again when it fails.
func openWorld(ctx context.Context, s settings, out io.Writer) (*world, error) {
	w := &world{settings: s, ports: portsOf(s.Replicas, s.Offset), began: time.Now(), out: out}
	err := w.open(ctx)
	if err == nil {
		return w, nil
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted before the world was up")
	}
	return nil, errors.Join(err, w.close())
}

func (w *world) open(ctx context.Context) (err error) {
	if err := w.ports.check(ctx); err != nil {
		return err
	}
	if w.folder, err = claimFolder(w.settings.Folder, w.settings.Offset); err != nil {
		return err
	}
	w.onClose(func() error {
		_ = os.Remove(w.folder.file(environmentFile)) // what it names is gone
		w.folder.release()
		return nil
	})
	_ = os.Remove(w.folder.file(environmentFile)) // of a world before, it would lead astray
	c := newCredentials()
	if err := w.openOutside(ctx, c); err != nil {
		return err
	}
	if err := w.openFleet(ctx, c); err != nil {
		return err
	}
	return w.settle(ctx)
}

func (w *world) onClose(fn func() error) { w.closers = append(w.closers, fn) }

// close ends everything, last first.
func (w *world) close() error {
	var problems []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		problems = append(problems, w.closers[i]())
	}
	w.closers = nil
	return errors.Join(problems...)
}

// say tells the user, with the time since the start.
func (w *world) say(format string, args ...any) {
	w.outLock.Lock()
	defer w.outLock.Unlock()
	_, _ = fmt.Fprintf(w.out, "%6.1fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// openOutside starts what is not the fleet manager.
func (w *world) openOutside(ctx context.Context, c credentials) (err error) {
	if err := w.openDatabase(ctx); err != nil {
		return err
	}
	if w.authority, err = broker.NewAuthority(); err != nil {
		return err
	}
	if _, err := w.folder.write("ca.pem", string(w.authority.PEM())); err != nil {
		return err
	}
	logs, err := os.OpenFile(w.folder.file("data-plane.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of the data plane: %w", err)
	}
	w.onClose(logs.Close)
	if w.plane, err = openDataPlane(w.ports.Router, w.authority, w.settings.agents(), log.New(logs, slog.LevelInfo)); err != nil {
		return err
	}
	w.onClose(w.plane.close)
	if w.upstreams, err = openUpstreams(w.settings, w.ports, c, w.plane.addonReady); err != nil {
		return err
	}
	u := w.upstreams
	for _, one := range []struct {
		port    int
		handler http.Handler
	}{
		{w.ports.SSO, u.ssoCalls}, {w.ports.OCM, u.redHat()}, {w.ports.Route53, u.dnsCalls},
		{w.ports.Gateway, frontDoor(w.ports, u.SSO.UserToken)}, {w.ports.Admin, admin(u, w.plane)},
		{w.ports.Observatorium, u.metricsCalls}, {w.ports.Figures, w.plane.router.Figures()},
	} {
		stop, err := serve(ctx, one.port, one.handler)
		if err != nil {
			return err
		}
		w.onClose(stop)
	}
	w.say("SSO, OCM, AMS, Route 53, gateway and Kafka router answer")
	if err := w.openPrometheus(ctx); err != nil {
		return err
	}
	if w.tokens, err = w.makeTokens(); err != nil {
		return err
	}
	return w.writeSigningKey()
}

func (w *world) writeSigningKey() error {
	key, err := w.upstreams.SSO.SigningKeyPEM(customerRealm)
	if err == nil {
		_, err = w.folder.write("signing-key.pem", string(key))
	}
	return err
}

// openDatabase also migrates.
func (w *world) openDatabase(ctx context.Context) (err error) {
	empty := true
	if given := w.settings.DatabaseURL; given != "" {
		w.database, empty, err = useDatabase(ctx, given)
	} else {
		w.database, err = startDatabase(ctx, w.folder)
	}
	if err != nil {
		return err
	}
	w.onClose(w.database.close)
	w.fleet = &fleet{
		binary: w.settings.Binary, environ: environ(w.database.url), folder: w.folder, say: w.say, changed: w.refreshEnvironment,
	}
	if w.database.pid != 0 {
		w.say("PostgreSQL runs, process %d", w.database.pid)
	}
	if !empty {
		if err := w.fleet.call(ctx, "migrate", "rollback-all"); err != nil {
			return err
		}
		w.say("an earlier sandbox's data removed from the database")
	}
	if err := w.fleet.call(ctx, "migrate", "up"); err != nil {
		return err
	}
	w.say("database migrated")
	return nil
}

func (w *world) openFleet(ctx context.Context, c credentials) error {
	shared, err := configure(w.folder, w.settings, w.ports, c)
	if err != nil {
		return err
	}
	for _, p := range w.ports.Replicas {
		w.fleet.replicas = append(w.fleet.replicas, &replica{ports: p, args: replicaArgs(shared, p)})
	}
	w.fleet.start()
	w.onClose(w.fleet.stop)
	if err := w.fleet.ready(ctx); err != nil {
		return err
	}
	w.say("%d fleet manager(s) ready", len(w.fleet.replicas))
	return nil
}

// settle waits until the data planes take Kafkas, or where there are no agents until
// somebody can play one.
func (w *world) settle(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, w.database.url)
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = until(ctx, readyDeadline, w.fleet.died, func(ctx context.Context) error { return w.settled(ctx, conn) })
	if err != nil {
		return fmt.Errorf("waiting for the data-plane clusters: %w", err)
	}
	if w.settings.agents() {
		w.say("%d data-plane clusters ready", len(clusters()))
	} else {
		w.say("%d data-plane clusters wait for their agents", len(clusters()))
	}
	w.written.Lock()
	w.whole = true
	w.written.Unlock()
	return w.writeEnvironment()
}

func (w *world) settled(ctx context.Context, conn *pgx.Conn) error {
	for _, c := range clusters() {
		if _, ok := w.upstreams.OCM.AddonParameters(c.ID, fleetAddon); !ok {
			return fmt.Errorf("cluster %s: its add-on %s is not installed", c.Name, fleetAddon)
		}
		if _, ok := w.upstreams.SSO.Client(w.settings.accountRealm(), w.agentAccount(c.ID).id); !ok {
			return fmt.Errorf("cluster %s: its agent has no account", c.Name)
		}
	}
	wanted := "waiting_for_kas_fleetshard_operator"
	if w.settings.agents() {
		wanted = "ready"
	}
	var count int
	err := conn.QueryRow(ctx, "SELECT count(*) FROM clusters WHERE deleted_at IS NULL AND status IN ('ready', $1)", wanted).Scan(&count)
	if err == nil && count < len(clusters()) {
		err = fmt.Errorf("%d of %d are %s", count, len(clusters()), wanted)
	}
	return err
}

// run keeps a world up until ctx ends.
func run(ctx context.Context, s settings, out io.Writer) error {
	w, err := openWorld(ctx, s, out)
	if err != nil {
		return err
	}
	w.show()
	<-ctx.Done()
	w.say("stopping")
	err = w.close()
	w.say("stopped")
	return err
}
