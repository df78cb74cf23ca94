// Package lease elects one leader among the replicas, for one job at a time.
//
// It is for work that one replica should do, and for transactions that must not
// commit once another replica has taken over. It is not a lock around calls to the
// outside world: those need deterministic keys and a look before each creation.
// Invariant: the clock of the database decides. A transaction made with Term.Tx
// commits only while its term is the row's; the process's own monotonic clock can
// only end its trust earlier, never later.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Channel carries the type of a lease that was just given up. Whoever listens to
// it passes the payload to Wake.
const Channel = "lease"

const (
	resignTimeout = 2 * time.Second
	// Each attempt finds one dead connection at most.
	resignAttempts = 10
	// A leader that cannot do its work gives others a chance, and tries again later.
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
)

// ErrLost says that the term is over: another holds the lease, or nobody does.
var ErrLost = errors.New("the lease is lost")

// Options are the times of a lease and who wants to know of changes.
type Options struct {
	TTL    time.Duration // how long a win or renewal lasts
	Renew  time.Duration // how often it is renewed, and how often others look
	Margin time.Duration // how much earlier the holder stops trusting it; 0 = a tenth of TTL
	// OnChange is called with true when this replica begins to lead, and with
	// false when its work has ended. May be nil.
	OnChange func(leading bool)
}

// Lease is one replica's part in the election for one lease type.
type Lease struct {
	db        *db.DB
	leaseType string
	holder    string
	o         Options
	logger    *slog.Logger
	wake      chan struct{}
}

// New prepares a contender. The holder's name is for people who look at the row;
// it decides nothing.
func New(d *db.DB, leaseType, holder string, o Options, logger *slog.Logger) *Lease {
	if o.Margin == 0 {
		o.Margin = o.TTL / 10
	}
	if o.OnChange == nil {
		o.OnChange = func(bool) {}
	}
	return &Lease{
		db: d, leaseType: leaseType, holder: holder, o: o,
		logger: logger.With("lease", leaseType), wake: make(chan struct{}, 1),
	}
}

// Wake makes a waiting contender look at once if the payload names its lease.
func (l *Lease) Wake(leaseType string) {
	if leaseType == l.leaseType {
		l.WakeAll()
	}
}

// WakeAll makes a waiting contender look at once: a listener that was away may
// have missed something.
func (l *Lease) WakeAll() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run contends until ctx ends, and calls lead for each term that is won. The
// context of lead ends as soon as the term is not to be trusted any more; lead
// must then return, and only when it has does this replica contend again. A lead
// that returns before that gives up the lease, and is called again after a pause.
func (l *Lease) Run(ctx context.Context, lead func(ctx context.Context, term *Term) error) error {
	failures := 0
	for ctx.Err() == nil {
		term, wait, err := l.contend(ctx)
		switch {
		case ctx.Err() != nil && term == nil:
		case err != nil:
			l.logger.WarnContext(ctx, "contending for the lease failed", "error", err)
			l.pause(ctx, l.wake, jitter(l.o.Renew/4))
		case term == nil:
			l.pause(ctx, l.wake, wait)
		default:
			if err := l.hold(ctx, term, lead); err == nil {
				failures = 0
				continue
			}
			failures++
			l.pause(ctx, nil, jitter(min(firstBackoff<<min(failures-1, 10), lastBackoff)))
		}
	}
	return nil
}

// hold leads one term to its end. It fails when lead did not lead until then.
func (l *Lease) hold(ctx context.Context, term *Term, lead func(context.Context, *Term) error) error {
	leading, end := context.WithCancelCause(ctx)
	defer end(nil)
	term.begin(end)
	defer term.trustEnds.Stop()
	l.logger.InfoContext(ctx, "leading", "term", term.id, "epoch", term.epoch)
	l.o.OnChange(true)
	defer l.o.OnChange(false)

	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = protected(leading, term, lead)
	}()
	l.keep(leading, term, ended)
	early := leading.Err() == nil
	end(ErrLost)
	<-ended
	l.resign(ctx, term)
	l.logger.InfoContext(ctx, "leads no more", "term", term.id, "epoch", term.epoch, "cause", context.Cause(leading), "error", err)
	switch {
	case !early:
		return nil
	case err == nil:
		return errors.New("leading ended by itself")
	}
	return err
}

// keep renews the term until it is lost, ctx ends or the work has ended.
func (l *Lease) keep(ctx context.Context, term *Term, ended <-chan struct{}) {
	next := time.NewTimer(l.o.Renew)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-next.C:
		}
		switch err := term.renew(ctx); {
		case err == nil:
			next.Reset(l.o.Renew)
		case errors.Is(err, ErrLost):
			term.end(ErrLost)
		default:
			// The trust that is left is the budget for further attempts.
			l.logger.WarnContext(ctx, "renewing the lease failed", "error", err)
			next.Reset(l.o.Renew / 4)
		}
	}
}

func protected(ctx context.Context, term *Term, lead func(context.Context, *Term) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("leading panicked: %v\n%s", cause, debug.Stack())
		}
	}()
	return lead(ctx, term)
}

func (l *Lease) pause(ctx context.Context, wake <-chan struct{}, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}

// jitter spreads a duration over its upper half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
