package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kas-fleet/kas-fleet-manager/test/postgres/server"
)

const (
	guardName        = "guard-database"
	databaseName     = "kas_fleet_manager"
	databaseDeadline = time.Minute
	sandboxLock      = "kas-fleet-manager sandbox"
)

// database is where the world's rows are.
type database struct {
	url string
	pid int // 0: the server is not ours

	server *server.Server
	guard  *guard
	claim  *pgx.Conn // holds the lock on a given database
}

// startDatabase starts the private server and gives it an empty database.
func startDatabase(ctx context.Context, f *folder) (*database, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseDeadline)
	defer cancel()
	dir := f.file("postgres")
	guarding, err := startGuard(dir, f.lock)
	if err != nil {
		return nil, err
	}
	d := &database{guard: guarding}
	if d.server, err = startServer(ctx, dir); err == nil {
		err = d.createEmpty(ctx)
	}
	if err == nil {
		err = d.claimOwn(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting PostgreSQL: %w", err), d.close())
	}
	return d, nil
}

// startServer begins anew where old data is of no use: the server gives up
// durability for speed, so a crash of the machine may have spoilt them.
func startServer(ctx context.Context, dir string) (*server.Server, error) {
	o := server.Options{Dir: dir, Fast: true}
	s, err := server.Start(ctx, o)
	if err == nil || errors.Is(err, server.ErrNotInstalled) {
		return s, err
	}
	spoilt, openErr := server.Open(ctx, dir)
	if openErr != nil {
		return nil, err
	}
	if removeErr := spoilt.Remove(ctx); removeErr != nil {
		return nil, errors.Join(err, removeErr)
	}
	return server.Start(ctx, o)
}

func (d *database) createEmpty(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.server.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + databaseName + " WITH (FORCE)", "CREATE DATABASE " + databaseName} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	u, err := url.Parse(d.server.URL())
	if err != nil {
		return err
	}
	u.Path = "/" + databaseName
	d.url = u.String()
	d.pid, err = d.server.PID()
	return err
}

// claimOwn keeps other worlds from taking the database by its URL.
func (d *database) claimOwn(ctx context.Context) error {
	var err error
	if d.claim, err = pgx.Connect(ctx, d.url); err != nil {
		return err
	}
	_, err = d.claim.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", sandboxLock)
	return err
}

// useDatabase takes a given database. Rows of an earlier world are of no use, since
// its upstreams are gone; rows of anybody else are not ours to touch. empty says
// that there are none; else the schema must be made anew.
func useDatabase(ctx context.Context, given string) (d *database, empty bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseDeadline)
	defer cancel()
	conn, err := pgx.Connect(ctx, given)
	if err != nil {
		return nil, false, fmt.Errorf("reaching the database of DATABASE_URL: %w", err)
	}
	d = &database{url: given, claim: conn}
	empty, err = d.lookInto(ctx)
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("looking into the database of DATABASE_URL: %w", err), d.close())
	}
	return d, empty, nil
}

func (d *database) lookInto(ctx context.Context) (empty bool, err error) {
	var free, migrated bool
	if err := d.claim.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0)), to_regclass('clusters') IS NOT NULL",
		sandboxLock).Scan(&free, &migrated); err != nil {
		return false, err
	}
	if !free {
		return false, errors.New("another sandbox uses it now")
	}
	if !migrated {
		return true, nil
	}
	rows, err := d.claim.Query(ctx, `SELECT coalesce(cluster_id, '') FROM clusters UNION SELECT cluster_id FROM kafka_requests`)
	if err != nil {
		return false, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return false, err
	}
	for _, id := range found {
		if id != "" && !slices.ContainsFunc(clusterIDs(), func(ours string) bool { return ours == id }) {
			return false, fmt.Errorf("it knows cluster %s, which is no sandbox's: give an empty database", id)
		}
	}
	return len(found) == 0, nil
}

func clusterIDs() []string {
	var ids []string
	for _, c := range clusters() {
		ids = append(ids, c.ID)
	}
	return ids
}

// close stops a private server and lets go of a given database.
func (d *database) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseDeadline)
	defer cancel()
	var problems []error
	if d.claim != nil {
		problems = append(problems, d.claim.Close(ctx))
	}
	if d.server != nil {
		problems = append(problems, d.server.Stop(ctx))
	}
	if d.guard != nil {
		problems = append(problems, d.guard.end())
	}
	return errors.Join(problems...)
}

// guard is a process that stops the server when the sandbox is gone, however it went.
type guard struct {
	cmd *exec.Cmd
	// lifeline is the writing end of a pipe: the kernel closes it with the sandbox.
	lifeline *os.File
}

// startGuard starts the guard before there is a server. It shares the lock of the
// folder, so that no other world begins there before the server has stopped.
func startGuard(dir string, lock *os.File) (*guard, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("guarding PostgreSQL: %w", err)
	}
	reading, writing, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guarding PostgreSQL: %w", err)
	}
	defer func() { _ = reading.Close() }()
	// Not bound to a context: it must outlive the sandbox.
	cmd := exec.CommandContext(context.Background(), self, guardName, dir)
	cmd.Stdin = reading
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = writing.Close()
		return nil, fmt.Errorf("guarding PostgreSQL: %w", err)
	}
	return &guard{cmd: cmd, lifeline: writing}, nil
}

func (g *guard) end() error {
	return errors.Join(g.lifeline.Close(), g.cmd.Wait())
}

// guardDatabase is what the guard does.
func guardDatabase(ctx context.Context, dir string, lifeline io.Reader) error {
	if _, err := io.Copy(io.Discard, lifeline); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseDeadline)
	defer cancel()
	s, err := server.Open(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, server.ErrNotInstalled) {
		return nil // it never came into being
	}
	if err != nil {
		return err
	}
	return s.Stop(ctx)
}
