package invariant

import (
	"fmt"
	"strings"
)

// secrets looks for secrets in plain text, in the log and in every row (I12).
func (c *check) secrets() error {
	if c.fleet.Secrets == nil {
		return nil
	}
	for _, found := range c.fleet.Secrets(c.fleet.Log) {
		c.violated("I12", "in the log: %s", found)
	}
	var tables []string
	if err := c.scan(&tables, `SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'`); err != nil {
		return err
	}
	for _, table := range tables {
		var rows []string
		if err := c.scan(&rows, fmt.Sprintf("SELECT t::text FROM %s t", table)); err != nil {
			return err
		}
		for _, found := range c.fleet.Secrets(strings.Join(rows, "\n")) {
			c.violated("I12", "in table %s: %s", table, found)
		}
	}
	return nil
}
