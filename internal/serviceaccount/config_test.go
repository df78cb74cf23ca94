package serviceaccount_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	var c serviceaccount.Config
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags(fs)
	require.NoError(t, c.Validate(), "the usual file may be missing")
	require.Equal(t, 50, c.MaxPerOrg)
	require.Equal(t, 100, c.PageSize)

	path := filepath.Join(t.TempDir(), "exempt.yaml")
	require.NoError(t, fs.Parse([]string{
		"--max-allowed-service-accounts=-1", "--max-limit-for-sso-get-clients=0",
		"--service-account-limits-check-skip-org-id-list-file", path,
	}))
	err := c.Validate()
	require.ErrorContains(t, err, "max-allowed-service-accounts")
	require.ErrorContains(t, err, "max-limit-for-sso-get-clients")
	require.ErrorContains(t, err, "exempt.yaml", "a file that was named must be there")

	require.NoError(t, os.WriteFile(path, []byte("- 13640203\n- ''\n"), 0o600))
	require.ErrorContains(t, c.Validate(), "exempt.yaml:2")
	require.NoError(t, os.WriteFile(path, []byte("- 13640203\n- \"0042\"\n"), 0o600))
	live, err := serviceaccount.ReadExempt(c, nil)
	require.NoError(t, err)
	require.Equal(t, serviceaccount.Exempt{"13640203": true, "0042": true}, live.Get())
}
