package db

import (
	"context"
	"fmt"
	"reflect"

	"gorm.io/gorm"
)

// Rows reads whole rows of T's table outside a transaction, straight from the
// driver: for rows that are wide and read again and again gorm costs more than the
// database. The condition has question marks for its arguments, and may end in an
// order and a limit.
func Rows[T any](ctx context.Context, d *DB, condition string, args ...any) ([]T, error) {
	parsed := &gorm.Statement{DB: d.gorm}
	if err := parsed.Parse(new(T)); err != nil {
		return nil, fmt.Errorf("reading the columns of %T: %w", *new(T), err)
	}
	fields := parsed.Schema.DBNames
	return Collect(ctx, d, func(row Row) (out T, err error) {
		value := reflect.ValueOf(&out).Elem()
		into := make([]any, len(fields))
		for i, name := range fields {
			into[i] = value.FieldByIndex(parsed.Schema.FieldsByDBName[name].StructField.Index).Addr().Interface()
		}
		return out, row.Scan(into...)
	}, "SELECT "+columnsOf(parsed.Schema)+" FROM "+parsed.Schema.Table+" WHERE "+condition, args...)
}
