package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// What is handed on must be what would have been read, in every column.
func TestAnOrderIsHandedOnAsItIsStored(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "registered_users_per_organisation:\n- {id: org1, any_user: true, max_allowed_instances: 2}\n")
	create := func(name string) (Kafka, error) {
		return o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: name})
	}
	k, err := create("no-loop-runs-here")
	require.NoError(t, err)
	_, handed := o.Handover.Take(k.ID, Accepted)
	require.False(t, handed)

	o.Handover.Open(true)
	k, err = create("handed")
	require.NoError(t, err)
	got, handed := o.Handover.Take(k.ID, Accepted)
	require.True(t, handed)
	require.Equal(t, live(t, o.d, k.ID), got.Kafka)
	place, err := o.Clusters.PlaceOf(bound(t), "c1")
	require.NoError(t, err)
	place.CapacityUsed = got.On.CapacityUsed // it was read before the order took its room
	require.Equal(t, place, got.On)
	_, handed = o.Handover.Take(k.ID, Accepted)
	require.False(t, handed, "once")

	_, err = create("too-many")
	require.Error(t, err)
	require.Empty(t, o.Handover.rows)
	o.Handover.Give(Handed{Kafka: k})
	_, handed = o.Handover.Take(k.ID, Preparing)
	require.False(t, handed, "of another status")
	o.Handover.Give(Handed{Kafka: k})
	o.Handover.Open(false)
	_, handed = o.Handover.Take(k.ID, Accepted)
	require.False(t, handed, "of a term that is over")
	o.Handover.Open(true)
	for i := range 3 * mostHanded {
		o.Handover.Give(Handed{Kafka: Kafka{ID: ID(fmt.Sprint(i))}})
		require.LessOrEqual(t, len(o.Handover.rows), mostHanded)
	}
}

// A whole row is read as gorm would read it, and written as gorm would write it.
func TestAWholeRowComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "registered_users_per_organisation: []\n")
	full := row("full", Ready)
	at := full.CreatedAt.Add(time.Hour)
	full.ExpiresAt, full.RoutesDueAt, full.ReportedAt = &at, &at, &at
	full.Routes, full.PlacementExclusions = Routes{{Domain: "a", Router: "b"}}, Exclusions{"c1": at}
	full.SizeSnapshot = SizeSnapshot{InstanceTypeName: "Standard", MaxPartitions: 3}
	full.KafkaUpgrading, full.RoutesCreated, full.ReportedClass, full.FailedCode, full.Attempts = true, true, ClassReady, FailedTimedOut, 7
	bare := row("bare", Accepted)
	bare.Routes, bare.PlacementExclusions = nil, nil
	for _, k := range []Kafka{full, bare} {
		require.NoError(t, o.d.Tx(bound(t), func(tx db.Tx) error { return insert(tx, k) }))
		var byGorm Kafka
		require.NoError(t, o.d.Gorm(bound(t)).Where("id = ?", k.ID).Take(&byGorm).Error)
		require.Equal(t, byGorm, live(t, o.d, k.ID))
		if k.PlacementExclusions == nil {
			k.PlacementExclusions = Exclusions{}
		}
		require.Equal(t, k, byGorm)
	}
}
