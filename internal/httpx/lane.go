package httpx

import (
	"container/list"
	"context"
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
	waiting *list.List    // of chan struct{}, closed when the turn comes
	turn    *list.Element // in ready
}

func newLane(name string, capacity, perTenant, queue int) *lane {
	return &lane{name: name, capacity: capacity, perTenant: perTenant, queue: queue, tenants: map[string]*tenant{}, ready: list.New()}
}

// enter waits for a turn, and tells whether it came. Who entered must leave.
func (l *lane) enter(ctx context.Context, key string, patience time.Duration) bool {
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
		return true
	}
	if t.waiting.Len() >= l.queue {
		l.forget(key, t)
		l.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	place := t.waiting.PushBack(turn)
	l.waiting++
	l.line(t)
	l.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // it came in this moment
		return true
	default:
	}
	t.waiting.Remove(place)
	l.waiting--
	l.line(t)
	l.forget(key, t)
	return false
}

// leave ends a turn and gives the place to whoever is next.
func (l *lane) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenants[key]
	t.serving--
	l.serving--
	l.line(t)
	for l.serving < l.capacity && l.ready.Len() > 0 {
		l.serveNext()
	}
	l.forget(key, t)
}

func (l *lane) serveNext() {
	next, _ := l.ready.Front().Value.(*tenant)
	turn, _ := next.waiting.Remove(next.waiting.Front()).(chan struct{})
	l.waiting--
	l.serving++
	next.serving++
	close(turn)
	l.ready.MoveToBack(next.turn)
	l.line(next)
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
