package compat

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const consoleOrigin = "https://console.sandbox.test"

// console is a page of the web console in a browser: it may only read what the
// service lets pages of other origins read.
type console struct {
	t   *testing.T
	api *sdk.Client
}

func newConsole(t *testing.T, h *harness.World, user string) console {
	t.Helper()
	return console{t, &sdk.Client{
		Base: h.Origin(), HTTP: newHTTP(t), Agent: "Mozilla/5.0", Token: exchange(ssoOf(t, h), cloudClient, offlineToken(t, h, user)),
		Header: http.Header{"Origin": {consoleOrigin}, "Accept": {"application/json, text/plain, */*"}},
	}}
}

// allowed asks as a browser does before it sends anything that is not plain.
func (c console) allowed(method, path string, headers ...string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodOptions, c.api.Base+path, nil)
	require.NoError(c.t, err)
	request.Header.Set("Origin", consoleOrigin)
	request.Header.Set("Access-Control-Request-Method", method)
	request.Header.Set("Access-Control-Request-Headers", strings.Join(headers, ","))
	got, err := c.api.HTTP.Do(request)
	require.NoError(c.t, err)
	require.NoError(c.t, got.Body.Close())
	require.Less(c.t, got.StatusCode, 300, "without a token")
	require.Equal(c.t, "*", got.Header.Get("Access-Control-Allow-Origin"))
	if method != http.MethodGet && method != http.MethodPost { // these two need no permission
		require.Contains(c.t, got.Header.Get("Access-Control-Allow-Methods"), method)
	}
	for _, name := range headers {
		require.Contains(c.t, strings.ToLower(got.Header.Get("Access-Control-Allow-Headers")), name)
	}
}

// poll is the table of instances, which is read every few seconds.
func (c console) poll(pairs ...string) sdk.KafkaList {
	c.t.Helper()
	list, reply, err := c.api.ListKafkas(c.t.Context(), pairs...)
	require.NoError(c.t, err)
	require.Equal(c.t, "*", reply.Header.Get("Access-Control-Allow-Origin"), "or the page may not read it")
	return list
}

func namesOf(list sdk.KafkaList) []string {
	names := []string{}
	for _, k := range list.Items {
		names = append(names, k.Name)
	}
	return names
}

func TestTheConsoleShowsATable(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	for _, name := range []string{"beta", "alpha", "gamma"} {
		h.As(harness.Alice).CreateKafka(name)
	}
	page := newConsole(t, h, harness.Alice)
	page.allowed(http.MethodGet, kafkasPath, "authorization")
	require.Equal(t, []string{"alpha", "beta", "gamma"}, namesOf(page.poll("page", "1", "size", "10")))
	require.Equal(t, []string{"gamma", "beta"}, namesOf(page.poll("page", "1", "size", "2", "orderBy", "name desc")))
	require.Equal(t, []string{"gamma", "alpha", "beta"}, namesOf(page.poll("orderBy", "created_at desc")))
	second := page.poll("page", "2", "size", "2", "orderBy", "name desc")
	require.Equal(t, []string{"alpha"}, namesOf(second))
	require.EqualValues(t, 3, second.Total)
	require.Equal(t, []string{"alpha", "gamma"}, namesOf(page.poll("search", "name like %a% and name <> beta and owner = alice", "orderBy", "name asc")))
	require.Empty(t, page.poll("search", "(cloud_provider = gcp or region like %west%) and status in ('ready','failed')").Items)

	_, reply, err := page.api.ListKafkas(t.Context(), "search", "name ==")
	require.Equal(t, "KAFKAS-MGMT-23", sdk.FaultOf(err).Code)
	require.Equal(t, "*", reply.Header.Get("Access-Control-Allow-Origin"), "a page may read why, too")
	require.Contains(t, strings.ToLower(reply.Header.Get("Access-Control-Expose-Headers")), "x-operation-id")
}

func TestTheConsoleChangesAndDeletes(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	page := newConsole(t, h, harness.Alice)
	page.allowed(http.MethodPost, kafkasPath+"?async=true", "authorization", "content-type")
	made, err := page.api.CreateKafka(t.Context(), sdk.Order{
		"name": "one", "cloud_provider": "aws", "region": "us-east-1", "plan": "standard.x1", "billing_model": "standard",
	})
	require.NoError(t, err)
	page.allowed(http.MethodPatch, kafkasPath+"/"+made.ID, "authorization", "content-type")
	changed, err := page.api.UpdateKafka(t.Context(), made.ID, map[string]any{"reauthentication_enabled": false, "owner": nil})
	require.NoError(t, err)
	require.Equal(t, harness.Alice, changed.Owner)
	page.allowed(http.MethodDelete, kafkasPath+"/"+made.ID+"?async=true", "authorization")
	require.NoError(t, page.api.DeleteKafka(t.Context(), made.ID))
	h.Until("an empty table", func() (bool, string) {
		list := page.poll("page", "1", "size", "10")
		return list.Size == 0 && list.Total == 0 && len(list.Items) == 0, "an instance"
	})
}

// TestTheConsoleDrawsCharts: query_range with repeated filters, while the table is polled.
func TestTheConsoleDrawsCharts(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	made := h.As(harness.Alice).CreateKafka("one")
	page := newConsole(t, h, harness.Alice)
	series, err := page.api.Range(t.Context(), made.ID, "duration", "60", "interval", "30",
		"filters", "kafka_server_brokertopicmetrics_bytes_in_total", "filters", "kubelet_volume_stats_used_bytes")
	require.NoError(t, err, "a chart of an instance without figures is empty and no error")
	require.NotNil(t, series)
	for _, one := range series {
		for _, v := range one.Values {
			require.Greater(t, v.Timestamp, int64(1e12), "milliseconds")
		}
	}
	figures, err := page.api.Figures(t.Context(), made.ID, "filters", "kubelet_volume_stats_used_bytes")
	require.NoError(t, err)
	require.NotNil(t, figures)
	_, err = page.api.Figures(t.Context(), "no-such-id")
	require.True(t, sdk.Lost(err), "metrics declare 401 and 500 only: the rest is a status line to the SDK")
	reply, err := page.api.Raw(t.Context(), http.MethodGet, kafkasPath+"/"+made.ID+"/metrics/query_range", url.Values{"duration": {"5"}}, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, reply.Status)
	require.Equal(t, "*", reply.Header.Get("Access-Control-Allow-Origin"))
}
