package kafkawork

import (
	"context"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
)

// overdueAfter is how long an instance may stay in a passing status before it
// is shown to the operators; intentsOverdueAfter the same for an intent.
const (
	overdueAfter        = time.Hour
	intentsOverdueAfter = 10 * time.Minute
)

// sweeper looks at the fleet as a whole: it shows the leader's gauges and
// compares the ledger with the world.
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
		unsettled, err := s.Ledger.CountUnsettled(ctx, kafka.OwnerKind, kind, now.Add(-intentsOverdueAfter))
		if err != nil {
			return 0, err
		}
		s.Metrics.ShowUnsettledIntents(kind, unsettled)
	}
	if now.Sub(s.swept) < s.Timing.Sweep {
		return 0, nil
	}
	s.swept = now
	return 0, s.sweepClients(ctx)
}

// sweepClients removes canary clients that no live instance owns: the traces of
// a call that took effect after everybody had given it up.
func (s *sweeper) sweepClients(ctx context.Context) error {
	const prefix = "canary-"
	clients, err := s.SSO.List(ctx, keycloak.Query{Prefix: prefix})
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(clients))
	for _, c := range clients {
		if s.oldEnough(c) {
			ids = append(ids, strings.TrimPrefix(c.ClientID, prefix))
		}
	}
	live, err := s.Store.Exists(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if live[id] {
			continue
		}
		if _, err := s.SSO.Delete(ctx, prefix+id); err != nil {
			return err
		}
		s.Logger.WarnContext(ctx, "removed an SSO client that no instance owned", "client_id", prefix+id)
	}
	return nil
}

// oldEnough spares what a loop, here or on a replica that just lost its lease, may be about to note.
func (s *sweeper) oldEnough(c keycloak.Client) bool {
	created, err := time.Parse(time.RFC3339, c.Attributes["created_at"])
	return err == nil && s.Clock().Sub(created) > max(s.Timing.Doubt, time.Minute)
}
