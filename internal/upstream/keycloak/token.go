package keycloak

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/Nerzal/gocloak/v13"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// skew is how long before its end a token is no longer used, so that none ends on the way.
const skew = 30 * time.Second

// tokens keeps this process's own access token. Callers that come while one is
// being fetched wait for the same fetch.
type tokens struct {
	timeout time.Duration
	login   func(ctx context.Context) (token log.Secret, lifetime time.Duration, err error)

	mu     sync.Mutex
	token  log.Secret
	until  time.Time
	flight *flight
}

// flight is one fetch, shared by those who wait for it.
type flight struct {
	done  chan struct{}
	token log.Secret
	err   error
}

func (t *tokens) get(ctx context.Context) (log.Secret, error) {
	t.mu.Lock()
	if t.token != "" && time.Now().Before(t.until) {
		defer t.mu.Unlock()
		return t.token, nil
	}
	current := t.flight
	if current == nil {
		current = &flight{done: make(chan struct{})}
		t.flight = current
		// Not bound to this caller's end, because others may be waiting too.
		go t.fetch(context.WithoutCancel(ctx), current)
	}
	t.mu.Unlock()
	select {
	case <-current.done:
		return current.token, current.err
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for an access token: %w: %w", ErrUnavailable, ctx.Err())
	}
}

func (t *tokens) fetch(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	start := time.Now()
	token, lifetime, err := t.login(ctx)
	f.token, f.err = token, classify(ctx, "getting an access token", err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flight = nil
	if err == nil {
		t.token, t.until = token, start.Add(lifetime-min(skew, lifetime/4))
	}
	close(f.done)
}

// drop forgets a token that the server refused, unless another has come since.
func (t *tokens) drop(token log.Secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token = ""
	}
}

func (a *Admin) login(clientID string, secret log.Secret) func(context.Context) (log.Secret, time.Duration, error) {
	return func(ctx context.Context) (log.Secret, time.Duration, error) {
		reply, err := a.sdk.LoginClient(ctx, clientID, secret.Reveal(), a.realm.Name)
		var answer *gocloak.APIError
		if errors.As(err, &answer) && answer.Code == http.StatusBadRequest {
			// What some versions answer to a wrong secret.
			return "", 0, fmt.Errorf("%w: %w", ErrUnauthorised, err)
		}
		if err != nil {
			return "", 0, err
		}
		if reply.AccessToken == "" {
			return "", 0, fmt.Errorf("%w: the reply has no access token", ErrUnavailable)
		}
		return log.Secret(reply.AccessToken), time.Duration(reply.ExpiresIn) * time.Second, nil
	}
}

// call makes one call with a deadline and a good token. A refused token is
// replaced once: the server may have been restarted with other keys.
func call[T any](ctx context.Context, a *Admin, doing Step, do func(ctx context.Context, token string) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	var none T
	token, err := a.tokens.get(ctx)
	if err != nil {
		return none, fmt.Errorf("%w: %w", doing, err)
	}
	result, err := do(ctx, token.Reveal())
	if refused(err) {
		a.tokens.drop(token)
		if token, err = a.tokens.get(ctx); err != nil {
			return none, fmt.Errorf("%w: %w", doing, err)
		}
		result, err = do(ctx, token.Reveal())
	}
	return result, classify(ctx, doing, err)
}
