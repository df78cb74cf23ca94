package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
	"github.com/kas-fleet/kas-fleet-manager/test/invariant"
)

// callTimeout is a customer's patience with one request.
const callTimeout = 10 * time.Second

// Customer calls whichever replica runs, and again when no answer comes.
type Customer struct {
	fleet *Fleet
	as    *harness.Caller
	turn  int
}

// Customer gives somebody of the organisation.
func (f *Fleet) Customer(user string) *Customer {
	f.t.Helper()
	return &Customer{fleet: f, as: f.As(user), turn: int(f.names.Load())}
}

// call repeats a request until something other than a failure comes back. It tells
// whether one before may have had its effect.
func (c *Customer) call(ctx context.Context, method, path string, body any) (reply harness.Response, repeated bool, err error) {
	for ; ; repeated = true {
		if running := c.fleet.Running(); len(running) > 0 {
			c.turn++
			limited, cancel := context.WithTimeout(ctx, callTimeout)
			reply, err = c.as.At(running[c.turn%len(running)]).Try(limited, method, path, body)
			cancel()
			if err == nil && reply.Status < http.StatusInternalServerError {
				return reply, repeated, nil
			}
		}
		pause := time.NewTimer(50 * time.Millisecond)
		select {
		case <-ctx.Done():
			pause.Stop()
			return reply, true, fmt.Errorf("%s %s: %w; the last answer is %d %s, %w", method, path, ctx.Err(), reply.Status, reply.Body, err)
		case <-pause.C:
		}
	}
}

func unexpected(what string, r harness.Response) error {
	return fmt.Errorf("%s: unexpected answer %d %s", what, r.Status, r.Body)
}

// told remembers what a client was told, and asked what it is about to ask for.
func (f *Fleet) told(verb invariant.Verb, id string)  { f.note(verb, id, true) }
func (f *Fleet) asked(verb invariant.Verb, id string) { f.note(verb, id, false) }

func (f *Fleet) note(verb invariant.Verb, id string, granted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replies = append(f.replies, invariant.Reply{At: time.Now(), Verb: verb, ID: id, Granted: granted})
}

// Replies gives what clients were told.
func (f *Fleet) Replies() []invariant.Reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.replies)
}

// Name gives a name that nobody had.
func (f *Fleet) Name(what string) string { return fmt.Sprintf("%s-%d", what, f.names.Add(1)) }

// conflict is the code of a name that is taken, and later that of an order which is
// being undone and may be sent again then.
const (
	conflict = "KAFKAS-MGMT-36"
	later    = "KAFKAS-MGMT-6"
)

// Order orders an instance. A customer whose answer was lost gets it again by the
// order's key; without one the name is found taken by the order that came through.
func (c *Customer) Order(ctx context.Context, name string) (id string, err error) {
	caller := *c
	if c.fleet.keyed {
		caller.as = c.as.With("Idempotency-Key", name)
	}
	var reply harness.Response
	repeated, again := false, true
	for again {
		var lost bool
		if reply, lost, err = caller.call(ctx, http.MethodPost, "/kafkas?async=true", harness.Order{Name: name}); err != nil {
			return "", err
		}
		repeated = repeated || lost
		if again = reply.Error().Code == later || reply.Status == http.StatusTooManyRequests; again {
			Pause(ctx, time.Second)
		}
	}
	var made struct {
		ID    string
		Items []struct{ ID string }
	}
	switch {
	case reply.Status == http.StatusAccepted:
		if err := json.Unmarshal(reply.Body, &made); err != nil {
			return "", fmt.Errorf("reading a new instance: %w", err)
		}
	case repeated && reply.Error().Code == conflict:
		if reply, _, err = c.call(ctx, http.MethodGet, "/kafkas?search="+url.QueryEscape("name = "+name), nil); err != nil {
			return "", err
		}
		if err := json.Unmarshal(reply.Body, &made); err != nil || len(made.Items) != 1 {
			return "", unexpected("looking for "+name, reply)
		}
		made.ID = made.Items[0].ID
	default:
		return "", unexpected("ordering "+name, reply)
	}
	c.fleet.told(invariant.Created, made.ID)
	return made.ID, nil
}

// Attempt sends an order once, without a key, and wants it gone again if it came
// through after all.
func (c *Customer) Attempt(ctx context.Context, name string) error {
	running := c.fleet.Running()
	if len(running) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := c.as.At(running[c.turn%len(running)]).Try(limited, http.MethodPost, "/kafkas?async=true", harness.Order{Name: name})
	if err != nil || reply.Status != http.StatusAccepted {
		return nil // whatever came of it, nobody was told of an instance
	}
	var made struct{ ID string }
	if err := json.Unmarshal(reply.Body, &made); err != nil {
		return fmt.Errorf("reading a new instance: %w", err)
	}
	c.fleet.told(invariant.Created, made.ID)
	return c.Delete(ctx, made.ID)
}

// AwaitReady waits until an instance can be used.
func (c *Customer) AwaitReady(ctx context.Context, id string) error {
	return c.fleet.Await(ctx, id+" ready", func() (bool, error) {
		reply, _, err := c.call(ctx, http.MethodGet, "/kafkas/"+id, nil)
		if err != nil {
			return false, err
		}
		var seen struct{ Status string }
		_ = json.Unmarshal(reply.Body, &seen) // what is no instance has no status
		if reply.Status != http.StatusOK || seen.Status == string(kafka.Failed) {
			return false, unexpected("waiting for "+id, reply)
		}
		return seen.Status == string(kafka.Ready), nil
	})
}

// Patch changes an instance.
func (c *Customer) Patch(ctx context.Context, id string, changes map[string]any) error {
	reply, _, err := c.call(ctx, http.MethodPatch, "/kafkas/"+id, changes)
	if err == nil && reply.Status != http.StatusOK {
		err = unexpected("changing "+id, reply)
	}
	return err
}

// Delete asks for an instance's deletion. One whose answer was lost may find it gone.
func (c *Customer) Delete(ctx context.Context, id string) error {
	reply, repeated, err := c.call(ctx, http.MethodDelete, "/kafkas/"+id+"?async=true", nil)
	switch {
	case err != nil:
		return err
	case reply.Status == http.StatusAccepted, repeated && reply.Status == http.StatusNotFound:
		c.fleet.told(invariant.Deleted, id)
		return nil
	}
	return unexpected("deleting "+id, reply)
}

// AwaitGone waits until nobody knows an instance any more.
func (c *Customer) AwaitGone(ctx context.Context, id string) error {
	return c.fleet.Await(ctx, id+" gone", func() (bool, error) {
		reply, _, err := c.call(ctx, http.MethodGet, "/kafkas/"+id, nil)
		return err == nil && reply.Status == http.StatusNotFound, err
	})
}

// account is a service account as a customer sees it.
type account struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
}

// Account makes a service account, gives it a new secret and removes it again.
func (c *Customer) Account(ctx context.Context) error {
	reply, _, err := c.call(ctx, http.MethodPost, "/service_accounts", map[string]string{"name": c.fleet.Name("account")})
	if err != nil {
		return err
	}
	var made account
	if err := json.Unmarshal(reply.Body, &made); err != nil || reply.Status != http.StatusAccepted {
		return unexpected("making an account", reply)
	}
	c.fleet.told(invariant.AccountCreated, made.ClientID)
	if reply, _, err = c.call(ctx, http.MethodPost, "/service_accounts/"+made.ID+"/reset_credentials", nil); err != nil {
		return err
	}
	if reply.Status != http.StatusOK {
		return unexpected("resetting an account", reply)
	}
	c.fleet.asked(invariant.AccountDeleted, made.ClientID)
	reply, repeated, err := c.call(ctx, http.MethodDelete, "/service_accounts/"+made.ID, nil)
	if err != nil {
		return err
	}
	if reply.Status != http.StatusNoContent && (!repeated || reply.Status != http.StatusNotFound) {
		return unexpected("removing an account", reply)
	}
	c.fleet.told(invariant.AccountDeleted, made.ClientID)
	return nil
}

// Abandon makes a service account whose customer hangs up before the answer, and
// that cannot be taken back at once.
func (c *Customer) Abandon(ctx context.Context) {
	c.fleet.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: `/clients$`, Mode: emulator.HangAfter, Delay: 600 * time.Millisecond, Times: 1})
	c.fleet.SSO.Inject(emulator.Fault{Method: http.MethodDelete, Path: `/clients/`, Mode: emulator.Before, Status: http.StatusServiceUnavailable, Times: 1})
	defer c.fleet.SSO.ClearFaults()
	limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	for _, r := range c.fleet.Running() {
		_, err := c.as.At(r).Try(limited, http.MethodPost, "/service_accounts", map[string]string{"name": c.fleet.Name("abandoned")})
		if err != nil && limited.Err() != nil {
			break
		}
	}
	_ = c.fleet.Await(ctx, "the account's end", func() (bool, error) { // whoever has no intent left needs no sweeper
		var open int
		c.fleet.Scan(&open, "SELECT count(*) FROM external_resources WHERE owner_kind = 'service_account' AND state = 'deleting' AND attempts = 0")
		return open > 0, nil
	})
}
