package reconcile

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	dueTimeout = 10 * time.Second
	// failedTimeout is the time to note a failure. It is not part of the work's
	// time, which is used up when the failure was a time-out.
	failedTimeout = 5 * time.Second
)

// list puts what is due into the queue.
func (r *runner) list(ctx context.Context, limit int) []string {
	var found []string
	_, err := within(ctx, dueTimeout, func(ctx context.Context) (time.Duration, error) {
		var err error
		found, err = r.loop.Due(ctx, limit)
		return 0, err
	})
	if err != nil {
		if ctx.Err() == nil {
			r.trouble(ctx, "looking for due work failed", err)
		}
		return nil
	}
	for _, key := range found {
		r.queue.list(key)
	}
	return found
}

func (r *runner) work(ctx context.Context) {
	for {
		key, failures, ok := r.queue.take()
		if !ok {
			return
		}
		again, err := r.pass(log.With(ctx, "key", key), key, failures)
		r.queue.done(key, again, err != nil)
	}
}

// pass works on one key once. A pass that is cut off because the leadership ended
// is no failure of its row: the next leader finds the row due.
func (r *runner) pass(ctx context.Context, key string, failures int) (time.Duration, error) {
	m, name := r.engine.metrics, r.loop.Name
	start := time.Now()
	again, err := within(ctx, r.loop.Timeout, func(ctx context.Context) (time.Duration, error) {
		return r.loop.Work(ctx, r.tx, key)
	})
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	took := time.Since(start).Seconds()
	m.duration.WithLabelValues(name).Set(took)
	m.item.WithLabelValues(name).Observe(took)
	if err == nil {
		m.success.WithLabelValues(name).Inc()
		return again, nil
	}
	m.failure.WithLabelValues(name).Inc()
	r.trouble(ctx, "work failed", err)
	return r.failed(ctx, key, failures, err), err
}

// failed has the loop note the failure. When that fails too, or the loop has no
// wish of its own about the next attempt, the engine backs off by itself.
func (r *runner) failed(ctx context.Context, key string, failures int, cause error) time.Duration {
	backoff := Backoff(failures)
	if r.loop.Failed == nil {
		return backoff
	}
	again, err := within(ctx, failedTimeout, func(ctx context.Context) (time.Duration, error) {
		return r.loop.Failed(ctx, r.tx, key, cause)
	})
	if err != nil {
		if ctx.Err() == nil {
			r.trouble(ctx, "noting failed work failed", err)
		}
		return backoff
	}
	return again
}

func (r *runner) trouble(ctx context.Context, message string, err error) {
	r.engine.metrics.errors.WithLabelValues(r.loop.Name).Inc()
	args := []any{"error", err}
	if p := (panicked{}); errors.As(err, &p) {
		args = append(args, "stack", p.stack)
	}
	r.engine.logger.ErrorContext(ctx, message, args...)
	r.engine.report(ctx, err)
}

// panicked is a panic as an error. Its text, which loops store in rows, is without
// the stack.
type panicked struct {
	cause any
	stack string
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.cause) }

// within calls fn with a deadline and turns a panic into an error: one poisonous
// row must not stop the process.
func within(ctx context.Context, limit time.Duration, fn func(context.Context) (time.Duration, error)) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			again, err = 0, panicked{cause: cause, stack: string(debug.Stack())}
		}
	}()
	return fn(ctx)
}
