package compat

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	ocm "github.com/openshift-online/ocm-sdk-go"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// ocmTool is the ocm command: raw verbs over the same library that the command is made of.
type ocmTool struct {
	t          *testing.T
	connection *ocm.Connection
}

// newOCM logs in with an offline token, or as a client where there is a secret.
func newOCM(t *testing.T, h *harness.World, offline, client, secret string) ocmTool {
	t.Helper()
	builder := ocm.NewConnectionBuilder().URL(h.Origin()).Insecure(true).
		TokenURL(h.SSO.Issuer(harness.UserRealm)+"/protocol/openid-connect/token").Client(client, secret)
	if offline != "" {
		builder = builder.Tokens(offline)
	}
	connection, err := builder.BuildContext(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connection.Close()) })
	return ocmTool{t, connection}
}

// run is one command: what goes to standard output, or an error with what goes to
// the other and an exit code that is not 0.
func (o ocmTool) run(method, path, body string, parameters ...string) ([]byte, error) {
	request := o.connection.Get()
	switch method {
	case http.MethodPost:
		request = o.connection.Post()
	case http.MethodPatch:
		request = o.connection.Patch()
	case http.MethodDelete:
		request = o.connection.Delete()
	}
	request = request.Path(path)
	for i := 0; i+1 < len(parameters); i += 2 {
		request = request.Parameter(parameters[i], parameters[i+1])
	}
	if body != "" {
		request = request.String(body)
	}
	reply, err := request.SendContext(o.t.Context())
	if err != nil {
		return nil, err
	}
	if reply.Status() >= http.StatusBadRequest {
		return nil, errors.New(reply.String())
	}
	return reply.Bytes(), nil
}

// must is run for a command that succeeds, with what jq would be given.
func (o ocmTool) must(method, path, body string, parameters ...string) (out map[string]any) {
	o.t.Helper()
	raw, err := o.run(method, path, body, parameters...)
	require.NoError(o.t, err)
	if len(raw) > 0 {
		require.NoError(o.t, json.Unmarshal(raw, &out))
	}
	return out
}

// entries gives the items of a list.
func (o ocmTool) entries(list map[string]any) (all []map[string]any) {
	o.t.Helper()
	items, ok := list["items"].([]any)
	require.True(o.t, ok, "jq stops at items that are no array: %v", list)
	for _, item := range items {
		entry, ok := item.(map[string]any)
		require.True(o.t, ok)
		all = append(all, entry)
	}
	return all
}

func text(entry map[string]any, name string) string {
	value, _ := entry[name].(string)
	return value
}

const kafkasPath = harness.Base + "/kafkas"

func TestOCMSpeaksPlainly(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	tool := newOCM(t, h, offlineToken(t, h, harness.Alice), cloudClient, "")
	made := tool.must(http.MethodPost, kafkasPath, `{"name":"one","cloud_provider":"aws","region":"us-east-1"}`, "async", "true")
	found := tool.must(http.MethodGet, kafkasPath, "", "search", "name = one")
	require.InEpsilon(t, 1.0, found["total"], 0)
	id := text(tool.entries(found)[0], "id")
	require.Equal(t, made["id"], id)
	changed := tool.must(http.MethodPatch, kafkasPath+"/"+id, `{"reauthentication_enabled":false}`)
	require.Equal(t, false, changed["reauthentication_enabled"])

	_, err := tool.run(http.MethodDelete, kafkasPath+"/"+id, "")
	require.ErrorContains(t, err, "KAFKAS-MGMT-103", "the body is what its user sees")
	tool.must(http.MethodDelete, kafkasPath+"/"+id, "", "async", "true")
	h.WaitGone(id)
	_, err = tool.run(http.MethodGet, kafkasPath+"/"+id, "")
	require.ErrorContains(t, err, "KAFKAS-MGMT-7")
	me := tool.must(http.MethodGet, "/api/accounts_mgmt/v1/current_account", "")
	require.Equal(t, harness.Alice, me["username"])
}

// TestOCMShowsTheFleet is how people who run the service look at it: ocm login
// --token with a token of their realm, then get.
func TestOCMShowsTheFleet(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	h.As(harness.Alice).CreateKafka("one")
	h.As(harness.Dave).CreateKafka("two")
	token, err := h.SSO.UserToken(harness.Reader)
	require.NoError(t, err)
	connection, err := ocm.NewConnectionBuilder().URL(h.Origin()).Insecure(true).Tokens(token).BuildContext(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connection.Close()) })
	tool := ocmTool{t, connection}
	const path = harness.Base + "/admin/kafkas"
	list := tool.must(http.MethodGet, path, "", "orderBy", "name desc", "size", "70000")
	require.Equal(t, "KafkaList", list["kind"])
	require.InEpsilon(t, 2.0, list["total"], 0)
	items := tool.entries(list)
	require.Equal(t, []string{"two", "one"}, []string{text(items[0], "name"), text(items[1], "name")})
	found := tool.entries(tool.must(http.MethodGet, path, "", "search", "organisation_id = "+harness.Organisation))
	require.Len(t, found, 1)
	one := tool.must(http.MethodGet, path+"/"+text(found[0], "id"), "")
	require.Equal(t, []any{"Kafka", "one", harness.Alice, harness.Organisation}, []any{one["kind"], one["name"], one["owner"], one["organisation_id"]})
	for _, name := range []string{"multi_az", "kafka_upgrading", "strimzi_upgrading", "kafka_ibp_upgrading"} {
		require.IsType(t, true, one[name], "%s is always there", name)
	}
	_, err = tool.run(http.MethodGet, path+"/none", "")
	require.ErrorContains(t, err, "KAFKAS-MGMT-7")
	_, err = newOCM(t, h, offlineToken(t, h, harness.Alice), cloudClient, "").run(http.MethodGet, path, "")
	require.ErrorContains(t, err, "KAFKAS-MGMT-7")
}

// TestOCMCleansUpServiceAccounts is a script that was published because there is a limit.
func TestOCMCleansUpServiceAccounts(t *testing.T) {
	t.Parallel()
	const path = harness.Base + "/service_accounts"
	for _, provider := range harness.SSOProviders() {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			h := idle(t, harness.SSOProvider(provider), harness.AccountLimit(3))
			tool := newOCM(t, h, offlineToken(t, h, harness.Alice), cloudClient, "")
			for range 3 {
				made := tool.must(http.MethodPost, path, `{"name":"left-over"}`)
				h.Hide("a secret", text(made, "client_secret"))
			}
			_, err := tool.run(http.MethodPost, path, `{"name":"one-more"}`)
			require.ErrorContains(t, err, "KAFKAS-MGMT-115")
			accounts := tool.entries(tool.must(http.MethodGet, path, "", "size", "1000"))
			require.Len(t, accounts, 3)
			for _, account := range accounts {
				require.Empty(t, account["client_secret"])
				tool.must(http.MethodDelete, path+"/"+text(account, "id"), "")
			}
			require.Empty(t, tool.entries(tool.must(http.MethodGet, path, "", "size", "1000")))
		})
	}
}

// TestOCMLogsInAsAProgram: --client-id and --client-secret.
func TestOCMLogsInAsAProgram(t *testing.T) {
	t.Parallel()
	h := idle(t, harness.SSOProvider(harness.RedHatSSO))
	person := newOCM(t, h, offlineToken(t, h, harness.Alice), cloudClient, "")
	made := person.must(http.MethodPost, harness.Base+"/service_accounts", `{"name":"robot"}`)
	h.Hide("a secret", text(made, "client_secret"))
	robot := newOCM(t, h, "", text(made, "client_id"), text(made, "client_secret"))
	require.Empty(t, robot.entries(robot.must(http.MethodGet, kafkasPath, "")))
}
