package crash_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/kas-fleet/kas-fleet-manager"

// What ships must not even be able to die on command.
func TestOnlyTaggedBinariesHoldCrashPoints(t *testing.T) {
	t.Parallel()
	require.Empty(t, symbols(t))
	require.NotEmpty(t, symbols(t, "-tags", "crashpoints"))
}

// The tests of what only tagged binaries hold are tagged too.
func TestTheTaggedBuild(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "test", "-tags", "crashpoints", "-run", "Statements|Plan", module+"/internal/crash").CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "no tests to run")
}

// symbols gives what a build of the fleet manager holds of this package.
func symbols(t *testing.T, flags ...string) []string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "kas-fleet-manager")
	out, err := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, flags...), "-o", binary, module+"/cmd/kas-fleet-manager")...).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), "go", "tool", "nm", binary).CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), module+"/internal/db.Open", "the binary has symbols at all")
	return regexp.MustCompile(`\S*`+regexp.QuoteMeta(module+"/internal/crash.")+`\S*`).FindAllString(string(out), -1)
}
