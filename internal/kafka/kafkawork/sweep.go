package kafkawork

import (
	"context"
	"errors"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
)

const (
	// overdueAfter is how long an instance may stay in a passing status before it
	// is shown to the operators; unsettledAfter the same for an intent.
	overdueAfter   = time.Hour
	unsettledAfter = 10 * time.Minute
	// doubtedFor is how long what was closed unseen is looked at again.
	doubtedFor = time.Hour
	// doubtedAtOnce bounds one round; the next goes on where it ended.
	doubtedAtOnce = 500
	// purgedAtOnce keeps each transaction of the purge short.
	purgedAtOnce = 1000
)

// sweeper looks at the fleet as a whole: it shows the leader's gauges and
// compares with the world what the ledger closed in doubt.
type sweeper struct {
	*Work
	swept time.Time
	last  ledger.Intent // that was looked at; zero: begin with the oldest
}

func (w *Work) newSweeper() *sweeper { return &sweeper{Work: w} }

func (s *sweeper) work(ctx context.Context, tx db.TxFunc, _ string) (time.Duration, error) {
	now := s.Clock()
	counts, err := s.Store.CountByStatus(ctx, now.Add(-overdueAfter))
	if err != nil {
		return 0, err
	}
	s.Metrics.ShowCounts(counts)
	for _, kind := range []string{kafka.KindSSOClient, kafka.KindDNSRecord, kafka.KindSubscription} {
		unsettled, err := s.Ledger.CountUnsettled(ctx, kafka.OwnerKind, kind, now.Add(-unsettledAfter))
		if err != nil {
			return 0, err
		}
		s.Metrics.ShowUnsettledIntents(kind, unsettled)
	}
	if now.Sub(s.swept) < s.Timing.Sweep {
		return 0, nil
	}
	s.swept = now
	// The purge first: it needs the database only, and a remote service may use up the time.
	return 0, errors.Join(s.purge(ctx, tx, now), s.sweepDoubted(ctx, now))
}

// purge removes what was kept long enough, in small transactions.
func (s *sweeper) purge(ctx context.Context, tx db.TxFunc, now time.Time) error {
	type step func(t db.Tx, before time.Time) (int, error)
	var problems []error
	for _, p := range []struct {
		what string
		kept time.Duration
		step step
	}{
		{"rows of deleted instances", s.Config.DeletedRetention, func(t db.Tx, before time.Time) (int, error) { return kafka.PurgeDeleted(t, before, purgedAtOnce) }},
		{"idempotency keys", kafka.KeyLife, func(t db.Tx, before time.Time) (int, error) { return kafka.PurgeKeys(t, before, purgedAtOnce) }},
		{"closed intents", s.Config.DeletedRetention, func(t db.Tx, before time.Time) (int, error) {
			return ledger.PurgeGone(t, kafka.OwnerKind, before, purgedAtOnce)
		}},
		{"history", s.Config.EventRetention, func(t db.Tx, before time.Time) (int, error) { return kafka.PurgeEvents(t, before, purgedAtOnce) }},
	} {
		if p.kept == 0 {
			continue
		}
		removed, err := purgeAll(ctx, tx, func(t db.Tx) (int, error) { return p.step(t, now.Add(-p.kept)) })
		if removed > 0 {
			s.Logger.InfoContext(ctx, "removed what was kept long enough", "what", p.what, "count", removed)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func purgeAll(ctx context.Context, tx db.TxFunc, some func(db.Tx) (int, error)) (removed int, err error) {
	for {
		n := 0
		err := tx(ctx, func(t db.Tx) error {
			var err error
			n, err = some(t)
			return err
		})
		if err != nil {
			return removed, err
		}
		if removed += n; n < purgedAtOnce {
			return removed, nil
		}
	}
}

// sweepDoubted removes what a call made that everybody had given up, after its
// intent was closed because nothing was there. It goes by our own ledger: a thing
// that only looks like ours may belong to another installation in the same realm.
func (s *sweeper) sweepDoubted(ctx context.Context, now time.Time) error {
	doubted, err := s.Ledger.ClosedInDoubt(ctx, kafka.OwnerKind, now.Add(-doubtedFor), s.last, doubtedAtOnce)
	if err != nil {
		return err
	}
	s.last = ledger.Intent{}
	if len(doubted) == doubtedAtOnce { // the next round goes on behind them, whatever comes of these
		s.last = doubted[len(doubted)-1]
	}
	var problems []error
	for _, in := range doubted { // one that cannot be removed does not keep the others
		switch in.Kind {
		case kafka.KindSSOClient:
			existed, err := s.Robots.Delete(ctx, robot.Ref{Key: in.Key, Name: in.Key})
			problems = append(problems, err)
			if existed {
				s.Logger.WarnContext(ctx, "removed an SSO client that appeared after its instance was gone", "client_id", in.Key)
			}
		case kafka.KindDNSRecord:
			problems = append(problems, s.removeRecords(ctx, []ledger.Intent{in}, nil))
		case kafka.KindSubscription:
			existed, err := s.release(ctx, in)
			problems = append(problems, err)
			if existed {
				s.Logger.WarnContext(ctx, "released quota that appeared after its instance was gone", "key", in.Key)
			}
		}
		if ctx.Err() != nil { // the rest would fail too, one by one
			break
		}
	}
	return errors.Join(problems...)
}
