// Package crash kills fleet managers at every point at which it matters: before
// and after each call to the outside, each commit and each notification.
//
// One replica of three dies by SIGKILL at the point, the others go on, a new one
// comes, customers repeat what was not answered, and test/invariant looks. A round
// counts only if a replica did die at the point. testdata/points.txt is the
// registry of the points; a point that is hit and not there fails the campaign,
// and so does, at length, one that is there and never hit.
package crash

import (
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
