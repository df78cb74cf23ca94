package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/agent"
)

// measureAgent plays the agent of the crowded cluster.
func (s *stage) measureAgent(ctx context.Context, t *table) error {
	id := clusterID(1)
	token, err := s.world.sso.ClientToken(accountRealm, "kas-fleetshard-agent-"+id)
	if err != nil {
		return fmt.Errorf("making the agent's token: %w", err)
	}
	get := request{method: http.MethodGet, path: "/api/kafkas_mgmt/v1/agent-clusters/" + id + "/kafkas", token: token}
	reply, err := one(ctx, s.main.ports.API, get)
	if err != nil {
		return err
	}
	body, err := reply.must(http.StatusOK)
	if err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	zipped, unchanged := get, get
	zipped.headers = "Accept-Encoding: gzip\r\n"
	unchanged.headers = "If-None-Match: " + reply.etag + "\r\n"
	put := request{method: http.MethodPut, path: get.path + "/status", token: token}
	if put.body, err = report(body); err != nil {
		return err
	}
	if reply, err = one(ctx, s.main.ports.API, put); err != nil {
		return err
	}
	if _, err := reply.must(http.StatusOK); err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	return s.measurePolls(ctx, t, []agentCall{
		{"agent GET 1000 instances", get, http.StatusOK, 6 * time.Millisecond},
		{"agent GET 1000 instances, gzip", zipped, http.StatusOK, 0},
		{"agent GET 1000 instances, unchanged", unchanged, http.StatusNotModified, time.Millisecond},
		{"agent PUT 1000 unchanged reports", put, http.StatusOK, 25 * time.Millisecond},
	})
}

// agentCall is a request that an agent repeats, and the bound of its median; 0: none.
type agentCall struct {
	work  string
	r     request
	wants int
	limit time.Duration
}

// measurePolls repeats calls of which none may write.
func (s *stage) measurePolls(ctx context.Context, t *table, calls []agentCall) error {
	id := clusterID(1)
	before, err := s.versions(ctx, id)
	if err != nil {
		return err
	}
	for _, call := range calls {
		l, err := s.ours(ctx, load{connections: 1, wants: call.wants, next: func(buffer []byte, _, _ int) []byte { return call.r.append(buffer) }})
		if err != nil {
			return fmt.Errorf("%s: %w", call.work, err)
		}
		row := row{work: call.work, load: l, result: sizeOf(l)}
		if call.limit > 0 {
			row.target = "p50 ≤ " + call.limit.String()
			row.missed = misses([]goal{under("p50", l.quantile(0.5), call.limit)})
		}
		t.add(row)
	}
	after, err := s.versions(ctx, id)
	if err != nil {
		return err
	}
	r := row{work: "rows written by unchanged reports", result: "none", target: "0"}
	if before != after {
		r.result, r.missed = "some", []string{"rows"}
	}
	t.add(r)
	return nil
}

// versions changes when any row of a cluster's instances is written.
func (s *stage) versions(ctx context.Context, clusterID string) (sum string, err error) {
	err = s.pool.QueryRow(ctx, "SELECT md5(string_agg(xmin::text || ctid::text, ',' ORDER BY id)) FROM kafka_requests WHERE cluster_id = $1", clusterID).Scan(&sum)
	return sum, err
}

// report says of each listed instance what an agent says of one that is well.
func report(list []byte) ([]byte, error) {
	var listed struct{ Items []agent.ManagedKafka }
	if err := json.Unmarshal(list, &listed); err != nil {
		return nil, fmt.Errorf("reading the agent's list: %w", err)
	}
	if len(listed.Items) != crowd {
		return nil, errors.New("reading the agent's list: it has not all instances")
	}
	at := time.Now().UTC().Format(time.RFC3339)
	all := map[string]agent.Status{}
	for _, k := range listed.Items {
		status := agent.Status{
			Conditions:       []agent.Condition{{Type: "Ready", Status: "True", LastTransitionTime: at}},
			Versions:         &k.Spec.Versions,
			Capacity:         &k.Spec.Capacity,
			AdminServerURI:   "https://admin-server-" + k.Spec.Endpoint.BootstrapServerHost,
			UpdatedTimestamp: at,
		}
		for _, name := range []string{"admin-server", "bootstrap", "broker-0", "broker-1", "broker-2"} {
			status.Routes = append(status.Routes, agent.Route{Name: name, Prefix: name, Router: "kas.mk-01.example.test"})
		}
		all[k.ID] = status
	}
	return json.Marshal(all)
}
