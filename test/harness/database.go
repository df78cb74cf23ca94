package harness

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/kas-fleet/kas-fleet-manager/internal/db/migrations"
	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres/server"
)

// database is how a world comes to its rows, and what a test can do about that.
type database struct {
	private *server.Private // nil: the server is shared with other tests

	mu      sync.Mutex
	proxies []*faultproxy.Proxy
}

// Proxied puts a proxy of its own between each replica and the database; see
// Replica.Database. The tests' own look at the rows goes past it.
func Proxied() Option { return func(o *options) { o.proxied = true } }

// OwnServer gives the world a PostgreSQL server of its own, which takes that many
// connections and which the test may stop.
func OwnServer(connections int) Option { return func(o *options) { o.ownServer = connections } }

// openDatabase gives the connection string of the world's database.
func (w *World) openDatabase() string {
	w.t.Helper()
	if w.o.ownServer == 0 {
		w.t.Cleanup(w.database.close)
		return postgres.URL(w.t)
	}
	ctx, cancel := w.context()
	defer cancel()
	private, err := server.StartDurable(ctx, w.o.ownServer)
	if err != nil {
		w.t.Fatal(err)
	}
	w.database.private = private
	w.t.Cleanup(func() {
		w.database.close()
		ctx, cancel := w.context()
		defer cancel()
		if err := private.Remove(ctx); err != nil {
			w.t.Errorf("removing the world's database server: %v", err)
		}
	})
	if err := migrations.Up(ctx, postgres.OpenURL(w.t, private.URL())); err != nil {
		w.t.Fatal(err)
	}
	return private.URL()
}

func (d *database) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.proxies {
		p.Close()
	}
}

// wayToDatabase gives what a replica connects to, and the proxy in between if
// there is to be one.
func (w *World) wayToDatabase() (*faultproxy.Proxy, string) {
	w.t.Helper()
	if !w.o.proxied {
		return nil, w.url
	}
	proxy, err := faultproxy.Start(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.database.mu.Lock()
	defer w.database.mu.Unlock()
	w.database.proxies = append(w.database.proxies, proxy)
	return proxy, proxy.URL()
}

func (w *World) onServer(what string, do func(ctx context.Context, p *server.Private) error) {
	w.t.Helper()
	if w.database.private == nil {
		w.t.Fatalf("%s: the server is not the world's own", what)
	}
	ctx, cancel := w.context()
	defer cancel()
	if err := do(ctx, w.database.private); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// RestartDatabase ends all connections to the server and returns when it is back.
func (w *World) RestartDatabase() {
	w.t.Helper()
	w.onServer("restarting", func(ctx context.Context, p *server.Private) error { return p.Restart(ctx) })
}

// CrashDatabase ends the server as a kill does.
func (w *World) CrashDatabase() {
	w.t.Helper()
	w.onServer("crashing", func(ctx context.Context, p *server.Private) error { return p.Crash(ctx) })
}

// ReturnDatabase starts a server that has crashed, and returns when it answers.
func (w *World) ReturnDatabase() {
	w.t.Helper()
	w.onServer("returning", func(ctx context.Context, p *server.Private) error { return p.Return(ctx) })
}

// FreezeDatabase makes the server read-only, or writable again. It returns when new
// connections are so; old ones follow with their next statement.
func (w *World) FreezeDatabase(frozen bool) {
	w.t.Helper()
	value := "off"
	if frozen {
		value = "on"
	}
	w.OnServer("ALTER SYSTEM SET default_transaction_read_only = " + value)
	w.OnServer("SELECT pg_reload_conf()")
	w.Until("the server's new setting", func() (bool, string) {
		var now string
		w.onServer("looking", func(ctx context.Context, p *server.Private) error {
			conn, err := pgx.Connect(ctx, p.URL())
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			return conn.QueryRow(ctx, "SHOW default_transaction_read_only").Scan(&now)
		})
		return now == value, now
	})
}

// OccupyDatabase takes every connection that is left, as a stranger does, until
// the returned function is called. It tells how many it took.
func (w *World) OccupyDatabase() (taken int, leave func()) {
	w.t.Helper()
	var held []*pgx.Conn
	w.onServer("occupying", func(ctx context.Context, p *server.Private) error {
		for {
			conn, err := pgx.Connect(ctx, p.URL())
			if err != nil {
				return ctx.Err()
			}
			held = append(held, conn)
		}
	})
	return len(held), func() {
		ctx, cancel := w.context()
		defer cancel()
		for _, conn := range held {
			_ = conn.Close(ctx)
		}
	}
}

// SettleDatabase lets the tests' own pool find out which of its connections an
// outage has broken. Call it before the next look at the rows.
func (w *World) SettleDatabase() {
	w.t.Helper()
	w.Until("the tests' own pool", func() (bool, string) {
		failed := make([]error, 20) // more than the pool has, so that each is tried
		var running sync.WaitGroup
		for i := range failed {
			running.Go(func() {
				failed[i] = w.Within(func(ctx context.Context) error { return w.DB.Gorm(ctx).Exec("SELECT pg_sleep(0.02)").Error })
			})
		}
		running.Wait()
		i := slices.IndexFunc(failed, func(err error) bool { return err != nil })
		if i < 0 {
			return true, ""
		}
		return false, failed[i].Error()
	})
}

// OnServer runs a statement at the world's own server past every setting that a
// test gave it.
func (w *World) OnServer(statement string) {
	w.t.Helper()
	w.onServer(statement, func(ctx context.Context, p *server.Private) error {
		conn, err := pgx.Connect(ctx, p.URL())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, "SET default_transaction_read_only = off")
		if err == nil {
			_, err = conn.Exec(ctx, statement)
		}
		return err
	})
}
