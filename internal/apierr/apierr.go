// Package apierr is the error catalogue of the HTTP APIs: which codes exist,
// which HTTP status each has, and what a client reads.
//
// It is for errors that a caller of an API may see. It is not for errors that
// only the log sees: those stay plain errors and become code 9 at the edge.
// Invariant: the text of an error that was not made here never reaches a client.
package apierr

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Error is an error of the catalogue. Use it through the error interface;
// recover it with From or Is.
type Error struct {
	Code   Code
	Reason string // what the client reads
	cause  error  // what only the log reads
}

// Error gives the reason and the cause, for the log.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.cause.Error()
}

// Unwrap gives the hidden cause.
func (e *Error) Unwrap() error { return e.cause }

// Status is the HTTP status of the error's code.
func (e *Error) Status() int { return e.Code.Entry().Status }

// New makes an error of the catalogue. An empty reason means the code's default
// text. The reason is never used as a format string.
func New(code Code, reason string) error { return build(code, nil, reason) }

// Newf is New with a format, which must be a constant of the program.
func Newf(code Code, format string, args ...any) error {
	return build(code, nil, fmt.Sprintf(format, args...))
}

// Wrap is New with a cause that the log shows and the client does not.
func Wrap(code Code, cause error, reason string) error { return build(code, cause, reason) }

func build(code Code, cause error, reason string) error {
	entry := code.Entry()
	switch {
	case reason == "":
		reason = entry.Reason
	case entry.Prefixed:
		reason = entry.Reason + ": " + reason
	}
	return &Error{Code: entry.Code, Reason: bounded(reason), cause: cause}
}

// maxReason is far above every text of ours. What goes beyond quotes a request, which
// can be a megabyte long and would be in the reply and in the log once more.
const maxReason = 1024 // bytes

func bounded(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	end := maxReason
	for end > 0 && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end] + "…"
}

// From gives the catalogue error inside err, or code 9 with err as its hidden
// cause when there is none. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var found *Error
	if errors.As(err, &found) {
		return found
	}
	return &Error{Code: General, Reason: General.Entry().Reason, cause: err}
}

// Is tells whether err carries that code of the catalogue.
func Is(err error, code Code) bool {
	var found *Error
	return errors.As(err, &found) && found.Code == code
}
