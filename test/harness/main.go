package harness

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a package that makes worlds, and fails when one of them
// leaves a goroutine behind.
func Main(m *testing.M) {
	flag.Parse()
	// Stories wait far more than they work, so more of them than there are CPUs run
	// at once. Who asks for another number gets it.
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", "8")
	}
	// A library of an SDK starts this one when it is loaded, and it never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*loggingT).flushDaemon"))
}
