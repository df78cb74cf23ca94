package compat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// sdkAnswer is how the SDK read one answer. Code is empty where it read no error.
type sdkAnswer struct {
	Name   string
	Status int
	Code   string
	Data   json.RawMessage
}

// runSDK gives the answers to the calls of testdata/sdk.js, by their names.
func runSDK(t *testing.T, dir, origin, token string) map[string]sdkAnswer {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", "testdata/sdk.js")
	command.Env = append(os.Environ(), "SDK_DIR="+dir, "ORIGIN="+origin, "TOKEN="+token)
	var problems bytes.Buffer
	command.Stderr = &problems
	out, err := command.Output()
	require.NoError(t, err, problems.String())
	answers := map[string]sdkAnswer{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, len(out)+1)
	for lines.Scan() {
		var one sdkAnswer
		require.NoError(t, json.Unmarshal(lines.Bytes(), &one))
		answers[one.Name] = one
	}
	return answers
}

// field reads a text of an answer.
func (a sdkAnswer) field(t *testing.T, name string) string {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal(a.Data, &all), a.Name)
	return text(all, name)
}

// TestTheRealSDK calls with the JavaScript SDK that pages of the console use.
func TestTheRealSDK(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SDK_DIR")
	if dir == "" {
		t.Skip("SDK_DIR names no folder with an installed SDK")
	}
	h := newWorld(t)
	token, err := h.SSO.UserToken(harness.Alice)
	require.NoError(t, err)
	h.Hide("a token", token)
	answers := runSDK(t, dir, h.Origin(), token)
	type outcome struct {
		status int
		code   string
	}
	got := map[string]outcome{}
	for name, one := range answers {
		got[name] = outcome{one.Status, one.Code}
	}
	require.Equal(t, map[string]outcome{
		"version": {200, ""}, "providers": {200, ""}, "regions": {200, ""}, "types": {200, ""}, "sso": {200, ""},
		"error": {200, ""}, "codes": {200, ""},
		"create": {202, ""}, "name taken": {409, "KAFKAS-MGMT-36"}, "not async": {400, "KAFKAS-MGMT-103"},
		"list": {200, ""}, "get": {200, ""}, "get unknown": {404, "KAFKAS-MGMT-7"}, "update": {200, ""},
		"instant": {200, ""}, "range": {200, ""}, "federate": {200, ""}, "delete": {202, ""},
		"account create": {202, ""}, "account list": {200, ""}, "account find": {200, ""}, "account get": {200, ""},
		"account reset": {200, ""}, "account delete": {204, ""}, "account gone": {404, "KAFKAS-MGMT-113"},
	}, got)

	h.WaitGone(answers["create"].field(t, "id"))
	require.Equal(t, "ready", answers["get"].field(t, "status"))
	made, reset := answers["account create"].field(t, "client_secret"), answers["account reset"].field(t, "client_secret")
	h.Hide("a secret", made)
	h.Hide("a newer secret", reset)
	require.NotEqual(t, made, reset)
	var codes struct{ Ours, Theirs []string }
	require.NoError(t, json.Unmarshal(answers["codes"].Data, &codes))
	require.Equal(t, codes.Theirs, codes.Ours, "the SDK has a name for every code, and every code of its own is in the catalogue")
}
