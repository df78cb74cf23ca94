package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Base is the path under which the API is.
const Base = "/api/kafkas_mgmt/v1"

// Caller is somebody who calls the API.
type Caller struct {
	world  *World
	base   func() string
	token  string
	header http.Header
}

// As gives a customer who has just logged in.
func (w *World) As(user string) *Caller {
	w.t.Helper()
	token, err := w.SSO.UserToken(user)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Bearing(token)
}

// Bearing gives a caller with a token; an empty one is none.
func (w *World) Bearing(token string) *Caller {
	w.secrets.add("a caller's token", token)
	return &Caller{world: w, token: token, header: http.Header{}, base: func() string { return w.Replica(0).URL }}
}

// AsAgent gives the agent of a cluster as a plain caller.
func (w *World) AsAgent(clusterID string) *Caller {
	w.t.Helper()
	account, _ := w.Robot("kas-fleetshard-agent-"+clusterID, clusterID)
	token, err := w.SSO.ClientToken(w.AccountRealm(), account.ClientID)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Bearing(token)
}

// With gives the same caller with a header more.
func (c *Caller) With(name, value string) *Caller {
	out := *c
	out.header = c.header.Clone()
	out.header.Set(name, value)
	return &out
}

// At gives the same caller at one replica.
func (c *Caller) At(r *Replica) *Caller {
	out := *c
	out.base = func() string { return r.URL }
	return &out
}

// Do sends a request. A path that does not begin with /api is below Base; a body
// is sent as it is when it is a string, and as JSON otherwise.
func (c *Caller) Do(method, path string, body any) Response {
	c.world.t.Helper()
	out, err := c.Try(context.Background(), method, path, body)
	if err != nil {
		c.world.t.Errorf("%v", err)
	}
	return out
}

// Try is Do where no reply is no failure by itself: of a request that was cut off
// nobody knows what came of it.
func (c *Caller) Try(ctx context.Context, method, path string, body any) (Response, error) {
	out := Response{world: c.world}
	if !strings.HasPrefix(path, "/api") {
		path = Base + path
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base()+path, bodyOf(body))
	if err != nil {
		return out, fmt.Errorf("calling %s %s: %w", method, path, err)
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	reply, err := c.world.client.Do(request)
	if err != nil {
		return out, fmt.Errorf("calling %s %s: %w", method, path, err)
	}
	defer func() { _ = reply.Body.Close() }()
	if out.Body, err = io.ReadAll(reply.Body); err != nil {
		return out, fmt.Errorf("reading the reply to %s %s: %w", method, path, err)
	}
	out.Status, out.Header = reply.StatusCode, reply.Header
	for _, found := range clientSecret.FindAllSubmatch(out.Body, -1) {
		c.world.secrets.add("a service account's secret", string(found[1]))
	}
	c.world.judge(request, out)
	return out, nil
}

func bodyOf(body any) io.Reader {
	switch b := body.(type) {
	case nil:
		return http.NoBody
	case string:
		return strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return strings.NewReader(err.Error()) // the server will say what it thinks of it
		}
		return bytes.NewReader(raw)
	}
}

// clientSecret finds the secret that a customer is shown once.
var clientSecret = regexp.MustCompile(`"client_secret":"([^"]+)"`)

// Response is what came back.
type Response struct {
	Status int
	Header http.Header
	Body   []byte

	world *World
}

// Error reads the body of a refusal.
func (r Response) Error() public.Error {
	var out public.Error
	_ = json.Unmarshal(r.Body, &out) // judged before; what is no error has no code
	return out
}

// Must fails the test unless the status is the given one.
func (r Response) Must(status int) Response {
	r.world.t.Helper()
	if r.Status != status {
		r.world.t.Fatalf("expected %d, got %d %s", status, r.Status, r.Body)
	}
	return r
}

// MustFail fails the test unless the reply is the given refusal.
func (r Response) MustFail(status, code int) Response {
	r.world.t.Helper()
	if wanted := "KAFKAS-MGMT-" + strconv.Itoa(code); r.Status != status || r.Error().Code != wanted {
		r.world.t.Fatalf("expected %d %s, got %d %s", status, wanted, r.Status, r.Body)
	}
	return r
}

// Into reads the body.
func (r Response) Into(value any) {
	r.world.t.Helper()
	if err := json.Unmarshal(r.Body, value); err != nil {
		r.world.t.Fatalf("reading %s: %v", r.Body, err)
	}
}

// Kafka is an instance as customers see it.
type Kafka = public.KafkaRequest

// Order is what a customer asks for.
type Order = public.KafkaRequestPayload

// Create orders an instance and takes any answer.
func (c *Caller) Create(order Order) Response {
	c.world.t.Helper()
	return c.Do(http.MethodPost, "/kafkas?async=true", order)
}

// CreateInTurn is Create for one of many: while too many of its organisation are at it, it asks again.
func (c *Caller) CreateInTurn(order Order) (reply Response) {
	c.world.t.Helper()
	c.world.Until("its turn", func() (bool, string) {
		reply = c.Create(order)
		return reply.Status != http.StatusTooManyRequests, string(reply.Body)
	})
	return reply
}

// CreateKafka orders an instance that must be accepted.
func (c *Caller) CreateKafka(name string) Kafka {
	c.world.t.Helper()
	var k Kafka
	c.Create(Order{Name: name}).Must(http.StatusAccepted).Into(&k)
	return k
}

// Get reads an instance that must be there.
func (c *Caller) Get(id string) Kafka {
	c.world.t.Helper()
	var k Kafka
	c.Do(http.MethodGet, "/kafkas/"+id, nil).Must(http.StatusOK).Into(&k)
	return k
}

// Delete asks for an instance's deletion, which must be accepted.
func (c *Caller) Delete(id string) {
	c.world.t.Helper()
	c.Do(http.MethodDelete, "/kafkas/"+id+"?async=true", nil).Must(http.StatusAccepted)
}

// Patch changes an instance, which must succeed.
func (c *Caller) Patch(id string, changes map[string]any) Kafka {
	c.world.t.Helper()
	var k Kafka
	c.Do(http.MethodPatch, "/kafkas/"+id, changes).Must(http.StatusOK).Into(&k)
	return k
}

// List reads a page; pairs are query parameters and their values.
func (c *Caller) List(pairs ...string) public.KafkaRequestList {
	c.world.t.Helper()
	var list public.KafkaRequestList
	c.Do(http.MethodGet, "/kafkas?"+Query(pairs...), nil).Must(http.StatusOK).Into(&list)
	return list
}

// Query encodes pairs of names and values.
func Query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// Names gives the names of a list, in its order.
func Names(list public.KafkaRequestList) []string {
	names := make([]string, 0, len(list.Items))
	for _, k := range list.Items {
		names = append(names, k.Name)
	}
	return names
}
