package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/db/migrations"
)

func (c *commands) migrateCommand() *cobra.Command {
	migrate := c.migration("migrate", "Applies all pending migrations to the database (as migrate up)", c.up)
	migrate.Example = "  kas-fleet-manager migrate\n" +
		"  DATABASE_URL=postgres://kfm@localhost/kfm kas-fleet-manager migrate status\n" +
		"  kas-fleet-manager migrate rollback-last --db-host-file=secrets/db.host"
	migrate.AddCommand(
		c.migration("up", "Applies all pending migrations", c.up),
		c.migration("rollback-last", "Undoes the newest applied migration", c.rollbackLast),
		c.migration("rollback-all", "Undoes all migrations, newest first: all data is lost", c.rollbackAll),
		c.migration("status", "Lists the migrations and whether they are applied", c.status),
	)
	return migrate
}

// migration is a command that needs nothing but the database.
func (c *commands) migration(use, short string, run func(context.Context, *db.DB) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		Annotations: map[string]string{flagGroups: "database"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.resolve(c.settings.Config.ValidateDatabase); err != nil {
				return err
			}
			return failed(c.withDatabase(cmd.Context(), run))
		},
	}
}

func (c *commands) withDatabase(ctx context.Context, run func(context.Context, *db.DB) error) error {
	opened, err := db.Open(ctx, c.settings.Config.DB, nil, c.logger())
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, opened), opened.Close())
}

func (c *commands) up(ctx context.Context, d *db.DB) error {
	return c.counting(ctx, d, "applied", migrations.Up)
}

func (c *commands) rollbackLast(ctx context.Context, d *db.DB) error {
	return c.counting(ctx, d, "undone", migrations.RollbackLast)
}

func (c *commands) rollbackAll(ctx context.Context, d *db.DB) error {
	return c.counting(ctx, d, "undone", migrations.RollbackAll)
}

func (c *commands) status(ctx context.Context, d *db.DB) error {
	entries, err := migrations.Status(ctx, d)
	if err != nil {
		return err
	}
	for _, e := range entries {
		state := "pending"
		if e.Applied {
			state = "applied"
		}
		if _, err := fmt.Fprintf(c.out, "%s  %s\n", e.ID, state); err != nil {
			return err
		}
	}
	return nil
}

// counting tells how many migrations were applied or undone, also before a failure.
func (c *commands) counting(ctx context.Context, d *db.DB, done string, change func(context.Context, *db.DB) error) error {
	before, err := appliedCount(ctx, d)
	if err != nil {
		return err
	}
	changeErr := change(ctx, d)
	after, err := appliedCount(ctx, d)
	if err == nil {
		_, err = fmt.Fprintf(c.out, "%d migration(s) %s\n", max(after-before, before-after), done)
	}
	return errors.Join(changeErr, err)
}

func appliedCount(ctx context.Context, d *db.DB) (applied int, err error) {
	entries, err := migrations.Status(ctx, d)
	for _, e := range entries {
		if e.Applied {
			applied++
		}
	}
	return applied, err
}
