package broker

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// scrape gives the sum of each metric's samples, and how many there are.
func scrape(t *testing.T, r *Router) (sums map[string]float64, counts map[string]int, text string) {
	t.Helper()
	reply := httptest.NewRecorder()
	r.Figures().ServeHTTP(reply, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, reply.Code)
	raw, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(raw)))
	require.NoError(t, err)
	sums, counts = map[string]float64{}, map[string]int{}
	for name, family := range families {
		counts[name] = len(family.GetMetric())
		for _, one := range family.GetMetric() {
			sums[name] += one.GetGauge().GetValue() + one.GetCounter().GetValue()
		}
	}
	return sums, counts, string(raw)
}

// A rate counts from the first sample that was seen: a series which begins with its
// first burst would hide it.
func TestCountersOfATopicBeginWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Spec{ID: "abc", Name: "orders", Namespace: "kafka-abc", BootstrapHost: bootstrap, Brokers: 3})
	client := w.client(t)
	request := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "invoices", 3, 1
	request.Topics = append(request.Topics, topic)
	_, err := request.RequestWith(deadline(t), client)
	require.NoError(t, err)
	sums, counts, _ := scrape(t, w.router)
	for _, name := range []string{"messages_in", "bytes_in", "bytes_out"} {
		name = "kafka_server_brokertopicmetrics_" + name + "_total"
		require.Equal(t, 3, counts[name], name)
		require.Zero(t, sums[name], name)
	}
}

func TestFiguresAreTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Spec{
		ID: "abc", Name: "orders", Namespace: "kafka-abc", BootstrapHost: bootstrap, Brokers: 3,
		Limits: Limits{Partitions: 1500, Connections: 9000, ConnectionsPerSecond: 100, IngressPerSecond: 300, EgressPerSecond: 600, Storage: 3 << 30},
	})
	client := w.client(t, kgo.ConsumeTopics("invoices"), kgo.ConsumerGroup("readers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx := deadline(t)
	const messages, size = 60, 500
	var records []*kgo.Record
	for range messages {
		records = append(records, &kgo.Record{Topic: "invoices", Value: []byte(strings.Repeat("x", size))})
	}
	require.NoError(t, client.ProduceSync(ctx, records...).FirstErr())
	for got := 0; got < messages; {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		got += fetches.NumRecords()
	}
	sums, counts, text := scrape(t, w.router)
	require.EqualValues(t, messages, sums["kafka_server_brokertopicmetrics_messages_in_total"])
	for _, name := range []string{"kafka_server_brokertopicmetrics_bytes_in_total", "kafka_server_brokertopicmetrics_bytes_out_total"} {
		require.Greater(t, sums[name], 0.0, name)
	}
	require.InDelta(t, sums["kafka_server_brokertopicmetrics_bytes_in_total"], sums["kafka_server_brokertopicmetrics_bytes_out_total"], 1000, "each was read once")
	require.Equal(t, sums["kafka_log_log_size"], sums["kubelet_volume_stats_used_bytes"])
	require.Equal(t, float64(3<<30), sums["kubelet_volume_stats_used_bytes"]+sums["kubelet_volume_stats_available_bytes"])
	require.EqualValues(t, 3, sums["kafka_topic_partitions"])
	require.EqualValues(t, 3, sums["kafka_controller_kafkacontroller_global_partition_count"])
	require.EqualValues(t, 1, sums["kafka_consumergroup_members"])
	require.EqualValues(t, 3, sums["kafka_instance_spec_brokers_desired_count"])
	require.EqualValues(t, 9000, sums["kafka_instance_connection_limit"])
	require.Equal(t, 3, counts["kafka_instance_connection_limit"])
	require.Greater(t, sums["kafka_server_socket_server_metrics_connection_count"], 0.0)
	require.Greater(t, sums["haproxy_server_bytes_in_total"], float64(messages*10), "compressed, but not nothing")
	require.Contains(t, text, `statefulset_kubernetes_io_pod_name="orders-kafka-2"`)
	require.Contains(t, text, `persistentvolumeclaim="data-0-orders-kafka-2"`)

	client.Close()
	require.Eventually(t, func() bool {
		sums, _, _ := scrape(t, w.router)
		return sums["kafka_server_socket_server_metrics_connection_count"] == 0
	}, 10*time.Second, 10*time.Millisecond, "connections are counted out")
	w.router.Remove("abc")
	_, counts, _ = scrape(t, w.router)
	require.Empty(t, counts, "what is gone has no figures")
}
