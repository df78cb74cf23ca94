package agent

import (
	"context"
	"reflect"
	"sync"
	"time"
)

// phase is how far the parts of an instance are.
type phase int

const (
	pending    phase = iota // not looked at yet: nothing exists
	rejected                // never will exist under this placement
	installing              // being made
	running                 // made
	removing                // being taken away
	removed                 // gone, but the instance is still listed
)

// instance is the agent's own record of one ManagedKafka.
type instance struct {
	kafka    ManagedKafka
	phase    phase
	due      time.Time // zero: nothing to do
	until    time.Time // when the present phase's delay is over
	busy     bool      // a worker has it
	leaving  bool      // not listed any more: take the parts away and forget it
	wasReady bool
	trouble  string // why the data plane could not make it
	noRoom   bool   // rejected for want of room on the cluster
	status   Status
	previous Status // before the present one
}

func (i *instance) hasParts() bool {
	return i.phase == installing || i.phase == running || i.phase == removing
}

// operate works on due instances until ctx ends.
func (a *Agent) operate(ctx context.Context) {
	for {
		wait := a.Operate(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Operate brings every instance that is due one step on, reports each change of status at
// once, and says how long nothing else is due.
func (a *Agent) Operate(ctx context.Context) time.Duration {
	var workers sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, id := range a.due() {
		slots <- struct{}{}
		workers.Go(func() {
			defer func() { <-slots }()
			a.step(ctx, id)
		})
	}
	workers.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	wait := a.cfg.Poll
	for _, i := range a.instances {
		if !i.due.IsZero() {
			wait = min(wait, max(time.Until(i.due), 0))
		}
	}
	return wait
}

// due takes the instances that are due; each is one worker's until its step ends.
func (a *Agent) due() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for id, i := range a.instances {
		if !i.due.IsZero() && !i.busy && !time.Now().Before(i.due) {
			i.busy, i.due = true, time.Time{}
			ids = append(ids, id)
		}
	}
	return ids
}

// step moves one instance on, sends its status if that changed, and gives it back.
func (a *Agent) step(ctx context.Context, id string) {
	a.mu.Lock()
	i := a.instances[id]
	work := a.plan(i, time.Now())
	k := i.kafka
	a.mu.Unlock()

	var err error
	if work != nil && !k.reserved() {
		err = work(ctx, k)
	}

	a.mu.Lock()
	i.busy = false
	a.settle(i, work != nil, err)
	if i.leaving && !i.hasParts() {
		delete(a.instances, id)
		a.mu.Unlock()
		return
	}
	changed := !i.leaving && a.refresh(i)
	a.mu.Unlock()
	if changed {
		if err := a.sendInstances(ctx, id); err != nil && ctx.Err() == nil {
			a.log.Warn("report not sent", "kafka_id", id, "error", err)
		}
	}
}

// plan moves phases that need no work and gives the work of those that do; it needs the lock.
func (a *Agent) plan(i *instance, now time.Time) func(context.Context, ManagedKafka) error {
	goes := i.kafka.Spec.Deleted || i.leaving
	fate := a.conduct.fateOf(i.kafka.ID)
	switch {
	case goes && !i.hasParts():
		i.phase = removed
	case goes && i.phase != removing:
		i.phase, i.until = removing, now.Add(a.cfg.DeleteDelay)
		i.due = i.until
	case i.phase == pending && (fate == Rejected || fate == RejectedFull || !a.hasRoom(i)):
		i.phase, i.noRoom = rejected, fate != Rejected
	case i.phase == pending:
		i.phase, i.until = installing, now.Add(a.cfg.InstallDelay)
		i.due = i.until
	case now.Before(i.until):
		i.due = i.until // a change of the spec came in between
	case i.phase == removing:
		return orNothing(a.cfg.DataPlane.Delete)
	case i.phase == installing && fate != Stuck && fate != Broken && a.supports(i.kafka.Spec.Versions):
		return orNothing(a.cfg.DataPlane.Create)
	}
	return nil
}

// settle notes the outcome of work; what failed is tried again after a poll. It needs the lock.
func (a *Agent) settle(i *instance, worked bool, err error) {
	switch {
	case !worked:
	case err != nil:
		a.log.Warn("data plane failed", "kafka_id", i.kafka.ID, "error", err)
		i.trouble, i.due = err.Error(), time.Now().Add(a.cfg.Poll)
	case i.phase == installing:
		i.phase, i.trouble = running, ""
		if i.kafka.Spec.Deleted || i.leaving {
			i.due = time.Now()
		}
	case i.phase == removing:
		i.phase, i.trouble = removed, ""
	}
}

// refresh computes the status anew and says whether it changed; it needs the lock.
func (a *Agent) refresh(i *instance) bool {
	if i.phase == running && !i.kafka.Spec.Deleted {
		i.wasReady = true
	}
	fresh := a.statusOf(i)
	if reflect.DeepEqual(fresh, unstamped(i.status)) {
		return false
	}
	i.previous, i.status = i.status, stamped(fresh, a.stamp())
	return true
}

// nudge wakes the operator.
func (a *Agent) nudge() {
	select {
	case a.wake <- struct{}{}:
	default: // it is awake
	}
}

func orNothing(work func(context.Context, ManagedKafka) error) func(context.Context, ManagedKafka) error {
	if work != nil {
		return work
	}
	return func(context.Context, ManagedKafka) error { return nil }
}
