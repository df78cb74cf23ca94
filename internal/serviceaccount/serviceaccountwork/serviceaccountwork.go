// Package serviceaccountwork is the background work on service accounts: it
// removes those whose creation or deletion was left half way.
//
// It is for fitting that use case into a loop and for nothing else. Invariant:
// what it removes, no customer was ever given or a customer asked to remove.
package serviceaccountwork

import (
	"context"
	"errors"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
)

const (
	parallel = 4
	deadline = 30 * time.Second // of one account

	sweepDeadline = 5 * time.Minute
)

// Timing is how patient the loops are.
type Timing struct {
	Tick  time.Duration // how often is looked for what was left half way
	Sweep time.Duration // how often is looked again for what is in doubt
	Kept  time.Duration // how long is remembered what is gone; 0: for ever
}

// Loops gives the loops. They run under any one lease: two at a time would do each
// other no harm.
func Loops(s *serviceaccount.Service, t Timing) []reconcile.Loop {
	var last ledger.Intent // in doubt that was looked at; one worker has it
	return []reconcile.Loop{
		{
			Name: "service_account_sweeper", Workers: parallel, Tick: t.Tick, Timeout: deadline,
			Due: s.Overdue,
			Work: func(ctx context.Context, tx db.TxFunc, clientID string) (time.Duration, error) {
				return 0, s.Sweep(ctx, tx, clientID)
			},
			Failed: func(ctx context.Context, tx db.TxFunc, clientID string, cause error) (time.Duration, error) {
				return 0, s.SweepFailed(ctx, tx, clientID, cause)
			},
		},
		{
			Name: "service_account_doubts", Workers: 1, Tick: t.Sweep, Timeout: sweepDeadline,
			Due: func(context.Context, int) ([]string, error) { return []string{"doubts"}, nil },
			Work: func(ctx context.Context, tx db.TxFunc, _ string) (time.Duration, error) {
				// The purge first: it needs the database only, and the SSO may use up the time.
				purged := s.Purge(ctx, tx, t.Kept)
				var err error
				last, err = s.SweepDoubted(ctx, last)
				return 0, errors.Join(purged, err)
			},
			Failed: func(context.Context, db.TxFunc, string, error) (time.Duration, error) { return 0, nil }, // the next tick is soon enough
		},
	}
}
