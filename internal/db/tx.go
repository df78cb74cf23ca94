package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// Tx is one running transaction. It ends with the function it was given to.
type Tx struct {
	gorm  *gorm.DB
	send  func([]Statement) error
	notes *[]note // to be sent when the transaction has committed
}

// TxFunc runs fn in one transaction: a plain one (DB.Tx, for handlers) or one
// that commits only while a lease is held (lease.Term.Tx, for loops).
type TxFunc func(ctx context.Context, fn func(Tx) error) error

// Tx runs fn in one short READ COMMITTED transaction, which is rolled back when
// fn fails or panics. No remote call belongs in fn: the server ends a transaction
// that is idle for two seconds.
func (d *DB) Tx(ctx context.Context, fn func(Tx) error) error { return d.TxOpened(ctx, nil, fn) }

// TxOpened is Tx with statements that come before fn. Each sees what was committed
// before it began, like those of fn; if one fails, fn is not called.
func (d *DB) TxOpened(ctx context.Context, openings []Statement, fn func(Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	conn, err := d.begin(ctx, openings)
	if err != nil {
		return err
	}
	defer rollBack(conn) // nothing, once it is committed
	g := d.gorm.Session(&gorm.Session{NewDB: true, Context: ctx})
	g.Statement.ConnPool = conn
	var notes []note
	all := func(statements []Statement) error {
		return onDriver(conn, func(c *pgx.Conn) error { return exchange(ctx, c, statements) })
	}
	if err := fn(Tx{gorm: g, send: all, notes: &notes}); err != nil {
		return err
	}
	if err := commit(ctx, conn); err != nil {
		return err
	}
	d.notifier.add(notes)
	return nil
}

// TxInTurn is TxOpened with locks that many may wait for. Where the queue is longer
// than a connection waits for a lock, or the server gave this transaction up so that
// others in a circle of locks could go on, it stands in line again: nothing was
// done, and the caller still has time. So fn may be called more than once.
func (d *DB) TxInTurn(ctx context.Context, locks []Statement, fn func(Tx) error) error {
	for {
		err := d.TxOpened(ctx, locks, fn)
		if again := IsLockTimeout(err) || IsDeadlock(err); !again || ctx.Err() != nil {
			return err
		}
	}
}

// Gorm is for store files: statements inside the transaction.
func (t Tx) Gorm() *gorm.DB { return t.gorm }

// Send runs the statements in their order, in one round trip and straight by the
// driver: it is for those that run for every instance. It gives the first failure;
// what comes after it did nothing.
func (t Tx) Send(statements ...Statement) error { return t.send(statements) }

// Lock waits for the exclusive lock of that name and holds it until the
// transaction ends.
func (t Tx) Lock(key string) error {
	if err := t.gorm.Exec("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", key).Error; err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	return nil
}

// Notify sends the payload to the channel's listeners, soon after the transaction
// has committed and never before: to the one in this process, if it takes it, else
// to those of all processes. It is a hint: listeners must find out without
// it too, if only later.
func (t Tx) Notify(channel, payload string) {
	*t.notes = append(*t.notes, note{channel, payload})
}

// SQLSTATE codes that callers ask about.
const (
	uniqueViolation  = "23505"
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
)

// IsUniqueViolation tells whether err says that a row would break the named
// unique constraint or index. An empty name means any.
func IsUniqueViolation(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation &&
		(constraint == "" || pg.ConstraintName == constraint)
}

// IsRefused tells whether err says that PostgreSQL refused the values of one
// statement, or that a limit or constraint did: trying them again, or other rows,
// is not a matter of the connection.
func IsRefused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) < 2 {
		return false
	}
	switch pg.Code[:2] {
	case "22", "23", "54": // data exception, integrity constraint, program limit
		return true
	}
	return false
}

// IsLockTimeout tells whether err says that a lock was not free in time.
func IsLockTimeout(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == lockNotAvailable
}

// IsDeadlock tells whether err says that transactions waited in a circle, and that
// this one was given up for the others.
func IsDeadlock(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == deadlockDetected
}
