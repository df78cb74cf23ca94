package harness

import (
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
)

// logTail is how much of the log a failed test shows.
const logTail = 80

// inspect runs when everything has ended, and holds the world against what must
// be true of it whatever the test did.
func (w *World) inspect() {
	for _, found := range w.secrets.in(w.logs.String()) {
		w.t.Error(found)
	}
	if strings.Contains(strings.ToLower(w.logs.String()), `panic`) {
		w.t.Error("something panicked, see the log")
	}
	w.inspectHistories()
	w.inspectRoom()
	w.inspectLedger()
	if w.t.Failed() {
		w.t.Logf("the end of the log:\n%s", w.logs.tail(logTail))
	}
}

// inspectHistories demands that every change of status is a row of the transition table.
func (w *World) inspectHistories() {
	var events []struct {
		KafkaID              string
		Event                kafka.Event
		Actor                kafka.Actor
		FromStatus, ToStatus kafka.Status
	}
	w.Scan(&events, "SELECT kafka_id, event, actor, from_status, to_status FROM kafka_events ORDER BY kafka_id, id")
	last := map[string]kafka.Status{}
	for _, e := range events {
		if e.FromStatus != last[e.KafkaID] {
			w.t.Errorf("the history of %s has a gap: %s happened in %s, but it was %s", e.KafkaID, e.Event, e.FromStatus, last[e.KafkaID])
		}
		legal := e.Event == "created" && e.FromStatus == "" || slices.ContainsFunc(kafka.Transitions(), func(t kafka.Transition) bool {
			return t.Event == e.Event && t.To == e.ToStatus && slices.Contains(t.From, e.FromStatus) && slices.Contains(t.Actors, e.Actor)
		})
		if !legal {
			w.t.Errorf("%s went from %s to %s by %s of %s, which the table does not have", e.KafkaID, e.FromStatus, e.ToStatus, e.Event, e.Actor)
		}
		last[e.KafkaID] = e.ToStatus
	}
	var rows []kafka.Kafka
	w.Scan(&rows, "SELECT id, status FROM kafka_requests")
	for _, k := range rows {
		if k.Status != last[string(k.ID)] {
			w.t.Errorf("%s is %s, but its history ends with %s", k.ID, k.Status, last[string(k.ID)])
		}
	}
}

// inspectRoom counts the room taken on the clusters anew.
func (w *World) inspectRoom() {
	var counts []struct {
		ClusterID                      string
		CapacityUsed, CapacityLimit, N int
	}
	w.Scan(&counts, `SELECT c.cluster_id, c.capacity_used, c.capacity_limit, coalesce(sum(k.capacity_consumed), 0) AS n FROM clusters c
		LEFT JOIN kafka_requests k ON k.cluster_id = c.cluster_id AND k.deleted_at IS NULL AND k.status <> 'deleting'
		WHERE c.deleted_at IS NULL GROUP BY 1, 2, 3`)
	for _, c := range counts {
		if c.CapacityUsed != c.N {
			w.t.Errorf("cluster %s counts %d units, its instances have %d", c.ClusterID, c.CapacityUsed, c.N)
		}
		if c.CapacityLimit >= 0 && c.N > c.CapacityLimit {
			w.t.Errorf("cluster %s holds %d units, more than its %d", c.ClusterID, c.N, c.CapacityLimit)
		}
	}
}

// inspectLedger demands an open intent for whatever was made outside.
func (w *World) inspectLedger() {
	var keys []string
	w.Scan(&keys, "SELECT kind || ' ' || key FROM external_resources WHERE state <> 'gone'")
	for _, c := range w.SSO.Clients(Realm) {
		if c.ClientID != adminClient && !strings.HasPrefix(c.ClientID, "foreign-") && !slices.Contains(keys, "sso_client "+c.ClientID) {
			w.t.Errorf("SSO client %s is in nobody's ledger", c.ClientID)
		}
	}
	for _, r := range w.DNS.Records() {
		if !strings.HasPrefix(r.Name, "foreign-") && !slices.Contains(keys, "dns_record "+r.Name) {
			w.t.Errorf("DNS record %s is in nobody's ledger", r.Name)
		}
	}
}
