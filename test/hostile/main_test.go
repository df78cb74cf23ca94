// Package hostile attacks the fleet manager as strangers, customers with bad
// intentions and broken clients could: every operation with every caller, values
// that no schema allows, slow and idle connections.
//
// It is for what the running process answers; the corpus of tokens is tested
// beside access, the parsers beside themselves. Invariant: what is tried is
// derived from the specifications and from the routes of the running process, so
// that a new operation is either attacked too or fails a test.
package hostile

import (
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
