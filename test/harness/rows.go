package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// Row reads an instance's row; an erased one too.
func (w *World) Row(id string) kafka.Kafka {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	var rows []kafka.Kafka
	if err := w.DB.Gorm(ctx).Where("id = ?", id).Find(&rows).Error; err != nil || len(rows) != 1 {
		w.t.Fatalf("reading the row of %s: %d rows, %v", id, len(rows), err)
	}
	return rows[0]
}

// History gives the events of an instance, oldest first.
func (w *World) History(id string) []string {
	w.t.Helper()
	var events []string
	for _, e := range w.entries(id) {
		events = append(events, string(e.Event))
	}
	return events
}

func (w *World) entries(id string) []kafka.HistoryEntry {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	found, err := w.Kafkas.History(ctx, kafka.ID(id))
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// biography is what a failure shows of an instance.
func (w *World) biography(k kafka.Kafka) string {
	w.t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%s (version %d, attempts %d, cluster %q, last error %q, failed %q)", k.Status, k.Version, k.Attempts, k.ClusterID, k.LastError, k.FailedCode)
	for _, e := range w.entries(string(k.ID)) {
		fmt.Fprintf(&text, "\n\t%s %s by %s: %s -> %s %s", e.At.Format("05.000"), e.Event, e.Actor, e.FromStatus, e.ToStatus, e.Reason)
	}
	for _, in := range w.Intents(string(k.ID)) {
		fmt.Fprintf(&text, "\n\t%s %s is %s %s", in.Kind, in.Key, in.State, in.LastError)
	}
	return text.String()
}

// WaitStatus waits until an instance has the status, and gives its row.
func (w *World) WaitStatus(id string, status kafka.Status) kafka.Kafka {
	w.t.Helper()
	return w.WaitRow(id, "status "+string(status), func(k kafka.Kafka) bool { return k.Status == status && k.DeletedAt == nil })
}

// WaitRow waits until a row is as wanted, and gives it.
func (w *World) WaitRow(id, what string, as func(kafka.Kafka) bool) kafka.Kafka {
	w.t.Helper()
	var last kafka.Kafka
	w.Until(what+" of "+id, func() (bool, string) {
		last = w.Row(id)
		if as(last) {
			return true, ""
		}
		return false, w.lazily(last)
	})
	return last
}

// lazily spares the history of a level that is soon reached.
func (w *World) lazily(k kafka.Kafka) string {
	if time.Since(k.StatusChangedAt) < Patience/4 {
		return string(k.Status)
	}
	return w.biography(k)
}

// WaitGone waits until an instance is erased, and fails when anything of it is left anywhere.
func (w *World) WaitGone(id string) {
	w.t.Helper()
	w.WaitRow(id, "the end", func(k kafka.Kafka) bool { return k.DeletedAt != nil })
	for _, in := range w.Intents(id) {
		if in.State != ledger.Gone {
			w.t.Errorf("the ledger of %s is open: %s %s is %s", id, in.Kind, in.Key, in.State)
		}
	}
	if _, found := w.Canary(id); found {
		w.t.Errorf("the canary client of %s is left in the SSO", id)
	}
	if left := w.DNS.Of(id); len(left) > 0 {
		w.t.Errorf("records of %s are left: %s", id, shown(left))
	}
	for _, s := range w.AMS.Subscriptions() {
		if strings.HasPrefix(s.ClusterID, id) {
			w.t.Errorf("quota of %s is left reserved: %s", id, shown(s))
		}
	}
}

// Intents gives the ledger of an instance.
func (w *World) Intents(id string) []ledger.Intent {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	found, err := w.Ledger.Of(ctx, kafka.OwnerKind, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// Cluster reads a cluster's row.
func (w *World) Cluster(clusterID string) cluster.Cluster {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	c, err := w.Clusters.ByClusterID(ctx, clusterID)
	if err != nil && !errors.Is(err, cluster.ErrNotFound) {
		w.t.Fatal(err)
	}
	return c
}

// WaitCluster waits until a cluster has the status, and gives its row. A manual
// agent is asked to say that the cluster is ready.
func (w *World) WaitCluster(clusterID string, status cluster.Status) cluster.Cluster {
	w.t.Helper()
	if w.o.manualAgents && status == cluster.Ready {
		w.introduce(clusterID)
	}
	var last cluster.Cluster
	w.Until("cluster "+clusterID+" in status "+string(status), func() (bool, string) {
		last = w.Cluster(clusterID)
		return last.Status == status, fmt.Sprintf("%q (attempts %d, %q %q)", last.Status, last.Attempts, last.LastError, last.StatusDetails)
	})
	return last
}

// As an administrator would, until there is an API for it.

// Suspend takes an instance that is ready out of use.
func (w *World) Suspend(id string) { w.t.Helper(); w.apply(id, kafka.SuspendAsked) }

// Resume brings a suspended instance back.
func (w *World) Resume(id string) { w.t.Helper(); w.apply(id, kafka.ResumeAsked) }

func (w *World) apply(id string, event kafka.Event) {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	for {
		err := w.DB.Tx(ctx, func(tx db.Tx) error {
			_, err := kafka.Apply(tx, w.Row(id), kafka.Change{Event: event, Actor: kafka.ByAdmin, Reason: "by a test", Now: time.Now().UTC().Truncate(time.Microsecond)})
			return err
		})
		if err == nil {
			return
		}
		if !errors.Is(err, kafka.ErrStale) || ctx.Err() != nil {
			w.t.Fatalf("%s of %s: %v; %s", event, id, err, w.biography(w.Row(id)))
		}
	}
}

// Age makes an instance enter its present status that much earlier, so that a
// deadline comes within a test's time.
func (w *World) Age(id string, by time.Duration) {
	w.t.Helper()
	w.Exec("UPDATE kafka_requests SET status_changed_at = status_changed_at - make_interval(secs => ?), next_attempt_at = now() WHERE id = ?", by.Seconds(), id)
}

// Exec changes the database past the fleet manager.
func (w *World) Exec(statement string, args ...any) {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	if err := w.DB.Gorm(ctx).Exec(statement, args...).Error; err != nil {
		w.t.Fatal(err)
	}
}

// Scan reads one row of anything into a value.
func (w *World) Scan(into any, query string, args ...any) {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	if err := w.DB.Gorm(ctx).Raw(query, args...).Scan(into).Error; err != nil {
		w.t.Fatal(err)
	}
}

// Leader gives the address of the replica that holds a lease, or nothing.
func (w *World) Leader(lease string) string {
	w.t.Helper()
	var holder string
	w.Scan(&holder, "SELECT leader FROM leader_leases WHERE lease_type = ? AND expires > clock_timestamp()", lease)
	_, address, _ := strings.Cut(holder, " ")
	return address
}

// WaitLeader waits until one of the replicas that run leads, and gives it.
func (w *World) WaitLeader(lease string) *Replica {
	w.t.Helper()
	var leader *Replica
	w.Until("a leader for "+lease, func() (bool, string) {
		for _, r := range w.live() {
			if r.Leads(lease) {
				leader = r
				return true, ""
			}
		}
		return false, "none"
	})
	return leader
}

// Within runs a call with the harness's deadline.
func (w *World) Within(call func(ctx context.Context) error) error {
	ctx, cancel := w.context()
	defer cancel()
	return call(ctx)
}
