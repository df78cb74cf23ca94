package kafkawork_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
)

func (b *bench) count(statement string, args ...any) int {
	b.t.Helper()
	var n int
	require.NoError(b.t, b.d.Gorm(b.ctx).Raw(statement, args...).Scan(&n).Error)
	return n
}

func TestWhatWasKeptLongEnoughGoes(t *testing.T) {
	b := newBench(t, 4)
	b.deps.Config.DeletedRetention, b.deps.Config.EventRetention = 48*time.Hour, 72*time.Hour
	b.rewire()
	b.cluster("c1", "strimzi-1")
	gone := b.lost("gone")
	live := b.kafka("live", kafka.Ready)
	rows := func(id kafka.ID) []int {
		return []int{
			b.count("SELECT count(*) FROM kafka_requests WHERE id = ?", id),
			b.count("SELECT count(*) FROM external_resources WHERE owner_id = ?", id),
			min(b.count("SELECT count(*) FROM kafka_events WHERE kafka_id = ?", id), 1),
		}
	}
	b.now = b.now.Add(47 * time.Hour)
	require.NoError(t, b.sweep())
	require.Equal(t, []int{1, 1, 1}, rows(gone), "not yet")
	b.now = b.now.Add(2 * time.Hour)
	require.NoError(t, b.sweep())
	require.Equal(t, []int{0, 0, 1}, rows(gone), "the row and its intents go before the history")
	b.now = b.now.Add(48 * time.Hour)
	require.NoError(t, b.sweep())
	require.Equal(t, []int{0, 0, 0}, rows(gone))
	require.Equal(t, 1, rows(live)[0], "what lives stays")

	b.deps.Config.DeletedRetention, b.deps.Config.EventRetention = 0, 0
	b.rewire()
	kept := b.lost("kept")
	b.now = b.now.AddDate(5, 0, 0)
	require.NoError(t, b.sweep())
	require.Equal(t, []int{1, 1, 1}, rows(kept), "0 keeps for ever")
}
