package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Opening is a statement that goes to the server together with BEGIN: a round
// trip costs more than what most statements do.
type Opening struct {
	SQL  string // with $1, $2 and so on
	Args []any
	Read func(Row) error // looks at the only row; nil: nobody does
}

// OpenLock is Tx.Lock as an opening.
func OpenLock(key string) Opening {
	return Opening{SQL: "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", Args: []any{key}}
}

// OpenLockShared is OpenLock for those who may hold it together, but not together
// with a holder of OpenLock.
func OpenLockShared(key string) Opening {
	return Opening{SQL: "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))", Args: []any{key}}
}

// begin gives a connection with a transaction that its openings did not end. A
// connection that turns out to be dead has done nothing yet, so it tries others.
func (d *DB) begin(ctx context.Context, openings []Opening) (*sql.Conn, error) {
	for try := 1; ; try++ {
		conn, err := d.pool.Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("taking a connection: %w", err)
		}
		dead := false
		err = onDriver(conn, func(c *pgx.Conn) error {
			err := open(ctx, c, openings)
			dead = c.IsClosed()
			return err
		})
		if err == nil {
			return conn, nil
		}
		rollBack(conn)
		if !dead || try == maxTries || ctx.Err() != nil {
			return nil, err
		}
	}
}

func open(ctx context.Context, c *pgx.Conn, openings []Opening) error {
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	for _, o := range openings {
		batch.Queue(o.SQL, o.Args...)
	}
	replies := c.SendBatch(ctx, batch)
	err := read(replies, openings)
	if closing := replies.Close(); err == nil {
		err = closing
	}
	return err
}

func read(replies pgx.BatchResults, openings []Opening) error {
	if _, err := replies.Exec(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	for _, o := range openings {
		if o.Read == nil {
			if _, err := replies.Exec(); err != nil {
				return fmt.Errorf("opening a transaction: %w", err)
			}
		} else if err := o.Read(replies.QueryRow()); err != nil {
			return err
		}
	}
	return nil
}

// commit fails when the server rolled back instead, because a statement whose
// error nobody looked at had spoilt the transaction.
func commit(ctx context.Context, conn *sql.Conn) error {
	return onDriver(conn, func(c *pgx.Conn) error {
		tag, err := c.Exec(ctx, "COMMIT")
		if err == nil && tag.String() != "COMMIT" {
			err = pgx.ErrTxCommitRollback
		}
		return err
	})
}

// farewell is how long a rollback may take, whatever has become of the caller's time.
const farewell = time.Second

// rollBack ends what is open, with the connection if need be, and gives it back.
func rollBack(conn *sql.Conn) {
	_ = onDriver(conn, func(c *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		if c.PgConn().TxStatus() == 'I' && !c.IsClosed() {
			return nil
		}
		if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
			return driver.ErrBadConn // the pool drops it
		}
		return nil
	})
	_ = conn.Close()
}

// onDriver calls fn with the driver's own connection.
func onDriver(conn *sql.Conn, fn func(*pgx.Conn) error) error {
	return conn.Raw(func(raw any) error {
		opened, ok := raw.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("reaching the driver: unexpected %T", raw)
		}
		return fn(opened.Conn())
	})
}
