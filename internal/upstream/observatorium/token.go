package observatorium

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	// skew is how long before its end a token is no longer used, so that none ends on the way.
	skew = 30 * time.Second
	// shortest is what a token without an end is used for.
	shortest     = time.Minute
	tokenTimeout = 10 * time.Second
)

// tokens keeps this process's own access token. One caller at a time fetches;
// the others wait for it, each no longer than its own request.
type tokens struct {
	source clientcredentials.Config
	client *http.Client

	turn  chan struct{} // holds one while somebody looks at the fields below
	token log.Secret
	until time.Time
}

func newTokens(c Config, client *http.Client) *tokens {
	t := &tokens{
		source: clientcredentials.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret.Reveal(), TokenURL: c.TokenURL},
		client: client, turn: make(chan struct{}, 1),
	}
	if c.Audience != "" {
		t.source.EndpointParams = url.Values{"audience": {c.Audience}}
	}
	return t
}

func (t *tokens) get(ctx context.Context) (log.Secret, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if t.token != "" && time.Now().Before(t.until) {
		return t.token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	began := time.Now()
	fresh, err := t.source.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return "", fmt.Errorf("getting a token for metrics: %w", tokenFailure(err))
	}
	lifetime := shortest
	if !fresh.Expiry.IsZero() {
		lifetime = time.Until(fresh.Expiry)
	}
	t.token, t.until = log.Secret(fresh.AccessToken), began.Add(lifetime-min(skew, lifetime/4))
	return t.token, nil
}

// tokenFailure keeps the status and drops the body, which may repeat what was sent.
func tokenFailure(err error) error {
	var told *oauth2.RetrieveError
	if !errors.As(err, &told) || told.Response == nil {
		return err
	}
	status := told.Response.StatusCode
	if status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden {
		return fmt.Errorf("%w: status %d, %q", ErrUnauthorised, status, told.ErrorCode)
	}
	return &refusal{status: status, pause: pauseOf(told.Response.Header), text: told.ErrorCode}
}

// drop forgets a token that was refused, unless another has come since.
func (t *tokens) drop(ctx context.Context, refused log.Secret) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return
	}
	if t.token == refused {
		t.token = ""
	}
}
