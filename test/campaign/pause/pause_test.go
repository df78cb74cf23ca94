// Package pause stops leaders where they stand for longer than their lease lasts,
// and lets them go on: at any moment, and at the points at which it hurts most, in
// a transaction, between a decision and its call, between an effect and its note.
//
// Another must lead in time, the one that comes back must write nothing under its
// old term (the database itself looks, see test/invariant), and nothing else may
// be wrong either. A round counts only if a leader did stand still.
package pause

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign/fleet"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	patience = 45 * time.Second
	// inTransaction is how long the database lets a paused transaction stand.
	inTransaction = 2 * time.Second
	grace         = time.Second
	// perFleet bounds the instances that pile up on one fleet.
	perFleet = 40
)

// lengths of a pause, in tenths of the lease's time: shorter than the database's
// patience with an idle transaction, and longer.
var lengths = []int{12, 20, 50}

// TestPausedLeaders stops a leader each round.
func TestPausedLeaders(t *testing.T) {
	run := campaign.Begin(t, campaign.Tier{Short: 3, Full: 120})
	if !run.Full { // at length nothing may disturb the clocks
		t.Parallel()
	}
	binary, places := fleet.Binary(t), leadersPoints(t)
	var took []time.Duration
	for batch := range slices.Chunk(slices.Collect(run.Rounds()), perFleet) {
		t.Run(fmt.Sprintf("from-%d", batch[0]), func(t *testing.T) {
			f := fleet.Open(t, fleet.Options{Binary: binary, Replicas: 3})
			for _, i := range batch {
				r := run.Rand(i)
				place, length := plan(i, r, places)
				waited, stopped, err := round(t, f, r, place, length)
				require.NoError(t, err, "round %d of seed %d, paused for %s %s", i, run.Seed, length, place)
				run.Count("rounds", 1)
				t.Logf("round %d: stopped=%v for %s, another led after %v: %s", i, stopped, length, waited, place)
				if stopped {
					run.Count("paused", 1)
					took = append(took, waited...)
				}
				if !f.Healthy(false) {
					t.Fatalf("after round %d of seed %d, paused for %s %s", i, run.Seed, length, place)
				}
			}
			f.Settle()
			f.Healthy(true)
		})
	}
	judge(t, run, took)
}

// plan chooses where a leader is stopped, and for how long: at any moment, inside a
// transaction, or around a call.
func plan(i int, r *rand.Rand, places []string) (place string, length time.Duration) {
	length = fleet.TTL * time.Duration(lengths[r.IntN(len(lengths))]) / 10
	inside := slices.DeleteFunc(slices.Clone(places), func(name string) bool { return !strings.HasPrefix(name, "before commit") })
	around := slices.DeleteFunc(slices.Clone(places), func(name string) bool { return strings.HasPrefix(name, "before commit") })
	switch i % 3 {
	case 0:
		return "", length
	case 1:
		if r.IntN(2) == 0 { // the transaction is still there when the leader wakes up, and its lease is not
			length = fleet.TTL * time.Duration(lengths[0]) / 10
		}
		return inside[r.IntN(len(inside))], length
	default:
		return around[r.IntN(len(around))], length
	}
}

// judge wants nearly all take-overs within the lease's time and a second, and all
// within the database's patience on top.
func judge(t *testing.T, run campaign.Run, took []time.Duration) {
	t.Helper()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	late := 0
	for _, d := range took {
		if d > fleet.TTL+grace {
			late++
		}
	}
	worst := took[len(took)-1]
	t.Logf("take-overs: %d, median %s, worst %s, TTL %s", len(took), took[len(took)/2], worst, fleet.TTL)
	run.Count("late", late)
	if worst > fleet.TTL+inTransaction+grace {
		t.Errorf("a take-over took %s", worst)
	}
	if late*10 > len(took) {
		t.Errorf("%d of %d take-overs took longer than %s", late, len(took), fleet.TTL+grace)
	}
}

// leadersPoints gives the crash points that only a leader comes to.
func leadersPoints(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("../crash/testdata/points.txt")
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(raw)) {
		act, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if act == "life" && (strings.Contains(name, "kafkawork.") || strings.Contains(name, "lease.renew")) {
			found = append(found, name)
		}
	}
	require.NotEmpty(t, found)
	return found
}

// round lets instances live while a leader stands still.
func round(t *testing.T, f *fleet.Fleet, r *rand.Rand, place string, length time.Duration) (waited []time.Duration, stopped bool, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	moment := time.Duration(r.Int64N(int64(time.Second)))
	ended := make(chan error, 1)
	if place != "" {
		f.Arm("stop", place, 1+r.IntN(2))
	}
	all := f.Running()
	go func() { ended <- f.Lives(ctx, 5) }()
	victim, err := stand(ctx, f, all, place, moment)
	if err != nil || victim == nil {
		f.Disarm()
		return nil, false, errors.Join(err, <-ended)
	}
	waited, err = f.TakenOver(ctx, victim, length)
	if err != nil {
		_ = victim.Process().Resume()
		return waited, true, errors.Join(err, <-ended)
	}
	if err := victim.Process().Resume(); err != nil {
		return waited, true, err
	}
	victim.Return()
	return waited, true, <-ended
}

// stand waits until a leader stands still: at the place, or at the moment where
// there is none. Without a leader that came to the place it gives none.
func stand(ctx context.Context, f *fleet.Fleet, all []*harness.Replica, place string, moment time.Duration) (*harness.Replica, error) {
	if place == "" {
		fleet.Pause(ctx, moment)
		victim := f.LeaderOf(fleet.KafkaLease)
		if victim == nil {
			return nil, errors.New("nobody leads")
		}
		victim.Withdraw()
		return victim, victim.Process().Pause()
	}
	limited, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	var pid int
	err := f.Await(limited, "a leader at "+place, func() (bool, error) {
		var hit bool
		pid, hit = f.Struck()
		return hit, nil
	})
	if err != nil {
		return nil, nil //nolint:nilnil // nobody came there: the round does not count
	}
	victim := f.ByPID(all, pid)
	if victim == nil {
		return nil, fmt.Errorf("process %d is no replica", pid)
	}
	victim.Withdraw()
	return victim, f.Await(ctx, "the stop", func() (bool, error) { return victim.Process().Paused(), nil })
}
