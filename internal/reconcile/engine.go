// Package reconcile is the engine that drives rows towards their goal: it finds
// those that are due, works on them with a bounded number of workers, and comes
// back to those that failed.
//
// It is for level-triggered work whose truth is in the rows. It knows no domain
// and stores nothing. Invariant: nothing is lost when a wake-up is, or the process
// dies: whatever is due is found again by the tick and by the next leader.
package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	// batch is how many keys a list asks for, per worker: enough to keep it busy,
	// few enough that rows which become due meanwhile get their turn.
	batch = 16
	// relistGap bounds how often full lists are followed by another one.
	relistGap = 100 * time.Millisecond
)

// Engine runs loops. One engine serves the loops of one lease.
type Engine struct {
	logger  *slog.Logger
	metrics *Metrics
	report  func(context.Context, error)

	mutex   sync.RWMutex
	running []*runner
}

// New prepares an engine. report learns of each error that a loop did not handle.
func New(logger *slog.Logger, m *Metrics, report func(context.Context, error)) *Engine {
	return &Engine{logger: logger, metrics: m, report: report}
}

// Run drives the loops until ctx ends, with tx for their writes. When it returns,
// all their goroutines have ended. It may be called again, not twice at once. It
// fails only for a loop that lacks a number.
func (e *Engine) Run(ctx context.Context, tx db.TxFunc, loops []Loop) error {
	for _, l := range loops {
		if l.Workers < 1 || l.Tick <= 0 || l.Timeout <= 0 {
			return fmt.Errorf("running loop %s: workers, tick and timeout must be positive", l.Name)
		}
	}
	var group sync.WaitGroup
	defer group.Wait()
	runners := make([]*runner, 0, len(loops))
	for _, l := range loops {
		runners = append(runners, e.newRunner(l, tx))
	}
	e.set(runners)
	defer e.set(nil)
	for _, r := range runners {
		group.Go(func() { r.run(ctx) })
	}
	<-ctx.Done()
	return nil
}

func (e *Engine) set(runners []*runner) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.running = runners
}

// Wake passes the payload of a notification to the loops it concerns. Without
// leadership it does nothing: the leader has its own listener.
func (e *Engine) Wake(payload string) { e.Take(payload) }

// Take is Wake, and tells whether the loops run here: then nobody else has to know.
func (e *Engine) Take(payload string) (taken bool) {
	e.mutex.RLock()
	defer e.mutex.RUnlock()
	taken = len(e.running) > 0
	for _, r := range e.running {
		if r.loop.Wakes == nil {
			continue
		}
		if key, ok := r.loop.Wakes(payload); ok && !r.queue.wake(key) {
			taken = false // the term is over
		}
	}
	return taken
}

// WakeAll makes every loop look for due work: a listener that was away may have
// missed notifications.
func (e *Engine) WakeAll() {
	e.mutex.RLock()
	defer e.mutex.RUnlock()
	for _, r := range e.running {
		r.relist()
	}
}

// runner is one loop in one term.
type runner struct {
	engine *Engine
	loop   Loop
	tx     db.TxFunc
	queue  *queue
	look   chan struct{} // asks for a list now
	dry    chan struct{} // says that workers have nothing to do
}

func (e *Engine) newRunner(l Loop, tx db.TxFunc) *runner {
	r := &runner{engine: e, loop: l, tx: tx, look: make(chan struct{}, 1), dry: make(chan struct{}, 1)}
	r.queue = newQueue(func() { offer(r.dry) })
	return r
}

func (r *runner) relist() { offer(r.look) }

func offer(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

func (r *runner) run(ctx context.Context) {
	ctx = log.With(ctx, "loop", r.loop.Name)
	leads := r.engine.metrics.leader.WithLabelValues(r.loop.Name)
	leads.Set(1)
	defer leads.Set(0)
	var workers sync.WaitGroup
	defer workers.Wait()
	for range r.loop.Workers {
		workers.Go(func() { r.work(ctx) })
	}
	r.lister(ctx)
	r.queue.close()
}

// lister asks Due at the start, at each tick, when it is told to, and when the
// workers are through with a list that was full.
func (r *runner) lister(ctx context.Context) {
	limit := batch * r.loop.Workers
	tick := time.NewTimer(0)
	defer tick.Stop()
	var last []string
	more := false
	for {
		var dry <-chan struct{}
		if more {
			dry = r.dry
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.look:
		case <-dry:
			select {
			case <-ctx.Done():
				return
			case <-time.After(relistGap):
			}
		}
		select { // what was dry before this list says nothing about it
		case <-r.dry:
		default:
		}
		found := r.list(ctx, limit)
		// The same list again means that its rows stay due whatever is done.
		more = len(found) >= limit && !slices.Equal(found, last)
		last = found
		// Loops and replicas that started together drift apart.
		tick.Reset(r.loop.Tick*9/10 + rand.N(r.loop.Tick/5+1))
	}
}
