package redhatsso

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// request is one call of the API.
type request struct {
	doing  string // for the text of an error
	method string
	path   string // below the API's
	body   any    // nil: none
	into   any    // nil: a success has no content
}

// call makes one call with a deadline. An own token that is refused is replaced
// once: the server may have been restarted with other keys.
func (a Accounts) call(ctx context.Context, r request) error {
	ctx, cancel := context.WithTimeout(ctx, a.client.timeout)
	defer cancel()
	token, err := a.token(ctx)
	if err == nil {
		err = a.client.send(ctx, r, token)
		if errors.Is(err, ErrUnauthorised) && a.refused(token) {
			if token, err = a.token(ctx); err == nil {
				err = a.client.send(ctx, r, token)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.doing, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, r request, token log.Secret) error {
	var body io.Reader = http.NoBody
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	call, err := http.NewRequestWithContext(ctx, r.method, c.api+r.path, body)
	if err != nil {
		return err
	}
	call.Header.Set("Authorization", "Bearer "+token.Reveal())
	call.Header.Set("Accept", "application/json")
	if r.body != nil {
		call.Header.Set("Content-Type", "application/json")
	}
	return exchange(c.http, call, r.into)
}

// exchange sends a request and reads the answer. An answer that cannot be
// understood is a failure whose effect is unknown, never a success.
func exchange(client *http.Client, call *http.Request, into any) error {
	reply, err := client.Do(call)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	if err == nil && len(body) > maxReply {
		err = errors.New("it is too long")
	}
	if err != nil {
		return fmt.Errorf("%w: reading the reply: %w", ErrUnavailable, err)
	}
	media, _, _ := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	switch {
	case reply.StatusCode >= http.StatusBadRequest:
		if media != "application/json" {
			body = nil // a page of somebody on the way
		}
		return refusalOf(reply.StatusCode, body)
	case into == nil && reply.StatusCode == http.StatusNoContent:
		return nil
	case into == nil || media != "application/json" || reply.StatusCode != http.StatusOK && reply.StatusCode != http.StatusCreated:
		return fmt.Errorf("%w: status %d of type %q: something else than the SSO may have answered", ErrUnavailable, reply.StatusCode, media)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: reading the reply: %w", ErrUnavailable, err)
	}
	return nil
}
