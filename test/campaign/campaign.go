// Package campaign is the frame of all campaigns: tests that repeat seeded rounds
// of load and faults, a few as a part of the tests, many when asked.
//
// It reads the settings, hands out randomness and prints what was done. It knows
// no fault and no invariant: those are of the campaigns in its folders and of
// test/invariant. Invariant: round i of a seed is always given the same random
// numbers, whatever the other rounds did and whether they ran.
//
// CAMPAIGN=1 asks for the full tier, CAMPAIGN_N for another number of rounds,
// CAMPAIGN_SEED for another seed, CAMPAIGN_ROUND for one round alone.
package campaign

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// shortSeed is that of the tier that is a part of the tests: those must say the
// same each time.
const shortSeed = 20

// Tier is how many rounds a campaign runs.
type Tier struct {
	Short int // as a part of the tests
	Full  int // when asked
}

// Run is one campaign that runs.
type Run struct {
	Seed uint64
	N    int  // rounds
	Full bool // the full tier was asked for

	only  int // the one round to run, or -1
	tally *tally
}

// tally counts what is printed at the end.
type tally struct {
	mu     sync.Mutex
	names  []string
	counts map[string]int
}

// Begin reads the settings. When the test ends it prints what the campaign did,
// as its last line.
func Begin(t *testing.T, tier Tier) Run {
	t.Helper()
	r := Run{Seed: shortSeed, N: tier.Short, only: -1, tally: &tally{counts: map[string]int{}}}
	if os.Getenv("CAMPAIGN") != "" {
		r.Full, r.Seed = true, rand.Uint64N(1_000_000)
		r.N = int(number(t, "CAMPAIGN_N", uint64(tier.Full)))
	}
	r.Seed = number(t, "CAMPAIGN_SEED", r.Seed)
	if os.Getenv("CAMPAIGN_ROUND") != "" {
		r.only = int(number(t, "CAMPAIGN_ROUND", 0))
	}
	began := time.Now()
	t.Cleanup(func() {
		outcome := "passed"
		switch {
		case t.Failed():
			outcome = "FAILED"
		case t.Skipped():
			outcome = "skipped"
		}
		t.Logf("campaign %s: N=%d seed=%d%s %s in %.1f s", t.Name(), r.N, r.Seed, r.tally, outcome, time.Since(began).Seconds())
	})
	return r
}

// Rounds gives the numbers of the rounds to run.
func (r Run) Rounds() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range r.N {
			if r.only >= 0 && i != r.only {
				continue
			}
			if !yield(i) {
				return
			}
		}
		// A round beyond the usual ones can be asked for too.
		if r.only >= r.N {
			yield(r.only)
		}
	}
}

// Rand gives the random numbers of a round.
func (r Run) Rand(round int) *rand.Rand {
	return rand.New(rand.NewPCG(r.Seed, uint64(round)))
}

// Count adds to a figure of the last line.
func (r Run) Count(what string, n int) {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	if !slices.Contains(r.tally.names, what) {
		r.tally.names = append(r.tally.names, what)
	}
	r.tally.counts[what] += n
}

// String gives the figures in the order in which they first came.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	for _, name := range c.names {
		fmt.Fprintf(&text, " %s=%d", name, c.counts[name])
	}
	return text.String()
}

func number(t *testing.T, variable string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		t.Fatalf("%s: %q is no number", variable, text)
	}
	return n
}
