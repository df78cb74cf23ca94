package kafka

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// An agent asks every few seconds, and mostly nothing changed: that must cost no look
// at the rows. The index holds what the query asks for as long as both name the same rows.
func TestTheMarkOfAnAgentsListComesFromAnIndexAlone(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	var plan []string
	require.NoError(t, d.Tx(bound(t), func(tx db.Tx) error {
		if err := tx.Gorm().Exec("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off").Error; err != nil {
			return err
		}
		return tx.Gorm().Raw("EXPLAIN SELECT count(*), bit_xor("+stampHash+") FROM kafka_requests WHERE "+desiredWhere, "c1").Scan(&plan).Error
	}))
	text := strings.Join(plan, "\n")
	require.Contains(t, text, "Index Only Scan using kafka_requests_told_to_agents")
	require.NotContains(t, text, "Filter")
}
