// Package postgres gives each test a migrated PostgreSQL database of its own.
//
// It is for tests, the sandbox's make targets and nothing that ships. The server
// is that of TEST_DATABASE_URL or DATABASE_URL, or a private one that this process
// starts and that ends with it. Invariant: no database, cluster or process that
// was not made here is ever changed.
package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/db/migrations"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres/server"
)

const (
	deadline = time.Minute
	// testPool is small: many tests share the server.
	testPool = 16
)

// Database gives an open, migrated database that is dropped when the test ends.
func Database(tb testing.TB) *db.DB {
	tb.Helper()
	return OpenURL(tb, URL(tb))
}

// OpenURL opens a database like that of Database; it is closed when the test ends.
func OpenURL(tb testing.TB, where string) *db.DB {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	opened, err := open(ctx, where)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = opened.Close() })
	return opened
}

// URL is Database for those who open it themselves, a child process for one.
func URL(tb testing.TB) string {
	tb.Helper()
	return clone(tb, template)
}

// EmptyURL gives a database without any table.
func EmptyURL(tb testing.TB) string {
	tb.Helper()
	return clone(tb, func(context.Context, string) (string, error) { return "template0", nil })
}

func clone(tb testing.TB, from func(context.Context, string) (string, error)) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	host, err := serverURL()
	if err != nil {
		tb.Fatal(err)
	}
	source, err := from(ctx, host)
	if err != nil {
		tb.Fatal(err)
	}
	name := "kfm_test_" + strings.ToLower(rand.Text()[:16])
	if err := execute(ctx, host, "CREATE DATABASE "+name+" TEMPLATE "+source+" STRATEGY FILE_COPY"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := execute(ctx, host, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			tb.Logf("a test database is left behind: %v", err)
		}
	})
	return withDatabase(host, name)
}

func open(ctx context.Context, where string) (*db.DB, error) {
	c := db.Config{URL: log.Secret(where), MaxOpenConnections: testPool}
	return db.Open(ctx, c, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
}

// theServer is the one server of this process. A private one is kept here, since
// it ends when nothing holds it any more.
var theServer = sync.OnceValues(func() (*reached, error) {
	for _, name := range []string{"TEST_DATABASE_URL", "DATABASE_URL"} {
		if where := os.Getenv(name); where != "" {
			if u, err := url.Parse(where); err != nil || u.Scheme == "" {
				return nil, fmt.Errorf("%s: must be a postgres:// URL", name)
			}
			return &reached{url: where}, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	private, err := server.StartPrivate(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting a PostgreSQL for the tests: %w", err)
	}
	return &reached{url: private.URL(), private: private}, nil
})

type reached struct {
	url     string
	private *server.Private // nil: the server is somebody else's
}

func serverURL() (string, error) {
	found, err := theServer()
	if err != nil {
		return "", err
	}
	return found.url, nil
}

// template gives the name of the migrated database that tests clone. Its name
// carries the fingerprint of the migrations, so a changed migration never meets an
// old template on a server that lives on.
func template(ctx context.Context, host string) (string, error) {
	return makeTemplate.do(ctx, host)
}

type once struct {
	mutex sync.Mutex
	done  bool
}

var makeTemplate once

func (o *once) do(ctx context.Context, host string) (string, error) {
	name := "kfm_template_" + migrations.Fingerprint()
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.done {
		return name, nil
	}
	if err := ensureTemplate(ctx, host, name); err != nil {
		return "", fmt.Errorf("making the template database: %w", err)
	}
	o.done = true
	return name, nil
}

// ensureTemplate makes the template unless it is there. Other test processes may
// do the same now, so a lock of the server guards it; the final name appears only
// when the template is complete.
func ensureTemplate(ctx context.Context, host, name string) error {
	conn, err := pgx.Connect(ctx, host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", name); err != nil {
		return err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return err
	}
	draft := name + "_draft"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + draft + " WITH (FORCE)", "CREATE DATABASE " + draft + " TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	if err := migrate(ctx, withDatabase(host, draft)); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+name)
	return err
}

func migrate(ctx context.Context, where string) error {
	d, err := open(ctx, where)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return migrations.Up(ctx, d)
}

func execute(ctx context.Context, where, statement string) error {
	conn, err := pgx.Connect(ctx, where)
	if err != nil {
		return fmt.Errorf("reaching the test server: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("executing %q: %w", statement, err)
	}
	return nil
}

func withDatabase(host, name string) string {
	u, err := url.Parse(host)
	if err != nil {
		return host // serverURL made sure that it parses
	}
	u.Path = "/" + name
	return u.String()
}
