package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

// fleet is the shape of the data.
type fleet struct {
	size          int
	organisations int
	first         bool // of the run
}

func (f fleet) String() string {
	if f.organisations == 1 {
		return sizeText(f.size) + " instances of one organisation"
	}
	return fmt.Sprintf("%s instances of %d organisations", sizeText(f.size), f.organisations)
}

const (
	organisations = 100
	clusters      = 50
	// crowd is how many instances one cluster has whose agent is measured. The
	// cluster before it has none: new instances go there.
	crowd = 1000
)

// stage is one fleet with the fleet manager and the world around it.
type stage struct {
	*bench
	fleet     fleet
	url       string
	pool      *pgxpool.Pool
	world     *world
	ports     []ports // of the replicas
	args      []string
	main      *replica // the one that is measured
	customers []string // tokens, one of each organisation
	closers   []func() error
}

// openStage gives a fleet manager with all clusters ready and all instances there.
func (b *bench) openStage(ctx context.Context, f fleet) (s *stage, err error) {
	s = &stage{bench: b, fleet: f}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	var drop func() error
	if s.url, drop, err = b.server.newDatabase(ctx); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, drop)
	if s.pool, err = pgxpool.New(ctx, s.url); err != nil {
		return nil, fmt.Errorf("reaching the database: %w", err)
	}
	s.closers = append(s.closers, func() error { s.pool.Close(); return nil })
	for range 2 {
		p, err := process.FreeAddresses(ctx)
		if err != nil {
			return nil, err
		}
		s.ports = append(s.ports, p)
	}
	if s.world, err = openWorld(ctx, f.organisations, b.roomOf(f)); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.world.close)
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// roomOf is how much a cluster takes: as much as it gets, unless many instances
// have to be spread over all.
func (b *bench) roomOf(f fleet) int {
	if !slices.Contains(b.settings.Only, throughPart) {
		return -1
	}
	return (f.size+b.settings.Through)/(clusters-2) + 1
}

func (s *stage) prepare(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp(s.folder, "stage-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if s.args, err = s.world.configure(folder, s.ports[0]); err != nil {
		return err
	}
	for i := range s.fleet.organisations {
		token, err := s.world.sso.UserToken(userOf(i))
		if err != nil {
			return fmt.Errorf("making a customer's token: %w", err)
		}
		s.customers = append(s.customers, token)
	}
	if err := s.call(ctx, "migrate", "up"); err != nil {
		return err
	}
	if s.main, err = s.startReplica(ctx, 0); err != nil {
		return err
	}
	if err := s.equip(ctx); err != nil {
		return fmt.Errorf("making the clusters ready: %w", err)
	}
	return s.seed(ctx)
}

// equip lets every cluster's agent say that it is ready, once it has one.
func (s *stage) equip(ctx context.Context) error {
	return until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		if err := s.world.introduce(ctx); err != nil {
			return false, err
		}
		var ready int
		err := s.pool.QueryRow(ctx, "SELECT count(*) FROM clusters WHERE status = 'ready'").Scan(&ready)
		return ready == clusters, err
	})
}

func (s *stage) close() {
	if s.main != nil {
		s.main.kill()
	}
	var problems []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		problems = append(problems, s.closers[i]())
	}
	s.closers = nil
	if err := errors.Join(problems...); err != nil {
		s.say("%v", err)
	}
}

// until asks often whether a level is reached, within a bound.
func until(ctx context.Context, bound time.Duration, reached func(context.Context) (bool, error)) error {
	return untilEach(ctx, 5*time.Millisecond, bound, reached)
}

// untilEach is until for a question that costs something, asked once in a while.
func untilEach(ctx context.Context, pause, bound time.Duration, reached func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		ok, err := reached(ctx)
		if ok && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

func userOf(organisation int) string { return "user-" + strconv.Itoa(organisation) }

func organisationID(n int) string { return strconv.Itoa(20_000_000 + n) }
