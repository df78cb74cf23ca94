// Package race is the campaign of the API's concurrency: several replicas, clients
// who want the same names and the same last units, and every call recorded with
// what came of it.
//
// It is for what concurrent customers may see. Crashes of processes and failing
// upstreams are other campaigns'. Invariant: each history is one that a single
// honest fleet manager, serving one call after the other, could have produced; a
// call whose reply was lost may have happened, at any time until for ever.
package race

import (
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
