// Package robot is the accounts by which our own machines log in at the SSO: the
// agents of clusters and the canaries of instances.
//
// It is the words that the work rooms share with the kinds of SSO, each of which
// has an adapter below. It is not for the accounts of customers. Invariant: an
// account is found again by what the ledger knows of it, so that a call which was
// cut off anywhere is completed by the next one.
package robot

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Spec is an account that shall be there.
type Spec struct {
	Key         string // of its intent; where we choose the client id, this is it
	Name        string // by which it is found where the SSO chooses the client id
	Description string
	Claims      map[string]string // of its tokens, where they are ours to choose
	CreatedAt   time.Time         // shown at the SSO; zero: not shown

	// First says that no call of ours can have made it before.
	First bool
	// Have is what is known of it. A secret that cannot be read again is kept.
	Have Account
}

// Account is what a machine logs in with.
type Account struct {
	ID       string // the SSO's own
	ClientID string
	Secret   log.Secret
}

// Ref names accounts that shall not be there.
type Ref struct {
	Key, Name string
	ID        string // set: it is known to be the only one
}

// Accounts is an SSO that has accounts of machines.
type Accounts interface {
	// Ensure makes the account be there, once, and gives it with its secret.
	Ensure(ctx context.Context, spec Spec) (Account, error)
	// Delete removes it and tells whether there was one. Again is no error.
	Delete(ctx context.Context, ref Ref) (existed bool, err error)
}

// The kinds of failure that are told apart; others may pass by themselves.
var (
	// ErrRefused would be the same again.
	ErrRefused = errors.New("the SSO refuses it")
	// ErrUnavailable says nothing about the effect: it may or may not have happened.
	ErrUnavailable = errors.New("the SSO is unavailable")
)

// memory is what an intent keeps of the account that was made for it.
type memory struct {
	ID   string `json:"id"`
	Only bool   `json:"only"` // the one call that ever was made has given it
}

// Remember gives the detail of an intent whose account was seen. only says that no
// other call can have made another one.
func Remember(a Account, only bool) (json.RawMessage, error) {
	return json.Marshal(memory{ID: a.ID, Only: only})
}

// Recall reads the detail of an intent.
func Recall(detail json.RawMessage) (id string, only bool) {
	var m memory
	if json.Unmarshal(detail, &m) != nil {
		return "", false // of an older version; the account is found by its name
	}
	return m.ID, m.Only && m.ID != ""
}
