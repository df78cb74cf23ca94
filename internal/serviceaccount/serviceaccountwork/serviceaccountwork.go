// Package serviceaccountwork is the background work on service accounts: it
// removes those whose creation or deletion was left half way.
//
// It is for fitting that use case into a loop and for nothing else. Invariant:
// what it removes, no customer was ever given or a customer asked to remove.
package serviceaccountwork

import (
	"context"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
)

const (
	parallel = 4
	deadline = 30 * time.Second // of one account
)

// Sweeper gives the loop. It runs under any one lease: two at a time would do
// each other no harm.
func Sweeper(s *serviceaccount.Service, tick time.Duration) reconcile.Loop {
	return reconcile.Loop{
		Name: "service_account_sweeper", Workers: parallel, Tick: tick, Timeout: deadline,
		Due: s.Overdue,
		Work: func(ctx context.Context, tx db.TxFunc, clientID string) (time.Duration, error) {
			return 0, s.Sweep(ctx, tx, clientID)
		},
		Failed: func(ctx context.Context, tx db.TxFunc, clientID string, cause error) (time.Duration, error) {
			return 0, s.SweepFailed(ctx, tx, clientID, cause)
		},
	}
}
