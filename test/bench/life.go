package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lives        = 20  // one after the other
	burst        = 200 // at once
	lifeDeadline = 2 * time.Minute
)

// measureLife follows instances from the order to ready and from the deletion to
// gone, with an agent that answers as fast as it can.
func (s *stage) measureLife(ctx context.Context, t *table) error {
	working, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { s.world.agent(clusterID(0)).Run(working) })

	var ready, gone []time.Duration
	for i := range lives {
		began := time.Now()
		id, err := s.order(ctx, 0, fmt.Sprintf("life-%d", i))
		if err != nil {
			return err
		}
		if err := until(ctx, lifeDeadline, func(ctx context.Context) (bool, error) { return s.shows(ctx, id, "ready") }); err != nil {
			return fmt.Errorf("waiting until an instance is ready: %w", err)
		}
		ready = append(ready, time.Since(began))
		began = time.Now()
		if err := s.remove(ctx, id); err != nil {
			return err
		}
		if err := until(ctx, lifeDeadline, func(ctx context.Context) (bool, error) { return s.shows(ctx, id, "") }); err != nil {
			return fmt.Errorf("waiting until an instance is gone: %w", err)
		}
		gone = append(gone, time.Since(began))
	}
	const allowed = 150 * time.Millisecond
	t.add(spread("POST to ready", ready, allowed))
	t.add(spread("DELETE to gone", gone, allowed))
	return s.measureBurst(ctx, t)
}

// spread shows durations; the agent's part is half a poll for each time it is waited for.
func spread(work string, took []time.Duration, limit time.Duration) row {
	slices.Sort(took)
	median := took[len(took)/2]
	return row{
		work:   work,
		result: fmt.Sprintf("p50 %.0f ms, worst %.0f ms of %d; the agent polls each %s", milliseconds(median), milliseconds(took[len(took)-1]), len(took), poll),
		target: fmt.Sprintf("p50 ≤ %s beyond the agent", limit),
		missed: misses([]goal{under("p50", median-poll/2, limit)}),
	}
}

func (s *stage) measureBurst(ctx context.Context, t *table) error {
	m, err := startMeter(s.main.pid(), s.server.pid)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var ordering sync.WaitGroup
	failed := make(chan error, burst)
	for range 8 {
		ordering.Go(func() {
			for i := next.Add(1); i <= burst; i = next.Add(1) {
				if _, err := s.order(ctx, int(i)%s.fleet.organisations, fmt.Sprintf("burst-%d", i)); err != nil {
					failed <- err
				}
			}
		})
	}
	ordering.Wait()
	ordered := time.Since(m.began)
	if len(failed) > 0 {
		return <-failed
	}
	if err := s.waitFor(ctx, burst, "name LIKE 'burst-%' AND status = 'ready' AND deleted_at IS NULL"); err != nil {
		return fmt.Errorf("waiting until all are ready: %w", err)
	}
	u, err := m.stop()
	if err != nil {
		return err
	}
	t.add(row{
		work: fmt.Sprintf("%d created at once", burst),
		result: fmt.Sprintf("all accepted after %.2f s, all ready after %.2f s; server %.1f ms CPU, db %.1f ms for each", ordered.Seconds(), u.wall.Seconds(),
			milliseconds(u.server/burst), milliseconds(u.database/burst)),
		target: "all ready ≤ 3 s", missed: misses([]goal{under("time", u.wall, 3*time.Second)}),
	})
	return s.removeBurst(ctx, t)
}

func (s *stage) removeBurst(ctx context.Context, t *table) error {
	rows, err := s.pool.Query(ctx, "SELECT id, organisation_id::integer - 20000000 FROM kafka_requests WHERE name LIKE 'burst-%' AND deleted_at IS NULL")
	if err != nil {
		return err
	}
	defer rows.Close()
	began := time.Now()
	for rows.Next() {
		var id string
		var organisation int
		if err := rows.Scan(&id, &organisation); err != nil {
			return err
		}
		if err := s.removeAs(ctx, organisation, id); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := s.waitFor(ctx, burst, "name LIKE 'burst-%' AND deleted_at IS NOT NULL"); err != nil {
		return fmt.Errorf("waiting until all are gone: %w", err)
	}
	t.add(row{work: fmt.Sprintf("%d deleted, one by one", burst), result: fmt.Sprintf("all gone after %.2f s", time.Since(began).Seconds())})
	return nil
}

// waitFor waits until so many rows are as wanted.
func (s *stage) waitFor(ctx context.Context, count int, as string) error {
	return until(ctx, lifeDeadline, func(ctx context.Context) (bool, error) {
		var n int
		err := s.pool.QueryRow(ctx, "SELECT count(*) FROM kafka_requests WHERE "+as).Scan(&n)
		return n >= count, err
	})
}

func (s *stage) order(ctx context.Context, organisation int, name string) (id string, err error) {
	reply, err := one(ctx, s.main.ports.API, s.orderOf(organisation, name))
	if err != nil {
		return "", fmt.Errorf("ordering an instance: %w", err)
	}
	body, err := reply.must(http.StatusAccepted)
	if err != nil {
		return "", fmt.Errorf("ordering an instance: %w", err)
	}
	var made struct{ ID string }
	return made.ID, json.Unmarshal(body, &made)
}

func (s *stage) orderOf(organisation int, name string) request {
	return request{
		method: http.MethodPost, path: kafkasPath + "?async=true", token: s.customers[organisation],
		body: []byte(`{"name":"` + name + `"}`),
	}
}

func (s *stage) remove(ctx context.Context, id string) error { return s.removeAs(ctx, 0, id) }

func (s *stage) removeAs(ctx context.Context, organisation int, id string) error {
	reply, err := one(ctx, s.main.ports.API, request{
		method: http.MethodDelete, path: kafkasPath + "/" + id + "?async=true", token: s.customers[organisation],
	})
	if err != nil {
		return fmt.Errorf("deleting an instance: %w", err)
	}
	if _, err := reply.must(http.StatusAccepted); err != nil {
		return fmt.Errorf("deleting an instance: %w", err)
	}
	return nil
}

// shows tells whether the first customer sees an instance in a status; an empty one: not at all.
func (s *stage) shows(ctx context.Context, id, status string) (bool, error) {
	reply, err := one(ctx, s.main.ports.API, request{method: http.MethodGet, path: kafkasPath + "/" + id, token: s.customers[0]})
	if err != nil || status == "" {
		return err == nil && reply.status == http.StatusNotFound, err
	}
	var seen struct{ Status string }
	err = json.Unmarshal(reply.body, &seen)
	return seen.Status == status, err
}

// measureCreate orders instances as fast as they are taken. No agent runs: they
// stay where they are, so this comes last.
func (s *stage) measureCreate(ctx context.Context, t *table) error {
	var made atomic.Int64
	for _, connections := range []int{1, 8} {
		l, err := s.ours(ctx, load{connections: connections, wants: http.StatusAccepted, next: func(buffer []byte, _, _ int) []byte {
			n := int(made.Add(1))
			return s.orderOf(n%s.fleet.organisations, fmt.Sprintf("order-%d", n)).append(buffer)
		}})
		if err != nil {
			return err
		}
		r := row{work: fmt.Sprintf("POST /kafkas, %d connections", connections), load: l}
		if connections == 8 {
			r.target = "≥ 300/s, flat in fleet size"
			r.missed = misses([]goal{{what: "rate", figure: l.rate(), limit: 300, atLeast: true}})
		}
		t.add(r)
	}
	return nil
}
