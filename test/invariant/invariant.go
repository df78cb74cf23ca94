// Package invariant holds a fleet against what must be true of it, whatever
// happened to its processes.
//
// It is the one checker of the harness and of all campaigns. It sees the database,
// the world outside and what clients were told, and nothing of the process.
// Invariant: a check that finds nothing has looked; what it cannot read is an error.
//
// The names I1 to I12 are those of the campaigns' documents:
//
//	I1  no orphan: what is outside has an open intent, what is erased has none
//	I2  no double: one thing outside for each key
//	I3  nothing lost: what a client was promised is there; a deletion is never undone
//	I4  only legal transitions
//	I5  never more used than allowed, and the counters are the sums
//	I6  names and hosts are unique among what lives
//	I7  one leader's term at a time, and no write of a leader whose term is over
//	I8  progress: nothing waits for ever
//	I12 no secret in plain text in a row or a log
package invariant

import (
	"context"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Violation is something that must not be.
type Violation struct {
	ID   string // of the invariant
	Text string
}

func (v Violation) String() string { return v.ID + ": " + v.Text }

// Fleet is all that is known of a fleet.
type Fleet struct {
	DB *db.DB
	// Outside tells what of ours is outside at the moment; nil: nothing is known.
	Outside func() Outside
	// Replies gives what clients were told and asked for until now; nil: nothing.
	Replies func() []Reply
	Limits  Limits
	// Secrets finds secrets in a text, and tells what they are; nil: none is known.
	Secrets func(text string) []string
	Log     string
	// Rest says that nothing is under way any more: all that was asked for is done.
	Rest bool
}

// Outside is what is found at the upstreams. What belongs to others is not in it.
type Outside struct {
	Clients []string // client ids in the realm of the service accounts
	Records []string // names of DNS records
	Addons  []string // <cluster id>/<add-on id>
	// Subscriptions are the keys for which accounts management holds quota.
	Subscriptions []string
}

// Reply is what a client was told.
type Reply struct {
	At      time.Time
	Verb    Verb
	ID      string // of the instance; of a service account its client id
	Granted bool   // a refusal promises nothing
}

// Verb is what a client asked for.
type Verb string

// What clients ask for.
const (
	Created        Verb = "create"
	Deleted        Verb = "delete"
	AccountCreated Verb = "create account"
	AccountDeleted Verb = "delete account"
)

// Limits are what the configuration allows; nil maps allow everything.
type Limits struct {
	Organisations map[string]int // units of quota
	Regions       map[string]int // units of room, by provider/region
}

// Check gives every violation that it finds.
func Check(ctx context.Context, f Fleet) ([]Violation, error) {
	c := &check{ctx: ctx, fleet: f}
	for _, look := range []func() error{
		c.outside, c.erased, c.reserved, c.promises, c.histories, c.clusterStatuses, c.capacity, c.usage, c.quotas, c.unique, c.watched, c.progress, c.secrets,
	} {
		if err := look(); err != nil {
			return c.found, fmt.Errorf("checking the invariants: %w", err)
		}
	}
	return c.found, nil
}

// check is one run of the checker.
type check struct {
	ctx   context.Context
	fleet Fleet
	found []Violation
}

func (c *check) violated(id, format string, args ...any) {
	c.found = append(c.found, Violation{ID: id, Text: fmt.Sprintf(format, args...)})
}

// scan reads rows of anything.
func (c *check) scan(into any, query string) error {
	return c.fleet.DB.Gorm(c.ctx).Raw(query).Scan(into).Error
}
