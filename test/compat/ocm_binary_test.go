package compat

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestTheRealOCM drives an ocm that somebody built elsewhere.
func TestTheRealOCM(t *testing.T) {
	t.Parallel()
	path := os.Getenv("OCM_BIN")
	if path == "" {
		t.Skip("OCM_BIN names no ocm to drive")
	}
	h := newWorld(t)
	b := binary{path, t.TempDir()}
	const accounts = harness.Base + "/service_accounts"
	must := func(args ...string) (out map[string]any) {
		printed, err := b.run(t.Context(), args...)
		require.NoError(t, err)
		if printed != "" {
			require.NoError(t, json.Unmarshal([]byte(printed), &out), printed)
		}
		return out
	}
	body := func(content string) string {
		name := filepath.Join(b.home, "body.json")
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		return name
	}
	must("login", "--token", offlineToken(t, h, harness.Alice), "--url", h.Origin(), "--insecure",
		"--token-url", ssoOf(t, h).URL+"/protocol/openid-connect/token")
	require.Equal(t, harness.Alice, must("whoami")["username"])

	made := must("post", kafkasPath, "--parameter", "async=true", "--body", body(`{"name":"one","cloud_provider":"aws","region":"us-east-1"}`))
	found := must("get", kafkasPath, "--parameter", "search=name = one")
	require.InEpsilon(t, 1.0, found["total"], 0)
	id := text(made, "id")
	changed := must("patch", kafkasPath+"/"+id, "--body", body(`{"reauthentication_enabled":false}`))
	require.Equal(t, false, changed["reauthentication_enabled"])
	must("delete", kafkasPath+"/"+id, "--parameter", "async=true")
	h.WaitGone(id)
	_, err := b.run(t.Context(), "get", kafkasPath+"/"+id)
	require.ErrorContains(t, err, "KAFKAS-MGMT-7", "the error goes to the other output, and the exit code is not 0")

	account := must("post", accounts, "--body", body(`{"name":"left-over"}`))
	h.Hide("a secret", text(account, "client_secret"))
	tool := ocmTool{t: t}
	for _, left := range tool.entries(must("get", accounts, "--parameter", "size=1000")) {
		must("delete", accounts+"/"+text(left, "id"))
	}
	require.Empty(t, tool.entries(must("get", accounts, "--parameter", "size=1000")))
	h.As(harness.Alice).Do(http.MethodGet, "/service_accounts/"+text(account, "id"), nil).Must(http.StatusNotFound)
}
