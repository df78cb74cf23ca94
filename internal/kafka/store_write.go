package kafka

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Columns are column names of kafka_requests with their new values.
type Columns map[string]any

// ErrStale says that the row changed, or went, since it was read: read again
// and decide anew. It is an outcome to handle, never success.
var ErrStale = errors.New("writing an instance: it changed since it was read")

// NotifyChannel is where each write that makes a row due announces "<status> <id>".
const NotifyChannel = "kafka"

// Change is one transition to apply.
type Change struct {
	Event  Event
	Actor  Actor
	Set    Columns // columns that go with it
	Reason string
	Now    time.Time
}

// Apply is the only writer of a status. It compares and sets on id, version and
// the statuses that the transition table allows and appends to the history, all
// in one statement of the caller's transaction, and wakes the loop of a row that
// is due at once. The returned row carries the new status and version only. No row written is ErrStale.
// What else belongs to the change goes to the server before it, in the same round trip.
func Apply(tx db.Tx, k Kafka, c Change, with ...db.Statement) (Kafka, error) {
	t, ok := transitionOf(c.Event)
	if !ok || !slices.Contains(t.Actors, c.Actor) {
		return Kafka{}, fmt.Errorf("applying %q by %q: not in the transition table", c.Event, c.Actor)
	}
	if !slices.Contains(t.From, k.Status) {
		return Kafka{}, ErrStale
	}
	set := maps.Clone(c.Set)
	if set == nil {
		set = Columns{}
	}
	entered := c.Now
	if t.To == k.Status { // still in the same status: its deadline goes on
		entered = k.StatusChangedAt
	}
	set["status"] = t.To
	set["status_changed_at"] = entered
	due, given := set["next_attempt_at"].(time.Time)
	if !given {
		due = t.To.dueAt(entered)
		set["next_attempt_at"] = due
	}
	set["attempts"] = 0
	set["last_error"] = ""
	if t.Final {
		set["deleted_at"] = c.Now
	}
	assign, args := db.Assignments(set, c.Now, "failed_detail", "failed_reason")
	args = append(args, k.ID, k.Version, k.Status, c.Now, c.Event, c.Actor, k.Status, t.To, db.Text(c.Reason))
	var version int64
	// "status = ?" could be looked up in an index of statuses, which the database
	// prefers to the key where it believes that few rows have that status: in a wave
	// of orders each change would read the whole wave.
	change := db.Asking(`WITH changed AS (
		UPDATE kafka_requests SET `+assign+` WHERE id = ? AND version = ? AND status IS NOT DISTINCT FROM ? AND deleted_at IS NULL RETURNING id, version
	), noted AS (
		INSERT INTO kafka_events (kafka_id, at, event, actor, from_status, to_status, version, reason)
		SELECT id, ?, ?, ?, ?, ?, version, ? FROM changed
	) SELECT coalesce(max(version), 0) FROM changed`, args...)
	change.Read = func(row db.Row) error {
		switch err := row.Scan(&version); {
		case err != nil:
			return fmt.Errorf("applying %s: %w", c.Event, err)
		case version == 0:
			return ErrStale
		}
		return nil
	}
	if err := tx.Send(append(slices.Clone(with), change)...); err != nil {
		return Kafka{}, err
	}
	if !due.After(c.Now) { // else there is nothing for a loop to do yet
		tx.Notify(NotifyChannel, string(t.To)+" "+string(k.ID))
	}
	k.Version, k.Status, k.StatusChangedAt = version, t.To, entered
	return k, nil
}

// Unchanged fails with ErrStale where the row is no longer as it was read.
func Unchanged(k Kafka) db.Statement {
	s := db.Asking("SELECT EXISTS (SELECT FROM kafka_requests WHERE id = ? AND version = ? AND deleted_at IS NULL)", k.ID, k.Version)
	s.Read = func(row db.Row) error {
		var same bool
		if err := row.Scan(&same); err != nil {
			return fmt.Errorf("looking whether an instance changed: %w", err)
		}
		if !same {
			return ErrStale
		}
		return nil
	}
	return s
}

// Note writes columns without a transition, compare-and-set on the version.
// wake is the first word of a notification to send, such as WakeRoutes; empty: none.
func Note(tx db.Tx, k Kafka, set Columns, now time.Time, wake string) (Kafka, error) {
	if _, ok := set["status"]; ok {
		return Kafka{}, errors.New("noting columns: the status changes only through Apply")
	}
	assign, args := db.Assignments(set, now, "failed_detail", "failed_reason")
	args = append(args, k.ID, k.Version)
	var version int64
	result := tx.Gorm().Raw(`UPDATE kafka_requests SET `+assign+` WHERE id = ? AND version = ? AND deleted_at IS NULL RETURNING version`,
		args...).Scan(&version)
	if result.Error != nil {
		return Kafka{}, fmt.Errorf("noting columns: %w", result.Error)
	}
	if result.RowsAffected == 0 {
		return Kafka{}, ErrStale
	}
	k.Version = version
	if wake != "" {
		tx.Notify(NotifyChannel, wake+" "+string(k.ID))
	}
	return k, nil
}

// Postpone stores that an attempt failed and when the next one is due. It
// touches neither version nor updated_at: nothing changed that customers or agents are shown.
func Postpone(tx db.Tx, id ID, version int64, next time.Time, cause string) error {
	err := tx.Gorm().Exec("UPDATE kafka_requests SET attempts = attempts + 1, next_attempt_at = ?, last_error = ? WHERE id = ? AND version = ?",
		next, db.Text(cause), id, version).Error
	if err != nil {
		return fmt.Errorf("postponing an instance: %w", err)
	}
	return nil
}

// PurgeDeleted removes rows of instances that were erased before that time, and
// tells how many. Whoever calls it again and again gets them all.
func PurgeDeleted(tx db.Tx, before time.Time, limit int) (int, error) {
	return purge(tx, `DELETE FROM kafka_requests WHERE id IN
		(SELECT id FROM kafka_requests WHERE deleted_at < ? ORDER BY deleted_at LIMIT ?)`, before, limit)
}

// PurgeEvents is PurgeDeleted for the history.
func PurgeEvents(tx db.Tx, before time.Time, limit int) (int, error) {
	return purge(tx, "DELETE FROM kafka_events WHERE id IN (SELECT id FROM kafka_events WHERE at < ? ORDER BY at LIMIT ?)", before, limit)
}

func purge(tx db.Tx, statement string, before time.Time, limit int) (int, error) {
	result := tx.Gorm().Exec(statement, before, limit)
	if result.Error != nil {
		return 0, fmt.Errorf("removing what was kept long enough: %w", result.Error)
	}
	return int(result.RowsAffected), nil
}

// Park makes a row due never, until its next transition.
func Park(tx db.Tx, k Kafka, now time.Time) error {
	err := tx.Gorm().Exec("UPDATE kafka_requests SET next_attempt_at = ? WHERE id = ? AND version = ?", now.AddDate(100, 0, 0), k.ID, k.Version).Error
	if err != nil {
		return fmt.Errorf("parking an instance: %w", err)
	}
	return nil
}

// PostponeRoutes is Postpone for the writing of an instance's DNS records, which
// goes on beside its life and has a rhythm of its own.
func PostponeRoutes(tx db.Tx, id ID, version int64, next time.Time, cause string) error {
	err := tx.Gorm().Exec(`UPDATE kafka_requests SET routes_attempts = routes_attempts + 1, routes_due_at = ?, last_error = ?
		WHERE id = ? AND version = ?`, next, db.Text(cause), id, version).Error
	if err != nil {
		return fmt.Errorf("postponing an instance's routes: %w", err)
	}
	return nil
}

// lookAt makes a hidden row due at another time. Nobody is shown the row, so neither
// its version nor its time of change count.
func lookAt(tx db.Tx, k Kafka, at time.Time) error {
	result := tx.Gorm().Exec("UPDATE kafka_requests SET next_attempt_at = ? WHERE id = ? AND version = ? AND deleted_at IS NULL", at, k.ID, k.Version)
	if result.Error != nil {
		return fmt.Errorf("rescheduling an order: %w", result.Error)
	}
	if result.RowsAffected == 0 {
		return ErrStale
	}
	tx.Notify(NotifyChannel, string(k.Status)+" "+string(k.ID))
	return nil
}

// moveInserted corrects the cluster of a row that this very transaction inserted.
func moveInserted(tx db.Tx, k Kafka) error {
	if err := tx.Gorm().Exec("UPDATE kafka_requests SET cluster_id = ? WHERE id = ?", k.ClusterID, k.ID).Error; err != nil {
		return fmt.Errorf("moving a new instance: %w", err)
	}
	return nil
}

// insert writes a new instance and announces it; then come the other statements, in
// the same round trip.
func insert(tx db.Tx, k Kafka, then ...db.Statement) error {
	row, err := tx.Inserting(k)
	if err != nil {
		return err
	}
	row.Doing = "inserting an instance"
	event := db.Asking(`INSERT INTO kafka_events (kafka_id, at, event, actor, from_status, to_status, version, reason)
		VALUES (?, ?, 'created', ?, '', ?, ?, '')`, k.ID, k.CreatedAt, ByUser, k.Status, k.Version)
	event.Doing = "noting a new instance"
	switch err := tx.Send(append([]db.Statement{row, event}, then...)...); {
	case db.IsUniqueViolation(err, "kafka_requests_name_live"):
		return apierr.New(apierr.NameTaken, "")
	case err != nil:
		return err
	}
	tx.Notify(NotifyChannel, string(k.Status)+" "+string(k.ID))
	return nil
}
