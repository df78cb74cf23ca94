package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Columns are column names of clusters with their new values.
type Columns map[string]any

// ErrStale says that the row changed, or went, since it was read: read again
// and decide anew. It is an outcome to handle, never success.
var ErrStale = errors.New("writing a cluster: it changed since it was read")

// ErrRegistered says that another row has the provider's id.
var ErrRegistered = errors.New("inserting a cluster: its id is registered already")

// NotifyChannel is where each write of a row announces "<status> <row id>".
const NotifyChannel = "cluster"

// WakeRecheck is the first word of a notification that a cluster must be looked at before its time.
const WakeRecheck = "recheck"

// Change is one transition to apply.
type Change struct {
	Event  Event
	Actor  Actor
	Set    Columns // columns that go with it
	Reason string  // for the log
	Now    time.Time
}

// Apply is the only writer of a status. It compares and sets on id, version and
// the statuses that the transition table allows and notifies, all in one
// statement of the caller's transaction. The returned row carries the new status
// and version only. No row written is ErrStale.
func Apply(tx db.Tx, c Cluster, ch Change) (Cluster, error) {
	t, ok := transitionOf(ch.Event)
	if !ok || !slices.Contains(t.Actors, ch.Actor) {
		return Cluster{}, fmt.Errorf("applying %q by %q: not in the transition table", ch.Event, ch.Actor)
	}
	if !slices.Contains(t.From, c.Status) {
		return Cluster{}, ErrStale
	}
	set := maps.Clone(ch.Set)
	if set == nil {
		set = Columns{}
	}
	set["status"] = t.To
	set["status_changed_at"] = ch.Now
	// Between two statuses that are only checked the rhythm goes on: an agent that
	// flaps must not put the check off for ever.
	if c.Status.Info().Again == 0 || t.To.Info().Again == 0 {
		set["next_attempt_at"] = t.To.dueAt(ch.Now)
		set["attempts"] = 0
		set["last_error"] = ""
	}
	assign, args := db.Assignments(set, ch.Now, "status_details")
	args = append(args, c.ID, c.Version, c.Status)
	var version int64
	result := tx.Gorm().Raw(`UPDATE clusters SET `+assign+` WHERE id = ? AND version = ? AND status = ? AND deleted_at IS NULL RETURNING version`,
		args...).Scan(&version)
	if result.Error != nil {
		return Cluster{}, fmt.Errorf("applying %s: %w", ch.Event, result.Error)
	}
	if result.RowsAffected == 0 {
		return Cluster{}, ErrStale
	}
	tx.Notify(NotifyChannel, string(t.To)+" "+string(c.ID))
	c.Version, c.Status, c.StatusChangedAt = version, t.To, ch.Now
	return c, nil
}

// Note writes columns without a transition, compare-and-set on the version. The
// returned row carries the new version only. wake is the first word of the
// notification to send; empty: none.
func Note(tx db.Tx, c Cluster, set Columns, now time.Time, wake string) (Cluster, error) {
	if _, ok := set["status"]; ok {
		return Cluster{}, errors.New("noting columns: the status changes only through Apply")
	}
	assign, args := db.Assignments(set, now, "status_details")
	args = append(args, c.ID, c.Version)
	var version int64
	result := tx.Gorm().Raw(`UPDATE clusters SET `+assign+` WHERE id = ? AND version = ? AND deleted_at IS NULL RETURNING version`,
		args...).Scan(&version)
	if result.Error != nil {
		return Cluster{}, fmt.Errorf("noting columns: %w", result.Error)
	}
	if result.RowsAffected == 0 {
		return Cluster{}, ErrStale
	}
	c.Version = version
	if wake != "" {
		tx.Notify(NotifyChannel, wake+" "+string(c.ID))
	}
	return c, nil
}

// Postpone stores that an attempt did not end and when the next one is due. It
// touches neither version nor updated_at: nothing that anyone is shown changed.
// Of a row that changed meanwhile it leaves the new plan alone.
func Postpone(tx db.Tx, c Cluster, next time.Time, cause string) error {
	err := tx.Gorm().Exec("UPDATE clusters SET attempts = attempts + 1, next_attempt_at = ?, last_error = ? WHERE id = ? AND version = ?",
		next, db.Text(cause), c.ID, c.Version).Error
	if err != nil {
		return fmt.Errorf("postponing a cluster: %w", err)
	}
	return nil
}

// Rest stores that a row was found in order and when to look again, under the
// same rule as Postpone.
func Rest(tx db.Tx, c Cluster, next time.Time) error {
	err := tx.Gorm().Exec("UPDATE clusters SET attempts = 0, next_attempt_at = ?, last_error = '' WHERE id = ? AND version = ?",
		next, c.ID, c.Version).Error
	if err != nil {
		return fmt.Errorf("letting a cluster rest: %w", err)
	}
	return nil
}

// Heartbeat stores that the agent was heard, unless that is known well enough.
// It bumps no version: a beat is no reason for anybody's write to be stale.
func Heartbeat(tx db.Tx, id ID, now time.Time) error {
	err := tx.Gorm().Exec("UPDATE clusters SET heartbeat_at = ? WHERE id = ? AND (heartbeat_at IS NULL OR heartbeat_at <= ?)",
		now, id, now.Add(-heartbeatGap)).Error
	if err != nil {
		return fmt.Errorf("storing a heartbeat: %w", err)
	}
	return nil
}

// Insert registers a cluster and announces it.
func Insert(tx db.Tx, c Cluster) error {
	err := tx.Gorm().Create(&c).Error
	switch {
	case db.IsUniqueViolation(err, "clusters_cluster_id_live"):
		return ErrRegistered
	case err != nil:
		return fmt.Errorf("inserting a cluster: %w", err)
	}
	tx.Notify(NotifyChannel, string(c.Status)+" "+string(c.ID))
	return nil
}
