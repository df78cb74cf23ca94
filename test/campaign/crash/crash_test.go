package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign/fleet"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const (
	lanes = 3 // fleets at a time, at length
	// perFleet is how many rounds a fleet serves: each may need a cluster more.
	perFleet = 30
	// patience is how long all that a round began may take, the doubt of the loops included.
	patience = time.Minute
	attempts = 3 // at hitting a point
	// convincing is how many rounds must have missed a point: to some only a few
	// processes come, and those that were armed may have been elsewhere.
	convincing = 3
)

// TestCrash kills a replica at a point each round.
func TestCrash(t *testing.T) {
	points := registry(t)
	run := campaign.Begin(t, campaign.Tier{Short: 4, Full: 3 * len(points)})
	siege := &siege{run: run, points: points, binary: fleet.Binary(t), order: order(run, points), outcomes: map[string]*outcome{}}
	var batches [][]int
	size := perFleet
	if !run.Full {
		size = run.N
	}
	for batch := range slices.Chunk(slices.Collect(run.Rounds()), size) {
		batches = append(batches, batch)
	}
	free := make(chan struct{}, lanes)
	t.Run("fleets", func(t *testing.T) {
		for i, batch := range batches {
			t.Run(fmt.Sprintf("%d", i), func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				siege.lay(t, batch)
			})
		}
	})
	siege.conclude(t)
}

// order walks through all points in an order of the seed's, again and again.
func order(run campaign.Run, points []point) []int { return run.Rand(1 << 30).Perm(len(points)) }

// siege is one run of the campaign.
type siege struct {
	run    campaign.Run
	points []point
	order  []int
	binary string

	mu       sync.Mutex
	outcomes map[string]*outcome
	unknown  []string
}

// outcome is what became of a point.
type outcome struct{ armed, killed int }

func (s *siege) note(p point, killed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outcomes[p.name]
	if o == nil {
		o = &outcome{}
		s.outcomes[p.name] = o
	}
	o.armed++
	if killed {
		o.killed++
	}
}

// lay plays rounds on one fleet, and looks at it at rest in the end.
func (s *siege) lay(t *testing.T, rounds []int) {
	f := fleet.Open(t, fleet.Options{Binary: s.binary, Replicas: 3, AccountsQuota: true})
	for _, i := range rounds {
		p := s.points[s.order[i%len(s.order)]]
		began := time.Now()
		killed, err := s.round(t, f, i, p)
		require.NoError(t, err, "round %d, %s", i, p.name)
		s.note(p, killed)
		s.run.Count("rounds", 1)
		if killed {
			s.run.Count("killed", 1)
		}
		t.Logf("round %d: killed=%v after %.1f s: %s", i, killed, time.Since(began).Seconds(), p.name)
		if f.Healthy(false); t.Failed() {
			t.Fatalf("after round %d, a replica killed %s; again with CAMPAIGN_SEED=%d CAMPAIGN_ROUND=%d", i, p.name, s.run.Seed, i)
		}
	}
	f.Settle()
	if !f.Healthy(true) {
		t.Errorf("at rest after rounds %v of seed %d", rounds, s.run.Seed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hit := range f.Points() {
		if !slices.ContainsFunc(s.points, func(p point) bool { return p.name == hit }) {
			s.unknown = append(s.unknown, hit)
		}
	}
}

// round plays the act that leads to a point until a replica has died there, and
// then to its end. Where nobody comes to the point for the second time, the first will do.
func (s *siege) round(t *testing.T, f *fleet.Fleet, i int, p point) (killed bool, err error) {
	t.Helper()
	r := s.run.Rand(i)
	a, _ := actNamed(p.act)
	nth := 1 + r.IntN(2)
	for attempt := range attempts {
		if attempt > 0 {
			f.Renew() // some points are come to by processes only that are new
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		all := f.Running()
		f.Arm("kill", p.name, nth)
		ended := make(chan error, 1)
		go func() {
			ended <- errors.Join(a.do(ctx, f, r), f.EarlyDeletes(ctx, r, 3), f.Lives(ctx, 1))
		}()
		var done bool
		if killed, done, err = died(ctx, t, f, all, ended); err != nil {
			return false, err
		}
		if killed { // before anybody has repaired anything
			f.Healthy(false)
		}
		f.Complete()
		if !done {
			err = <-ended
		}
		f.Complete() // acts replace replicas too
		if err != nil || killed {
			return killed, err
		}
		nth = 1
	}
	f.Disarm()
	return false, nil
}

// died waits until a replica has died at the armed point, or the act has ended without that.
func died(ctx context.Context, t *testing.T, f *fleet.Fleet, all []*harness.Replica, ended <-chan error) (killed, done bool, err error) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			_, hit := f.Struck()
			return hit, true, err
		case <-ctx.Done():
			return false, false, fmt.Errorf("waiting for a replica to die: %w", ctx.Err())
		case <-ticker.C:
		}
		pid, hit := f.Struck()
		if !hit {
			continue
		}
		victim := f.ByPID(append(all, f.Running()...), pid)
		if victim == nil {
			return true, false, nil // one that an act had started, and that is gone already
		}
		select {
		case <-victim.Process().Gone():
			if !victim.Process().Killed() {
				return false, false, fmt.Errorf("a replica that hit the point ended with %s", victim.Process().State())
			}
			return true, false, nil
		case <-ctx.Done():
			return false, false, errors.New("a replica that hit the point lives on")
		}
	}
}

// conclude judges the registry and shows what became of each point.
func (s *siege) conclude(t *testing.T) {
	t.Helper()
	slices.Sort(s.unknown)
	for _, name := range slices.Compact(s.unknown) {
		t.Errorf("a point that is not in the registry was hit: %s", name)
	}
	missed := 0
	for _, name := range slices.Sorted(maps.Keys(s.outcomes)) {
		o := s.outcomes[name]
		t.Logf("armed %d killed %d: %s", o.armed, o.killed, name)
		if o.killed == 0 {
			missed++
		}
		if o.killed == 0 && o.armed >= convincing {
			t.Errorf("nobody came to the point %s", name)
		}
	}
	s.run.Count("missed", missed)
	s.run.Count("points", len(s.outcomes))
}
