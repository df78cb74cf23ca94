package db

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// Inserting makes the statement that inserts a row with all its columns. Unlike
// gorm's own it can go to the server together with others; it fills in nothing.
func (t Tx) Inserting(row any) (Statement, error) {
	parsed := &gorm.Statement{DB: t.gorm}
	if err := parsed.Parse(row); err != nil {
		return Statement{}, fmt.Errorf("reading the columns of %T: %w", row, err)
	}
	var places strings.Builder
	value := reflect.ValueOf(row)
	args := make([]any, 0, len(parsed.Schema.DBNames))
	for i, name := range parsed.Schema.DBNames {
		if i > 0 {
			places.WriteString(", ")
		}
		places.WriteString("$" + strconv.Itoa(i+1))
		arg, _ := parsed.Schema.FieldsByDBName[name].ValueOf(t.gorm.Statement.Context, value)
		args = append(args, arg)
	}
	sql := "INSERT INTO " + parsed.Schema.Table + " (" + strings.Join(parsed.Schema.DBNames, ", ") + ") VALUES (" + places.String() + ")"
	return Statement{SQL: sql, Args: args}, nil
}
