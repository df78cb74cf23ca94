// Package scenario tells what the fleet manager does as a whole, one story per
// test: how instances live and end, what happens when upstreams, agents and
// replicas fail, and what customers and agents read on the wire.
//
// It is for what only the whole process shows. Rules of one package are tested
// beside it. Invariant: every story runs in a world of its own, so all run at once.
package scenario

import (
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
