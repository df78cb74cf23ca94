package observatorium

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/crash"
)

const (
	// maxAnswer bounds how much of an answer is read into memory, maxTogether how much
	// of the answers that one request of a customer needs. A partition has some 600
	// bytes: the largest instances need a few MiB of one answer, and ten of all.
	maxAnswer   = 16 << 20
	maxTogether = 32 << 20
	// maxText is how much of an error's text goes to the log.
	maxText = 256
)

// wire makes the innermost transport.
func wire(ignoreTLS bool) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: slots, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 1 << 16,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: ignoreTLS}, //nolint:gosec // an operator's flag
	}
}

// stay keeps calls at home: a redirect would take our token to wherever it points.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// transport shows the token, counts the calls, keeps answers short and turns
// error statuses into errors.
type transport struct {
	next    http.RoundTripper
	tokens  *tokens // nil: no credentials are sent
	metrics *Metrics
}

func newTransport(next http.RoundTripper, t *tokens, m *Metrics) transport {
	return transport{next: crash.Transport("observatorium", next), tokens: t, metrics: m}
}

// RoundTrip makes one call, or two where a token was refused that looked good: the
// issuer may have been restarted with other keys.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.try(r)
	if err == nil && answer.StatusCode == http.StatusUnauthorized && t.tokens != nil && r.GetBody != nil {
		_ = answer.Body.Close()
		again := r.Clone(r.Context())
		if again.Body, err = r.GetBody(); err != nil {
			return nil, fmt.Errorf("asking again: %w", err)
		}
		answer, err = t.try(again)
	}
	if err != nil {
		return nil, err
	}
	return bounded(answer, r)
}

func (t transport) try(r *http.Request) (*http.Response, error) {
	if t.tokens == nil {
		return t.counted(r)
	}
	token, err := t.tokens.get(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context()) // a transport must not change what it was given
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	answer, err := t.counted(r)
	if err == nil && answer.StatusCode == http.StatusUnauthorized {
		t.tokens.drop(r.Context(), token)
	}
	return answer, err
}

func (t transport) counted(r *http.Request) (*http.Response, error) {
	began := time.Now()
	answer, err := t.next.RoundTrip(r)
	status := 0
	if err == nil {
		status = answer.StatusCode
	}
	t.metrics.observe(r.Method, r.URL.Path, status, time.Since(began))
	return answer, err
}

// bounded turns an error status into an error. Those by which a server says that
// it wants a GET are the SDK's to see.
func bounded(answer *http.Response, r *http.Request) (*http.Response, error) {
	status := answer.StatusCode
	wantsGet := r.Method == http.MethodPost && (status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented)
	if status/100 == 2 || wantsGet {
		answer.Body = &short{ReadCloser: answer.Body, left: maxAnswer, together: togetherOf(r.Context())}
		return answer, nil
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxText)) // what came counts
	_ = answer.Body.Close()
	return nil, &refusal{status: status, pause: pauseOf(answer.Header), text: strings.ToValidUTF8(string(text), "?")}
}

// short is a body that fails when it is too long: one that merely ended there
// could pass for a whole answer.
type short struct {
	io.ReadCloser
	left     int
	together *atomic.Int64 // what is left for this answer and others
}

func (s *short) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.left -= n; s.left < 0 || s.together.Add(-int64(n)) < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

type togetherKey struct{}

// Together gives a context for several queries whose answers are in memory at the
// same time, so that they share one bound.
func Together(ctx context.Context) context.Context {
	left := new(atomic.Int64)
	left.Store(maxTogether)
	return context.WithValue(ctx, togetherKey{}, left)
}

func togetherOf(ctx context.Context) *atomic.Int64 {
	if left, ok := ctx.Value(togetherKey{}).(*atomic.Int64); ok {
		return left
	}
	return togetherOf(Together(ctx)) // of this answer alone
}

var errOtherKind = errors.New("the answer is of another kind than the question")
