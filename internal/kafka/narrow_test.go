package kafka

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// Reports are judged on some of the columns only: a verdict must be the one that
// the whole row would get, and writing it must know all that it needs.
func TestVerdictsNeedNoOtherColumns(t *testing.T) {
	t.Parallel()
	d := postgres.Database(t)
	store := NewStore(d)
	at := clock.System()
	for i, status := range []Status{Provisioning, Ready, Failed, Suspending, Suspended, Resuming, Deprovision, Deleting} {
		for j, change := range []func(*Kafka){
			func(*Kafka) {},
			func(k *Kafka) { k.Routes, k.RoutesCreated = Routes{{"a.test", "b.test"}}, true },
			func(k *Kafka) {
				k.ReportedClass, k.ReportedAt, k.AdminAPIServerURL, k.ActualKafkaVersion = ClassReady, &at, "https://admin", "3.3.1"
				k.KafkaUpgrading, k.DesiredKafkaBillingModel = true, "enterprise"
				k.PlacementExclusions = Exclusions{"c1": at.AddDate(1, 0, 0)}
			},
		} {
			k := row(fmt.Sprintf("k%d-%d", i, j), status)
			k.ClusterID, k.BootstrapServerHost = "c1", k.Name+".test"
			change(&k)
			put(t, d, k)
			whole, err := store.Live(bound(t), k.ID)
			require.NoError(t, err)
			narrow, err := store.Reported(bound(t), "c1", []ID{k.ID})
			require.NoError(t, err)
			require.Len(t, narrow, 1)
			for _, c := range [][]Condition{
				conditions("True", "", ""), conditions("True", "KafkaUpdating", ""), conditions("False", "Error", "x"), conditions("", "Deleted", ""),
				conditions("False", "Rejected", "no"), conditions("False", "Rejected", "Cluster has insufficient resources"),
				conditions("False", "Suspended", ""), conditions("Unknown", "", ""), nil,
			} {
				r := readyReport()
				r.Conditions = c
				require.Equal(t, ReadReport(whole, r, facts()), ReadReport(narrow[0], r, facts()), "%s %d %v", status, j, c)
			}
			require.Equal(t, []any{whole.ID, whole.Version, whole.StatusChangedAt, whole.CreatedAt, whole.CapacityConsumed, whole.ClusterID},
				[]any{narrow[0].ID, narrow[0].Version, narrow[0].StatusChangedAt, narrow[0].CreatedAt, narrow[0].CapacityConsumed, narrow[0].ClusterID})
		}
	}
}
