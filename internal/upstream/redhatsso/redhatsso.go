// Package redhatsso calls the service-accounts API of an SSO that keeps the
// accounts itself, and decides by the token of each call who may do what.
//
// It is thin: it knows calls, deadlines, bounds and kinds of failure, and nothing
// of Kafkas or clusters. Invariant: a call carries the token that it was made with
// and no other; nothing that one caller brings is kept where another call could
// find it.
package redhatsso

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/crash"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	defaultTimeout = 10 * time.Second
	// maxReply bounds what a broken server can make this process read.
	maxReply = 1 << 20
	// pageSize is the most that the API gives at a time.
	pageSize = 100
)

// Config says where the API is, and as whom the fleet manager itself calls it.
type Config struct {
	Issuer       string // of the realm; the API is below it
	ClientID     string
	ClientSecret log.Secret
	Scope        string        // that the fleet manager's own tokens need
	Timeout      time.Duration // of each call; 0: ten seconds
}

// Client calls the API. It is safe for concurrent use.
type Client struct {
	api     string
	timeout time.Duration
	http    *http.Client
	own     *tokens
}

// New makes the client. It does not call the server yet.
func New(c Config) (*Client, error) {
	if c.Issuer == "" || c.ClientID == "" {
		return nil, errors.New("the service-accounts API needs an issuer and a client id")
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		transport = &http.Transport{}
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = 16
	issuer := strings.TrimRight(c.Issuer, "/")
	client := &Client{
		api: issuer + "/apis/service_accounts/v1", timeout: c.Timeout,
		http: &http.Client{
			Transport: crash.Transport("redhatsso", transport),
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("redirects are not followed") // one could carry the token to another host
			},
		},
	}
	client.own = newTokens(client.http, issuer+"/protocol/openid-connect/token", c)
	return client, nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Accounts is the API as one caller sees it.
type Accounts struct {
	client *Client
	token  func(ctx context.Context) (log.Secret, error)
	// refused hears of a token that the server did not take, and tells whether
	// another one may be had.
	refused func(token log.Secret) bool
}

// As gives the API as the bearer of a token sees it. The token is a part of what
// is given, which belongs to one request.
func (c *Client) As(token log.Secret) Accounts {
	return Accounts{
		client:  c,
		token:   func(context.Context) (log.Secret, error) { return token, nil },
		refused: func(log.Secret) bool { return false },
	}
}

// Own gives the API as the fleet manager itself sees it.
func (c *Client) Own() Accounts {
	return Accounts{client: c, token: c.own.get, refused: c.own.drop}
}
