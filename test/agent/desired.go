package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"
)

// verdict is what the agent does about one instance after a poll.
type verdict int

const (
	leaveAlone verdict = iota
	create
	update
	markDeleted // of a paused instance: nothing but the deletion is taken over
	reportGone  // the fleet manager wants it gone and it was never here
	remove
)

// judge compares what is wanted with what is here under the same id; here may be nil.
func judge(wanted ManagedKafka, here *instance) verdict {
	switch {
	case here == nil && wanted.Spec.Deleted:
		return reportGone
	case here == nil && wanted.paused():
		return leaveAlone
	case here == nil:
		return create
	case here.kafka.placement() != wanted.placement():
		return judgeAbsent(here) // the new one is made once the old one is gone
	case wanted.paused() && wanted.Spec.Deleted && !here.kafka.Spec.Deleted:
		return markDeleted
	case wanted.paused():
		return leaveAlone
	case here.kafka.Spec.Deleted && !wanted.Spec.Deleted:
		return leaveAlone // what is being deleted is never brought back
	case reflect.DeepEqual(here.kafka, wanted):
		return leaveAlone
	}
	return update
}

// judgeAbsent decides on an instance whose placement is not listed. Only what is surely
// unwanted goes: a list that is empty by mistake must not cost a customer's data.
func judgeAbsent(here *instance) verdict {
	if here.kafka.Spec.Deleted || here.kafka.reserved() || here.phase == rejected {
		return remove
	}
	return leaveAlone
}

// Poll asks once for settings and instances and acts on the difference. The work itself is
// done by Run's operator, or by Operate.
func (a *Agent) Poll(ctx context.Context) error {
	changed, errSettings := a.pollSettings(ctx)
	if changed {
		a.try(ctx, "cluster status not sent", a.sendClusterStatus)
	}
	wanted, errList := a.pollList(ctx)
	if errList == nil {
		for _, id := range a.compare(wanted) {
			a.try(ctx, "report not sent", func(ctx context.Context) error { return a.sendGone(ctx, id) })
		}
		a.nudge()
	}
	return errors.Join(errSettings, errList)
}

func (a *Agent) pollSettings(ctx context.Context) (bool, error) {
	fresh, err := a.Settings(ctx)
	if err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	changed := a.settings == nil || !reflect.DeepEqual(*a.settings, fresh)
	a.settings = &fresh
	return changed, nil
}

func (a *Agent) pollList(ctx context.Context) ([]ManagedKafka, error) {
	get := &call{method: http.MethodGet, path: "/kafkas"}
	if a.cfg.Conditional {
		a.mu.Lock()
		get.etag = a.etag
		a.mu.Unlock()
	}
	var list managedKafkaList
	get.out = &list
	fresh, err := a.client.do(ctx, get)
	if err != nil {
		return nil, fmt.Errorf("polling instances: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if fresh {
		a.listed, a.etag = list.Items, get.etag
	}
	return a.listed, nil
}

// compare applies the verdicts and gives the ids to report as gone.
func (a *Agent) compare(wanted []ManagedKafka) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	var gone []string
	listed := map[string]bool{}
	for _, k := range wanted {
		listed[k.ID] = true
		here := a.instances[k.ID]
		switch judge(k, here) {
		case create:
			a.instances[k.ID] = &instance{kafka: k, phase: pending, due: now}
		case update:
			here.kafka, here.due = k, now
		case markDeleted:
			here.kafka.Spec.Deleted, here.due = true, now
		case reportGone:
			gone = append(gone, k.ID)
		case remove:
			here.leaving, here.due = true, now
		case leaveAlone:
		}
	}
	for id, here := range a.instances {
		if !listed[id] && judgeAbsent(here) == remove {
			here.leaving, here.due = true, now
		}
	}
	return gone
}
