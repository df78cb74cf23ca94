package lease_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/lease"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// What the fence adds to the smallest transaction there is.
func BenchmarkTx(b *testing.B) {
	d := postgres.Database(b)
	write := func(tx db.Tx) error {
		return tx.Gorm().Exec("UPDATE clusters SET version = version + 1 WHERE id = 'nobody'").Error
	}
	measure := func(name string, tx db.TxFunc) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, tx(b.Context(), write))
			}
		})
	}
	measure("plain", d.Tx)
	ctx, cancel := context.WithCancel(b.Context())
	l := lease.New(d, leaseType, "a", lease.Options{TTL: time.Minute, Renew: 20 * time.Second}, slog.New(slog.DiscardHandler))
	require.NoError(b, l.Run(ctx, func(_ context.Context, term *lease.Term) error {
		measure("fenced", term.Tx)
		cancel()
		return nil
	}))
}
