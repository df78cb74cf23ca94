package db

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Statement is one that goes to the server together with others, or with BEGIN: a
// round trip costs more than what most statements do.
type Statement struct {
	SQL   string // with $1, $2 and so on
	Args  []any
	Doing string                 // begins the error of who has no Read
	Read  func(Row) error        // looks at the only row; nil: nobody does
	Done  func(rows int64) error // judges by how many rows were written, where nobody reads; nil: nobody does

	list func(pgx.Rows) error // reads all rows; see Listing
}

// Listing makes a statement, with question marks, whose rows read puts into a list.
func Listing[T any](read func(Row) (T, error), into *[]T, sql string, args ...any) Statement {
	s := Asking(sql, args...)
	s.list = func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return read(row) })
		return err
	}
	return s
}

// run looks at what the server replied to it.
func (s Statement) run(replies pgx.BatchResults) error {
	if s.Read != nil {
		return s.Read(replies.QueryRow())
	}
	if s.list != nil {
		rows, err := replies.Query()
		if err != nil {
			return err
		}
		return s.list(rows)
	}
	tag, err := replies.Exec()
	if err != nil {
		return fmt.Errorf("%s: %w", cmp.Or(s.Doing, "opening a transaction"), err)
	}
	if s.Done != nil {
		return s.Done(tag.RowsAffected())
	}
	return nil
}

// Asking makes a statement of one with question marks, as with gorm.
func Asking(sql string, args ...any) Statement { return Statement{SQL: numbered(sql), Args: args} }

// OpenLock is Tx.Lock as an opening.
func OpenLock(key string) Statement {
	return Statement{SQL: "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", Args: []any{key}}
}

// OpenLockShared is OpenLock for those who may hold it together, but not together
// with a holder of OpenLock.
func OpenLockShared(key string) Statement {
	return Statement{SQL: "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))", Args: []any{key}}
}

// begin gives a connection with a transaction that its openings did not end. A
// connection that turns out to be dead has done nothing yet, so it tries others.
func (d *DB) begin(ctx context.Context, openings []Statement) (*sql.Conn, error) {
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

func open(ctx context.Context, c *pgx.Conn, openings []Statement) error {
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	queue(batch, openings)
	replies := c.SendBatch(ctx, batch)
	_, err := replies.Exec()
	if err != nil {
		err = fmt.Errorf("beginning a transaction: %w", err)
	} else {
		err = read(replies, openings)
	}
	if closing := replies.Close(); err == nil {
		err = closing
	}
	return err
}

// exchange lets all statements go in one round trip. Those after one that fails do nothing.
func exchange(ctx context.Context, c *pgx.Conn, statements []Statement) error {
	batch := &pgx.Batch{}
	queue(batch, statements)
	replies := c.SendBatch(ctx, batch)
	err := read(replies, statements)
	if closing := replies.Close(); err == nil {
		err = closing
	}
	return err
}

func queue(batch *pgx.Batch, statements []Statement) {
	for _, s := range statements {
		batch.Queue(s.SQL, s.Args...)
	}
}

func read(replies pgx.BatchResults, statements []Statement) error {
	for _, s := range statements {
		if err := s.run(replies); err != nil {
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
