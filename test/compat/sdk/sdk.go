// Package sdk reads the customers' API as the SDKs that were generated for the
// public programs do, and is stricter than any one of them.
//
// It is for replaying those programs. It is not a client for anybody's use, and it
// shares no type with the service: a mistake on both sides would cancel out.
// Invariant: what any of the known SDKs cannot read, this one refuses and says why.
package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxBody bounds what a reply may make this client keep in memory.
const maxBody = 32 << 20

// Client calls one origin for one program.
type Client struct {
	Base   string // of the origin
	HTTP   *http.Client
	Agent  string                                    // User-Agent of the program; empty: Go's
	Header http.Header                               // more headers of the program; may be nil
	Token  func(ctx context.Context) (string, error) // nil: the program shows none
}

// operation is a call as the SDKs know it.
type operation struct {
	method, path string
	typed        []int // statuses whose bodies are read as the typed error
}

// at gives the operation with its path filled in, as the SDKs escape it.
func (o operation) at(ids ...string) operation {
	for _, id := range ids {
		o.path = strings.Replace(o.path, "%s", url.PathEscape(id), 1)
	}
	return o
}

// Fault is the typed error.
type Fault struct {
	ID          string `json:"id"`
	Kind        string `json:"kind"`
	Href        string `json:"href"`
	Code        string `json:"code"`
	Reason      string `json:"reason"`
	OperationID string `json:"operation_id,omitempty"`
}

// Error is what a program has in hand after a call that failed.
type Error struct {
	Text  string // what the program prints if it knows no better: the status line, or why the body could not be read
	Fault *Fault // nil: the typed error is lost
	Body  []byte
	Code  int // the status
}

func (e *Error) Error() string {
	if e.Fault != nil {
		return fmt.Sprintf("%s: %s: %s", e.Text, e.Fault.Code, e.Fault.Reason)
	}
	return e.Text
}

// FaultOf gives the typed error within an error; one without any has no code.
func FaultOf(err error) Fault {
	var failed *Error
	if errors.As(err, &failed) && failed.Fault != nil {
		return *failed.Fault
	}
	return Fault{}
}

// Lost tells whether a call was refused without a typed error, so that programs
// know the status line and no more.
func Lost(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Fault == nil
}

// Reply is the raw side of a call.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// call sends a request and reads the reply into out, unless that is nil.
func (c *Client) call(ctx context.Context, o operation, query url.Values, in, out any) (Reply, error) {
	reply, err := c.send(ctx, o, query, in)
	if err != nil {
		return reply, err
	}
	what := o.method + " " + o.path
	if reply.Status >= http.StatusMultipleChoices {
		return reply, refused(what, o, reply)
	}
	if out == nil {
		// The documents promise the typed error for an empty reply; an SDK reads whatever is there as one.
		if len(reply.Body) == 0 {
			return reply, nil
		}
		out = &Fault{}
	}
	if err := decode(reply.Header.Get("Content-Type"), reply.Body, out); err != nil {
		return reply, fmt.Errorf("%s: %w", what, &Error{Text: err.Error(), Body: reply.Body, Code: reply.Status})
	}
	return reply, nil
}

// refused makes the error of a call: with the typed one only for the statuses that
// the operation declares and when the body is such a thing.
func refused(what string, o operation, reply Reply) error {
	out := &Error{Text: fmt.Sprintf("%d %s", reply.Status, http.StatusText(reply.Status)), Body: reply.Body, Code: reply.Status}
	if slices.Contains(o.typed, reply.Status) {
		var fault Fault
		if err := decode(reply.Header.Get("Content-Type"), reply.Body, &fault); err != nil {
			out.Text = err.Error()
		} else {
			out.Fault = &fault
		}
	}
	return fmt.Errorf("%s: %w", what, out)
}

func (c *Client) send(ctx context.Context, o operation, query url.Values, in any) (Reply, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return Reply{}, fmt.Errorf("encoding the body: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	address := c.Base + o.path
	if len(query) > 0 {
		address += "?" + query.Encode() // spaces as +, per cent signs as %25
	}
	request, err := http.NewRequestWithContext(ctx, o.method, address, body)
	if err != nil {
		return Reply{}, err
	}
	request.Header.Set("Accept", "application/json")
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Agent != "" {
		request.Header.Set("User-Agent", c.Agent)
	}
	for name, values := range c.Header {
		request.Header[name] = values
	}
	if c.Token != nil {
		token, err := c.Token(ctx)
		if err != nil {
			return Reply{}, fmt.Errorf("getting a token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return do(c.HTTP, request)
}

// do sends a request and reads the reply whole.
func do(client *http.Client, request *http.Request) (Reply, error) {
	got, err := client.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer func() { _ = got.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(got.Body, maxBody))
	if err != nil {
		return Reply{}, fmt.Errorf("reading the reply: %w", err)
	}
	return Reply{Status: got.StatusCode, Header: got.Header, Body: raw}, nil
}
