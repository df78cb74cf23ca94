package httpx

import (
	"container/list"
	"context"
	"runtime/debug"
	"sync"
	"time"
)

// lane bounds how many requests of one kind are served at a time. Tenants take
// turns: one that floods the lane waits behind itself, not the others behind it.
type lane struct {
	name      string
	capacity  int // requests served at a time
	perTenant int // of them, for one tenant
	queue     int // requests of one tenant that may wait

	mu      sync.Mutex
	serving int
	waiting int
	tenants map[string]*tenant // those that are served or wait
	ready   *list.List         // of *tenant: who has somebody waiting and may have more served, in the order of turns
}

type tenant struct {
	serving int
	waiting *list.List    // of *waiter
	turn    *list.Element // in ready
}

func newLane(name string, capacity, perTenant, queue int) *lane {
	return &lane{name: name, capacity: capacity, perTenant: perTenant, queue: queue, tenants: map[string]*tenant{}, ready: list.New()}
}

// waiter is a request that waits for its turn. Whoever ends a turn does its work:
// a thousand that wait would each need the stack for it, and find it cold.
type waiter struct {
	key   string
	work  func()
	begun bool          // of the lane's
	over  chan struct{} // closed when the work is done
	cause *panicked     // of its end, if it was not a good one
}

// panicked carries a panic to the goroutine of its request.
type panicked struct {
	cause any
	stack []byte
}

// do waits for a turn and does the work in it, on this goroutine or on another. It
// comes back when the work is over, panics as the work does, and tells whether the turn came.
func (l *lane) do(ctx context.Context, key string, patience time.Duration, work func()) bool {
	l.mu.Lock()
	t := l.tenants[key]
	if t == nil {
		t = &tenant{waiting: list.New()}
		l.tenants[key] = t
	}
	if l.serving < l.capacity && t.serving < l.perTenant && t.waiting.Len() == 0 {
		l.serving++
		t.serving++
		l.mu.Unlock()
		defer l.leave(key)
		work()
		return true
	}
	if t.waiting.Len() >= l.queue {
		l.forget(key, t)
		l.mu.Unlock()
		return false
	}
	w := &waiter{key: key, work: work, over: make(chan struct{})}
	place := t.waiting.PushBack(w)
	l.waiting++
	l.line(t)
	l.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.over:
		return w.done()
	case <-timer.C:
	case <-ctx.Done():
	}
	if l.withdraw(t, w, place) {
		return false
	}
	<-w.over
	return w.done()
}

// withdraw takes who waits no longer out of the queue, unless the turn came already.
func (l *lane) withdraw(t *tenant, w *waiter, place *list.Element) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.begun {
		return false
	}
	t.waiting.Remove(place)
	l.waiting--
	l.line(t)
	l.forget(w.key, t)
	return true
}

func (w *waiter) done() bool {
	if w.cause != nil {
		panic(w.cause)
	}
	return true
}

func (w *waiter) run() {
	defer func() {
		if cause := recover(); cause != nil {
			w.cause = &panicked{cause: cause, stack: debug.Stack()}
		}
	}()
	w.work()
}

// leave ends a turn.
func (l *lane) leave(key string) {
	if next := l.pass(key); next != nil {
		go l.serve(next)
	}
}

// serve does the work of who waited, and then that of whoever is next, until nobody is.
func (l *lane) serve(w *waiter) {
	for w != nil {
		w.run()
		next := l.pass(w.key)
		close(w.over)
		w = next
	}
}

// pass ends a turn and gives the place to whoever is next, whose work is still to be done.
func (l *lane) pass(key string) (next *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenants[key]
	t.serving--
	l.serving--
	l.line(t)
	for l.serving < l.capacity && l.ready.Len() > 0 {
		if next != nil {
			go l.serve(next)
		}
		next = l.callNext()
	}
	l.forget(key, t)
	return next
}

func (l *lane) callNext() *waiter {
	next, _ := l.ready.Front().Value.(*tenant)
	w, _ := next.waiting.Remove(next.waiting.Front()).(*waiter)
	w.begun = true
	l.waiting--
	l.serving++
	next.serving++
	l.ready.MoveToBack(next.turn)
	l.line(next)
	return w
}

// line puts a tenant in the order of turns, or takes it out, as is right by now.
func (l *lane) line(t *tenant) {
	switch wants := t.waiting.Len() > 0 && t.serving < l.perTenant; {
	case wants && t.turn == nil:
		t.turn = l.ready.PushBack(t)
	case !wants && t.turn != nil:
		l.ready.Remove(t.turn)
		t.turn = nil
	}
}

// forget drops a tenant of which there is nothing left.
func (l *lane) forget(key string, t *tenant) {
	if t.serving == 0 && t.waiting.Len() == 0 {
		delete(l.tenants, key)
	}
}

func (l *lane) count() (serving, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.serving, l.waiting
}
