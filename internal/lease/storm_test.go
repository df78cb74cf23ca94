package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/lease"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// stormTimes are short, so that a leader that is killed costs little.
var stormTimes = lease.Options{TTL: 600 * time.Millisecond, Renew: 150 * time.Millisecond}

const contenders = 5

// The ways in which leading ends. Each comes equally often.
var disasters = []func(*storm, *rand.Rand){(*storm).stops, (*storm).isCut, (*storm).dies, (*storm).cannotWork, (*storm).isReplacedWithOthers}

// TestElectionStorm ends one leader after the other, in all the ways there are.
// Each leader writes all the time; the rows tell in which order terms committed.
func TestElectionStorm(t *testing.T) {
	t.Parallel()
	r := campaign.Begin(t, campaign.Tier{Short: 10, Full: 1000})
	s := newStorm(t)
	for i := range r.Rounds() {
		s.calm()
		disasters[(i+int(r.Seed%uint64(len(disasters))))%len(disasters)](s, r.Rand(i))
	}
	s.close()
	s.judge(r)
}

// storm is an election whose leaders do not last.
type storm struct {
	t      *testing.T
	where  string
	d      *db.DB // the observer's own
	firsts chan first
	idle   atomic.Int64 // terms in which nothing was written, though there was time

	members  map[string]*member
	leader   first
	graceful []time.Duration // hand-overs by a leader that gave the lease up
	sudden   []time.Duration // and by one that could not
}

// first is the first write of a term.
type first struct {
	member *member
	term   *lease.Term
	at     time.Time
}

// member is one contender in one life.
type member struct {
	name   string
	db     *db.DB
	broken chan struct{}
	end    context.CancelFunc
	ended  sync.WaitGroup
}

func newStorm(t *testing.T) *storm {
	where := postgres.URL(t)
	s := &storm{t: t, where: where, d: postgres.OpenURL(t, where), firsts: make(chan first, 100), members: map[string]*member{}}
	for _, statement := range []string{
		"CREATE TABLE written (seq bigserial PRIMARY KEY, term uuid NOT NULL, member text NOT NULL)",
		"CREATE TABLE strays (seq bigint NOT NULL)",
		// At the very commit: is the term still the lease's?
		`CREATE FUNCTION committed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NOT EXISTS (SELECT FROM leader_leases WHERE lease_type = '` + leaseType + `' AND term = NEW.term) THEN
				INSERT INTO strays VALUES (NEW.seq);
			END IF;
			RETURN NULL;
		END $$`,
		"CREATE CONSTRAINT TRIGGER committed AFTER INSERT ON written DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION committed()",
	} {
		execute(t, s.d, statement)
	}
	t.Cleanup(s.close)
	for i := range contenders {
		s.join(fmt.Sprintf("contender-%d", i))
	}
	s.leader = receive(t, s.firsts)
	return s
}

// join begins the life of a contender.
func (s *storm) join(name string) {
	m := &member{name: name, db: postgres.OpenURL(s.t, named(s.t, s.where, name)), broken: make(chan struct{}, 1)}
	l := lease.New(m.db, leaseType, name, stormTimes, slog.New(slog.DiscardHandler))
	ctx, end := context.WithCancel(context.Background())
	m.end = end
	m.ended.Go(func() { _ = m.db.Listen(ctx, lease.Channel, l.WakeAll, l.Wake) })
	m.ended.Go(func() {
		_ = l.Run(ctx, func(ctx context.Context, term *lease.Term) error { return s.lead(ctx, m, term) })
	})
	s.members[name] = m
}

// lead writes for as long as the term lasts.
func (s *storm) lead(ctx context.Context, m *member, term *lease.Term) error {
	began, wrote := time.Now(), false
	defer func() {
		if !wrote && time.Since(began) > stormTimes.TTL/2 {
			s.idle.Add(1)
		}
	}()
	pause := time.NewTicker(3 * time.Millisecond)
	defer pause.Stop()
	for {
		if err := m.write(ctx, term); err == nil && !wrote {
			wrote = true
			s.firsts <- first{member: m, term: term, at: time.Now()}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.broken:
			return errors.New("cannot work")
		case <-pause.C:
		}
	}
}

func (m *member) write(ctx context.Context, term *lease.Term) error {
	return term.Tx(ctx, func(tx db.Tx) error {
		return tx.Gorm().Exec("INSERT INTO written (term, member) VALUES (?::uuid, ?)", term.ID(), m.name).Error
	})
}

// leave ends a life as a process does that is asked to end.
func (m *member) leave() {
	m.end()
	m.ended.Wait()
}

// calm waits until every contender listens, and takes whoever leads then.
func (s *storm) calm() {
	require.Eventually(s.t, func() bool {
		var listening int
		require.NoError(s.t, s.d.Gorm(within(s.t)).Raw(`SELECT count(DISTINCT application_name) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name LIKE 'contender-%' AND query ILIKE 'listen %'`).Scan(&listening).Error)
		return listening == contenders
	}, 20*time.Second, 5*time.Millisecond)
	for {
		select {
		case s.leader = <-s.firsts:
			continue
		default:
		}
		return
	}
}

// next waits for the next term, notes how long there was none, and lets the old
// one try to write once more.
func (s *storm) next(since time.Time, gaps *[]time.Duration) {
	old := s.leader
	for s.leader.term == old.term {
		s.leader = receive(s.t, s.firsts)
	}
	*gaps = append(*gaps, s.leader.at.Sub(since))
	if err := old.member.write(within(s.t), old.term); err == nil {
		s.t.Errorf("a term of %s wrote after that of %s had begun", old.member.name, s.leader.member.name)
	}
}

func (s *storm) rejoin(m *member) {
	m.leave()
	_ = m.db.Close()
	s.join(m.name)
}

func (s *storm) stops(*rand.Rand) {
	m, since := s.leader.member, time.Now()
	m.end()
	s.next(since, &s.graceful)
	s.rejoin(m)
}

// dies takes the database away before anything can be said, as kill -9 does.
func (s *storm) dies(*rand.Rand) {
	m, since := s.leader.member, time.Now()
	_ = m.db.Close()
	m.end()
	s.next(since, &s.sudden)
	s.rejoin(m)
}

func (s *storm) cannotWork(*rand.Rand) {
	since := time.Now()
	select {
	case s.leader.member.broken <- struct{}{}:
	default: // it is to break already
	}
	s.next(since, &s.graceful)
}

// isCut ends the leader's sessions at the server, which it may survive, and in
// one of two cases those of all the others too.
func (s *storm) isCut(random *rand.Rand) {
	like := s.leader.member.name
	if random.IntN(2) == 0 {
		like = "contender-%"
	}
	execute(s.t, s.d, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE ?", like)
	select {
	case <-s.t.Context().Done():
	case <-time.After(stormTimes.TTL):
	}
	s.calm()
	m, since := s.leader.member, time.Now()
	m.end()
	s.next(since, &s.graceful)
	s.rejoin(m)
}

// isReplacedWithOthers restarts some of the contenders while the leader stops.
func (s *storm) isReplacedWithOthers(random *rand.Rand) {
	leaving := []*member{s.leader.member}
	// Two are left at least: one of them may be waiting after a term in which it could not work.
	for _, i := range random.Perm(contenders)[:contenders-3] {
		if m := s.members[fmt.Sprintf("contender-%d", i)]; m != s.leader.member {
			leaving = append(leaving, m)
		}
	}
	since := time.Now()
	for _, m := range leaving {
		m.end()
	}
	s.next(since, &s.graceful)
	for _, m := range leaving {
		s.rejoin(m)
	}
}

func (s *storm) close() {
	for _, m := range s.members {
		m.end()
	}
	for _, m := range s.members {
		m.ended.Wait()
		_ = m.db.Close()
	}
}

func (s *storm) judge(r campaign.Run) {
	t := s.t
	var terms []string
	require.NoError(t, s.d.Gorm(within(t)).Raw("SELECT term::text FROM written ORDER BY seq").Scan(&terms).Error)
	blocks := slices.Compact(slices.Clone(terms))
	distinct := map[string]bool{}
	for _, term := range blocks {
		distinct[term] = true
	}
	require.Len(t, blocks, len(distinct), "terms wrote between each other")
	var strays int
	require.NoError(t, s.d.Gorm(within(t)).Raw("SELECT count(*) FROM strays").Scan(&strays).Error)
	require.Zero(t, strays, "commits of a term that was replaced by then")
	// Of a few hand-overs one may have met a busy machine; of many the slowest count too.
	part := 0.5
	if r.Full {
		part = 0.99
		require.Zero(t, s.idle.Load(), "terms without any work")
	}
	require.LessOrEqual(t, quantile(s.graceful, part), 300*time.Millisecond, "hand-over by a leader that gave the lease up")
	require.LessOrEqual(t, quantile(s.sudden, part), stormTimes.TTL+time.Second, "hand-over by a leader that died")
	r.Count("terms", len(distinct))
	r.Count("writes", len(terms))
	r.Count("graceful-p50-ms", int(quantile(s.graceful, 0.5).Milliseconds()))
	r.Count("graceful-p99-ms", int(quantile(s.graceful, 0.99).Milliseconds()))
	r.Count("sudden-p50-ms", int(quantile(s.sudden, 0.5).Milliseconds()))
	r.Count("sudden-p99-ms", int(quantile(s.sudden, 0.99).Milliseconds()))
}

// quantile gives the smallest value that this part of all values does not exceed.
func quantile(values []time.Duration, part float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}
