// Package agent is a data-plane agent over HTTP: it polls the fleet manager for the instances
// its cluster should have, makes them, and reports what became of them.
//
// It is for the sandbox and for tests, which need the real agent's rhythm, its decisions and
// its bad days. It is no operator: an instance is whatever DataPlane makes of it. Invariant:
// an instance leaves the cluster only when the fleet manager said deleted, or when it was
// rejected or reserved and is no longer listed; an empty or failed list removes nothing.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// DefaultBrokers is the number of brokers of an instance.
const DefaultBrokers = 3

// parallel is how many instances are worked on, or reported, at a time.
const parallel = 8

// Config says whom the agent serves and at which pace. Zero values are the real agent's.
type Config struct {
	BaseURL      string // of the fleet manager, without the API's path
	ClusterID    string
	ClusterDNS   string // such as apps.mk-one.example.test
	TokenURL     string
	ClientID     string
	ClientSecret log.Secret

	Poll        time.Duration // 0: 15 s
	Resync      time.Duration // 0: 60 s
	Conditional bool          // ask with If-None-Match, which the real agent does not

	InstallDelay time.Duration  // until an instance is made
	DeleteDelay  time.Duration  // until its parts are gone
	Brokers      int            // per instance; 0: DefaultBrokers
	Zones        []string       // of the cluster; nil: three
	Strimzi      []Strimzi      // nil: DefaultStrimzi
	NodesPerUnit map[string]int // by instance type; absent: 1

	DataPlane DataPlane
	Logger    *slog.Logger // nil: silent
}

// DataPlane makes and removes the instances themselves. Absent functions do nothing.
type DataPlane struct {
	Create func(ctx context.Context, k ManagedKafka) error
	Delete func(ctx context.Context, k ManagedKafka) error
}

// DefaultStrimzi gives the operator versions of a cluster that nobody configured.
func DefaultStrimzi() []Strimzi {
	return []Strimzi{
		{
			Ready: true, Version: "strimzi-cluster-operator.v0.23.0-0",
			KafkaVersions: []string{"2.7.0", "2.8.0"}, KafkaIbpVersions: []string{"2.7", "2.8"},
		},
		{
			Ready: true, Version: "strimzi-cluster-operator.v0.26.0-1",
			KafkaVersions: []string{"2.8.0", "2.8.1", "3.0.0"}, KafkaIbpVersions: []string{"2.8", "2.8", "3.0"},
		},
	}
}

// FromParameters reads the parameters that the fleet manager gives the kas-fleetshard add-on.
func FromParameters(p map[string]string) (Config, error) {
	c := Config{
		BaseURL:      p["control-plane-url"],
		ClusterID:    p["cluster-id"],
		TokenURL:     p["sso-auth-server-url"] + "/protocol/openid-connect/token",
		ClientID:     p["sso-client-id"],
		ClientSecret: log.Secret(p["sso-secret"]),
	}
	for _, name := range []string{"control-plane-url", "cluster-id", "sso-auth-server-url", "sso-client-id", "sso-secret"} {
		if p[name] == "" {
			return Config{}, fmt.Errorf("reading add-on parameters: %s is absent", name)
		}
	}
	var errPoll, errResync error
	c.Poll, errPoll = time.ParseDuration(p["poll-interval"])
	c.Resync, errResync = time.ParseDuration(p["resync-interval"])
	if err := errors.Join(errPoll, errResync); err != nil {
		return Config{}, fmt.Errorf("reading add-on parameters: %w", err)
	}
	return c, nil
}

// Agent is the agent of one cluster. What it made survives a stop of Run, as the resources on
// a real cluster do.
type Agent struct {
	cfg    Config
	client *client
	log    *slog.Logger
	wake   chan struct{} // an instance has become due

	mu        sync.Mutex
	settings  *Settings // nil before the first poll
	etag      string
	listed    []ManagedKafka // the last good list
	instances map[string]*instance
	conduct   conduct
	unhealthy bool // the cluster says Ready=False
	stamped   time.Time
}

// New makes an agent that does nothing yet.
func New(c Config) *Agent {
	if c.Poll == 0 {
		c.Poll = 15 * time.Second
	}
	if c.Resync == 0 {
		c.Resync = 60 * time.Second
	}
	if c.Brokers == 0 {
		c.Brokers = DefaultBrokers
	}
	if c.Zones == nil {
		c.Zones = []string{"us-east-1a", "us-east-1b", "us-east-1c"}
	}
	if c.Strimzi == nil {
		c.Strimzi = DefaultStrimzi()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Agent{
		cfg:       c,
		client:    newClient(c),
		log:       c.Logger.With("cluster_id", c.ClusterID),
		wake:      make(chan struct{}, 1),
		instances: map[string]*instance{},
		conduct:   conduct{fates: map[string]Fate{}},
	}
}

// Run polls, works and reports until ctx ends; everything it started has ended on return.
func (a *Agent) Run(ctx context.Context) {
	defer a.client.http.CloseIdleConnections()
	var loops sync.WaitGroup
	loops.Go(func() {
		a.try(ctx, "poll failed", a.Poll)
		a.every(ctx, a.cfg.Poll, "poll failed", a.Poll)
	})
	loops.Go(func() { a.every(ctx, a.cfg.Resync, "resync failed", a.Resync) })
	loops.Go(func() { a.operate(ctx) })
	loops.Wait()
}

// every runs fn at the ticks of an interval; a tick during a run is skipped.
func (a *Agent) every(ctx context.Context, interval time.Duration, trouble string, fn func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.try(ctx, trouble, fn)
		}
	}
}

// try runs fn and logs its failure: the next tick is the retry.
func (a *Agent) try(ctx context.Context, trouble string, fn func(context.Context) error) {
	if err := fn(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn(trouble, "error", err)
	}
}

// stamp gives a time stamp that is later than all before it; it needs the lock.
func (a *Agent) stamp() string {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(a.stamped) {
		now = a.stamped.Add(time.Microsecond)
	}
	a.stamped = now
	return now.Format("2006-01-02T15:04:05.000000Z07:00")
}
