package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	basePath     = "/api/kafkas_mgmt/v1/agent-clusters/"
	dialDeadline = 5 * time.Second
	callDeadline = 10 * time.Second
	tokenMargin  = 5 * time.Second
	maxAnswer    = 64 << 20
)

// Refused is an answer of the fleet manager or the token endpoint that is no success.
type Refused struct {
	Method, URL string
	Status      int
	Body        string
}

// Error names the call and its status.
func (r *Refused) Error() string {
	return fmt.Sprintf("calling %s %s: status %d", r.Method, r.URL, r.Status)
}

// client is the agent's HTTP side: one cluster, one client account, one token at a time.
type client struct {
	base     string // up to and with the cluster id
	tokenURL string
	id       string
	secret   log.Secret
	http     *http.Client

	mu    sync.Mutex
	token log.Secret
	until time.Time
}

func newClient(c Config) *client {
	return &client{
		base:     strings.TrimSuffix(c.BaseURL, "/") + basePath + url.PathEscape(c.ClusterID),
		tokenURL: c.TokenURL,
		id:       c.ClientID,
		secret:   c.ClientSecret,
		http: &http.Client{Timeout: callDeadline, Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialDeadline}).DialContext,
			MaxIdleConnsPerHost: parallel,
			IdleConnTimeout:     90 * time.Second,
		}},
	}
}

// call is one request to the agent API and where its answer goes.
type call struct {
	method, path string
	etag         string // sent as If-None-Match; then the tag of the answer
	in, out      any
}

// do sends the call. It says whether the answer was fresh: false is a 304.
func (c *client) do(ctx context.Context, call *call) (bool, error) {
	token, err := c.authorise(ctx)
	if err != nil {
		return false, fmt.Errorf("getting token: %w", err)
	}
	var body io.Reader
	if call.in != nil {
		text, err := json.Marshal(call.in)
		if err != nil {
			return false, fmt.Errorf("encoding report: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, call.method, c.base+call.path, body)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if call.etag != "" {
		req.Header.Set("If-None-Match", call.etag)
	}
	got, err := c.send(req)
	if err != nil {
		return false, err
	}
	if got.status == http.StatusNotModified && call.etag != "" {
		return false, nil
	}
	if got.status == http.StatusUnauthorized {
		c.forget()
	}
	if got.status/100 != 2 {
		return false, &Refused{Method: call.method, URL: call.path, Status: got.status, Body: string(got.body)}
	}
	call.etag = got.etag
	if call.out == nil {
		return true, nil
	}
	if err := json.Unmarshal(got.body, call.out); err != nil {
		return false, fmt.Errorf("decoding %s: %w", call.path, err)
	}
	return true, nil
}

// authorise gives the present token, or a new one shortly before it ends.
func (c *client) authorise(ctx context.Context) (log.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.token != "" && now.Before(c.until) {
		return c.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.id}, "client_secret": {c.secret.Reveal()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := c.send(req)
	if err != nil {
		return "", err
	}
	if got.status != http.StatusOK {
		return "", &Refused{Method: req.Method, URL: c.tokenURL, Status: got.status, Body: string(got.body)}
	}
	var grant struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(got.body, &grant); err != nil {
		return "", fmt.Errorf("decoding token: %w", err)
	}
	c.token = log.Secret(grant.AccessToken)
	c.until = now.Add(time.Duration(grant.ExpiresIn)*time.Second - tokenMargin)
	return c.token, nil
}

// forget drops a token that was refused, so that the next call asks for another.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = ""
}

type answer struct {
	status int
	etag   string
	body   []byte
}

func (c *client) send(req *http.Request) (answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("reading answer: %w", err)
	}
	return answer{status: resp.StatusCode, etag: resp.Header.Get("ETag"), body: text}, nil
}
