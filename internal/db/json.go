package db

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
)

// ScanJSON reads a jsonb column into a pointer; NULL leaves it untouched.
func ScanJSON(src, into any) error {
	switch raw := src.(type) {
	case nil:
		return nil
	case []byte:
		return json.Unmarshal(raw, into)
	case string:
		return json.Unmarshal([]byte(raw), into)
	default:
		return fmt.Errorf("reading a jsonb column: unexpected type %T", src)
	}
}

// ValueJSON writes a value as a jsonb column.
func ValueJSON(v any) (driver.Value, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing a jsonb column: %w", err)
	}
	return string(raw), nil
}
