package hostile

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"testing"

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
		f.Add(byte(i), "%00", "async=true&page=-1&size=0&search=%27&orderBy=,&client_id=x", `{"name":"\u0000","unknown":[1e999],"k":{"conditions":[{}]}}`)
	}
	s := beside(f)
	f.Fuzz(func(t *testing.T, which byte, id, query, body string) {
		op := ops[int(which)%len(ops)]
		s.sends(t, op, &url.URL{Scheme: "http", Path: op.at(id, ""), RawQuery: query}, body)
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
	made, done, ended := make(chan besides), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "beside", F: func(t *testing.T) {
			defer func() { <-done }()
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
		}}})
	}()
	f.Cleanup(func() { close(done); <-ended })
	select {
	case out := <-made:
		return out
	case <-ended:
		f.Fatal("there is no world beside")
		return besides{}
	}
}

func (s besides) sends(t *testing.T, op operation, at *url.URL, body string) {
	t.Helper()
	host, err := url.Parse(s.address)
	if err != nil {
		t.Fatal(err)
	}
	at.Host = host.Host
	r := &http.Request{Method: op.method, URL: at, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body))}
	if token := s.tokens[op.audience]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	reply, err := s.client.Do(r.WithContext(t.Context()))
	if err != nil {
		t.Skip("no client sends this: ", err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	if reply.StatusCode >= http.StatusInternalServerError {
		t.Fatalf("%s %s answered %d %s", op.method, at, reply.StatusCode, text)
	}
	if err := harness.Check(r, harness.Response{Status: reply.StatusCode, Header: reply.Header, Body: text}); err != nil {
		t.Fatalf("%s %s answered %d %s\nwhich does not fit the specification: %v", op.method, at, reply.StatusCode, text, err)
	}
}
