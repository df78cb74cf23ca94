package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

type result struct {
	code     int
	out, err string
}

// call runs the binary's commands within the test.
func call(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, err strings.Builder
	code := execute(ctx, process{args: args, environ: environ, out: &out, err: &err})
	return result{code, out.String(), err.String()}
}

func TestMistakesOfUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"bogus", "serve --bogus", "serve extra", "config bogus", "migrate bogus", "migrate up extra", "version --enable-https=perhaps"} {
		got := call(t, nil, strings.Fields(args)...)
		require.Equal(t, exitUsage, got.code, args)
		require.True(t, strings.HasPrefix(got.err, "error: "), args)
		require.Equal(t, 1, strings.Count(got.err, "\n"), "%s: one line, no help text: %s", args, got.err)
		require.Empty(t, got.out, args)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string][]string{
		"":                       {"Commands:", "serve", "Examples:", "KFM_"},
		"--help":                 {"Commands:", "serve", "Examples:", "OCM_ENV"},
		"serve --help":           {"Examples:", "\nServers:\n", "\nQuota:\n", "--quota-type"},
		"migrate --help":         {"Examples:", "rollback-last", "\nDatabase:\n"},
		"config --help":          {"Examples:", "print", "validate"},
		"config print --help":    {"Examples:"},
		"config validate --help": {"Examples:"},
		"version --help":         {"Examples:"},
	} {
		got := call(t, nil, strings.Fields(args)...)
		require.Equal(t, exitOK, got.code, args)
		for _, text := range want {
			require.Contains(t, got.out, text, args)
		}
	}
	require.NotContains(t, call(t, nil, "migrate", "--help").out, "--quota-type")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := call(t, nil, "version")
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.out, "built by  go1.")
}

func TestConfigPrint(t *testing.T) {
	t.Parallel()
	got := call(t, []string{"OCM_ENV=stage", "DATABASE_URL=postgres://u:hunter2@h/d", "KFM_LOG_LEVEL=debug"}, "config", "print", "--quota-type=ams", "-v=3")
	require.Equal(t, exitOK, got.code, got.err)
	require.Regexp(t, `(?m)^log-level +debug +variable KFM_LOG_LEVEL$`, got.out)
	require.Regexp(t, `(?m)^quota-type +ams +command line$`, got.out)
	require.Regexp(t, `(?m)^mas-sso-realm +rhoas +OCM_ENV=stage$`, got.out)
	require.NotContains(t, got.out, "hunter2")
	require.Equal(t, "warning: flags without effect are set: v\n", got.err)
}

func TestConfigValidateTellsEverything(t *testing.T) {
	t.Parallel()
	got := call(t, nil, "config", "validate", "--quota-type=none", "--log-level=loud", "--db-host-file="+filepath.Join(t.TempDir(), "none"))
	require.Equal(t, exitUsage, got.code)
	for _, want := range []string{"error: quota-type: ", "error: log-level: ", "error: db-host-file: "} {
		require.Contains(t, got.err, want)
	}
	got = call(t, []string{"OCM_ENV=staging"}, "config", "print")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, `error: OCM_ENV: "staging" is none of`)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=" + postgres.EmptyURL(t)}
	status := func() string {
		t.Helper()
		got := call(t, environ, "migrate", "status")
		require.Equal(t, exitOK, got.code, got.err)
		return got.out
	}
	require.Contains(t, status(), "pending")
	got := call(t, environ, "migrate")
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "migration(s) applied")
	require.NotContains(t, status(), "pending")
	require.Equal(t, "0 migration(s) applied\n", call(t, environ, "migrate", "up").out)
	require.Equal(t, "1 migration(s) undone\n", call(t, environ, "migrate", "rollback-last").out)
	require.Equal(t, exitOK, call(t, environ, "migrate", "rollback-all").code)
	require.NotContains(t, status(), "applied")
}

func TestFailuresWhileRunningAreNotMistakesOfUsage(t *testing.T) {
	t.Parallel()
	got := call(t, []string{"DATABASE_URL=postgres://nobody@127.0.0.1:1/none?connect_timeout=1"}, "migrate", "status")
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.err, "error: ")
}

func TestSecretsOfABrokenConfigurationStayHidden(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte("k1:hunter2"), 0o600))
	got := call(t, []string{"DATABASE_URL=postgres://u:hunter2@h:port/d"}, "config", "validate", "--secret-encryption-key-file="+path)
	require.Equal(t, exitUsage, got.code)
	require.NotContains(t, got.err, "hunter2")
}
