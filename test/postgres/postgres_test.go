package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/db/migrations"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "two", "three", "four"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := postgres.Database(t)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			require.NoError(t, migrations.Check(ctx, d))
			require.NoError(t, d.Gorm(ctx).Exec(
				"INSERT INTO leader_leases (lease_type, expires) VALUES ('only here', now())").Error,
				"a shared database would refuse the second")
		})
	}
}
