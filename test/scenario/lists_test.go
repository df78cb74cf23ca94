package scenario

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func ids(list public.KafkaRequestList) []string {
	all := make([]string, 0, len(list.Items))
	for _, k := range list.Items {
		all = append(all, k.ID)
	}
	return all
}

func TestAListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	alice := h.As(harness.Alice)
	for _, name := range []string{"c", "a", "e", "b", "d"} {
		alice.CreateKafka(name)
	}
	for _, c := range []struct {
		page, size string
		names      []string
		echo       [3]int32 // page, size, total
	}{
		{"", "", []string{"a", "b", "c", "d", "e"}, [3]int32{1, 5, 5}},
		{"1", "2", []string{"a", "b"}, [3]int32{1, 2, 5}},
		{"3", "2", []string{"e"}, [3]int32{3, 2, 5}},
		{"4", "2", []string{}, [3]int32{4, 2, 5}},
		{"0", "2", []string{"a", "b"}, [3]int32{0, 2, 5}},
		{"1", "70000", []string{"a", "b", "c", "d", "e"}, [3]int32{1, 5, 5}},
	} {
		list := alice.List("page", c.page, "size", c.size)
		require.Equal(t, c.names, harness.Names(list), "page %s size %s", c.page, c.size)
		require.Equal(t, c.echo, [3]int32{list.Page, list.Size, list.Total}, "page %s size %s", c.page, c.size)
		require.Equal(t, "KafkaRequestList", list.Kind)
	}
	require.Equal(t, []string{"a", "b"}, harness.Names(pageOf(alice, "page=1&page=7&size=2&size=1")), "the first value counts")
	for _, query := range []string{"page=-1", "page=x", "size=0", "size=x", "size=1.5", "page=99999999999"} {
		alice.Do(http.MethodGet, "/kafkas?"+query, nil).MustFail(400, 17)
	}
}

func pageOf(c *harness.Caller, query string) public.KafkaRequestList {
	var list public.KafkaRequestList
	c.Do(http.MethodGet, "/kafkas?"+query, nil).Must(200).Into(&list)
	return list
}

func TestAListIsSorted(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	for _, name := range []string{"b", "a", "c"} {
		h.As(harness.Alice).CreateKafka(name)
	}
	h.As(harness.Bob).CreateKafka("d")
	alice := h.As(harness.Alice)
	for order, names := range map[string][]string{
		"":                          {"a", "b", "c", "d"},
		"name desc":                 {"d", "c", "b", "a"},
		" NAME   Desc ":             {"d", "c", "b", "a"},
		"owner desc, created_at":    {"d", "b", "a", "c"},
		"created_at desc":           {"d", "c", "a", "b"},
		"region asc,multi_az,name":  {"a", "b", "c", "d"},
		"href":                      {"b", "a", "c", "d"},
		"version,name desc":         {"d", "c", "b", "a"},
		"admin_api_server_url,name": {"a", "b", "c", "d"},
	} {
		require.Equal(t, names, harness.Names(alice.List("orderBy", order)), "%q", order)
	}
	for _, order := range []string{"nosuchfield", "name down", "name asc desc", "name,", "name;drop table kafka_requests", "canary_service_account_client_secret"} {
		alice.Do(http.MethodGet, "/kafkas?"+encoded("orderBy", order), nil).MustFail(400, 17)
	}
}

func TestAListIsSearchedAsTheClientsDo(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	alice := h.As(harness.Alice)
	for _, name := range []string{"my-kafka", "your-kafka", "other"} {
		alice.CreateKafka(name)
	}
	all := []string{"my-kafka", "other", "your-kafka"}
	// As the command line sends it, letter by letter.
	cli := func(word string) string {
		return fmt.Sprintf("page=1&size=10&search=name+like+%%25%s%%25+or+owner+like+%%25%[1]s%%25+or+cloud_provider+like+%%25%[1]s%%25"+
			"+or+region+like+%%25%[1]s%%25+or+status+like+%%25%[1]s%%25", word)
	}
	for query, names := range map[string][]string{
		cli("kafka"):                                  {"my-kafka", "your-kafka"},
		cli("alice"):                                  all,
		cli("us-east"):                                all,
		cli("nothing"):                                {},
		"search=name+%3D+my-kafka":                    {"my-kafka"},
		"search=name=my-kafka":                        {"my-kafka"},
		"search=name+%3D+'my-kafka'":                  {"my-kafka"},
		"search=name+%3C%3E+other":                    {"my-kafka", "your-kafka"},
		"search=name+in+(other,'my-kafka')":           {"my-kafka", "other"},
		"search=name+not+in+(other,'my-kafka')":       {"your-kafka"},
		"search=cluster_id+not+in+('')":               {},
		"search=cluster_id+like+%251sandbox%25":       {},
		"search=name+ilike+%25KAFKA":                  {"my-kafka", "your-kafka"},
		"search=status+%3D+nosuchstatus":              {},
		"search=owner+%3D+alice+and+(name+%3D+other)": {"other"},
		"search=owner+%3D+'a(b)'":                     {},
		"search=owner+%3D+'%C3%A9'":                   {},
		"search=owner+%3D+'x''%20or%20''1''%3D''1'":   {},
		"search=": all,
		"search=name+like+%25%25%25&orderBy=name+desc": {"your-kafka", "other", "my-kafka"},
	} {
		require.Equal(t, names, harness.Names(pageOf(alice, query)), query)
	}
	for _, query := range []string{
		"search=+", "search=name", "search=name+%3D", "search=nosuch+%3D+1", "search=name+%3D+'x", "search=(name+%3D+x",
		"search=name+not+like+x", "search=name+!%3D+x", "search=name+%3E+x", "search=name+is+null", "search=name+like+%25%5C",
		"search=name+%3D+'a%00b'", "search=name+%3D+'%FF'", "search=" + joins(11), "search=name+%3D+x;drop+table+kafka_requests",
	} {
		reply := alice.Do(http.MethodGet, "/kafkas?"+query, nil)
		require.Equal(t, 400, reply.Status, "%s: %s", query, reply.Body)
	}
	require.Equal(t, all, harness.Names(pageOf(alice, "search="+joins(10))))
}

// joins is a search with so many ORs.
func joins(n int) string {
	text := "owner+%3D+alice"
	for range n {
		text += "+or+owner+%3D+alice"
	}
	return text
}

func encoded(name, value string) string { return harness.Query(name, value) }

func TestAnAgentReadsAndReports(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one, path := h.AsAgent(harness.ClusterOne), "/agent-clusters/"+harness.ClusterOne
	golden(t, "agent_config", one.Do(http.MethodGet, path, nil).Must(200).Body)
	golden(t, "agent_list_empty", one.Do(http.MethodGet, path+"/kafkas", nil).Must(200).Body)

	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	first := one.Do(http.MethodGet, path+"/kafkas", nil).Must(200)
	golden(t, "agent_list", first.Body)
	require.Equal(t, first.Body, one.Do(http.MethodGet, path+"/kafkas", nil).Must(200).Body, "the same byte for byte")
	tag := first.Header.Get("ETag")
	require.NotEmpty(t, tag)
	unchanged := one.With("If-None-Match", tag).Do(http.MethodGet, path+"/kafkas", nil).Must(304)
	require.Empty(t, unchanged.Body)
	require.Equal(t, tag, unchanged.Header.Get("ETag"))

	h.Agent(harness.ClusterOne).Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	changed := one.With("If-None-Match", tag).Do(http.MethodGet, path+"/kafkas", nil).Must(200)
	require.NotEqual(t, tag, changed.Header.Get("ETag"))

	for _, c := range []struct {
		path, body   string
		status, code int
	}{
		{"/kafkas/status", ``, 400, 17}, {"/kafkas/status", `[`, 400, 17}, {"/kafkas/status", `[]`, 400, 17},
		{"/status", ``, 400, 17},
		{"/status", `{"strimzi":[{"version":"","ready":true,"kafkaVersions":["2.8.0"],"kafkaIbpVersions":["2.8"]}]}`, 400, 37},
		{"/status", `{"strimzi":[{"version":"strimzi-cluster-operator.v0.23.0-0","ready":true,"kafkaVersions":[],"kafkaIbpVersions":["2.8"]}]}`, 400, 37},
		{"/status", `{"strimzi":[{"version":"nonsense","ready":true,"kafkaVersions":["2.8.0"],"kafkaIbpVersions":["2.8"]}]}`, 400, 8},
	} {
		one.Do(http.MethodPut, path+c.path, c.body).MustFail(c.status, c.code)
	}
	reply := one.Do(http.MethodPut, path+"/kafkas/status", `{}`).Must(200)
	require.Empty(t, reply.Body)
	one.Do(http.MethodPut, path+"/kafkas/status", `null`).Must(200)
	one.Do(http.MethodPut, path+"/kafkas/status", `{"`+k.ID+`":{}}`).Must(200)
	require.Empty(t, one.Do(http.MethodPut, path+"/status", `null`).Must(204).Body)
}

func TestAReportThatChangesNothingWritesNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.ManualAgents())
	one := h.Agent(harness.ClusterOne)
	k := h.As(harness.Alice).CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Provisioning)
	one.Ready(k.ID)
	h.WaitStatus(k.ID, kafka.Ready)
	one.Ready(k.ID)
	row, c := h.Row(k.ID), h.Cluster(harness.ClusterOne)
	for range 3 {
		one.Ready(k.ID)
		require.NoError(t, h.Within(one.Resync))
	}
	require.Equal(t, row, h.Row(k.ID))
	require.Equal(t, c, h.Cluster(harness.ClusterOne))
}
