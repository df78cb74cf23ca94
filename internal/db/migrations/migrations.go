// Package migrations changes the schema of the database, forwards and back.
//
// It is for the schema only; data that needs the code of a domain is not changed
// here. Each migration is frozen SQL in a file of its own, so that a later change
// of the Go types cannot change what an old migration did.
// Invariant: a migration and its entry in the table "migrations" commit together
// or not at all, and two processes that migrate at once do each step once.
package migrations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// all is THE list, in order. Append only; ids are times and ascend.
func all() []migration {
	return []migration{
		baseline(),
		nameTrigrams(),
		callsUnderWay(),
		indexesOfTheFirstDays(),
		usage(),
		recount(),
		toldToAgents(),
	}
}

type migration struct{ id, up, down string }

const (
	table = "migrations"
	// A migration must not queue behind a long statement while everybody else
	// queues behind it: it waits shortly, gives way and comes back.
	lockTimeout = "1s"
	lockTries   = 60
	lockPause   = 500 * time.Millisecond
	// stepTimeout bounds one migration, on the server and here.
	stepTimeout = 5 * time.Minute
)

// Entry is one line of Status.
type Entry struct {
	ID      string
	Applied bool
}

// ErrPending says that the database lacks migrations which this binary needs.
var ErrPending = errors.New("the database schema is older than this binary")

// Up applies what is missing, each migration in one transaction. Migrations that
// only a newer binary knows are left alone.
func Up(ctx context.Context, d *db.DB) error { return up(ctx, d, all()) }

// RollbackLast undoes the newest applied migration. Having none is an error.
func RollbackLast(ctx context.Context, d *db.DB) error { return rollbackLast(ctx, d, all()) }

// RollbackAll undoes every migration, newest first.
func RollbackAll(ctx context.Context, d *db.DB) error {
	for {
		err := RollbackLast(ctx, d)
		if errors.Is(err, ErrNothingApplied) {
			return dropTable(ctx, d)
		}
		if err != nil {
			return err
		}
	}
}

// dropTable removes what is left of the migrations themselves.
func dropTable(ctx context.Context, d *db.DB) error {
	err := d.Tx(ctx, func(tx db.Tx) error { return tx.Gorm().Exec("DROP TABLE IF EXISTS migrations").Error })
	if err != nil {
		return fmt.Errorf("dropping the table of migrations: %w", err)
	}
	return nil
}

// ErrNothingApplied says that there is nothing to roll back.
var ErrNothingApplied = errors.New("rolling back: no migration is applied")

// Status lists the known migrations in order.
func Status(ctx context.Context, d *db.DB) ([]Entry, error) {
	applied, err := appliedIDs(ctx, d)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, m := range all() {
		entries = append(entries, Entry{ID: m.id, Applied: slices.Contains(applied, m.id)})
	}
	return entries, nil
}

// Check is for readiness: nil when every migration that this binary needs is
// applied, ErrPending when one is not.
func Check(ctx context.Context, d *db.DB) error {
	entries, err := Status(ctx, d)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Applied {
			return fmt.Errorf("checking migrations: %s is pending: %w", e.ID, ErrPending)
		}
	}
	return nil
}

// Fingerprint changes whenever any migration does.
func Fingerprint() string {
	sum := sha256.New()
	for _, m := range all() {
		_, _ = fmt.Fprintf(sum, "%s\x00%s\x00%s\x00", m.id, m.up, m.down)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

func up(ctx context.Context, d *db.DB, list []migration) error {
	for _, m := range list {
		err := step(ctx, d, list, func(g *gormigrate.Gormigrate) error { return g.MigrateTo(m.id) })
		if err != nil {
			return fmt.Errorf("applying migration %s: %w", m.id, err)
		}
	}
	return nil
}

func rollbackLast(ctx context.Context, d *db.DB, list []migration) error {
	exists, err := hasTable(ctx, d)
	if err != nil {
		return err
	}
	if !exists {
		return ErrNothingApplied
	}
	err = step(ctx, d, list, (*gormigrate.Gormigrate).RollbackLast)
	if errors.Is(err, gormigrate.ErrNoRunMigration) {
		return ErrNothingApplied
	}
	if err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	return nil
}

// step runs one migration in one transaction. The lock is taken inside, so that
// the look at what is applied and the change are one; it needs no session and
// works behind a transaction pooler.
func step(ctx context.Context, d *db.DB, list []migration, run func(*gormigrate.Gormigrate) error) error {
	var err error
	for try := range lockTries {
		if try > 0 && !pause(ctx) {
			break
		}
		err = tryStep(ctx, d, list, run)
		if !db.IsLockTimeout(err) && !db.IsDeadlock(err) {
			return err
		}
	}
	return fmt.Errorf("waiting for a lock: %w", errors.Join(err, ctx.Err()))
}

func tryStep(ctx context.Context, d *db.DB, list []migration, run func(*gormigrate.Gormigrate) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return d.Gorm(ctx).Transaction(func(g *gorm.DB) error {
		for _, statement := range []string{
			"SET LOCAL lock_timeout = '" + lockTimeout + "'",
			fmt.Sprintf("SET LOCAL statement_timeout = %d", stepTimeout.Milliseconds()),
			"SELECT pg_advisory_xact_lock(hashtextextended('" + table + "', 0))",
		} {
			if err := g.Exec(statement).Error; err != nil {
				return fmt.Errorf("preparing: %w", err)
			}
		}
		return run(gormigrate.New(g, &gormigrate.Options{TableName: table, IDColumnName: "id", IDColumnSize: 255}, steps(list)))
	})
}

func steps(list []migration) []*gormigrate.Migration {
	var out []*gormigrate.Migration
	for _, m := range list {
		out = append(out, &gormigrate.Migration{
			ID:       m.id,
			Migrate:  func(g *gorm.DB) error { return g.Exec(m.up).Error },
			Rollback: func(g *gorm.DB) error { return g.Exec(m.down).Error },
		})
	}
	return out
}

func pause(ctx context.Context) bool {
	timer := time.NewTimer(lockPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func hasTable(ctx context.Context, d *db.DB) (bool, error) {
	var exists bool
	if err := d.Gorm(ctx).Raw("SELECT to_regclass(?) IS NOT NULL", table).Scan(&exists).Error; err != nil {
		return false, fmt.Errorf("looking for migrations: %w", err)
	}
	return exists, nil
}

func appliedIDs(ctx context.Context, d *db.DB) ([]string, error) {
	exists, err := hasTable(ctx, d)
	if err != nil || !exists {
		return nil, err
	}
	var ids []string
	if err := d.Gorm(ctx).Raw("SELECT id FROM " + table).Scan(&ids).Error; err != nil {
		return nil, fmt.Errorf("listing applied migrations: %w", err)
	}
	return ids, nil
}
