package observatorium

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// What a failed call means to the caller. Each returned error is one of these.
var (
	ErrUnconfigured = errors.New("no backend of metrics is configured")
	ErrUnauthorised = errors.New("not authorised by the backend of metrics")
	ErrThrottled    = errors.New("throttled by the backend of metrics")
	ErrRefused      = errors.New("refused by the backend of metrics")
	ErrTooLarge     = errors.New("the backend of metrics answered more than is read")
	ErrUnavailable  = errors.New("the backend of metrics is unavailable")
)

// Bounds of what callers are told to wait.
const (
	usualPause   = 5 * time.Second
	longestPause = time.Minute
)

// failure is a classified error that says when to try again.
type failure struct {
	doing string
	kind  error
	cause error
	pause time.Duration // 0: trying again will not help
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s: %s: %s", f.doing, f.kind, f.cause)
}

// Unwrap gives the kind and the cause.
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

// patient is a failure that passes.
type patient struct{ *failure }

// RetryAfter says how long to wait before the next try.
func (p patient) RetryAfter() time.Duration { return p.pause }

// Unwrap gives the failure.
func (p patient) Unwrap() error { return p.failure }

// refusal is an answer with an error status.
type refusal struct {
	status int
	pause  time.Duration
	text   string // what the backend said; for our log only
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %q", r.status, r.text) }

// classify says what was being done and what kind of failure it met.
func classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	// The URL of a GET holds the whole query: too long for a log line.
	var away *url.Error
	if errors.As(err, &away) {
		err = away.Err
	}
	f := &failure{doing: doing, kind: kindOf(err), cause: err}
	var told *refusal
	if errors.As(err, &told) {
		f.pause = told.pause
	}
	if errors.Is(f.kind, ErrThrottled) || errors.Is(f.kind, ErrUnavailable) {
		if f.pause == 0 {
			f.pause = usualPause
		}
		return patient{f}
	}
	return f
}

func kindOf(err error) error {
	var told *refusal
	var api *promv1.Error
	switch {
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	case errors.Is(err, ErrUnauthorised):
		return ErrUnauthorised
	case errors.Is(err, context.Canceled):
		return ErrUnavailable
	case errors.As(err, &told):
		return kindOfStatus(told.status)
	case errors.As(err, &api) && (api.Type == promv1.ErrBadData || api.Type == promv1.ErrClient || api.Type == promv1.ErrExec):
		return ErrRefused
	}
	return ErrUnavailable // no answer in time, or none that can be read
}

func kindOfStatus(status int) error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ErrUnauthorised
	case status == http.StatusTooManyRequests:
		return ErrThrottled
	case status >= 400 && status < 500:
		return ErrRefused
	}
	return ErrUnavailable
}

// pauseOf reads Retry-After, of which only seconds are in use between services.
func pauseOf(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, longestPause)
}
