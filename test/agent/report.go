package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Resync sends the status of every instance and of the cluster.
func (a *Agent) Resync(ctx context.Context) error {
	a.mu.Lock()
	ids := make([]string, 0, len(a.instances))
	for id, i := range a.instances {
		if !i.leaving {
			ids = append(ids, id)
		}
	}
	known := a.settings != nil
	a.mu.Unlock()
	err := a.sendInstances(ctx, ids...)
	if known { // before the first settings the cluster has no status to tell
		err = errors.Join(err, a.sendClusterStatus(ctx))
	}
	return err
}

// sendInstances sends one report on the named instances, in the agent's present manner.
func (a *Agent) sendInstances(ctx context.Context, ids ...string) error {
	report, previous := map[string]Status{}, map[string]Status{}
	a.mu.Lock()
	for _, id := range ids {
		i, ok := a.instances[id]
		if !ok {
			continue
		}
		report[id] = i.status
		if i.previous.Conditions != nil {
			previous[id] = i.previous
		}
	}
	bodies := a.utter(report, previous)
	a.mu.Unlock()
	if len(report) == 0 {
		return nil
	}
	for _, body := range bodies {
		if err := a.Put(ctx, body); err != nil {
			return err
		}
	}
	return nil
}

// sendGone answers for an instance that should be deleted and was never here.
func (a *Agent) sendGone(ctx context.Context, id string) error {
	a.mu.Lock()
	manner := a.conduct.manner
	a.mu.Unlock()
	if manner == Silent {
		return nil
	}
	return a.Report(ctx, id, condition("False", "Deleted", ""))
}

func (a *Agent) sendClusterStatus(ctx context.Context) error {
	a.mu.Lock()
	silent, status := a.conduct.manner == Silent, a.clusterStatus()
	a.mu.Unlock()
	if silent {
		return nil
	}
	return a.PutCluster(ctx, status)
}

// The verbs below say exactly what they are told, whatever the agent's manner: with them a
// test plays the agent step by step, without Run.

// Settings asks for the cluster's configuration.
func (a *Agent) Settings(ctx context.Context) (Settings, error) {
	var settings Settings
	if _, err := a.client.do(ctx, &call{method: http.MethodGet, out: &settings}); err != nil {
		return Settings{}, fmt.Errorf("asking for settings: %w", err)
	}
	return settings, nil
}

// List asks for the instances that the cluster should have.
func (a *Agent) List(ctx context.Context) ([]ManagedKafka, error) {
	var list managedKafkaList
	if _, err := a.client.do(ctx, &call{method: http.MethodGet, path: "/kafkas", out: &list}); err != nil {
		return nil, fmt.Errorf("listing instances: %w", err)
	}
	return list.Items, nil
}

// ReportReady reports a listed instance as ready, with versions and routes.
func (a *Agent) ReportReady(ctx context.Context, id string) error {
	list, err := a.List(ctx)
	if err != nil {
		return err
	}
	for _, k := range list {
		if k.ID == id {
			a.mu.Lock()
			i := &instance{kafka: k, phase: running, wasReady: true}
			s := a.statusOf(i)
			s.Conditions = []Condition{condition("True", "", "")}
			s = stamped(s, a.stamp())
			a.mu.Unlock()
			return a.Put(ctx, map[string]Status{id: s})
		}
	}
	return fmt.Errorf("reporting %s ready: not listed", id)
}

// Report sends the conditions of one instance and nothing else.
func (a *Agent) Report(ctx context.Context, id string, conditions ...Condition) error {
	a.mu.Lock()
	s := stamped(Status{Conditions: conditions}, a.stamp())
	a.mu.Unlock()
	return a.Put(ctx, map[string]Status{id: s})
}

// ReportDeleted reports the parts of an instance as gone.
func (a *Agent) ReportDeleted(ctx context.Context, id string) error {
	return a.Report(ctx, id, condition("False", "Deleted", ""))
}

// Put sends a report as it is.
func (a *Agent) Put(ctx context.Context, report map[string]Status) error {
	if _, err := a.client.do(ctx, &call{method: http.MethodPut, path: "/kafkas/status", in: report}); err != nil {
		return fmt.Errorf("reporting instances: %w", err)
	}
	return nil
}

// PushClusterStatus reports the cluster as ready or not, and keeps to that in later resyncs.
func (a *Agent) PushClusterStatus(ctx context.Context, ready bool) error {
	a.mu.Lock()
	a.unhealthy = !ready
	status := a.clusterStatus()
	a.mu.Unlock()
	return a.PutCluster(ctx, status)
}

// PutCluster sends a cluster status as it is.
func (a *Agent) PutCluster(ctx context.Context, status ClusterStatus) error {
	if _, err := a.client.do(ctx, &call{method: http.MethodPut, path: "/status", in: status}); err != nil {
		return fmt.Errorf("reporting cluster: %w", err)
	}
	return nil
}
