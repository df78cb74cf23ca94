package upstream

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestTheStoreOfMetricsIsNotBelieved puts one hostile value at a time into the answers of
// the store of metrics. The customer gets figures of the own instance or error 9: no label that
// is not for customers, no text where it is none of the data plane's names, no broken exposition.
func TestTheStoreOfMetricsIsNotBelieved(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 60, Full: 2000})
	w := harness.New(t, patient, harness.Faulty())
	alice := w.As(harness.Alice)
	id := alice.CreateKafka("one").ID
	w.WaitStatus(id, kafka.Ready)
	measured(w, id)
	for i := range run.Rounds() {
		random := run.Rand(i)
		for _, figures := range []string{"/query", "/query_range?duration=5&interval=30", "/federate"} {
			w.Observatorium.Inject(emulator.Fault{Mode: emulator.Poison, Seed: random.Int64(), Times: 1 + random.IntN(3)})
			reply := alice.Do(http.MethodGet, "/kafkas/"+id+"/metrics"+figures, nil)
			w.Observatorium.ClearFaults()
			switch {
			case reply.Status != http.StatusOK:
				reply.MustFail(http.StatusInternalServerError, 9)
				require.NotContains(t, string(reply.Body), emulator.Venom)
				run.Count("refused", 1)
			case figures == "/federate":
				parser := expfmt.NewTextParser(model.LegacyValidation)
				_, err := parser.TextToMetricFamilies(bytes.NewReader(reply.Body))
				require.NoError(t, err, "%s", reply.Body)
			default:
				var list struct {
					Items []struct{ Metric map[string]string }
				}
				require.NoError(t, json.Unmarshal(reply.Body, &list))
				for _, item := range list.Items {
					require.Subset(t, []string{"__name__", "topic", "strimzi_io_cluster"}, slices.Collect(maps.Keys(item.Metric)), "%s", reply.Body)
				}
			}
		}
	}
	nothingForged(t, w)
}

// measured gives an instance figures in the store of metrics, some with a label that is not for customers.
func measured(w *harness.World, id string) {
	var namespace string
	w.Scan(&namespace, "SELECT namespace FROM kafka_requests WHERE id = ?", id)
	for _, name := range []string{"kafka_server_brokertopicmetrics_messages_in_total", "kafka_topic:kafka_topic_partitions:count"} {
		w.Observatorium.Put(observatorium.Series{
			Labels:  map[string]string{"__name__": name, "namespace": namespace, "strimzi_io_kind": "Kafka", "topic": "orders", "pod": "inside"},
			Samples: []observatorium.Sample{{At: time.Now().Add(-time.Minute), Value: 7}},
		})
	}
}
