package scenario

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/admin"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func fleetOf(c *harness.Caller, pairs ...string) admin.KafkaList {
	var list admin.KafkaList
	c.Do(http.MethodGet, "/admin/kafkas?"+harness.Query(pairs...), nil).Must(200).Into(&list)
	return list
}

func namesIn(list admin.KafkaList) []string {
	names := []string{}
	for _, k := range list.Items {
		names = append(names, k.Name)
	}
	return names
}

func TestAnAdministratorLooksAtTheFleet(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice, reader := h.As(harness.Alice), h.As(harness.Reader)
	require.Equal(t, admin.KafkaList{Kind: "KafkaList", Page: 1, Items: []admin.Kafka{}}, fleetOf(reader))
	one, two, trial := alice.CreateKafka("one"), h.As(harness.Dave).CreateKafka("two"), h.As(harness.Mallory).CreateKafka("trial")
	gone := alice.CreateKafka("gone")
	for _, k := range []harness.Kafka{one, two, trial, gone} {
		h.WaitStatus(k.ID, kafka.Ready)
	}
	alice.Delete(gone.ID)
	h.WaitGone(gone.ID)

	list := fleetOf(reader)
	require.Equal(t, []string{"one", "trial", "two"}, namesIn(list))
	require.Equal(t, []int32{1, 3, 3}, []int32{list.Page, list.Size, list.Total})
	require.Equal(t, []string{"trial"}, namesIn(fleetOf(reader, "page", "2", "size", "1", "orderBy", "organisation_id desc, name")))
	require.Equal(t, []string{"trial"}, namesIn(fleetOf(reader, "search", "owner = mallory and status = ready")))
	require.Equal(t, []string{"one"}, namesIn(fleetOf(reader, "search", "organisation_id = "+harness.Organisation)))
	for query, code := range map[string]int{"size=0": 17, "page=x": 17, "orderBy=last_error": 17, "search=nobody+%3D+x": 23} {
		reader.Do(http.MethodGet, "/admin/kafkas?"+query, nil).MustFail(400, code)
	}

	row, shown := h.Row(one.ID), admin.Kafka{}
	reader.Do(http.MethodGet, "/admin/kafkas/"+one.ID, nil).Must(200).Into(&shown)
	require.Equal(t, list.Items[0], shown)
	require.Equal(t, "/api/kafkas_mgmt/v1/kafkas/"+one.ID, shown.Href)
	require.Equal(t, harness.AccountNumber, shown.AccountNumber)
	require.Empty(t, list.Items[1].AccountNumber, "the billing system has no such organisation")
	require.Equal(t, []string{row.ClusterID, row.Namespace, row.ActualStrimziVersion, row.BootstrapServerHost + ":443", "account-alice", "quota-management-list"},
		[]string{shown.ClusterID, shown.Namespace, shown.ActualStrimziVersion, shown.BootstrapServerHost, shown.OwnerAccountID, shown.QuotaType})
	require.Len(t, shown.Routes, len(row.Routes))
	require.True(t, shown.RoutesCreated)
	require.Empty(t, shown.FailedReason)
	for _, id := range []string{gone.ID, "none"} {
		require.Equal(t, "KafkaResource with id='"+id+"' not found", reader.Do(http.MethodGet, "/admin/kafkas/"+id, nil).MustFail(404, 7).Error().Reason)
	}

	h.Agent(harness.ClusterOne).Says(one.ID, "False", "Error", "no storage class in the zone")
	h.WaitStatus(one.ID, kafka.Failed)
	require.Equal(t, "Kafka reported as failed from the data plane", alice.Get(one.ID).FailedReason)
	require.Equal(t, "Kafka reported as failed from the data plane: no storage class in the zone", fleetOf(reader, "search", "status = failed").Items[0].FailedReason)
}

// Reading is all that there is; and whoever administers the service is nobody's customer.
func TestWhatAnAdministratorCannotDo(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.As(harness.Alice).CreateKafka("one")
	boss := h.As(harness.Boss)
	for _, method := range []string{http.MethodDelete, http.MethodPatch, http.MethodPut, http.MethodPost} {
		boss.Do(method, "/admin/kafkas/"+one.ID+"?async=true", map[string]any{"suspended": true}).MustFail(405, 10)
	}
	boss.Do(http.MethodPost, "/admin/kafkas/"+one.ID+"/revoke_tls_certificate", `{}`).MustFail(404, 7)
	boss.Do(http.MethodGet, "/admin", nil).MustFail(404, 7)
	for _, path := range []string{"/kafkas", "/kafkas/" + one.ID, "/service_accounts", "/cloud_providers"} {
		boss.Do(http.MethodGet, path, nil).MustFail(401, 15)
	}
	h.As(harness.Carol).Do(http.MethodGet, "/admin/kafkas", nil).MustFail(404, 7)
	h.Bearing("").Do(http.MethodGet, "/admin/kafkas", nil).MustFail(401, 15)
	require.Equal(t, []string{"one"}, namesIn(fleetOf(boss)))
}

// An order whose quota nobody knows is hidden from its customer, not from those who look for trouble.
func TestAnAdministratorSeesOrdersThatHang(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Faulty())
	h.AMS.Inject(emulator.Fault{Path: "cluster_authorizations|subscriptions", Mode: emulator.ResetBefore})
	h.As(harness.Alice).Create(harness.Order{Name: "hangs"}).MustFail(500, 9)
	require.Zero(t, h.As(harness.Alice).List().Total)
	reader := h.As(harness.Reader)
	h.Until("a reason", func() (bool, string) {
		list := fleetOf(reader, "search", "status = reserving")
		return len(list.Items) == 1 && list.Items[0].Name == "hangs" && list.Items[0].FailedReason != "", strings.Join(namesIn(list), " ")
	})
	h.AMS.ClearFaults()
	h.Until("the end of it", func() (bool, string) {
		list := fleetOf(reader)
		return list.Total == 0, strings.Join(namesIn(list), " ")
	})
}

// While accounts management does not answer, the fleet can be looked at without the numbers that it knows.
func TestTheFleetIsSeenWithoutAccountsManagement(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.As(harness.Alice).CreateKafka("one")
	h.As(harness.Dave).CreateKafka("two")
	h.AMS.Inject(emulator.Fault{Path: "organizations", Mode: emulator.Hang})
	reader := h.As(harness.Reader)
	began := time.Now()
	list := fleetOf(reader)
	first := time.Since(began)
	require.Equal(t, []string{"one", "two"}, namesIn(list))
	require.Empty(t, list.Items[0].AccountNumber)
	require.Less(t, first, 8*time.Second, "two seconds, on a machine that others use")
	for range 5 {
		require.Len(t, fleetOf(reader).Items, 2)
		reader.Do(http.MethodGet, "/admin/kafkas/"+one.ID, nil).Must(200)
	}
	require.Len(t, h.AMS.JournalOf(http.MethodGet, "organizations"), 1, "nobody waits for it again")
	require.Equal(t, 1, strings.Count(h.Log(), `"msg":"account numbers are left out"`))
}

// audits gives the lines about administrators that the log has.
func audits(t *testing.T, h *harness.World) (all []map[string]any) {
	t.Helper()
	for _, text := range strings.Split(h.Log(), "\n") {
		if strings.Contains(text, `"type":"audit"`) {
			line := map[string]any{}
			require.NoError(t, json.Unmarshal([]byte(text), &line))
			all = append(all, line)
		}
	}
	return all
}

func TestEveryRequestOfAnAdministratorLeavesALine(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.As(harness.Alice).CreateKafka("one")
	require.Empty(t, audits(t, h))
	boss := h.As(harness.Boss)
	for _, c := range []struct {
		who          *harness.Caller
		method, path string
		want         []any // user, action, object, status
	}{
		{boss, http.MethodGet, "/admin/kafkas?search=name+%3D+marker", []any{"boss", "admin-list-kafkas", "", 200.0}},
		{boss, http.MethodGet, "/admin/kafkas/" + one.ID + "/", []any{"boss", "admin-get-kafka", one.ID, 200.0}},
		{boss, http.MethodGet, "/admin/kafkas/none", []any{"boss", "admin-get-kafka", "none", 404.0}},
		{boss, http.MethodGet, "/admin/openapi", []any{"boss", "admin-get-openapi", "", 200.0}},
		{boss, http.MethodDelete, "/admin/kafkas/" + one.ID + "?async=true", []any{"boss", "", "", 405.0}},
		{h.As(harness.Alice), http.MethodGet, "/admin/kafkas/" + one.ID, []any{"alice", "admin-get-kafka", one.ID, 404.0}},
		{h.Bearing(""), http.MethodGet, "/admin/kafkas", nil},
		{boss, http.MethodGet, "/kafkas", nil},
	} {
		before := len(audits(t, h))
		reply := c.who.Do(c.method, c.path, nil)
		if c.want == nil {
			// Nothing can be waited for: the line of a request that comes later shows that there is none.
			boss.Do(http.MethodGet, "/admin/openapi", nil).Must(200)
		}
		h.Until("a line", func() (bool, string) { return len(audits(t, h)) > before, c.path })
		lines := audits(t, h)[before:]
		require.Len(t, lines, 1, c.path)
		if c.want == nil {
			require.Equal(t, "admin-get-openapi", lines[0]["action"])
			continue
		}
		line := lines[0]
		require.Equal(t, c.want, []any{line["username"], line["action"], line["object"], line["status"]}, c.path)
		path, _, _ := strings.Cut(strings.TrimSuffix(c.path, "/"), "?")
		require.Equal(t, []any{"AUDIT", c.method, harness.Base + path, reply.Header.Get("X-Operation-ID")},
			[]any{line["level"], line["method"], line["path"], line["operation_id"]})
		require.NotEmpty(t, line["subject"])
		if line["username"] == harness.Boss {
			require.Equal(t, []any{"kas-fleet-manager-admin-full"}, line["roles"])
		}
	}
	require.NotContains(t, h.Log(), "marker", "what is searched for may be a secret")
}
