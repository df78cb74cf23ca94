package db

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Row is one row of Collect; Scan reads its columns in order.
type Row interface{ Scan(into ...any) error }

// Collect reads outside a transaction and gives what read makes of each row,
// straight from the driver: on a long list gorm and database/sql cost more than
// the database. Question marks stand for the arguments, as with gorm. It is for
// statements that only read, since one is sent again when its connection turns
// out to be dead.
func Collect[T any](ctx context.Context, d *DB, read func(Row) (T, error), statement string, args ...any) ([]T, error) {
	statement = numbered(statement)
	for try := 1; ; try++ {
		all, dead, err := collect(ctx, d, read, statement, args)
		if !dead || try == maxTries || ctx.Err() != nil {
			return all, err
		}
	}
}

// maxTries is how often database/sql tries: a restart kills all pooled connections at once.
const maxTries = 3

func collect[T any](ctx context.Context, d *DB, read func(Row) (T, error), statement string, args []any) (all []T, dead bool, err error) {
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool, which drops it if it is dead
	err = onDriver(conn, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, statement, args...)
		if err == nil {
			all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return read(row) })
		}
		dead = c.IsClosed()
		return err
	})
	return all, dead && err != nil, err
}

// numbered turns question marks into the driver's $1, $2 and so on.
func numbered(statement string) string {
	parts := strings.Split(statement, "?")
	if len(parts) == 1 {
		return statement
	}
	var out strings.Builder
	out.Grow(len(statement) + 2*len(parts))
	for i, part := range parts {
		if i > 0 {
			out.WriteByte('$')
			out.WriteString(strconv.Itoa(i))
		}
		out.WriteString(part)
	}
	return out.String()
}
