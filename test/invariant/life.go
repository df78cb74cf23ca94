package invariant

import (
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
)

// promises compares the rows with what clients were told (I3).
func (c *check) promises() error {
	if c.fleet.Replies == nil {
		return nil
	}
	told := c.fleet.Replies()
	var rows []struct {
		ID        string
		Status    kafka.Status
		DeletedAt *time.Time
	}
	if err := c.scan(&rows, "SELECT id, status, deleted_at FROM kafka_requests"); err != nil {
		return err
	}
	var accounts []struct{ Key, State string }
	if err := c.scan(&accounts, "SELECT key, state FROM external_resources WHERE owner_kind = 'service_account'"); err != nil {
		return err
	}
	asked := c.fleet.Replies() // some ask while this looks
	for _, r := range told {
		if !r.Granted {
			continue
		}
		row := slices.IndexFunc(rows, func(k struct {
			ID        string
			Status    kafka.Status
			DeletedAt *time.Time
		},
		) bool {
			return k.ID == r.ID
		})
		account := slices.IndexFunc(accounts, func(a struct{ Key, State string }) bool { return a.Key == r.ID })
		switch {
		case (r.Verb == Created || r.Verb == Deleted) && row < 0:
			c.violated("I3", "a client was told 202 to %s %s, which has no row", r.Verb, r.ID)
		case r.Verb == Deleted && !rows[row].Status.InDeletion():
			c.violated("I3", "a client was told 202 to delete %s, which is %s", r.ID, rows[row].Status)
		case r.Verb == Deleted && c.fleet.Rest && rows[row].DeletedAt == nil:
			c.violated("I8", "%s was deleted and is still %s", r.ID, rows[row].Status)
		case (r.Verb == AccountCreated || r.Verb == AccountDeleted) && account < 0:
			c.violated("I3", "a client was told of the account %s, which has no intent", r.ID)
		case r.Verb == AccountCreated && !removed(asked, r.ID) && accounts[account].State != "created":
			c.violated("I3", "a client was given the account %s, whose intent is %s", r.ID, accounts[account].State)
		}
	}
	return nil
}

// removed tells whether anybody asked for the end of an account, whatever the answer was.
func removed(asked []Reply, clientID string) bool {
	return slices.ContainsFunc(asked, func(r Reply) bool { return r.Verb == AccountDeleted && r.ID == clientID })
}

// histories demands that every change of an instance's status is a line of the
// transition table, and that no line is missing (I4).
func (c *check) histories() error {
	var events []struct {
		KafkaID              string
		Event                kafka.Event
		Actor                kafka.Actor
		FromStatus, ToStatus kafka.Status
	}
	if err := c.scan(&events, "SELECT kafka_id, event, actor, from_status, to_status FROM kafka_events ORDER BY kafka_id, id"); err != nil {
		return err
	}
	last := map[string]kafka.Status{}
	for _, e := range events {
		if e.FromStatus != last[e.KafkaID] {
			c.violated("I4", "the history of %s has a gap: %s happened in %s, but it was %s", e.KafkaID, e.Event, e.FromStatus, last[e.KafkaID])
		}
		legal := e.Event == "created" && e.FromStatus == "" || slices.ContainsFunc(kafka.Transitions(), func(t kafka.Transition) bool {
			return t.Event == e.Event && t.To == e.ToStatus && slices.Contains(t.From, e.FromStatus) && slices.Contains(t.Actors, e.Actor)
		})
		if !legal {
			c.violated("I4", "%s went from %s to %s by %s of %s, which the table does not have", e.KafkaID, e.FromStatus, e.ToStatus, e.Event, e.Actor)
		}
		last[e.KafkaID] = e.ToStatus
	}
	// One statement, so that history and status are of one moment.
	var wrong []struct{ ID, Status, Told string }
	err := c.scan(&wrong, `SELECT k.id, k.status, coalesce(e.to_status, '') AS told FROM kafka_requests k
		LEFT JOIN LATERAL (SELECT to_status FROM kafka_events WHERE kafka_id = k.id ORDER BY id DESC LIMIT 1) e ON true
		WHERE k.status IS DISTINCT FROM e.to_status`)
	for _, w := range wrong {
		c.violated("I4", "%s is %s, but its history ends with %q", w.ID, w.Status, w.Told)
	}
	return err
}

// slack is how late a row may be looked at before it counts as forgotten: the
// longest pause between attempts is a minute.
const slack = 90 * time.Second

// progress demands that every row has a time at which somebody looks at it, and
// at rest that nobody has to (I8).
func (c *check) progress() error {
	var rows []struct {
		ID                         string
		Status                     kafka.Status
		StatusChangedAt            time.Time
		NextAttemptAt              time.Time
		RoutesPending              bool
		RoutesDueAt                *time.Time
		Parked                     bool
		LastError, DeletionOrdered string
	}
	err := c.scan(&rows, `SELECT id, status, status_changed_at, next_attempt_at, last_error, routes_due_at,
		routes IS NOT NULL AND NOT routes_created AS routes_pending, status = 'deprovision' AND placement_id <> '' AS parked
		FROM kafka_requests WHERE deleted_at IS NULL`)
	now := time.Now()
	for _, k := range rows {
		info := k.Status.Info()
		latest := now.Add(slack)
		if info.Deadline > 0 {
			latest = later(latest, k.StatusChangedAt.Add(info.Deadline+slack))
		}
		switch {
		case info.Loop != "" && !k.Parked && k.NextAttemptAt.After(latest):
			c.violated("I8", "%s is %s and nobody looks at it before %s", k.ID, k.Status, k.NextAttemptAt)
		case k.RoutesPending && !k.Status.InDeletion() && k.RoutesDueAt != nil && k.RoutesDueAt.After(now.Add(slack)):
			c.violated("I8", "%s waits for its routes and nobody looks at it before %v", k.ID, k.RoutesDueAt)
		}
		if c.fleet.Rest && (info.Loop != "" || k.Status.InDeletion() || k.Status == kafka.Suspending) {
			c.violated("I8", "%s is still %s since %s: %s", k.ID, k.Status, k.StatusChangedAt.Format(time.TimeOnly), k.LastError)
		}
	}
	return err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
