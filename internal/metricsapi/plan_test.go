package metricsapi

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

var update = flag.Bool("update", false, "write the golden file anew")

// The golden file is what a backend is asked: a change of it changes which series customers see.
func TestQuestionsOfAllMetrics(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("# all\n")
	for _, q := range plan("kafka-abc", nil) {
		fmt.Fprintln(&text, q.promQL)
	}
	for _, m := range Catalogue() {
		fmt.Fprintf(&text, "\n# %s: %s\n", m.Name, strings.Join(m.Labels, " "))
		alone := plan("kafka-abc", []string{m.Name})
		require.Len(t, alone, 1)
		fmt.Fprintln(&text, alone[0].promQL)
	}
	const golden = "testdata/questions.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String())
}

// The names are written down here a second time on purpose: dashboards know them.
func TestTheCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`
kubelet_volume_stats_available_bytes kubelet_volume_stats_used_bytes
kafka_broker_quota_softlimitbytes kafka_broker_quota_hardlimitbytes kafka_broker_quota_totalstorageusedbytes
kafka_broker_client_quota_limit
kafka_server_brokertopicmetrics_messages_in_total kafka_server_brokertopicmetrics_bytes_in_total kafka_server_brokertopicmetrics_bytes_out_total
kafka_controller_kafkacontroller_offline_partitions_count kafka_controller_kafkacontroller_global_partition_count
kafka_topic:kafka_log_log_size:sum kas_topic_partition_log_size_bytes kas_broker_partition_log_size_bytes_top50
kafka_namespace:haproxy_server_bytes_in_total:rate5m kafka_namespace:haproxy_server_bytes_out_total:rate5m
kafka_topic:kafka_topic_partitions:sum kafka_topic:kafka_topic_partitions:count consumergroup:kafka_consumergroup_members:count
kafka_namespace:kafka_server_socket_server_metrics_connection_count:sum
kafka_namespace:kafka_server_socket_server_metrics_connection_creation_rate:sum
kafka_topic:kafka_server_brokertopicmetrics_messages_in_total:rate5m kafka_topic:kafka_server_brokertopicmetrics_bytes_in_total:rate5m
kafka_topic:kafka_server_brokertopicmetrics_bytes_out_total:rate5m
kafka_instance_spec_brokers_desired_count kafka_instance_max_message_size_limit kafka_instance_partition_limit
kafka_instance_connection_limit kafka_instance_connection_creation_rate_limit`)
	require.Len(t, want, 29)
	var got []string
	for _, m := range Catalogue() {
		got = append(got, m.Name)
		require.NotEmpty(t, m.Help)
		for _, label := range m.Labels {
			require.True(t, shown[label], "%s is in a scrape but not in JSON", label)
		}
	}
	require.ElementsMatch(t, want, got)
}

func TestFilters(t *testing.T) {
	t.Parallel()
	const messages, volume = "kafka_server_brokertopicmetrics_messages_in_total", "kubelet_volume_stats_used_bytes"
	for name, c := range map[string]struct {
		filters []string
		asked   []string
	}{
		"one":                 {[]string{messages}, []string{messages}},
		"twice":               {[]string{messages, messages}, []string{messages}},
		"two":                 {[]string{messages, volume}, []string{volume, messages}},
		"unknown":             {[]string{"up"}, nil},
		"part of a name":      {[]string{"kafka_server"}, nil},
		"a pattern":           {[]string{".*"}, nil},
		"empty":               {[]string{""}, nil},
		"an injection":        {[]string{messages + `"} or {namespace="other`}, nil},
		"known among unknown": {[]string{"up", volume, "kafka_brokers"}, []string{volume}},
	} {
		var asked []string
		for _, q := range plan("ns", c.filters) {
			for metric := range q.names {
				asked = append(asked, metric)
			}
		}
		require.ElementsMatch(t, c.asked, asked, name)
	}
	require.Len(t, plan("ns", nil), len(plan("ns", []string{})), "nothing and an empty list are the same")
}

func TestBoundsOfASpan(t *testing.T) {
	t.Parallel()
	for span, reason := range map[Span]string{
		{5, 30}: "", {1, 1}: "", {4320, 10800}: "", {1, 10800}: "", {4320, 24}: "", {183, 1}: "",
		{0, 30}: NotMinutes, {-1, 30}: NotMinutes, {4321, 30}: NotMinutes, {1 << 62, 1}: NotMinutes, {0, 0}: NotMinutes,
		{5, 0}: NotSeconds, {5, -30}: NotSeconds, {5, 10801}: NotSeconds,
		{184, 1}: "more than 11000 samples", {4320, 23}: "more than 11000 samples",
	} {
		err := span.check()
		if reason == "" {
			require.NoError(t, err, "%+v", span)
			continue
		}
		require.ErrorContains(t, err, reason, "%+v", span)
		require.True(t, apierr.Is(err, apierr.BadRequest), "%+v", span)
	}
}

// No text that stands where a namespace should can widen the question.
func FuzzNamespaceStaysAValue(f *testing.F) {
	for _, seed := range []string{"kafka-abc", `a",namespace=~".*`, `a\",b="`, "a\nb", "é", "\x00", "\xff", `"} or {__name__="up`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, namespace string) {
		for _, q := range plan(namespace, nil) {
			_, quoted, ok := strings.Cut(q.promQL, ","+q.by+"=")
			require.True(t, ok)
			inner, ok := strings.CutSuffix(quoted, "}")
			require.True(t, ok)
			require.Equal(t, namespace, unquoted(t, inner))
		}
	})
}

// unquoted reads a PromQL string letter by letter: it must end with the text and not before.
func unquoted(t *testing.T, text string) string {
	t.Helper()
	require.True(t, len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"')
	escaped := false
	for i, c := range []byte(text[1 : len(text)-1]) {
		require.False(t, c == '"' && !escaped, "the string ends at %d of %s", i, text)
		require.NotEqual(t, byte('\n'), c)
		escaped = c == '\\' && !escaped
	}
	require.False(t, escaped)
	var out string
	_, err := fmt.Sscanf(text, "%q", &out)
	require.NoError(t, err)
	return out
}

func TestQuestionsNameTheirMetricsAndNoOthers(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, q := range plan("ns", nil) {
		for name := range q.names {
			require.False(t, seen[name], "%s is asked for twice", name)
			seen[name] = true
			require.True(t, slices.Contains(strings.FieldsFunc(q.promQL, func(r rune) bool { return strings.ContainsRune(`{}"|,`, r) }), name))
		}
	}
	require.Len(t, seen, 29)
}
