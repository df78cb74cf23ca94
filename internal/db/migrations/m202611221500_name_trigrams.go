package migrations

// nameTrigrams lets "name like '%text%'" find its rows by an index. pg_trgm comes
// with PostgreSQL and is trusted: who may create things in the database may
// create it.
func nameTrigrams() migration {
	return migration{
		id: "202611221500",
		up: `
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX kafka_requests_name_trigrams ON kafka_requests USING gin (name gin_trgm_ops) WHERE deleted_at IS NULL;`,
		// The extension stays: it may have been there before, or be of use to others by now.
		down: "DROP INDEX kafka_requests_name_trigrams;",
	}
}
