// Package ledger keeps the intents: which thing in the outside world each of our
// rows has wanted, and how far it came.
//
// It is for things that outlive a process and that we must remove again: SSO
// clients, DNS records, add-ons. It is not for doing the work, and it knows no
// upstream. Invariant: an intent is committed before its first remote call, its
// key names at most one thing, and it stays open until that thing is known gone.
package ledger

import (
	"encoding/json"
	"errors"
	"time"
)

// State is how far an intent came.
type State string

// The states of an intent.
const (
	Wanted   State = "wanted"   // may exist already: the process may have died after creating it
	Created  State = "created"  // was seen to exist
	Deleting State = "deleting" // may exist still
	Gone     State = "gone"     // was seen not to exist
)

// Intent is one external thing of one owner.
type Intent struct {
	ID        string
	OwnerKind string // kafka, cluster, service_account
	OwnerID   string
	Kind      string // sso_client, dns_record, addon
	Key       string // deterministic name in the outside world, unique within its kind
	State     State
	Detail    json.RawMessage
	Attempts  int // that failed, since it was last seen to be well
	Calls     int // creating calls that were begun and that nobody saw end
	LastError string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Errors that callers tell apart.
var (
	ErrTaken    = errors.New("the key belongs to another owner")
	ErrDeleting = errors.New("the thing is being deleted")
	ErrUnknown  = errors.New("there is no such intent in a state that allows this")
	ErrOpen     = errors.New("something of it may be left in the world")
)

// from lists the states that may precede each state. What is being deleted can
// only go; only Want opens it again once it is gone.
var from = map[State][]State{
	Wanted:   {Wanted, Created}, // a sweeper saw that the thing vanished
	Created:  {Wanted, Created},
	Deleting: {Wanted, Created, Deleting},
	Gone:     {Wanted, Created, Deleting, Gone},
}
