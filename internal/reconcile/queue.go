package reconcile

import (
	"sync"
	"time"
)

// queue hands keys to workers, each key to one worker at a time. A key that is
// woken while it is worked on runs once more afterwards, so no wake is lost and
// none is multiplied.
type queue struct {
	mutex  sync.Mutex
	change *sync.Cond
	waits  []string // in the order of their arrival
	keys   map[string]*key
	closed bool
	// drained is called, without the lock, when a worker finds nothing to do.
	drained func()
}

type key struct {
	waiting, running bool
	woken            bool // while running
	failures         int  // in a row, in this process
	later            *time.Timer
}

func newQueue(drained func()) *queue {
	q := &queue{keys: map[string]*key{}, drained: drained}
	q.change = sync.NewCond(&q.mutex)
	return q
}

// wake puts the key into the queue; one that is running runs once more. It gives
// false once the queue is closed.
func (q *queue) wake(name string) bool { return q.put(name, true) }

// list puts the key into the queue unless it is running, since the list may have
// seen what the running work is changing, or is backing off after a failure.
func (q *queue) list(name string) { q.put(name, false) }

func (q *queue) put(name string, woken bool) bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.closed {
		return false
	}
	k := q.keys[name]
	if k == nil {
		k = &key{}
		q.keys[name] = k
	}
	backsOff := k.later != nil && k.failures > 0
	switch {
	case k.running:
		k.woken = k.woken || woken
	case !k.waiting && (woken || !backsOff):
		q.enqueue(name, k)
	}
	return true
}

func (q *queue) enqueue(name string, k *key) {
	k.waiting = true
	q.waits = append(q.waits, name)
	q.change.Signal()
}

// take waits for a key and the number of its failures; ok is false when the queue
// is closed.
func (q *queue) take() (name string, failures int, ok bool) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for len(q.waits) == 0 && !q.closed {
		q.mutex.Unlock()
		q.drained()
		q.mutex.Lock()
		if len(q.waits) == 0 && !q.closed {
			q.change.Wait()
		}
	}
	if q.closed {
		return "", 0, false
	}
	name, q.waits = q.waits[0], q.waits[1:]
	k := q.keys[name]
	k.waiting, k.running = false, true
	return name, k.failures, true
}

// done ends the work on a key. It runs again at once if it was woken meanwhile,
// else after again, if that is positive.
func (q *queue) done(name string, again time.Duration, failed bool) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	k := q.keys[name]
	k.running = false
	if k.later != nil {
		k.later.Stop()
		k.later = nil
	}
	if failed {
		k.failures++
	} else {
		k.failures = 0
	}
	switch {
	case q.closed:
	case k.woken:
		k.woken = false
		q.enqueue(name, k)
	case again > 0:
		k.later = time.AfterFunc(again, func() { q.wake(name) })
	default:
		delete(q.keys, name)
	}
}

// close ends all waiting and all timers.
func (q *queue) close() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.closed = true
	for _, k := range q.keys {
		if k.later != nil {
			k.later.Stop()
		}
	}
	q.change.Broadcast()
}
