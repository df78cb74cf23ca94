package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// statusClientGone is for log and metrics: nobody is there to read it.
const statusClientGone = 499

// Errors turns errors into replies; it is the only place that does.
type Errors struct {
	API    apierr.API
	Logger *slog.Logger
	Report func(ctx context.Context, err error) // told about every 5xx; may be nil
}

// WriteError replies with the catalogue's body for the error. Unknown errors
// become code 9: the log and the reporter learn the cause, the client does not.
// An error with a RetryAfter() time.Duration adds the header of that name.
func (e *Errors) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if ok, fault := bodyFault(err); ok {
		err = fault
	}
	found := apierr.From(err)
	status := found.Status()
	seen := callOf(r.Context())
	if seen != nil && !seen.out.restart() {
		e.Logger.InfoContext(r.Context(), "reply broke off", "cause", err.Error())
		return
	}
	switch {
	case status >= 500 && errors.Is(r.Context().Err(), context.Canceled):
		// The client hung up and so our own calls were cancelled: no fault of anybody.
		e.Logger.InfoContext(r.Context(), "client went away", "cause", err.Error())
		w.WriteHeader(statusClientGone)
		return
	case status >= 500:
		e.Logger.ErrorContext(r.Context(), "request failed", "code", int(found.Code), "cause", err.Error())
		if e.Report != nil {
			e.Report(r.Context(), err)
		}
	default:
		e.Logger.InfoContext(r.Context(), "request refused", "code", int(found.Code), "cause", err.Error())
	}
	var patient interface{ RetryAfter() time.Duration }
	if errors.As(err, &patient) {
		seconds := int64((patient.RetryAfter() + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", e.API.Prefix+"/v1"))
	}
	if seen != nil {
		seen.out.hold = true
	}
	id := OperationID(r.Context())
	w.Header().Add("Vary", "Accept")
	if wantsProblem(r) {
		writeJSON(w, status, problemType, e.API.Problem(found, id))
		return
	}
	writeJSON(w, status, "application/json", e.API.Body(found, id))
}

const problemType = "application/problem+json"

// wantsProblem tells whether the caller names the media type of RFC 9457, and likes
// it as much as plain JSON at least. Wild cards do not count: the generated clients
// decode application/json only.
func wantsProblem(r *http.Request) bool {
	header := strings.Join(r.Header.Values("Accept"), ",")
	wish := quality(header, problemType)
	return wish > 0 && wish >= quality(header, "application/json")
}

// ResponseError fits the generated servers' hook for errors of handlers.
func (e *Errors) ResponseError(w http.ResponseWriter, r *http.Request, err error) {
	e.WriteError(w, r, err)
}

// RequestError fits the generated servers' hooks for parameters and bodies that
// cannot be decoded: code 17, with words for what the sender can mend.
func (e *Errors) RequestError(w http.ResponseWriter, r *http.Request, err error) {
	var known *apierr.Error
	if ok, _ := bodyFault(err); !ok && !errors.As(err, &known) {
		err = unreadable(err, describe(err))
	}
	e.WriteError(w, r, err)
}

// bodyFault knows the errors of reading a request's body, wherever they come up.
// It leaves out those of encoding/json and net/http, which may concern the reply of
// an upstream and so be no fault of the caller.
func bodyFault(err error) (known bool, told error) {
	var bad malformed
	if errors.As(err, &bad) {
		return true, unreadable(err, bad.Error())
	}
	return false, nil
}

// describe says what is wrong with a body or a parameter.
func describe(err error) string {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("invalid JSON at byte %d", syntax.Offset)
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fmt.Sprintf("field '%s' cannot be a JSON %s", wrongType.Field, wrongType.Value)
	case errors.As(err, &wrongType):
		return fmt.Sprintf("the body cannot be a JSON %s", wrongType.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON text ends too early"
	case errors.Is(err, io.EOF):
		return "the body is empty"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the body did not arrive in time"
	default:
		return err.Error()
	}
}

func unreadable(cause error, text string) error {
	return apierr.Wrap(apierr.Malformed, cause, "invalid request format: "+text)
}

// writeJSON replies with a small JSON object.
func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the types cannot fail; a broken connection has nobody to tell
}
