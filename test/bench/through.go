package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/agent"
)

const (
	throughPart = "through"
	// throughPoll is an honest rhythm: at that of the other rows fifty agents would
	// be most of the load.
	throughPoll     = 2 * time.Second
	throughLook     = time.Second // counting costs the database, more the further it has come
	throughLines    = 16
	throughDeadline = time.Hour
	throughParts    = 5 // of the way, to see whether the rate holds
)

// measureThrough takes many instances from the order to ready, with the agents of
// all clusters at work. Each cluster takes its share only.
func (s *stage) measureThrough(ctx context.Context, t *table) error {
	working, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for i := range clusters {
		a := s.world.paced(clusterID(i), throughPoll)
		running.Go(func() { a.Run(working) })
	}
	m, err := startMeter(s.main.pid(), s.server.pid)
	if err != nil {
		return err
	}
	total := s.settings.Through
	ordering := s.orderMany(working, total)
	var most int64
	marks := []time.Duration{}
	for part := range throughParts {
		goal := total * (part + 1) / throughParts
		err := untilEach(ctx, throughLook, throughDeadline, func(ctx context.Context) (bool, error) {
			memory, err := resident(s.main.pid())
			if err != nil {
				return false, err
			}
			most = max(most, memory)
			var n int
			err = s.pool.QueryRow(ctx, "SELECT count(*) FROM kafka_requests WHERE status = 'ready' AND name LIKE 'through-%'").Scan(&n)
			return n >= goal, err
		})
		if err != nil {
			return fmt.Errorf("waiting for %d ready instances: %w", goal, err)
		}
		marks = append(marks, time.Since(m.began))
		s.say("%d of %d are ready after %s", goal, total, marks[part].Round(time.Second))
	}
	if err := ordering(); err != nil {
		return err
	}
	u, err := m.stop()
	if err != nil {
		return err
	}
	var rates []string
	before := time.Duration(0)
	for _, mark := range marks {
		rates = append(rates, fmt.Sprintf("%.0f", float64(total/throughParts)/(mark-before).Seconds()))
		before = mark
	}
	t.add(row{
		work: fmt.Sprintf("%s ordered until all are ready", sizeText(total)),
		result: fmt.Sprintf("%s; %s per second in each fifth; server %.1f ms CPU, db %.1f ms for each; RSS at most %d MiB", u.wall.Round(time.Second),
			strings.Join(rates, ", "), milliseconds(u.server/time.Duration(total)), milliseconds(u.database/time.Duration(total)), most>>20),
		target: "minutes, linear, bounded memory",
	})
	return nil
}

// orderMany orders in the background; the func that it gives waits and tells what failed.
func (s *stage) orderMany(ctx context.Context, total int) func() error {
	var next atomic.Int64
	var ordering sync.WaitGroup
	failed := make(chan error, throughLines)
	for range throughLines {
		ordering.Go(func() {
			for i := next.Add(1); i <= int64(total) && ctx.Err() == nil; i = next.Add(1) {
				if _, err := s.order(ctx, int(i)%s.fleet.organisations, fmt.Sprintf("through-%d", i)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	return func() error {
		ordering.Wait()
		close(failed)
		return <-failed
	}
}

// paced gives another agent of a cluster, with a rhythm of its own.
func (w *world) paced(id string, poll time.Duration) *agent.Agent {
	w.mu.Lock()
	defer w.mu.Unlock()
	config := w.configs[id]
	config.Poll = poll
	return agent.New(config)
}
