//go:build crashpoints

package crash

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKindsOfStatements(t *testing.T) {
	t.Parallel()
	for sql, kind := range map[string]string{
		"commit":                               "commit",
		"begin":                                "",
		"SELECT 1":                             "",
		"\n\tUPDATE t SET a = 1":               "write",
		"INSERT INTO t VALUES (1)":             "write",
		"WITH a AS (DELETE FROM t) SELECT 1":   "write",
		"WITH a AS (SELECT 1) SELECT 1":        "",
		"SELECT pg_notify($1, $2)":             "notify",
		"LISTEN kafka":                         "",
		"rollback":                             "",
		"UPDATE leader_leases SET expires = 1": "write",
	} {
		require.Equal(t, kind, kindOf(sql, false), sql)
	}
	require.Empty(t, kindOf("UPDATE t SET a = 1", true), "a part of a transaction is nothing by itself")
	require.Equal(t, "commit", kindOf("commit", true))
}

// TestThePlan runs this test's binary again as a victim.
func TestThePlan(t *testing.T) {
	if os.Getenv(planVariable) != "" {
		for range 3 {
			_, _ = Transport("far", reply{}).RoundTrip(httptestRequest(t))
		}
		return
	}
	t.Parallel()
	for plan, killed := range map[string]bool{
		"kill 3 before far GET background": true,
		"kill 3 after far GET background":  true,
		"kill 4 after far GET background":  false,
		"kill 1 after near GET background": false,
	} {
		dir := t.TempDir()
		where := filepath.Join(dir, "plan")
		require.NoError(t, os.WriteFile(where, []byte(plan), 0o600))
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestThePlan$")
		cmd.Env = append(os.Environ(), planVariable+"="+where, logVariable+"="+filepath.Join(dir, "log"))
		err := cmd.Run()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		require.Equal(t, killed, err != nil && status.Signal() == syscall.SIGKILL, plan)
		left, err := filepath.Glob(where + "*")
		require.NoError(t, err)
		require.Len(t, left, 1)
		require.Equal(t, killed, left[0] != where, "the plan tells whom it struck")
		seen, err := os.ReadFile(filepath.Join(dir, "log"))
		require.NoError(t, err)
		require.Equal(t, "before far GET background\nafter far GET background\n", string(seen), "each point once")
	}
}

type reply struct{}

func (reply) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK}, nil
}

func httptestRequest(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://far.example.test", http.NoBody)
	require.NoError(t, err)
	return r
}
