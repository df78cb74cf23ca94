package agents

import (
	"flag"
	"fmt"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
)

// sequencesOfAWorld bounds what one world has to remember.
const sequencesOfAWorld = 100

// After every step the rows, the history, what the customer reads and what the
// agents are told are what the model says.
func TestReportsAgreeWithTheModel(t *testing.T) {
	run := campaign.Begin(t, campaign.Tier{Short: 15, Full: 20_000})
	// What failed is replayed by its seed, and nothing is left in the source tree.
	asked := flag.Lookup("rapid.seed").Value.String() != "0"
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.shrinktime", "10s")
	for first := 0; first < run.N; first += sequencesOfAWorld {
		world := first / sequencesOfAWorld
		set(t, "rapid.checks", strconv.Itoa(min(sequencesOfAWorld, run.N-first)))
		if !asked {
			set(t, "rapid.seed", strconv.FormatUint(run.Rand(world).Uint64()|1, 10))
		}
		ok := t.Run(fmt.Sprintf("world %d", world), func(t *testing.T) {
			s := newStage(t)
			rapid.Check(t, func(r *rapid.T) {
				q := s.begin(r)
				defer q.end()
				q.create()
				r.Repeat(q.actions())
				run.Count("sequences", 1)
				run.Count("steps", q.steps)
				for _, k := range q.all {
					for _, event := range k.events {
						run.Count(event, 1)
					}
				}
			})
		})
		if !ok {
			return
		}
	}
}

func set(t *testing.T, name, value string) {
	t.Helper()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}
