// Package ams calls the account service of OCM: accounts and the terms they
// accepted, what organisations may use, and the subscriptions that use it.
//
// It is for the calls, their deadlines and what their failures mean; the errors
// are those of the ocm package, as both services answer alike. It is not for what
// an instance costs or who may order one: that is quota's. Invariant: a name that
// a user typed cannot change the meaning of a search, and every call is sent once.
package ams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	amsv1 "github.com/openshift-online/ocm-sdk-go/accountsmgmt/v1"

	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
)

// Account is what we read of an account.
type Account struct {
	ID            string // the account id that tokens carry
	Username      string
	Banned        bool
	OrgExternalID string
}

// Client calls one account service.
type Client struct {
	conn          *ocm.Connection
	organisations *lru.Cache[string, string] // ids by external id
	numbers       *numbers
}

// organisationsKept bounds what is remembered.
const organisationsKept = 4096

// New makes a client for the configuration's AMSBaseURL; it calls nothing yet.
func New(c ocm.Config, logger *slog.Logger) (*Client, error) {
	conn, err := ocm.Connect(c, c.AMSBaseURL, logger)
	if err != nil {
		return nil, err
	}
	organisations, _ := lru.New[string, string](organisationsKept) // fails only for a size that is not positive
	return &Client{conn: conn, organisations: organisations, numbers: newNumbers()}, nil
}

// Close closes idle connections.
func (c *Client) Close() error { return c.conn.Close() }

// Account looks an account up by its user name. An unknown name is no error.
func (c *Client) Account(ctx context.Context, username string) (found Account, ok bool, err error) {
	const doing = "searching an account"
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return Account{}, false, err
	}
	defer cancel()
	answer, err := c.conn.AccountsMgmt().V1().Accounts().List().
		Page(1).Size(1).Search("username = " + quote(username)).SendContext(ctx)
	if err := checkList(doing, answer, err); err != nil {
		return Account{}, false, err
	}
	for _, account := range answer.Items().Slice() {
		if account.Username() == username { // whatever the search made of the name
			if !usableID.MatchString(account.ID()) { // it is stored, and goes into tokens
				return Account{}, false, fmt.Errorf("searching an account: %w: the reply has no usable id", ocm.ErrUnavailable)
			}
			return toAccount(account), true, nil
		}
	}
	return Account{}, false, nil
}

// check is ocm.Check, but a 404 that is not the service's own word, such as that of a
// gateway without a route, says nothing of what is there.
func check(doing string, answer ocm.Answer, err error) error {
	err = ocm.Check(doing, answer, err)
	if errors.Is(err, ocm.ErrNotFound) && !refuses(err) {
		return fmt.Errorf("%s: %w: somebody else than the service answered with status 404", doing, ocm.ErrUnavailable)
	}
	return err
}

// checkList is check for the answer to a search. One that holds no list is none:
// it would tell that what was searched for is not there.
func checkList[T any](doing string, answer interface {
	ocm.Answer
	GetItems() (T, bool)
	GetTotal() (int, bool)
}, err error,
) error {
	if err := check(doing, answer, err); err != nil {
		return err
	}
	_, items := answer.GetItems()
	_, total := answer.GetTotal()
	if !items && !total {
		return fmt.Errorf("%s: %w: the answer is no list", doing, ocm.ErrUnavailable)
	}
	return nil
}

// usableID is what an id may look like: it is stored, shown, or an element of a path.
var usableID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// CurrentAccount gives the account that the service runs as.
func (c *Client) CurrentAccount(ctx context.Context) (Account, error) {
	const doing = "reading the current account"
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return Account{}, err
	}
	defer cancel()
	answer, err := c.conn.AccountsMgmt().V1().CurrentAccount().Get().SendContext(ctx)
	if err := check(doing, answer, err); err != nil {
		return Account{}, err
	}
	return toAccount(answer.Body()), nil
}

func toAccount(a *amsv1.Account) Account {
	return Account{ID: a.ID(), Username: a.Username(), Banned: a.Banned(), OrgExternalID: a.Organization().ExternalID()}
}

// quote writes a text as a value of the search language, where a quote is doubled.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
