package redhatsso

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// The kinds of failure; compare with errors.Is.
var (
	ErrNotFound     = errors.New("service account not found")
	ErrLimit        = errors.New("limit of service accounts reached")
	ErrForbidden    = errors.New("service account not accessible")
	ErrUnauthorised = errors.New("token not accepted")
	// ErrUnavailable says nothing about the effect: it may or may not have happened.
	ErrUnavailable error = passing("unavailable")
)

// passing is a failure that may be over soon.
type passing string

func (p passing) Error() string { return string(p) }

// RetryAfter is how long to wait before the next try; callers of the API are told so.
func (passing) RetryAfter() time.Duration { return 5 * time.Second }

// Refusal is an answer in which the SSO says what it does not like.
type Refusal struct {
	Status      int
	Code        string // the key "error"
	Description string // the key "error_description", short and on one line
}

// Error tells all of it.
func (r *Refusal) Error() string {
	return fmt.Sprintf("status %d, error %q: %s", r.Status, r.Code, r.Description)
}

// Unwrap gives the kind of failure. Only the SSO itself, by its own word, can say
// that there is no such account: a proxy's 404 would hide one that lives on.
func (r *Refusal) Unwrap() error {
	switch {
	case r.Code == "service_account_not_found":
		return ErrNotFound
	case r.Code == "service_account_limit_exceeded":
		return ErrLimit
	case r.Code == "service_account_access_invalid":
		return ErrForbidden
	case r.Status == http.StatusUnauthorized:
		return ErrUnauthorised
	case r.Status == http.StatusTooManyRequests, r.Status == http.StatusRequestTimeout, r.Status >= http.StatusInternalServerError:
		return ErrUnavailable
	}
	return nil
}

// maxDescription bounds what of a stranger's text may come to a log or a caller.
const maxDescription = 200

// refusalOf reads an answer that is no success.
func refusalOf(status int, body []byte) *Refusal {
	var text struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &text) // what is no JSON has no code
	return &Refusal{Status: status, Code: plain(text.Code), Description: plain(text.Description)}
}

func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > maxDescription {
		text = string(runes[:maxDescription]) + "…"
	}
	return strings.TrimSpace(text)
}
