package ocm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	sdkerrors "github.com/openshift-online/ocm-sdk-go/errors"
)

// What a failed call means to the caller. Each returned error is one of these.
var (
	ErrNotFound           = errors.New("not known to OCM")
	ErrConflict           = errors.New("in conflict with what OCM has")
	ErrUnauthorised       = errors.New("not authorised by OCM")
	ErrThrottled    error = passing("throttled by OCM")
	ErrUnavailable  error = passing("OCM is unavailable")
	ErrRefused            = errors.New("refused by OCM")
)

// passing is a failure that may be over soon.
type passing string

func (p passing) Error() string { return string(p) }

// RetryAfter is how long to wait before the next try; callers of the API are told so.
func (passing) RetryAfter() time.Duration { return 5 * time.Second }

// Answer is a response of the SDK; a nil one has status 0.
type Answer interface{ Status() int }

// Check turns what a call of the SDK gave into nil or a classified error. The
// answer counts too, because the SDK reports no error for an error status with
// an empty body.
func Check(doing string, answer Answer, err error) error {
	status := answer.Status()
	var told *sdkerrors.Error
	if errors.As(err, &told) && told.Status() != 0 {
		status = told.Status()
	}
	if err == nil && status >= 200 && status < 300 {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s: %w: status %d", doing, kindOf(status), status)
	}
	if !tellable(err) {
		return fmt.Errorf("%s: %w: the reply cannot be read", doing, kindOf(status))
	}
	return fmt.Errorf("%s: %w: %w", doing, kindOf(status), err)
}

// tellable says whether an error may be shown. The SDK's decoder shows a part of
// the reply in its errors, and a reply may hold the secret of an agent.
func tellable(err error) bool {
	var told *sdkerrors.Error
	var wire net.Error // also the errors of net/url
	return errors.As(err, &told) || errors.As(err, &wire) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func kindOf(status int) error {
	switch {
	case status == http.StatusNotFound:
		return ErrNotFound
	case status == http.StatusConflict:
		return ErrConflict
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ErrUnauthorised
	case status == http.StatusTooManyRequests:
		return ErrThrottled
	case status >= 400 && status < 500:
		return ErrRefused
	}
	return ErrUnavailable // also status 0: no answer, or one that is not JSON
}
