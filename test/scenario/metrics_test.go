package scenario

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/metricsapi"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const messagesIn = "kafka_server_brokertopicmetrics_messages_in_total"

// now gives the present figures that a caller sees.
func now(c *harness.Caller, id string, filters ...string) []public.InstantQuery {
	var list public.MetricsInstantQueryList
	c.Do(http.MethodGet, "/kafkas/"+id+"/metrics/query?"+named(filters), nil).Must(http.StatusOK).Into(&list)
	return list.Items
}

func named(filters []string) string {
	var pairs []string
	for _, one := range filters {
		pairs = append(pairs, harness.Query("filters", one))
	}
	return strings.Join(pairs, "&")
}

// scrape reads an exposition as a Prometheus does.
func scrape(t *testing.T, c *harness.Caller, id string) map[string]*dto.MetricFamily {
	t.Helper()
	reply := c.Do(http.MethodGet, "/kafkas/"+id+"/metrics/federate", nil).Must(http.StatusOK)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", reply.Header.Get("Content-Type"))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(reply.Body))
	require.NoError(t, err, "%s", reply.Body)
	return families
}

// put gives an instance a series in the store of metrics.
func put(h *harness.World, namespace, name string, value float64, pairs ...string) {
	s := observatorium.Series{
		Labels:  map[string]string{"__name__": name, "namespace": namespace, "strimzi_io_kind": "Kafka"},
		Samples: []observatorium.Sample{{At: time.Now().Add(-time.Hour), Value: value}},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		s.Labels[pairs[i]] = pairs[i+1]
	}
	h.Observatorium.Put(s)
}

// Messages that flow through a broker move the numbers that its owner sees, by way
// of a real Prometheus, and nobody else's.
func TestNumbersMoveWhenMessagesFlow(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Measured())
	alice, dave := h.As(harness.Alice), h.As(harness.Dave)
	ours, theirs := alice.CreateKafka("ours"), dave.CreateKafka("theirs")
	h.WaitStatus(ours.ID, kafka.Ready)
	h.WaitStatus(theirs.ID, kafka.Ready)
	var account public.ServiceAccount
	alice.Do(http.MethodPost, "/service_accounts", `{"name":"scraper"}`).Must(http.StatusAccepted).Into(&account)
	client := h.KafkaClient(alice.Get(ours.ID), account.ClientID, account.ClientSecret,
		kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("readers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))

	produced := 0
	flow := func(count int) {
		var records []*kgo.Record
		for range count {
			records = append(records, &kgo.Record{Topic: "orders", Value: []byte("a message")})
		}
		require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
		for got := 0; got < count; {
			fetches := client.PollFetches(t.Context())
			require.NoError(t, fetches.Err())
			got += fetches.NumRecords()
		}
		produced += count
		h.Until("the figure of the messages", func() (bool, string) {
			sum := 0.0
			items := now(alice, ours.ID, messagesIn)
			for _, item := range items {
				require.Equal(t, "orders", item.Metric["topic"])
				require.Equal(t, "ours", item.Metric["strimzi_io_cluster"])
				require.NotContains(t, item.Metric, "namespace")
				sum += item.Value
			}
			raw, _ := json.Marshal(items)
			return sum == float64(produced), string(raw)
		})
	}
	flow(100)
	flow(23)

	var spans public.MetricsRangeQueryList
	alice.Do(http.MethodGet, "/kafkas/"+ours.ID+"/metrics/query_range?duration=5&interval=1&filters="+messagesIn, nil).Must(http.StatusOK).Into(&spans)
	last := 0.0
	for _, s := range spans.Items {
		for i := 1; i < len(s.Values); i++ {
			require.GreaterOrEqual(t, s.Values[i].Value, s.Values[i-1].Value)
			require.EqualValues(t, 1000, s.Values[i].Timestamp-s.Values[i-1].Timestamp)
		}
		last += s.Values[len(s.Values)-1].Value
	}
	require.EqualValues(t, produced, last)

	// Every metric of the catalogue comes from somewhere, by a service account too.
	token, err := h.SSO.ClientToken(harness.Realm, account.ClientID)
	require.NoError(t, err)
	h.Until("all metrics", func() (bool, string) {
		missing := map[string]bool{}
		for _, m := range metricsapi.Catalogue() {
			missing[m.Name] = true
		}
		for name, family := range scrape(t, h.Bearing(token), ours.ID) {
			require.Contains(t, missing, name)
			require.Equal(t, dto.MetricType_GAUGE, family.GetType())
			delete(missing, name)
		}
		raw, _ := json.Marshal(missing)
		return len(missing) == 0, "none of " + string(raw)
	})

	require.Empty(t, now(dave, theirs.ID, messagesIn), "what flows here moves nothing there")
	require.NotEmpty(t, now(dave, theirs.ID), "which has figures of its own")
	dave.Do(http.MethodGet, "/kafkas/"+ours.ID+"/metrics/query", nil).MustFail(404, 7)
	h.Bearing(token).Do(http.MethodGet, "/kafkas/"+theirs.ID+"/metrics/federate", nil).MustFail(404, 7)
	h.Bearing(token).Do(http.MethodGet, "/kafkas/"+ours.ID+"/metrics/query", nil).MustFail(401, 15)
}

func TestWhatMetricsShow(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice, bob, mallory := h.As(harness.Alice), h.As(harness.Bob), h.As(harness.Mallory)
	ours, theirs := alice.CreateKafka("ours"), mallory.CreateKafka("theirs")
	h.WaitStatus(ours.ID, kafka.Ready)
	h.WaitStatus(theirs.ID, kafka.Ready)
	namespace, other := h.Row(ours.ID).Namespace, h.Row(theirs.ID).Namespace
	require.NotEqual(t, namespace, other)
	put(h, namespace, messagesIn, 7, "topic", "orders", "node", "ip-10-0-0-1")
	put(h, namespace, messagesIn, 8, "topic", "__consumer_offsets")
	put(h, namespace, messagesIn, 9, "topic", "__redhat_canary")
	put(h, namespace, messagesIn, math.NaN(), "topic", "nothing")
	put(h, namespace, "kafka_topic:kafka_topic_partitions:sum", math.Inf(1))
	put(h, namespace, "kafka_instance_partition_limit", 1500, "instance_name", "ours")
	put(h, namespace, "up", 1)
	put(h, other, messagesIn, 1000, "topic", "secret")
	put(h, "", messagesIn, 2000, "topic", "nowhere")

	var list public.MetricsInstantQueryList
	path := "/kafkas/" + ours.ID + "/metrics"
	bob.Do(http.MethodGet, path+"/query", nil).Must(http.StatusOK).Into(&list) // all of the organisation may look
	require.Equal(t, "MetricsInstantQueryList", list.Kind)
	require.Equal(t, ours.ID, list.ID)
	got := map[string]float64{}
	for _, item := range list.Items {
		got[item.Metric["__name__"]+item.Metric["topic"]+item.Metric["instance_name"]] = item.Value
		require.NotContains(t, item.Metric, "node")
		require.InDelta(t, time.Now().UnixMilli(), item.Timestamp, float64(time.Minute.Milliseconds()))
	}
	require.Equal(t, map[string]float64{messagesIn + "orders": 7, "kafka_instance_partition_limitours": 1500}, got)
	families := scrape(t, bob, ours.ID)
	require.Len(t, families, 2)
	require.EqualValues(t, 7, families[messagesIn].GetMetric()[0].GetGauge().GetValue())

	var spans public.MetricsRangeQueryList
	alice.Do(http.MethodGet, path+"/query_range?duration=10&interval=60&"+named([]string{messagesIn, "up", "kafka_topic:kafka_topic_partitions:sum"}), nil).
		Must(http.StatusOK).Into(&spans)
	require.Equal(t, "MetricsRangeQueryList", spans.Kind)
	require.Len(t, spans.Items, 1)
	require.Len(t, spans.Items[0].Values, 11)

	for query, body := range map[string]string{
		"/query?filters=up": `"MetricsInstantQueryList"`, "/query?filters=": `"MetricsInstantQueryList"`,
		"/query_range?duration=1&interval=1&filters=nonsense": `"MetricsRangeQueryList"`,
	} {
		require.JSONEq(t, `{"kind":`+body+`,"id":"`+ours.ID+`","items":[]}`, string(alice.Do(http.MethodGet, path+query, nil).Must(200).Body), "unknown names give an empty array")
	}
	for query, reason := range map[string]string{
		"": "duration", "?interval=5": "duration", "?duration=5": "interval", "?duration=&interval=5": "duration", "?duration=five&interval=5": "duration",
		"?duration=5.5&interval=5": "duration", "?duration=9223372036854775808&interval=5": "duration", "?duration=0&interval=5": "duration",
		"?duration=4321&interval=60": "duration", "?duration=-5&interval=5": "duration", "?duration=5&interval=0": "interval",
		"?duration=5&interval=10801": "interval", "?duration=5&interval=1e3": "interval", "?duration=4320&interval=1": "11000 samples",
	} {
		reply := alice.Do(http.MethodGet, path+"/query_range"+query, nil).MustFail(400, 21)
		require.Contains(t, reply.Error().Reason, reason, query)
	}
	alice.Do(http.MethodGet, path+"/query_range?duration=5&duration=x&interval=30&interval=0", nil).Must(200) // the first counts
	alice.Do(http.MethodGet, path+"/query?duration=x&interval=0", nil).Must(200)

	// The deny list is asked of service accounts too; others of the realm are nobody here.
	for claims, refusal := range map[*map[string]any][2]int{
		{"clientId": "srvc-acct-x", "username": harness.Eve, "rh-org-id": harness.Organisation}: {403, 4},
		{"clientId": "srvc-acct-x", "username": harness.Alice}:                                  {401, 15},
		{"clientId": "srvc-acct-x", "rh-org-id": harness.Organisation}:                          {401, 15},
	} {
		token, err := h.SSO.Mint(harness.Realm, *claims)
		require.NoError(t, err)
		h.Bearing(token).Do(http.MethodGet, path+"/federate", nil).MustFail(refusal[0], refusal[1])
	}

	// A store that answers more than it was asked shows nobody anything new.
	h.Observatorium.SetCareless(true)
	require.Len(t, now(alice, ours.ID, messagesIn), 3, "its own, even if private topics are among them")
	for _, item := range now(alice, ours.ID) {
		require.NotContains(t, []string{"secret", "nowhere"}, item.Metric["topic"])
	}
	h.Observatorium.SetCareless(false)

	// Whatever stands where a namespace should is a name and no pattern; where nothing stands nobody is asked.
	for _, hostile := range []string{".*", "|" + other, `x",namespace=~".*`, `x\",namespace=~".*`, `"} or {__name__=~"` + messagesIn} {
		h.Exec("UPDATE kafka_requests SET namespace = ? WHERE id = ?", hostile, ours.ID)
		require.Empty(t, now(alice, ours.ID), hostile)
	}
	h.Exec("UPDATE kafka_requests SET namespace = '' WHERE id = ?", ours.ID)
	asked := len(h.Observatorium.Asked())
	require.Empty(t, now(alice, ours.ID))
	require.Empty(t, scrape(t, alice, ours.ID))
	alice.Do(http.MethodGet, path+"/query_range?duration=5&interval=30", nil).Must(200)
	require.Len(t, h.Observatorium.Asked(), asked)
	h.Exec("UPDATE kafka_requests SET namespace = ? WHERE id = ?", namespace, ours.ID)
}

// Whatever the store of metrics does, the customer gets an error of the catalogue
// that names neither store nor question, and the service is well again with the store.
func TestTheStoreOfMetricsFails(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Faulty(), harness.Set("observatorium-timeout", "3s"))
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	path := "/kafkas/" + k.ID + "/metrics"
	reasons := map[string]string{
		"/query": "failed to retrieve metrics", "/query_range?duration=5&interval=30": "failed to retrieve metrics", "/federate": "error getting metrics",
	}
	for _, fault := range []struct {
		name string
		emulator.Fault
		retry string
	}{
		// No answer of its API; several would be too much together. It comes first: questions
		// that were given up after another fault may reach the store late, and take this one.
		{"huge", emulator.Fault{Mode: emulator.Oversize, Times: 1}, "5"},
		{"down", emulator.Fault{Mode: emulator.ResetBefore}, "5"},
		{"broken", emulator.Fault{Mode: emulator.Before, Status: 500}, "5"},
		{"throttled", emulator.Fault{Mode: emulator.Before, Status: 429, RetryAfter: 17}, "17"},
		{"forbidden", emulator.Fault{Mode: emulator.Before, Status: 403}, ""},
		{"refuses", emulator.Fault{Mode: emulator.Before, Status: 422}, ""},
		{"garbage", emulator.Fault{Mode: emulator.Garbage}, "5"},
		{"slow", emulator.Fault{Mode: emulator.Hang}, "5"},
		{"redirects", emulator.Fault{Mode: emulator.Redirect}, "5"},
	} {
		for query, reason := range reasons {
			if fault.Mode == emulator.Hang && query != "/query" {
				continue // it takes the whole timeout
			}
			h.Observatorium.Inject(fault.Fault)
			reply := alice.Do(http.MethodGet, path+query, nil).MustFail(500, 9)
			require.Equal(t, reason, reply.Error().Reason, fault.name)
			require.Equal(t, fault.retry, reply.Header.Get("Retry-After"), fault.name)
			require.NotContains(t, string(reply.Body), "__name__")
			h.Observatorium.ClearFaults()
		}
	}
	for query := range reasons {
		alice.Do(http.MethodGet, path+query, nil).Must(http.StatusOK)
	}
	alice.Do(http.MethodGet, "/kafkas/dc1dvq1ksdudpvuabtf0/metrics/federate", nil).MustFail(404, 7)
}
