// Package db is the process's way to PostgreSQL: the pool, short transactions,
// notifications, sealed columns and the metrics of all of these.
//
// It is for plumbing only. It knows no table and no domain; the schema is in
// db/migrations and the rows belong to the stores of the domains.
// Invariant: no connection can hold a lock or a transaction for long. The server
// itself ends idle transactions, long statements and long waits for locks, so a
// paused process cannot block the others.
package db

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"

	"github.com/kas-fleet/kas-fleet-manager/internal/crash"
)

const (
	connLifetime   = 30 * time.Minute
	lifetimeJitter = 5 * time.Minute
	openTimeout    = 10 * time.Second
	// txTimeout bounds a transaction whose caller set no deadline of its own.
	txTimeout = 10 * time.Second
)

// DB is a pool of connections. It is safe for concurrent use.
type DB struct {
	pool     *sql.DB
	gorm     *gorm.DB
	conn     *pgx.ConnConfig // for connections outside the pool
	notifier *notifier
	logger   *slog.Logger
}

// Open makes the pool and proves that it reaches a writable PostgreSQL. A nil
// registerer means no metrics.
func Open(ctx context.Context, c Config, reg prometheus.Registerer, logger *slog.Logger) (*DB, error) {
	conn, err := c.connection()
	if err != nil {
		return nil, err
	}
	tracer, err := newTracer(reg, logger, c.Debug)
	if err != nil {
		return nil, fmt.Errorf("registering database metrics: %w", err)
	}
	listening := conn.Copy()
	conn.Tracer = crash.Tracer(tracer)

	pool := stdlib.OpenDB(*conn, stdlib.OptionAfterConnect(readTimesAsUTC), stdlib.OptionResetSession(refuseReadOnly))
	pool.SetMaxOpenConns(c.MaxOpenConnections)
	pool.SetMaxIdleConns(c.MaxOpenConnections)
	// Replicas that start together must not renew all their connections together.
	pool.SetConnMaxLifetime(connLifetime + rand.N(lifetimeJitter))

	d := &DB{pool: pool, conn: listening, logger: logger}
	if err := d.prepare(ctx, reg); err != nil {
		_ = pool.Close()
		return nil, err
	}
	d.notifier = startNotifier(listening, logger)
	return d, nil
}

func (d *DB) prepare(ctx context.Context, reg prometheus.Registerer) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := d.Ping(ctx); err != nil {
		return err
	}
	var err error
	d.gorm, err = gorm.Open(postgres.New(postgres.Config{Conn: d.pool}), &gorm.Config{
		Logger:                 gormlogger.Discard, // the tracer logs; gorm's logger would print values
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
	})
	if err != nil {
		return fmt.Errorf("starting gorm: %w", err)
	}
	if err := nameColumns(d.gorm); err != nil {
		return fmt.Errorf("starting gorm: %w", err)
	}
	if err := registerPool(reg, d.pool); err != nil {
		return fmt.Errorf("registering pool metrics: %w", err)
	}
	return nil
}

// Gorm is for the store files of the domains: statements outside a transaction.
// The context must have a deadline.
func (d *DB) Gorm(ctx context.Context) *gorm.DB { return d.gorm.WithContext(ctx) }

// Ping tells whether the database answers.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.pool.PingContext(ctx); err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	return nil
}

// Close sends the last notifications and ends all connections of the pool.
// Listeners end with their contexts.
func (d *DB) Close() error {
	d.notifier.close()
	if err := d.pool.Close(); err != nil {
		return fmt.Errorf("closing the database pool: %w", err)
	}
	return nil
}
