package db

import (
	"reflect"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// nameColumns makes gorm name the columns of whole rows in place of a star: the
// migration of the next version may add one while this version reads, and a
// prepared statement with a star fails then. gorm can do that by itself, but puts
// the list together anew for each statement, which made orders a tenth slower.
func nameColumns(g *gorm.DB) error {
	var lists sync.Map // *schema.Schema → string
	return g.Callback().Query().Before("gorm:query").Register("name_columns", func(tx *gorm.DB) {
		s := tx.Statement
		if s.Schema == nil || len(s.Selects) > 0 || s.SQL.Len() > 0 || !ofRows(s.ReflectValue, s.Schema.ModelType) {
			return
		}
		if _, chosen := s.Clauses["SELECT"]; chosen { // a count, for one
			return
		}
		list, known := lists.Load(s.Schema)
		if !known {
			list = columnsOf(s.Schema)
			lists.Store(s.Schema, list)
		}
		if text, ok := list.(string); ok {
			s.Selects = []string{text}
		}
	})
}

// ofRows tells whether a result is one row of the type, or several.
func ofRows(result reflect.Value, row reflect.Type) bool {
	switch result.Kind() {
	case reflect.Struct:
		return result.Type() == row
	case reflect.Slice, reflect.Array:
		return result.Type().Elem() == row
	default:
		return false
	}
}

func columnsOf(s *schema.Schema) string {
	quoted := make([]string, len(s.DBNames))
	for i, name := range s.DBNames {
		quoted[i] = `"` + name + `"`
	}
	return strings.Join(quoted, ", ")
}
