package kafkawork

import (
	"context"
	"errors"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

const (
	// overdueAfter is how long an instance may stay in a passing status before it
	// is shown to the operators; unsettledAfter the same for an intent.
	overdueAfter   = time.Hour
	unsettledAfter = 10 * time.Minute
	// doubtedFor is how long what was closed unseen is looked at again.
	doubtedFor = time.Hour
	// doubtedAtOnce bounds one round; what is left has its turn in the next.
	doubtedAtOnce = 500
)

// sweeper looks at the fleet as a whole: it shows the leader's gauges and
// compares with the world what the ledger closed in doubt.
type sweeper struct {
	*Work
	swept time.Time
}

func (w *Work) newSweeper() *sweeper { return &sweeper{Work: w} }

func (s *sweeper) work(ctx context.Context, _ db.TxFunc, _ string) (time.Duration, error) {
	now := s.Clock()
	counts, err := s.Store.CountByStatus(ctx, now.Add(-overdueAfter))
	if err != nil {
		return 0, err
	}
	s.Metrics.ShowCounts(counts)
	for _, kind := range []string{kafka.KindSSOClient, kafka.KindDNSRecord} {
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
	return 0, s.sweepDoubted(ctx, now)
}

// sweepDoubted removes what a call made that everybody had given up, after its
// intent was closed because nothing was there. It goes by our own ledger: a thing
// that only looks like ours may belong to another installation in the same realm.
func (s *sweeper) sweepDoubted(ctx context.Context, now time.Time) error {
	doubted, err := s.Ledger.ClosedInDoubt(ctx, kafka.OwnerKind, now.Add(-doubtedFor), doubtedAtOnce)
	if err != nil {
		return err
	}
	var problems []error
	for _, in := range doubted { // one that cannot be removed does not keep the others
		switch in.Kind {
		case kafka.KindSSOClient:
			existed, err := s.SSO.Delete(ctx, in.Key)
			problems = append(problems, err)
			if existed {
				s.Logger.WarnContext(ctx, "removed an SSO client that appeared after its instance was gone", "client_id", in.Key)
			}
		case kafka.KindDNSRecord:
			problems = append(problems, s.removeRecords(ctx, []ledger.Intent{in}, nil))
		}
	}
	return errors.Join(problems...)
}
