package keycloak

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Nerzal/gocloak/v13"
)

// The kinds of failure; compare with errors.Is.
var (
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("conflict")
	ErrUnauthorised = errors.New("not authorised")
	// ErrUnavailable says nothing about the effect: it may or may not have happened.
	ErrUnavailable error = passing("unavailable")
)

// passing is a failure that may be over soon.
type passing string

func (p passing) Error() string { return string(p) }

// RetryAfter is how long to wait before the next try; callers of the API are told so.
func (passing) RetryAfter() time.Duration { return 5 * time.Second }

// Step is what a call is for, as its failure says it. Those below can be told apart
// with errors.Is.
type Step string

// The steps of Ensure that its callers tell apart.
const (
	StepFind   Step = "finding an SSO client"
	StepList   Step = "listing SSO clients"
	StepUser   Step = "reading a service account's user"
	StepSecret Step = "reading the secret of an SSO client"
)

// Error is the step in words.
func (s Step) Error() string { return string(s) }

// classify gives the failure of a call its kind. A reply that is none of the
// kinds keeps only its text: trying again would not help.
func classify(ctx context.Context, doing Step, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		// The SDK keeps only the text of a transport error, so the cause is added again.
		return fmt.Errorf("%w: %w: %w", doing, ErrUnavailable, cause)
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w: %w", doing, kind, err)
	}
	return fmt.Errorf("%w: %w", doing, err)
}

func kindOf(err error) error {
	for _, kind := range []error{ErrNotFound, ErrConflict, ErrUnauthorised, ErrUnavailable} {
		if errors.Is(err, kind) {
			return nil // it already says so
		}
	}
	var reply *gocloak.APIError // the SDK returns pointers; a plain APIError would never match
	if !errors.As(err, &reply) {
		return nil
	}
	switch code := reply.Code; {
	case code == http.StatusNotFound && !hasWord(reply):
		return ErrUnavailable // of something on the way: it would hide a client that lives on
	case code == http.StatusNotFound:
		return ErrNotFound
	case code == http.StatusConflict:
		return ErrConflict
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return ErrUnauthorised
	case code == 0, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= http.StatusInternalServerError:
		return ErrUnavailable
	}
	return nil
}

// hasWord tells whether a refusal has the server's own word, which a Keycloak always
// gives. The SDK puts it behind the status line.
func hasWord(reply *gocloak.APIError) bool {
	return strings.Contains(reply.Message, ": ")
}

// refused says that the server did not accept the token, so nothing has happened.
func refused(err error) bool {
	var reply *gocloak.APIError
	return errors.As(err, &reply) && reply.Code == http.StatusUnauthorized
}
