package db

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Assignments renders the SET list of a row that counts its versions: the given
// columns, the next version and the time of the change. The order is stable, so
// that PostgreSQL sees few different statements. Of the columns named foreign, whose
// text is somebody else's, it keeps what Text keeps.
func Assignments(set map[string]any, now time.Time, foreign ...string) (list string, args []any) {
	parts := make([]string, 0, len(set)+2)
	args = make([]any, 0, len(set)+12) // callers add those of their WHERE
	for _, name := range slices.Sorted(maps.Keys(set)) {
		value := set[name]
		if text, ok := value.(string); ok && slices.Contains(foreign, name) {
			value = Text(text)
		}
		parts = append(parts, name+" = ?")
		args = append(args, value)
	}
	parts = append(parts, "version = version + 1", "updated_at = ?")
	return strings.Join(parts, ", "), append(args, now)
}
