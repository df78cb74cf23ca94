package migrations

// callsUnderWay counts, for each intent, the creating calls that nobody saw end. A
// binary without the column leaves it at 0, which is what it assumed before.
func callsUnderWay() migration {
	return migration{
		id:   "202611221600",
		up:   "ALTER TABLE external_resources ADD COLUMN calls integer NOT NULL DEFAULT 0;",
		down: "ALTER TABLE external_resources DROP COLUMN calls;",
	}
}
