package migrations

import (
	"context"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// UpWith applies the real migrations and one more after them.
func UpWith(ctx context.Context, d *db.DB, id, sql string) error {
	return up(ctx, d, append(all(), migration{id: id, up: sql, down: "SELECT 1"}))
}
