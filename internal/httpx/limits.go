package httpx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/spf13/pflag"
	"golang.org/x/time/rate"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// LimitConfig is what an operator chooses about how much one caller may ask for.
type LimitConfig struct {
	ReadsInFlight, WritesInFlight int           // of one organisation, at this replica
	Patience                      time.Duration // how long a request waits for its turn
	ReadRate, WriteRate           float64       // requests per second of one organisation at this replica; 0: any
}

// Flags declares the flags with their defaults.
func (c *LimitConfig) Flags(fs *pflag.FlagSet) {
	fs.IntVar(&c.ReadsInFlight, "organisation-reads-in-flight", 8, "GET requests of one organisation that a replica serves at a time; more wait for their turn")
	fs.IntVar(&c.WritesInFlight, "organisation-writes-in-flight", 8, "other requests of one organisation that a replica serves at a time; more wait for their turn")
	fs.DurationVar(&c.Patience, "request-max-wait", 4*time.Second, "how long a request waits for its turn before it is refused with 429")
	fs.Float64Var(&c.ReadRate, "organisation-read-rate", 0, "GET requests per second that a replica takes from one organisation, and from all together who need no token; with bursts of ten seconds' worth; 0 takes any number")
	fs.Float64Var(&c.WriteRate, "organisation-write-rate", 0, "other requests per second that a replica takes from one organisation, with bursts of ten seconds' worth; 0 takes any number")
}

// Validate tells all that is wrong.
func (c *LimitConfig) Validate() error {
	var faults []error
	for _, number := range []struct {
		flag  string
		value int
	}{{"organisation-reads-in-flight", c.ReadsInFlight}, {"organisation-writes-in-flight", c.WritesInFlight}} {
		if number.value < 1 || number.value > 10_000 {
			faults = append(faults, fmt.Errorf("--%s: wanted between 1 and 10000", number.flag))
		}
	}
	for _, number := range []struct {
		flag  string
		value float64
	}{{"organisation-read-rate", c.ReadRate}, {"organisation-write-rate", c.WriteRate}} {
		if !(number.value >= 0 && number.value <= 1_000_000) {
			faults = append(faults, fmt.Errorf("--%s: wanted between 0 and 1000000", number.flag))
		}
	}
	if c.Patience < 0 || c.Patience > 20*time.Second {
		faults = append(faults, errors.New("--request-max-wait: wanted between 0s and 20s"))
	}
	return errors.Join(faults...)
}

const (
	// One organisation's share of a lane, at most: there is always room for another. A lane
	// has as many places as keep the processors and the database busy. With more of them
	// each request takes longer, and costs more.
	shares = 4
	// Requests that wait cost some kilobytes each.
	waitingPerTenant = 2000
	// An agent asks for one thing after the other; more at a time is trouble.
	agentInFlight, agentsInFlight = 4, 64
	// Requests whose replies wait for upstreams hold their place for long when those are slow.
	slowInFlight = 8
	// A request for metrics asks several things at a time and holds all answers in memory.
	metricsInFlight = 4
	// Administrators are few; what floods the customers' lanes must not keep them from looking at it.
	adminInFlight, adminsInFlight = 4, 8
	// Limiters that are kept: who was not heard of for longest starts anew.
	ratesKept = 10_000
	burst     = 10 // seconds' worth
)

// Caller is who a request counts for.
type Caller struct {
	Agent   bool
	Admin   bool
	Slow    bool   // the reply waits for an upstream, so it must not take the place of those that wait for us only
	Metrics bool   // it waits for the store of metrics
	Key     string // the organisation, the agent's client or the administrator; empty for strangers, who count as one
}

// Limits bounds what callers have in flight and how fast they ask. Customers'
// reads, their writes, what waits for the store of metrics or for other upstreams,
// the agents and the administrators each have a lane of their own, so that none waits for another.
type Limits struct {
	reads, slow, metrics, writes, agents, admins *lane
	readRates, writeRates                        *rates
	patience                                     time.Duration
}

// NewLimits makes the lanes, all empty.
func NewLimits(c LimitConfig) *Limits {
	return &Limits{
		reads:     newLane("reads", shares*c.ReadsInFlight, c.ReadsInFlight, waitingPerTenant),
		slow:      newLane("upstreams", shares*slowInFlight, slowInFlight, waitingPerTenant),
		metrics:   newLane("metrics", shares*metricsInFlight, metricsInFlight, waitingPerTenant),
		writes:    newLane("writes", shares*c.WritesInFlight, c.WritesInFlight, waitingPerTenant),
		agents:    newLane("agents", agentsInFlight, agentInFlight, waitingPerTenant),
		admins:    newLane("admins", adminsInFlight, adminInFlight, waitingPerTenant),
		readRates: newRates(c.ReadRate), writeRates: newRates(c.WriteRate),
		patience: c.Patience,
	}
}

func (l *Limits) lanes() []*lane {
	return []*lane{l.reads, l.slow, l.metrics, l.writes, l.agents, l.admins}
}

// do lets a caller that does not ask too fast prepare, waits for its turn and does the
// work in it. An error tells why there was none.
func (l *Limits) do(ctx context.Context, method string, by Caller, prepare func() error, work func()) error {
	way, pace := l.writes, l.writeRates
	switch {
	case by.Agent:
		way, pace = l.agents, nil
	case by.Admin:
		way, pace = l.admins, nil
	case method == http.MethodGet:
		way, pace = l.reads, l.readRates
	}
	switch {
	case by.Metrics:
		way = l.metrics
	case by.Slow:
		way = l.slow
	}
	if wait := pace.take(by.Key); wait > 0 {
		return tooMany{wait}
	}
	if err := prepare(); err != nil {
		return err
	}
	if !way.do(ctx, by.Key, l.patience, work) {
		if errors.Is(ctx.Err(), context.Canceled) { // who hung up was refused nothing
			return fmt.Errorf("waiting for a turn: %w", ctx.Err())
		}
		return tooMany{time.Second}
	}
	return nil
}

// tooMany refuses a request, and says when another try makes sense.
type tooMany struct{ after time.Duration }

func (t tooMany) Error() string { return "too many requests of one caller" }

// RetryAfter is for the header of that name.
func (t tooMany) RetryAfter() time.Duration { return t.after }

// Unwrap gives the customers' text.
func (t tooMany) Unwrap() error {
	return apierr.New(apierr.TooManyRequests, "Too many requests at a time, please try again later")
}

// rates keeps one limiter for each caller. Nil lets everybody pass.
type rates struct {
	perSecond float64
	kept      *lru.Cache[string, *rate.Limiter]
}

func newRates(perSecond float64) *rates {
	if perSecond == 0 {
		return nil
	}
	kept, _ := lru.New[string, *rate.Limiter](ratesKept) // fails only for a size that is not positive
	return &rates{perSecond: perSecond, kept: kept}
}

// take counts one request, or tells how long to wait before it would pass.
func (r *rates) take(key string) time.Duration {
	if r == nil {
		return 0
	}
	limiter, known := r.kept.Get(key)
	if !known {
		limiter = rate.NewLimiter(rate.Limit(r.perSecond), max(1, int(burst*r.perSecond)))
		if other, raced, _ := r.kept.PeekOrAdd(key, limiter); raced {
			limiter = other
		}
	}
	// Nothing is booked and given back: of what many book at a time only a part comes back.
	now := time.Now()
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := max(0, 1-limiter.TokensAt(now))
	return max(time.Duration(missing/r.perSecond*float64(time.Second)), 1)
}
