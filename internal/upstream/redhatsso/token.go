package redhatsso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// skew is how long before its end a token is no longer used, so that none ends on the way.
const skew = 30 * time.Second

// tokens keeps the fleet manager's own access token, and never anybody else's.
type tokens struct {
	client *http.Client
	url    string
	form   url.Values
	limit  time.Duration

	// held is in the channel while nobody looks at it: who comes while a token is
	// being fetched waits, no longer than it wants to, and then has it too.
	held chan held
}

type held struct {
	token log.Secret
	until time.Time
}

func newTokens(client *http.Client, tokenURL string, c Config) *tokens {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret.Reveal()},
	}
	if c.Scope != "" {
		form.Set("scope", c.Scope)
	}
	t := &tokens{client: client, url: tokenURL, form: form, limit: c.Timeout, held: make(chan held, 1)}
	t.held <- held{}
	return t
}

func (t *tokens) get(ctx context.Context) (log.Secret, error) {
	var now held
	select {
	case now = <-t.held:
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for an access token: %w: %w", ErrUnavailable, ctx.Err())
	}
	defer func() { t.held <- now }()
	if now.token != "" && time.Now().Before(now.until) {
		return now.token, nil
	}
	fresh, err := t.fetch(ctx)
	if err != nil {
		return "", fmt.Errorf("getting an access token: %w", err)
	}
	now = fresh
	return now.token, nil
}

func (t *tokens) fetch(ctx context.Context) (held, error) {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, strings.NewReader(t.form.Encode()))
	if err != nil {
		return held{}, err
	}
	call.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	start := time.Now()
	var reply struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if err := exchange(t.client, call, &reply); err != nil {
		var refused *Refusal
		if errors.As(err, &refused) && refused.Status == http.StatusBadRequest {
			return held{}, fmt.Errorf("%w: %w", ErrUnauthorised, err) // what some versions answer to a wrong secret
		}
		return held{}, err
	}
	if reply.Token == "" {
		return held{}, fmt.Errorf("%w: the reply has no access token", ErrUnavailable)
	}
	lifetime := time.Duration(min(max(reply.Seconds, 0), 24*60*60)) * time.Second
	return held{token: log.Secret(reply.Token), until: start.Add(lifetime - min(skew, lifetime/4))}, nil
}

// drop forgets a token that the server refused, unless another has come since.
func (t *tokens) drop(token log.Secret) bool {
	now := <-t.held
	if now.token == token {
		now = held{}
	}
	t.held <- now
	return true
}
