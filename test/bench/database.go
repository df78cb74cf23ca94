package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kas-fleet/kas-fleet-manager/test/postgres/server"
)

const databaseDeadline = 2 * time.Minute

// databaseServer is the PostgreSQL of a run.
type databaseServer struct {
	url     string
	pid     int            // of the postmaster, whose children work for us
	private *server.Server // nil: it is somebody else's
	folder  string
}

// openServer starts a private server, or takes the one that was given. A private
// one keeps its data in .run, where make clean finds what a killed run left.
func openServer(ctx context.Context, s settings) (*databaseServer, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseDeadline)
	defer cancel()
	d := &databaseServer{url: s.DatabaseURL}
	if d.url == "" {
		d.folder = filepath.Join(".run", "bench-"+strconv.Itoa(os.Getpid()))
		var err error
		if d.private, err = server.Start(ctx, server.Options{Dir: d.folder, Fast: !s.Fsync}); err != nil {
			return nil, fmt.Errorf("starting PostgreSQL: %w", err)
		}
		d.url = d.private.URL()
	}
	if err := d.findPID(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// findPID looks for the postmaster among the processes of this machine: it is the
// parent of our own connection.
func (d *databaseServer) findPID(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return fmt.Errorf("reaching PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var backend int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return fmt.Errorf("reaching PostgreSQL: %w", err)
	}
	comm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(backend), "comm"))
	if err != nil || strings.TrimSpace(string(comm)) != "postgres" {
		return errors.New("TEST_DATABASE_URL: the server must run on this machine, its CPU time is read from /proc")
	}
	d.pid, err = parentOf(backend)
	return err
}

func (d *databaseServer) close() error {
	if d.private == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), databaseDeadline)
	defer cancel()
	return errors.Join(d.private.Remove(ctx), os.RemoveAll(d.folder))
}

// newDatabase makes an empty database and gives its URL and what drops it.
func (d *databaseServer) newDatabase(ctx context.Context) (where string, drop func() error, err error) {
	name := "kfm_bench_" + strings.ToLower(rand.Text()[:12])
	if err := d.execute(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(d.url)
	if err != nil {
		return "", nil, errors.New("TEST_DATABASE_URL: must be a postgres:// URL")
	}
	u.Path = "/" + name
	return u.String(), func() error {
		return d.execute(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	}, nil
}

func (d *databaseServer) execute(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseDeadline)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return fmt.Errorf("reaching PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("executing %q: %w", statement, err)
	}
	return nil
}

// describe writes down on what the figures were taken.
func (b *bench) describe(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.server.url)
	if err != nil {
		return fmt.Errorf("reaching PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var version, fsync, commit, buffers string
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('fsync'),
		current_setting('synchronous_commit'), current_setting('shared_buffers')`).Scan(&version, &fsync, &commit, &buffers)
	if err != nil {
		return fmt.Errorf("reading PostgreSQL's settings: %w", err)
	}
	binary, err := os.Stat(b.settings.Binary)
	if err != nil {
		return fmt.Errorf("finding the fleet manager (make build makes it): %w", err)
	}
	_, _ = fmt.Fprintf(b.out, "Machine: %s. PostgreSQL %s, fsync %s, synchronous_commit %s, shared_buffers %s. Each row %s, after a fifth of that to warm up.\n",
		machine(), version, fsync, commit, buffers, b.settings.Measure)
	t := &table{title: "The binary"}
	t.add(row{
		work: "size", result: fmt.Sprintf("%.1f MB", float64(binary.Size())/1e6), target: "≤ 60 MB",
		missed: misses([]goal{{what: "size", figure: float64(binary.Size()), limit: 60e6}}),
	})
	t.print(b.out)
	return nil
}
