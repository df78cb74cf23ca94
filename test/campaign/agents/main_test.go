// Package agents is the campaign of what agents say: fresh, stale, repeated,
// reordered, foreign and contradictory reports, among what customers and
// administrators ask for, held against a model after every step.
//
// It is for agents that speak well-formed JSON with their own token. Hostile bodies
// and tokens are tested elsewhere, and so is what a deadline ends. Invariant: the
// model is written from what the service promises, shares no code with it, and
// knows of every report what it means because the report was made to mean that.
package agents

import (
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
