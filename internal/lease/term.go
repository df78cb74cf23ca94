package lease

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Term is one uninterrupted time of leading.
type Term struct {
	lease     *Lease
	id        string // random per take-over: an epoch could be handed out twice after a fail-over that lost the last write
	epoch     int64
	trusted   atomic.Pointer[time.Time] // monotonic; moves with each renewal
	trustEnds *time.Timer
	end       context.CancelCauseFunc
}

var _ db.TxFunc = (*Term)(nil).Tx

// ID names the term, for logs.
func (t *Term) ID() string { return t.id }

func (t *Term) begin(end context.CancelCauseFunc) {
	t.end = end
	t.trustEnds = time.AfterFunc(time.Until(*t.trusted.Load()), func() {
		// A renewal may have moved the end while this was on its way.
		if left := time.Until(*t.trusted.Load()); left > 0 {
			t.trustEnds.Reset(left)
			return
		}
		end(ErrLost)
	})
}

// trustFrom counts from before the statement was sent: a slow answer does not
// lengthen the trust.
func (t *Term) trustFrom(sent time.Time) {
	until := sent.Add(t.lease.o.TTL - t.lease.o.Margin)
	t.trusted.Store(&until)
}

// Tx runs fn in a transaction that commits only while this term is the lease's.
// A take-over waits for such transactions to end, and one that begins after a
// take-over fails with ErrLost before fn is called.
func (t *Term) Tx(ctx context.Context, fn func(db.Tx) error) error {
	until := *t.trusted.Load()
	if !time.Now().Before(until) {
		return ErrLost
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, ErrLost)
	defer cancel()
	err := t.lease.db.TxOpened(ctx, []db.Statement{db.OpenLockShared(t.lease.lockKey()), t.check()}, fn)
	if err != nil && !errors.Is(err, ErrLost) && errors.Is(context.Cause(ctx), ErrLost) {
		return errors.Join(ErrLost, err)
	}
	return err
}

// check is a statement of its own: only one that begins after the lock is held
// sees what a take-over committed before.
func (t *Term) check() db.Statement {
	return db.Statement{
		SQL:  "SELECT EXISTS (SELECT FROM leader_leases WHERE lease_type = $1 AND term = $2::uuid AND expires > clock_timestamp())",
		Args: []any{t.lease.leaseType, t.id},
		Read: func(row db.Row) error {
			var valid bool
			if err := row.Scan(&valid); err != nil {
				return fmt.Errorf("checking the lease: %w", err)
			}
			if !valid {
				t.end(ErrLost)
				return ErrLost
			}
			return nil
		},
	}
}
