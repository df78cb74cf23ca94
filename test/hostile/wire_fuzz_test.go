package hostile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// FuzzRequest sends any id, query and body to any operation of a whole process:
// no 5xx, no connection cut, every reply as its specification has it. What is
// found here and not by the drawn requests lies outside of every schema.
func FuzzRequest(f *testing.F) {
	ops := allOperations(f)
	for i, op := range ops {
		e := entries[op.String()]
		f.Add(byte(i), "x", e.query, e.body)
		f.Add(byte(i), "\x00", e.query, e.body)
		f.Add(byte(i), "%00", "async=true&page=-1&size=0&search=%27&orderBy=,&client_id=x", `{"name":"\u0000","unknown":[1e999],"k":{"conditions":[{}]}}`)
	}
	s := beside(f)
	f.Fuzz(func(t *testing.T, which byte, id, query, body string) {
		op := ops[int(which)%len(ops)]
		if sendable, err := s.sends(t.Context(), op, &url.URL{Scheme: "http", Path: op.at(id, ""), RawQuery: query}, body); err != nil {
			t.Fatal(err)
		} else if !sendable {
			t.Skip("no client sends this")
		}
	})
}

// besides is a world that fuzz targets call, with a token for each audience.
type besides struct {
	address string
	tokens  map[audience]string
	client  *http.Client
}

// beside makes a world that lives as long as the target. A world belongs to a
// test, and a fuzz target has one per input only: so one is started beside it.
func beside(f *testing.F) besides {
	f.Helper()
	made, done, ended := make(chan besides), make(chan struct{}), make(chan bool)
	go func() {
		defer close(ended)
		ended <- testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "beside", F: func(t *testing.T) {
			w := harness.New(t, harness.ManualAgents())
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			out := besides{address: w.Replica(0).URL, tokens: map[audience]string{}, client: &http.Client{Transport: transport}}
			var err error
			if out.tokens[customers], err = w.SSO.UserToken(harness.Alice); err != nil {
				t.Fatal(err)
			}
			if out.tokens[agents], err = w.SSO.ClientToken(harness.Realm, "kas-fleetshard-agent-"+harness.ClusterOne); err != nil {
				t.Fatal(err)
			}
			if out.tokens[admins], err = w.SSO.UserToken(harness.Reader); err != nil {
				t.Fatal(err)
			}
			made <- out
			<-done
		}}})
	}()
	f.Cleanup(func() {
		close(done)
		if sound, running := <-ended; running && !sound {
			f.Error("the world beside did not end as one must")
		}
	})
	select {
	case out := <-made:
		return out
	case <-ended:
		f.Fatal("there is no world beside")
		return besides{}
	}
}

// sends tells what is wrong with the answer to a request, if one can be made of it.
func (s besides) sends(ctx context.Context, op operation, at *url.URL, body string) (sendable bool, err error) {
	if strings.ContainsFunc(at.RequestURI(), func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false, nil // it would break the line that the request begins with
	}
	host, err := url.Parse(s.address)
	if err != nil {
		return true, err
	}
	at.Host = host.Host
	r := &http.Request{Method: op.method, URL: at, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body))}
	if token := s.tokens[op.audience]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	reply, err := s.client.Do(r.WithContext(ctx))
	if err != nil {
		return true, fmt.Errorf("%s %s was not answered: %w", op.method, at, err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return true, fmt.Errorf("%s %s was not answered to the end: %w", op.method, at, err)
	}
	if reply.StatusCode >= http.StatusInternalServerError {
		return true, fmt.Errorf("%s %s answered %d %s", op.method, at, reply.StatusCode, text)
	}
	if err := harness.Check(r, harness.Response{Status: reply.StatusCode, Header: reply.Header, Body: text}); err != nil {
		return true, fmt.Errorf("%s %s answered %d %s\nwhich does not fit the specification: %w", op.method, at, reply.StatusCode, text, err)
	}
	return true, nil
}

// A connection that is cut without a word is what the target looks for.
func TestACutConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	s := besides{address: server.URL, client: server.Client()}
	op := operation{method: http.MethodGet, path: harness.Base + "/kafkas", audience: anybody}
	sound := url.URL{Scheme: "http", Path: op.path}
	_, err := s.sends(t.Context(), op, &sound, "")
	require.ErrorIs(t, err, io.EOF)
	unsendable := url.URL{Scheme: "http", Path: op.path, RawQuery: "a=\n"}
	sendable, err := s.sends(t.Context(), op, &unsendable, "")
	require.NoError(t, err)
	require.False(t, sendable)
}
