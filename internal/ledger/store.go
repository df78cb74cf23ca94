package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/xid"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

const rows = "external_resources"

// Want inserts intents of one owner that are not there yet. It is repeated before each attempt:
// an open intent of the same owner stays as it is, save that one which was never
// seen created notes the time, from which on its call may still take effect. An
// intent that is gone is opened anew, with a new id and place in the order. It
// fails with ErrTaken or ErrDeleting when a key is not free; then none is wanted. An empty id is filled; to learn the ids of rows that were there
// before, list them.
func Want(tx db.Tx, now time.Time, in ...Intent) error {
	_, err := want(tx, now, in, 0)
	return err
}

// Begin is Want right before the call that creates the things, and gives the intents
// as they are then, in no order. It counts the call
// as under way until Mark says that they are created or CallFailed that they are
// not. A call that stays counted may take effect at any time: its process may be
// paused, not dead.
func Begin(tx db.Tx, now time.Time, in ...Intent) ([]Intent, error) { return want(tx, now, in, 1) }

func want(tx db.Tx, now time.Time, in []Intent, calls int) ([]Intent, error) {
	in = firstOfEachKey(in)
	if len(in) == 0 {
		return nil, nil
	}
	open, err := insert(tx, now, in, calls)
	if err == nil && len(open) < len(in) {
		var have []Intent
		have, err = wantAgain(tx, now, open, in, calls)
		open = append(open, have...)
	}
	if err != nil {
		return nil, fmt.Errorf("recording %d intents of %s %s, the first for %s %s: %w", len(in), in[0].OwnerKind, in[0].OwnerID, in[0].Kind, in[0].Key, err)
	}
	return open, nil
}

// name is what the world outside knows a thing by.
type name struct{ Kind, Key string }

func (i Intent) name() name { return name{i.Kind, i.Key} }

func firstOfEachKey(in []Intent) []Intent {
	seen := map[name]bool{}
	return slices.DeleteFunc(slices.Clone(in), func(i Intent) bool {
		again := seen[i.name()]
		seen[i.name()] = true
		return again
	})
}

// columns of a whole intent, with the rows' own name before each.
func columns(of string) string {
	names := []string{"id", "owner_kind", "owner_id", "kind", "key", "state", "detail", "attempts", "calls", "last_error", "created_at", "updated_at"}
	return of + "." + strings.Join(names, ", "+of+".")
}

func scan(row db.Row) (i Intent, err error) {
	err = row.Scan(&i.ID, &i.OwnerKind, &i.OwnerID, &i.Kind, &i.Key, &i.State, &i.Detail, &i.Attempts, &i.Calls, &i.LastError, &i.CreatedAt, &i.UpdatedAt)
	return i, err
}

// insert makes rows that were not there or gone, all in one statement, and gives them.
func insert(tx db.Tx, now time.Time, in []Intent, calls int) (made []Intent, err error) {
	var values strings.Builder
	var args []any
	for n, i := range in {
		if i.ID == "" {
			i.ID = xid.New().String()
		}
		if i.Detail == nil {
			i.Detail = json.RawMessage("{}")
		}
		if n > 0 {
			values.WriteString(", ")
		}
		values.WriteString("(?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?::integer)")
		args = append(args, i.ID, now, now, i.OwnerKind, i.OwnerID, i.Kind, i.Key, Wanted, string(i.Detail), calls)
	}
	err = tx.Send(db.Listing(scan, &made, `
		INSERT INTO external_resources AS have
			(id, created_at, updated_at, owner_kind, owner_id, kind, key, state, detail, calls)
		VALUES `+values.String()+`
		ON CONFLICT (kind, key) DO UPDATE SET
			id = EXCLUDED.id, seq = DEFAULT, created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at,
			owner_kind = EXCLUDED.owner_kind, owner_id = EXCLUDED.owner_id, state = EXCLUDED.state,
			detail = EXCLUDED.detail, calls = EXCLUDED.calls, attempts = 0, last_error = ''
		WHERE have.state = ?
		RETURNING `+columns("have"), append(args, Gone)...))
	return made, err
}

// wantAgain looks at the rows that were there: it notes the time on those that
// were never seen created, and finds the keys that are not free. Then it fails, and
// what it wrote is rolled back.
func wantAgain(tx db.Tx, now time.Time, made []Intent, in []Intent, calls int) (have []Intent, err error) {
	open := map[name]bool{}
	for _, i := range made {
		open[i.name()] = true
	}
	var asked strings.Builder
	args := []any{calls, Wanted, now}
	for _, i := range in {
		if !open[i.name()] {
			asked.WriteString(", (?::text, ?::text)")
			args = append(args, i.Kind, i.Key)
		}
	}
	// A join finds each row by its whole key. A list of pairs of one kind is read as
	// "the kind, and one of the keys", and while the database knows nothing of a
	// table that is young or restored it may read all rows of the kind for that.
	err = tx.Send(db.Listing(scan, &have, `UPDATE external_resources r SET calls = r.calls + ?, updated_at = CASE WHEN r.state = ? THEN ? ELSE r.updated_at END
		FROM (VALUES `+asked.String()[len(", "):]+`) AS asked (kind, key) WHERE r.kind = asked.kind AND r.key = asked.key
		RETURNING `+columns("r"), args...))
	if err != nil {
		return nil, err
	}
	for _, i := range have {
		switch {
		case i.OwnerKind != in[0].OwnerKind || i.OwnerID != in[0].OwnerID:
			return nil, fmt.Errorf("%s %s: %w", i.Kind, i.Key, ErrTaken)
		case i.State == Deleting || i.State == Gone: // or it went a moment ago
			return nil, fmt.Errorf("%s %s: %w", i.Kind, i.Key, ErrDeleting)
		}
	}
	if len(have)+len(open) < len(in) {
		return nil, ErrDeleting
	}
	return have, nil
}

// MarkAll is Mark for several intents in one statement, without details.
func MarkAll(tx db.Tx, now time.Time, ids []string, to State) error {
	if len(ids) == 0 {
		return nil
	}
	result := tx.Gorm().Exec(`UPDATE external_resources SET state = ?, updated_at = ?, attempts = 0, last_error = '', calls = greatest(calls - ?, 0)
		WHERE id IN ? AND state IN ?`, to, now, ended(to), ids, from[to])
	if result.Error == nil && result.RowsAffected != int64(len(ids)) {
		result.Error = ErrUnknown
	}
	if result.Error != nil {
		return fmt.Errorf("marking %d intents %s: %w", len(ids), to, result.Error)
	}
	return nil
}

// Mark notes that an intent came to another state (or stays in its own, with a
// new detail). A nil detail leaves the old one. Errors counted before are
// forgotten. It fails with ErrUnknown when the step is not a legal one.
func Mark(tx db.Tx, now time.Time, id string, to State, detail json.RawMessage) error {
	return mark(tx, now, id, step{to: to, detail: detail})
}

type step struct {
	to        State
	detail    json.RawMessage
	lastError string
}

// Marking is Mark as a statement.
func Marking(now time.Time, id string, to State, detail json.RawMessage) db.Statement {
	return marking(now, id, step{to: to, detail: detail})
}

func mark(tx db.Tx, now time.Time, id string, s step) error { return tx.Send(marking(now, id, s)) }

func marking(now time.Time, id string, s step) db.Statement {
	var given any
	if s.detail != nil {
		given = string(s.detail)
	}
	out := db.Asking(`UPDATE external_resources SET state = ?, updated_at = ?, attempts = 0, last_error = ?, calls = greatest(calls - ?, 0),
		detail = coalesce(?::jsonb, detail) WHERE id = ? AND state = ANY(?)`, s.to, now, s.lastError, ended(s.to), given, id, from[s.to])
	out.Doing = fmt.Sprintf("marking intent %s %s", id, s.to)
	out.Done = func(rows int64) error {
		if rows == 0 {
			return fmt.Errorf("%s: %w", out.Doing, ErrUnknown)
		}
		return nil
	}
	return out
}

// Refused closes an intent whose one creating call was refused. While another call
// is under way it fails with ErrUnknown: that one may still make the thing.
func Refused(tx db.Tx, now time.Time, id string) error { return refused(tx, now, id, "") }

// RefusedInDoubt is Refused for a refusal that need not be the last word: the thing
// may still appear.
func RefusedInDoubt(tx db.Tx, now time.Time, id string) error { return refused(tx, now, id, inDoubt) }

func refused(tx db.Tx, now time.Time, id, lastError string) error {
	result := tx.Gorm().Exec("UPDATE external_resources SET state = ?, updated_at = ?, calls = 0, last_error = ? WHERE id = ? AND state = ? AND calls <= 1",
		Gone, now, lastError, id, Wanted)
	if result.Error == nil && result.RowsAffected == 0 {
		result.Error = ErrUnknown
	}
	if result.Error != nil {
		return fmt.Errorf("closing intent %s, which was refused: %w", id, result.Error)
	}
	return nil
}

// inDoubt stands in place of an error on intents that were closed unseen.
const inDoubt = "closed without having been seen created"

// MarkInDoubt is Mark(Gone) for intents whose things may still appear.
func MarkInDoubt(tx db.Tx, now time.Time, id string, detail json.RawMessage) error {
	return mark(tx, now, id, step{to: Gone, detail: detail, lastError: inDoubt})
}

// ended is how many calls of Begin a state tells the end of.
func ended(to State) int {
	if to == Created {
		return 1
	}
	return 0
}

// Failed notes a failed attempt on an intent, for those who look why it is stuck.
func Failed(tx db.Tx, now time.Time, id string, cause error) error {
	return failed(tx, now, id, cause, 0)
}

// CallFailed is Failed for the call that Begin announced.
func CallFailed(tx db.Tx, now time.Time, id string, cause error) error {
	return failed(tx, now, id, cause, 1)
}

func failed(tx db.Tx, now time.Time, id string, cause error, calls int) error {
	result := tx.Gorm().Exec(
		"UPDATE external_resources SET attempts = attempts + 1, last_error = ?, updated_at = ?, calls = greatest(calls - ?, 0) WHERE id = ?",
		db.Text(cause.Error()), now, calls, id)
	if result.Error == nil && result.RowsAffected == 0 {
		result.Error = ErrUnknown
	}
	if result.Error != nil {
		return fmt.Errorf("noting failure of intent %s: %w", id, result.Error)
	}
	return nil
}

// AllGone is for the transaction that closes the owner: it fails with ErrOpen while
// any of the owner's things may be left in the world.
func AllGone(ownerKind, ownerID string) db.Statement {
	s := db.Asking("SELECT NOT EXISTS (SELECT FROM external_resources WHERE owner_kind = ? AND owner_id = ? AND state <> ?)", ownerKind, ownerID, Gone)
	s.Read = func(row db.Row) error {
		var gone bool
		if err := row.Scan(&gone); err != nil {
			return fmt.Errorf("looking for open intents: %w", err)
		}
		if !gone {
			return fmt.Errorf("closing %s %s: %w", ownerKind, ownerID, ErrOpen)
		}
		return nil
	}
	return s
}

// Store lists intents.
type Store struct{ db *db.DB }

// NewStore gives the intents of the database.
func NewStore(d *db.DB) *Store { return &Store{db: d} }

// Of lists all intents of an owner in the order of their creation. Deleting reads
// them backwards.
func (s *Store) Of(ctx context.Context, ownerKind, ownerID string) ([]Intent, error) {
	var found []Intent
	err := s.db.Gorm(ctx).Table(rows).
		Where("owner_kind = ? AND owner_id = ?", ownerKind, ownerID).Order("seq").Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("listing intents of %s %s: %w", ownerKind, ownerID, err)
	}
	return found, nil
}

// CountUnsettled counts an owner kind's intents of a kind that were neither done
// nor gone at that time: those that somebody should look at.
func (s *Store) CountUnsettled(ctx context.Context, ownerKind, kind string, olderThan time.Time) (int, error) {
	var count int64
	err := s.db.Gorm(ctx).Table(rows).
		Where("kind = ? AND owner_kind = ? AND state IN ? AND updated_at < ?", kind, ownerKind, []State{Wanted, Deleting}, olderThan).
		Count(&count).Error
	if err != nil {
		return 0, fmt.Errorf("counting unsettled %s intents: %w", kind, err)
	}
	return int(count), nil
}

// PurgeGone removes intents of an owner kind that went before that time, and tells
// how many.
func PurgeGone(tx db.Tx, ownerKind string, before time.Time, limit int) (int, error) {
	result := tx.Gorm().Exec(`DELETE FROM external_resources WHERE id IN
		(SELECT id FROM external_resources WHERE state = ? AND updated_at < ? AND owner_kind = ? ORDER BY updated_at LIMIT ?)`,
		Gone, before, ownerKind, limit)
	if result.Error != nil {
		return 0, fmt.Errorf("removing old intents: %w", result.Error)
	}
	return int(result.RowsAffected), nil
}

// ClosedInDoubt lists intents of an owner kind that went since that time although
// their things may still appear: MarkInDoubt closed them. after is the last one of
// the page before, or zero.
func (s *Store) ClosedInDoubt(ctx context.Context, ownerKind string, since time.Time, after Intent, limit int) ([]Intent, error) {
	var found []Intent
	err := s.db.Gorm(ctx).Table(rows).
		Where("owner_kind = ? AND state = ? AND updated_at > ? AND last_error = ?", ownerKind, Gone, since, inDoubt).
		Where("(updated_at, id) > (?, ?)", after.UpdatedAt, after.ID).
		Order("updated_at, id").Limit(limit).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("listing intents closed in doubt: %w", err)
	}
	return found, nil
}
