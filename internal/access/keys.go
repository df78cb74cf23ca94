package access

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

const maxKeysBody = 64 << 10

// pace is how often an issuer may be asked for its keys.
type pace struct {
	refresh  time.Duration // in the background
	cooldown time.Duration // at least between two attempts, failed ones too
	timeout  time.Duration // of one attempt
}

func usualPace() pace {
	return pace{refresh: 10 * time.Minute, cooldown: 30 * time.Second, timeout: 5 * time.Second}
}

// keySet holds the keys of one issuer. A kid comes from an unverified token, so
// an unknown one may cost the issuer at most one request per cooldown.
type keySet struct {
	url    string
	backup *configfile.Live[keyMap] // keys from a file
	client *http.Client
	pace   pace
	logger *slog.Logger

	current atomic.Pointer[keyMap] // keys from the URL; kept until a good download replaces them

	// Only the holder downloads. Whoever waited for it finds a young attempt and goes on.
	mu        sync.Mutex
	attempted time.Time
}

func newKeySet(issuer Issuer, client *http.Client, p pace, logger *slog.Logger) *keySet {
	s := &keySet{
		url: issuer.KeysURL, backup: configfile.Fixed(keyMap{}), client: client, pace: p,
		logger: logger.With("issuer", issuer.URL),
	}
	s.current.Store(&keyMap{})
	return s
}

// known gives a key without asking anybody.
func (s *keySet) known(kid string) *rsa.PublicKey {
	if key := (*s.current.Load())[kid]; key != nil {
		return key
	}
	return s.backup.Get()[kid]
}

// find gives a key, after asking the issuer where it is unknown.
func (s *keySet) find(ctx context.Context, kid string) *rsa.PublicKey {
	if key := s.known(kid); key != nil {
		return key
	}
	// A caller that hangs up must not spend the attempt of all others.
	s.download(context.WithoutCancel(ctx))
	return s.known(kid)
}

// loaded tells whether there are keys at all.
func (s *keySet) loaded() bool { return len(*s.current.Load()) > 0 || len(s.backup.Get()) > 0 }

// run refreshes the keys until the context ends.
func (s *keySet) run(ctx context.Context) {
	s.download(ctx)
	for {
		wait := s.pace.refresh
		if !s.loaded() {
			wait = s.pace.cooldown
		}
		// Jitter, so that replicas which started together do not ask together.
		timer := time.NewTimer(wait + rand.N(wait/10+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			s.download(ctx)
		}
	}
}

func (s *keySet) download(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.attempted.IsZero() && time.Since(s.attempted) < s.pace.cooldown {
		return
	}
	s.attempted = time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.pace.timeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	if err != nil {
		s.logger.WarnContext(ctx, "token keys could not be downloaded, keeping the ones known", "error", err)
		return
	}
	s.current.Store(&keys)
}

func (s *keySet) fetch(ctx context.Context) (keyMap, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for keys: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for keys: status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxKeysBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	if len(raw) > maxKeysBody {
		return nil, fmt.Errorf("reading keys: more than %d bytes", maxKeysBody)
	}
	keys, err := parseKeys(raw)
	if err == nil && len(keys) == 0 {
		err = errors.New("decoding keys: no usable key")
	}
	return keys, err
}
