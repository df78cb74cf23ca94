package compat

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestScriptsOfTheInstaller runs the real curl and jq.
func TestScriptsOfTheInstaller(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	h := newWorld(t, harness.SSOProvider(harness.RedHatSSO), harness.AccountLimit(3))
	r := newRhoas(t, h, harness.Alice)
	r.begin()
	admin, err := r.door.CreateAccount(t.Context(), "installer", "")
	require.NoError(t, err)
	h.Hide("a secret", admin.Secret)
	script := exec.CommandContext(t.Context(), "sh", "testdata/install.sh")
	script.Env = []string{
		"PATH=" + os.Getenv("PATH"), "ORIGIN=" + h.Origin(), "TOKEN_URL=" + h.SSO.Issuer(harness.UserRealm) + "/protocol/openid-connect/token",
		"USERNAME=" + harness.Alice, "PASSWORD=" + harness.Alice, "ADMIN_ID=" + admin.ClientID, "ADMIN_SECRET=" + admin.Secret, "HOME=" + t.TempDir(),
	}
	out, err := script.CombinedOutput()
	require.NoError(t, err, string(out))
	// Older scripts look for code 4 at the limit; 115 is an error of theirs like any other.
	require.Contains(t, string(out), "limit KAFKAS-MGMT-115 after 2\n")
	deleted := regexp.MustCompile(`deleted (\w+)`).FindStringSubmatch(string(out))
	require.Len(t, deleted, 2)
	h.WaitGone(deleted[1])
}
