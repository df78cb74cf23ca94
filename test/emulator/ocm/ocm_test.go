package ocm_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
)

type object = map[string]any

// world is an emulator on a clock that the test moves.
type world struct {
	t     *testing.T
	state *ocm.OCM
	url   string
	now   *time.Time
}

func newWorld(t *testing.T, o ocm.Options) world {
	t.Helper()
	now := time.Unix(1000, 0)
	o.Now = func() time.Time { return now }
	w := world{t: t, state: ocm.New(o), now: &now}
	server := httptest.NewServer(w.state.Handler())
	t.Cleanup(server.Close)
	w.url = server.URL + "/api/clusters_mgmt/v1"
	return w
}

func (w world) call(method, path, body string) (int, object) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	r.Header.Set("Authorization", "Bearer token")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	if answer.StatusCode == http.StatusNoContent {
		require.Empty(w.t, raw)
		return answer.StatusCode, nil
	}
	require.Equal(w.t, "application/json", answer.Header.Get("Content-Type"))
	out := object{}
	require.NoError(w.t, json.Unmarshal(raw, &out))
	return answer.StatusCode, out
}

func (w world) must(want int, method, path, body string) object {
	w.t.Helper()
	status, out := w.call(method, path, body)
	require.Equal(w.t, want, status, out)
	return out
}

const creation = `{"name":"mk-new","cloud_provider":{"id":"aws"},"region":{"id":"us-east-1"},"multi_az":true,"properties":{"row":"r1"},"aws":{"secret_access_key":"hush"}}`

func TestClusterLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocm.Options{InstallTime: 10 * time.Second, UninstallTime: 5 * time.Second})
	made := w.must(http.StatusCreated, "POST", "/clusters", creation)
	require.NotContains(t, made, "aws")
	id := made["id"].(string)
	require.Len(t, id, 32)
	w.must(http.StatusBadRequest, "POST", "/clusters", creation)
	w.must(http.StatusBadRequest, "POST", "/clusters/"+id+"/addons", `{"addon":{"id":"a"}}`)

	for _, want := range []string{"pending", "installing", "ready"} {
		got := w.must(http.StatusOK, "GET", "/clusters/"+id, "")
		require.Equal(t, want, got["status"].(object)["state"])
		require.Equal(t, want, w.must(http.StatusOK, "GET", "/clusters/"+id+"/status", "")["state"])
		if want == "ready" {
			require.NotEmpty(t, got["external_id"])
		}
		*w.now = w.now.Add(5 * time.Second)
	}
	found := w.must(http.StatusOK, "GET", "/clusters?search=name+%3D+%27mk-new%27", "")
	require.EqualValues(t, 1, found["total"])
	require.EqualValues(t, 0, w.must(http.StatusOK, "GET", "/clusters?search=id%3D%27x%27+or+name%3D%27y%27", "")["size"])
	w.must(http.StatusBadRequest, "GET", "/clusters?search=nonsense", "")
	ingresses := w.must(http.StatusOK, "GET", "/clusters/"+id+"/ingresses", "")["items"].([]any)
	require.Equal(t, "apps.mk-new.emulated.test", ingresses[1].(object)["dns_name"])

	w.must(http.StatusNoContent, "DELETE", "/clusters/"+id, "")
	*w.now = w.now.Add(4 * time.Second)
	w.must(http.StatusNoContent, "DELETE", "/clusters/"+id, "")
	require.Equal(t, "uninstalling", w.must(http.StatusOK, "GET", "/clusters/"+id, "")["state"])
	*w.now = w.now.Add(time.Second)
	require.Equal(t, "CLUSTERS-MGMT-404", w.must(http.StatusNotFound, "GET", "/clusters/"+id, "")["code"])
	w.must(http.StatusNotFound, "DELETE", "/clusters/"+id, "")
	require.Empty(t, w.state.Clusters())
}

func TestForcedStatesStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocm.Options{})
	id := w.must(http.StatusCreated, "POST", "/clusters", creation)["id"].(string)
	require.True(t, w.state.SetClusterState(id, "error", "no quota"))
	*w.now = w.now.Add(time.Hour)
	got := w.must(http.StatusOK, "GET", "/clusters/"+id, "")["status"].(object)
	require.Equal(t, "error", got["state"])
	require.Equal(t, "no quota", got["provision_error_message"])
	require.False(t, w.state.SetClusterState("unknown", "error", ""))
}

func TestAddonLifeAndHook(t *testing.T) {
	t.Parallel()
	told := []string{}
	w := newWorld(t, ocm.Options{
		Clusters: []ocm.Cluster{{ID: "c1", Name: "one"}}, AddonTime: 10 * time.Second,
		OnAddonReady: func(clusterID, addonID string, parameters map[string]string) {
			told = append(told, clusterID+" "+addonID+" "+parameters["k"])
		},
	})
	install := `{"addon":{"id":"fleet"},"parameters":{"items":[{"id":"k","value":"1"}]}}`
	require.Equal(t, "pending", w.must(http.StatusCreated, "POST", "/clusters/c1/addons", install)["state"])
	w.must(http.StatusConflict, "POST", "/clusters/c1/addons", install)
	*w.now = w.now.Add(5 * time.Second)
	got := w.must(http.StatusOK, "GET", "/clusters/c1/addons/fleet", "")
	require.Equal(t, "installing", got["state"])
	require.Equal(t, "fleet", got["addon"].(object)["id"])
	require.Empty(t, told)
	*w.now = w.now.Add(5 * time.Second)
	for range 2 {
		items := w.must(http.StatusOK, "GET", "/clusters/c1/addons", "")["items"].([]any)
		require.Equal(t, "ready", items[0].(object)["state"])
	}
	require.Equal(t, []string{"c1 fleet 1"}, told)
	w.must(http.StatusOK, "PATCH", "/clusters/c1/addons/fleet", `{"parameters":{"items":[{"id":"k","value":"2"}]}}`)
	require.Equal(t, []string{"c1 fleet 1", "c1 fleet 2"}, told)

	require.True(t, w.state.SetAddonState("c1", "fleet", "failed"))
	require.Equal(t, "failed", w.must(http.StatusOK, "GET", "/clusters/c1/addons/fleet", "")["state"])
	w.must(http.StatusNoContent, "DELETE", "/clusters/c1/addons/fleet", "")
	*w.now = w.now.Add(10 * time.Second)
	w.must(http.StatusNotFound, "GET", "/clusters/c1/addons/fleet", "")
	_, ok := w.state.AddonParameters("c1", "fleet")
	require.False(t, ok)
}

func TestDocumentsOfACluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocm.Options{Clusters: []ocm.Cluster{{ID: "c1", Region: "us-east-1", MultiAZ: true}}})
	pools := "/clusters/c1/machine_pools"
	w.must(http.StatusBadRequest, "POST", pools, `{"id":"kafka-standard","autoscaling":{"min_replicas":1,"max_replicas":18}}`)
	w.must(http.StatusBadRequest, "POST", pools, `{"id":"`+strings.Repeat("x", 31)+`"}`)
	w.must(http.StatusNotFound, "GET", pools+"/kafka-standard", "")
	w.must(http.StatusCreated, "POST", pools, `{"id":"kafka-standard","autoscaling":{"min_replicas":3,"max_replicas":18}}`)
	require.Len(t, w.must(http.StatusOK, "GET", pools+"/kafka-standard", "")["availability_zones"], 3)

	sets := "/clusters/c1/external_configuration/syncsets"
	w.must(http.StatusCreated, "POST", sets, `{"id":"ext","resources":[{"kind":"B"},{"kind":"A"}]}`)
	got := w.must(http.StatusOK, "GET", sets+"/ext", "")["resources"].([]any)
	require.Equal(t, []any{object{"kind": "B"}, object{"kind": "A"}}, got)
	require.Len(t, w.must(http.StatusOK, "PATCH", sets+"/ext", `{"resources":[{"kind":"C"}]}`)["resources"], 1)
	w.must(http.StatusNoContent, "DELETE", sets+"/ext", "")
	w.must(http.StatusNotFound, "DELETE", sets+"/ext", "")

	idps := "/clusters/c1/identity_providers"
	id := w.must(http.StatusCreated, "POST", idps, `{"name":"Kafka_SRE"}`)["id"]
	require.Contains(t, w.must(http.StatusBadRequest, "POST", idps, `{"name":"Kafka_SRE"}`)["reason"], "already exists")
	listed := w.must(http.StatusOK, "GET", idps, "")["items"].([]any)
	require.Equal(t, id, listed[0].(object)["id"])
}

func TestCloudsAndRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocm.Options{Verify: func(token string) (string, error) {
		if token != "token" {
			return "", errors.New("unknown")
		}
		return "fleet", nil
	}})
	require.EqualValues(t, 2, w.must(http.StatusOK, "GET", "/cloud_providers", "")["total"])
	require.EqualValues(t, 2, w.must(http.StatusOK, "GET", "/cloud_providers/aws/regions", "")["total"])
	w.must(http.StatusNotFound, "GET", "/cloud_providers/none/regions", "")
	w.must(http.StatusNotFound, "GET", "/nonsense", "")
	w.must(http.StatusBadRequest, "POST", "/clusters", "{")

	for _, header := range []string{"", "Basic x", "Bearer ", "Bearer other"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/clusters", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", header)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode, header)
	}
}
