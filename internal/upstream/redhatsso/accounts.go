package redhatsso

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Account is a service account of the SSO.
type Account struct {
	ID          string
	ClientID    string
	Name        string
	Description string
	CreatedBy   string
	CreatedAt   time.Time  // zero where the SSO told none that can be
	Secret      log.Secret // after Create and ResetSecret only
}

// wire is an account in the API's JSON.
type wire struct {
	ID          string `json:"id"`
	ClientID    string `json:"clientId"`
	Secret      string `json:"secret"`
	Name        string `json:"name"`
	Description string `json:"description"`
	CreatedBy   string `json:"createdBy"`
	CreatedAt   int64  `json:"createdAt"` // Unix seconds
}

// idShape is what ids and client ids may be: UUIDs, or of that kind. They become
// part of paths, of rows and of what customers see.
var idShape = regexp.MustCompile(`^[0-9A-Za-z_-]{1,255}$`)

// account checks what will name the account from here on.
func (w wire) account() (Account, error) {
	for _, id := range []string{w.ID, w.ClientID} {
		if !idShape.MatchString(id) {
			return Account{}, fmt.Errorf("%w: an account without a usable id", ErrUnavailable)
		}
	}
	return Account{
		ID: w.ID, ClientID: w.ClientID, Name: w.Name, Description: w.Description, CreatedBy: w.CreatedBy,
		CreatedAt: w.created(), Secret: log.Secret(w.Secret),
	}, nil
}

// lastSecond is the last one of a year that JSON can show.
var lastSecond = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()

// created passes over a time that cannot be shown: it would take the whole list with it.
func (w wire) created() time.Time {
	if w.CreatedAt <= 0 || w.CreatedAt > lastSecond {
		return time.Time{}
	}
	return time.Unix(w.CreatedAt, 0).UTC()
}

// List gives up to limit accounts after the first ones, in the SSO's order. It
// asks as often as the API's own bound demands.
func (a Accounts) List(ctx context.Context, first, limit int) ([]Account, error) {
	found := []Account{}
	for len(found) < limit {
		page, err := a.page(ctx, first+len(found), min(limit-len(found), pageSize))
		if err != nil {
			return nil, err
		}
		found = append(found, page.accounts...)
		if page.last {
			break
		}
	}
	return found, nil
}

// Search gives the accounts that fit, among all that the caller sees; after the
// first where one is enough. While it turns the pages others may delete accounts,
// and what follows moves up: so each page begins with the last account of the one
// before, and the search begins anew when it does not.
func (a Accounts) Search(ctx context.Context, fits func(Account) bool, one bool) ([]Account, error) {
	for range searches {
		found, whole, err := a.search(ctx, fits, one)
		if err != nil || whole {
			return found, err
		}
	}
	return nil, fmt.Errorf("searching service accounts: %w: the list changed with every page", ErrUnavailable)
}

// searches bounds how often a list is read that changes meanwhile.
const searches = 5

func (a Accounts) search(ctx context.Context, fits func(Account) bool, one bool) (found []Account, whole bool, err error) {
	found = []Account{}
	last, read := "", 0
	for {
		page, err := a.page(ctx, max(read-1, 0), pageSize)
		if err != nil {
			return nil, false, err
		}
		fresh := page.accounts
		if read > 0 {
			if len(fresh) == 0 || fresh[0].ID != last {
				return nil, false, nil
			}
			fresh = fresh[1:]
		}
		for _, account := range fresh {
			if fits(account) {
				found = append(found, account)
			}
		}
		if page.last || one && len(found) > 0 {
			return found, true, nil
		}
		if len(fresh) == 0 { // a server that gives one account a page, whatever it is asked for
			return nil, false, fmt.Errorf("searching service accounts: %w: the list does not go on", ErrUnavailable)
		}
		read += len(fresh)
		last = fresh[len(fresh)-1].ID
		if read > mostRead { // a server that always tells the same would never come to an end
			return nil, false, fmt.Errorf("searching service accounts: %w: the list has no end", ErrUnavailable)
		}
	}
}

// mostRead is more accounts than any organisation has.
const mostRead = 100_000

type page struct {
	accounts []Account
	last     bool
}

func (a Accounts) page(ctx context.Context, first, limit int) (page, error) {
	var list []wire
	query := url.Values{"first": {strconv.Itoa(first)}, "max": {strconv.Itoa(limit)}}
	err := a.call(ctx, request{
		doing: "listing service accounts", method: http.MethodGet, path: "?" + query.Encode(), into: &list,
	})
	if err != nil {
		return page{}, err
	}
	if list == nil {
		return page{}, fmt.Errorf("listing service accounts: %w: the reply is no list", ErrUnavailable)
	}
	if len(list) > limit {
		return page{}, fmt.Errorf("listing service accounts: %w: %d came, %d were asked for", ErrUnavailable, len(list), limit)
	}
	out := page{last: len(list) < limit}
	for _, one := range list {
		account, err := one.account()
		if err != nil {
			return page{}, fmt.Errorf("listing service accounts: %w", err)
		}
		account.Secret = ""
		out.accounts = append(out.accounts, account)
	}
	return out, nil
}

// Create makes an account. Where it fails with the id of an account, that one is
// there and of no use.
func (a Accounts) Create(ctx context.Context, name, description string) (Account, error) {
	body := map[string]string{"name": name}
	if description != "" { // the API refuses an empty one
		body["description"] = description
	}
	return a.one(ctx, request{doing: "creating a service account", method: http.MethodPost, body: body}, func(made Account) bool {
		return made.Name == name && made.Secret != ""
	})
}

// Get reads an account.
func (a Accounts) Get(ctx context.Context, id string) (Account, error) {
	found, err := a.one(ctx, request{doing: "reading a service account", method: http.MethodGet, path: at(id)}, func(found Account) bool {
		return found.ID == id
	})
	found.Secret = ""
	return found, err
}

// ResetSecret replaces the secret of an account and gives the new one. The old one ends at once.
func (a Accounts) ResetSecret(ctx context.Context, id string) (Account, error) {
	return a.one(ctx, request{doing: "resetting the secret of a service account", method: http.MethodPost, path: at(id) + "/resetSecret"}, func(found Account) bool {
		return found.ID == id && found.Secret != ""
	})
}

// Delete removes an account.
func (a Accounts) Delete(ctx context.Context, id string) error {
	return a.call(ctx, request{doing: "deleting a service account", method: http.MethodDelete, path: at(id)})
}

func at(id string) string { return "/" + url.PathEscape(id) }

// one makes a call that answers with an account, which must be the one asked for.
func (a Accounts) one(ctx context.Context, r request, right func(Account) bool) (Account, error) {
	var reply wire
	r.into = &reply
	if err := a.call(ctx, r); err != nil {
		return Account{}, err
	}
	account, err := reply.account()
	if err == nil && !right(account) {
		err = fmt.Errorf("%w: what came back is not what was asked for", ErrUnavailable)
	}
	if err != nil {
		return account, fmt.Errorf("%s: %w", r.doing, err)
	}
	return account, nil
}
