package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"time"
)

const (
	rounds = 6    // in which the floor and the fleet manager take turns; a shared machine changes its pace from second to second
	many   = 1000 // connections
)

// loadOn runs a load and meters what it costs a server and the database.
func (s *stage) loadOn(ctx context.Context, l load, pid int) (*loaded, error) {
	warm := l
	warm.lasts = l.lasts / 5
	if _, err := warm.run(ctx); err != nil {
		return nil, err
	}
	m, err := startMeter(pid, s.server.pid)
	if err != nil {
		return nil, err
	}
	out := &loaded{}
	if out.outcome, err = l.run(ctx); err != nil {
		return nil, err
	}
	if out.used, err = m.stop(); err != nil {
		return nil, err
	}
	out.resident, err = resident(pid)
	return out, err
}

// ours runs a load on the fleet manager.
func (s *stage) ours(ctx context.Context, l load) (*loaded, error) {
	l.address, l.lasts = s.main.ports.API, s.settings.Measure
	if l.wants == 0 {
		l.wants = http.StatusOK
	}
	return s.loadOn(ctx, l, s.main.pid())
}

// merge adds what another span of the same load met.
func (l *loaded) merge(other *loaded) {
	l.requests += other.requests
	l.errors += other.errors
	l.bytes += other.bytes
	l.wall += other.wall
	l.sorted = append(l.sorted, other.sorted...)
	slices.Sort(l.sorted)
	l.used.server += other.used.server
	l.used.database += other.used.database
	l.resident = max(l.resident, other.resident)
	if l.first == nil {
		l.first = other.first
	}
}

// pick chooses an instance and gives its number and the token of its owner.
func (s *stage) pick() (instance int, token string) {
	i := rand.IntN(s.fleet.size)
	return i, s.customers[i%s.fleet.organisations]
}

func (s *stage) getOne(buffer []byte, _, _ int) []byte {
	i, token := s.pick()
	return request{method: http.MethodGet, path: kafkasPath + "/" + instanceID(i), token: token}.append(buffer)
}

// measureGet compares reading one instance with the floor, in turns, so that a
// machine that gets slower is slower for both.
func (s *stage) measureGet(ctx context.Context, t *table) error {
	f, err := s.startFloor(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := s.sameReply(ctx, f); err != nil {
		return err
	}
	before := 0.0
	for _, connections := range []int{1, 8, 32, many} {
		l := load{connections: connections, next: s.getOne}
		bottom, top, err := s.inTurns(ctx, f, l, l)
		if err != nil {
			return err
		}
		s.addGet(t, connections, bottom, top, before)
		before = top.rate()
	}
	return nil
}

// inTurns runs a load on the floor and one on the fleet manager, in turns.
func (s *stage) inTurns(ctx context.Context, f *floor, below, above load) (bottom, top *loaded, err error) {
	below.address, above.address = f.address, s.main.ports.API
	bottom, top = &loaded{}, &loaded{}
	for range rounds {
		for _, turn := range []struct {
			load load
			pid  int
			sum  *loaded
		}{{below, f.cmd.Process.Pid, bottom}, {above, s.main.pid(), top}} {
			turn.load.lasts, turn.load.wants = s.settings.Measure/rounds, http.StatusOK
			met, err := s.loadOn(ctx, turn.load, turn.pid)
			if err != nil {
				return nil, nil, fmt.Errorf("loading process %d: %w", turn.pid, err)
			}
			turn.sum.merge(met)
		}
	}
	return bottom, top, nil
}

func (s *stage) addGet(t *table, connections int, bottom, top *loaded, before float64) {
	ratio := top.rate() / bottom.rate()
	r := row{
		work: fmt.Sprintf("GET /kafkas/{id}, %d connections", connections), load: top,
		result: fmt.Sprintf("%.0f %% of the floor", 100*ratio),
	}
	goals := []goal{{what: "ratio", figure: ratio, limit: 0.6, atLeast: true}}
	r.target = "≥ 60 % of the floor"
	switch connections {
	case 8:
		r.target += ", p99 ≤ 5 ms"
		goals = append(goals, under("p99", top.quantile(0.99), 5*time.Millisecond))
	case many:
		r.target, goals = "0 errors, p99 bounded", []goal{under("p99", top.quantile(0.99), 5*time.Second)}
	}
	if before > 0 {
		r.target += ", not slower than with fewer"
		goals = append(goals, goal{what: "throughput falls", figure: top.rate(), limit: 0.9 * before, atLeast: true})
	}
	r.missed = misses(goals)
	t.add(row{work: fmt.Sprintf("floor, %d connections", connections), load: bottom})
	t.add(r)
}

// sameReply makes sure that the floor does the same work.
func (s *stage) sameReply(ctx context.Context, f *floor) error {
	var values [2]map[string]any
	for i, address := range []string{f.address, s.main.ports.API} {
		reply, err := one(ctx, address, request{method: http.MethodGet, path: kafkasPath + "/" + instanceID(0), token: s.customers[0]})
		if err != nil {
			return err
		}
		body, err := reply.must(http.StatusOK)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &values[i]); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		return fmt.Errorf("comparing with the floor: its reply is %v, the fleet manager's %v", values[0], values[1])
	}
	return nil
}

// measureLists measures pages and searches.
func (s *stage) measureLists(ctx context.Context, t *table) error {
	database := time.Millisecond
	if s.fleet.organisations == 1 {
		database = 8 * time.Millisecond
	}
	page, like := "?size=100", searchFor("name like %777%")
	for _, list := range []struct {
		work        string
		connections int
		headers     string
		query       string
		target      string
		goals       func(l *loaded) []goal
	}{
		{"GET /kafkas?size=100", 1, "", page, "server ≤ 0.6 ms, db ≤ " + database.String(), func(l *loaded) []goal {
			return []goal{under("server", l.serverPer(), 600*time.Microsecond), under("db", l.databasePer(), database)}
		}},
		{"GET /kafkas?size=100, gzip", 1, "Accept-Encoding: gzip\r\n", page, "", nil},
		{"GET /kafkas?size=100", 8, "", page, "", nil},
		{"search name like %777%", 1, "", like, "p50 ≤ 10 ms", func(l *loaded) []goal {
			return []goal{under("p50", l.quantile(0.5), 10*time.Millisecond)}
		}},
		{"search name like %777%", 8, "", like, "p50 ≤ 10 ms", func(l *loaded) []goal {
			return []goal{under("p50", l.quantile(0.5), 10*time.Millisecond)}
		}},
	} {
		l, err := s.ours(ctx, load{connections: list.connections, next: func(buffer []byte, _, _ int) []byte {
			_, token := s.pick()
			return request{method: http.MethodGet, path: kafkasPath + list.query, token: token, headers: list.headers}.append(buffer)
		}})
		if err != nil {
			return fmt.Errorf("%s: %w", list.work, err)
		}
		r := row{work: fmt.Sprintf("%s, %d conn.", list.work, list.connections), load: l, target: list.target, result: sizeOf(l)}
		if list.goals != nil {
			r.missed = misses(list.goals(l))
		}
		t.add(r)
	}
	return s.measureByName(ctx, t)
}

func searchFor(text string) string { return "?search=" + url.QueryEscape(text) }

// measureByName measures the search for one name. It does hardly more than reading by
// id does, so it takes turns with that of the floor.
func (s *stage) measureByName(ctx context.Context, t *table) error {
	f, err := s.startFloor(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	search := func(buffer []byte, _, _ int) []byte {
		i, token := s.pick()
		path := kafkasPath + searchFor("name = "+instanceName(i))
		return request{method: http.MethodGet, path: path, token: token}.append(buffer)
	}
	for _, connections := range []int{1, 8} {
		bottom, top, err := s.inTurns(ctx, f, load{connections: connections, next: s.getOne}, load{connections: connections, next: search})
		if err != nil {
			return err
		}
		t.add(row{work: fmt.Sprintf("floor by id, %d conn.", connections), load: bottom})
		r := row{
			work: fmt.Sprintf("search name = x, %d conn.", connections), load: top,
			result: fmt.Sprintf("%s, %.0f %% of the floor", sizeOf(top), 100*top.rate()/bottom.rate()),
		}
		if connections == 1 {
			r.target, r.missed = "p50 ≤ 0.3 ms", misses([]goal{under("p50", top.quantile(0.5), 300*time.Microsecond)})
		}
		t.add(r)
	}
	return nil
}

func sizeOf(l *loaded) string {
	if l.requests == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f kB", float64(l.bytes)/float64(l.requests)/1000)
}
