package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	starts  = 5
	leaseOf = "kafka_reconciler"
	tickOf  = 31 * time.Second // the span that idle CPU is told for: one tick of the loops and a bit
	ttl     = 10 * time.Second // of a lease
)

// measureStart starts the fleet manager anew several times and leaves it fresh.
func (s *stage) measureStart(ctx context.Context, t *table) (err error) {
	var took []time.Duration
	for range starts {
		s.main.kill()
		if s.main, err = s.startReplica(ctx, 0); err != nil {
			return err
		}
		took = append(took, s.main.answers)
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.add(row{
		work: "start to the first 200", result: fmt.Sprintf("p50 %.0f ms, worst %.0f ms of %d", milliseconds(median), milliseconds(took[len(took)-1]), starts),
		target: "≤ 150 ms", missed: misses([]goal{under("time", median, 150*time.Millisecond)}),
	})
	return nil
}

// measureIdle leaves the fleet manager alone once it leads and has looked around.
func (s *stage) measureIdle(ctx context.Context, t *table) error {
	if _, err := s.waitLeader(ctx, "", 3*ttl); err != nil {
		return err
	}
	settled := time.NewTimer(2 * time.Second)
	defer settled.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-settled.C:
	}
	m, err := startMeter(s.main.pid(), s.server.pid)
	if err != nil {
		return err
	}
	over := time.NewTimer(s.settings.Idle)
	defer over.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-over.C:
	}
	u, err := m.stop()
	if err != nil {
		return err
	}
	memory, err := resident(s.main.pid())
	if err != nil {
		return err
	}
	scale := tickOf.Seconds() / u.wall.Seconds()
	cpu, limit := u.server.Seconds()*scale, residentLimit(s.fleet.size)
	t.add(row{
		work:   "idle, per 31 s",
		result: fmt.Sprintf("server %.2f s CPU, db %.2f s, RSS %.0f MiB (measured for %s)", cpu, u.database.Seconds()*scale, mebibytes(memory), s.settings.Idle),
		target: fmt.Sprintf("≤ 0.3 s CPU, RSS ≤ %.0f MiB", limit),
		missed: misses([]goal{{what: "CPU", figure: cpu, limit: 0.3}, {what: "RSS", figure: mebibytes(memory), limit: limit}}),
	})
	return s.measureMetrics(ctx, t)
}

func residentLimit(size int) float64 {
	switch {
	case size <= 1000:
		return 60
	case size <= 10_000:
		return 70
	default:
		return 120
	}
}

func (s *stage) measureMetrics(ctx context.Context, t *table) error {
	var took []time.Duration
	size := 0
	for range starts {
		began := time.Now()
		reply, err := one(ctx, s.main.ports.Metrics, request{method: http.MethodGet, path: "/metrics"})
		if err != nil {
			return err
		}
		body, err := reply.must(http.StatusOK)
		if err != nil {
			return err
		}
		took, size = append(took, time.Since(began)), len(body)
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.add(row{
		work: "/metrics", result: fmt.Sprintf("%.0f kB, p50 %.1f ms", float64(size)/1000, milliseconds(median)), target: "≤ 300 kB, ≤ 50 ms",
		missed: misses([]goal{under("time", median, 50*time.Millisecond), {what: "size", figure: float64(size), limit: 300e3}}),
	})
	return nil
}

// measureTakeOver ends the leader of two replicas, first as a crash does, then as
// a deployment does, and waits until the other leads.
func (s *stage) measureTakeOver(ctx context.Context, t *table) error {
	other, err := s.startReplica(ctx, 1)
	if err != nil {
		return err
	}
	replicas := []*replica{s.main, other}
	defer func() { replicas[1].kill() }()
	for _, end := range []struct {
		work  string
		end   func(*replica) error
		limit time.Duration
	}{
		{"take-over after kill -9", func(r *replica) error { r.kill(); return nil }, ttl + time.Second},
		{"take-over after a graceful stop", (*replica).terminate, 300 * time.Millisecond},
	} {
		leader, err := s.waitLeader(ctx, "", 3*ttl)
		if err != nil {
			return err
		}
		n := slices.IndexFunc(replicas, func(r *replica) bool { return strings.HasSuffix(leader, " "+r.ports.API) })
		if n < 0 {
			return fmt.Errorf("looking for the leader: %q is none of the replicas", leader)
		}
		began := time.Now()
		if err := end.end(replicas[n]); err != nil {
			return fmt.Errorf("ending a replica: %w", err)
		}
		if _, err := s.waitLeader(ctx, leader, 3*ttl); err != nil {
			return err
		}
		took := time.Since(began)
		t.add(row{
			work: end.work, result: fmt.Sprintf("%.0f ms", milliseconds(took)), target: "≤ " + end.limit.String(),
			missed: misses([]goal{under("time", took, end.limit)}),
		})
		<-replicas[n].gone
		if replicas[n], err = s.startReplica(ctx, n); err != nil {
			return err
		}
		s.main = replicas[0]
	}
	return nil
}

// waitLeader waits until somebody other than one leads, and names that one.
func (s *stage) waitLeader(ctx context.Context, but string, bound time.Duration) (leader string, err error) {
	err = until(ctx, bound, func(ctx context.Context) (bool, error) {
		err := s.pool.QueryRow(ctx, "SELECT leader FROM leader_leases WHERE lease_type = $1 AND expires > clock_timestamp()", leaseOf).Scan(&leader)
		return err == nil && leader != "" && leader != but, nil
	})
	if err != nil {
		return "", fmt.Errorf("waiting for a leader: %w", err)
	}
	return leader, nil
}
