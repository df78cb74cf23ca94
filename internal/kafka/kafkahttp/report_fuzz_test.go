package kafkahttp

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
)

const (
	clusterDNS = "apps.mk-c1.example.test"
	host       = "one-d-k-r-s.kafka.example.test"
)

// FuzzKafkaReport: whatever an agent says of an instance, the verdict is a lawful
// event or none, never takes back a deletion, points our names nowhere but into
// the agent's own cluster, and is the same for the same words.
func FuzzKafkaReport(f *testing.F) {
	for i, seed := range []string{
		`{"k":{"conditions":[{"type":"Ready","status":"True"}],"versions":{"kafka":"2.8.1"},"routes":[{"name":"b","prefix":"","router":"kas.mk-c1.example.test"}]}}`,
		`{"k":{"conditions":[{"type":"ready","status":"False","reason":"Deleted"}],"updatedTimestamp":"2026-01-02T03:04:05.123456789Z"}}`,
		`{"k":{"conditions":[{"type":"Ready","reason":"Rejected","message":"Cluster has insufficient resources"}]}}`,
		`{"k":{"conditions":[{"type":"Ready","status":"Unknown"},{"type":"Ready","reason":"Error","message":"x"}],"adminServerURI":"javascript:1"}}`,
		`{"k":{"conditions":[{"type":"Ready","status":"True","reason":"Suspended"}],"routes":null}}`, `{"k":{},"l":{}}`, `{"":{"routes":[{}]}}`,
		`{"k":{"routes":[{"prefix":"a","router":"mk-c1.example.test"},{"prefix":"A","router":"evil.example"}]}}`,
		`{"k":{"routes":[{"prefix":"a-","router":"x.mk-c1.example.test."}],"updatedTimestamp":"9999-12-31T23:59:60Z"}}`,
		`{"k":{"conditions":[{"type":"Ready","reason":"Rejected"}],"updatedTimestamp":"0000-01-01T00:00:00+23:59"}}`,
	} {
		f.Add([]byte(seed), byte(i), i%2 == 0)
	}
	statuses := kafka.Statuses()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw []byte, in byte, created bool) {
		var wire agent.DataPlaneKafkaStatusUpdateRequest
		if json.Unmarshal(raw, &wire) != nil {
			return
		}
		for _, said := range wire {
			k := kafka.Kafka{
				ID: "k", Status: statuses[int(in)%len(statuses)].Status, ClusterID: "c1", BootstrapServerHost: host, RoutesCreated: created,
			}
			facts := kafka.ReportFacts{ClusterDNS: clusterDNS, CNAMEs: !created, NewPlacement: "p", Now: now}
			v := kafka.ReadReport(k, fromAgent(said), facts)
			require.Equal(t, v, kafka.ReadReport(k, fromAgent(said), facts))
			lawful(t, k, v)
		}
	})
}

func lawful(t *testing.T, k kafka.Kafka, v kafka.Verdict) {
	t.Helper()
	if v.Event != "" {
		require.True(t, slices.ContainsFunc(kafka.Transitions(), func(r kafka.Transition) bool {
			return r.Event == v.Event && slices.Contains(r.From, k.Status)
		}), "%s in %s", v.Event, k.Status)
	}
	if k.Status.InDeletion() {
		require.Contains(t, []kafka.Event{"", kafka.ReportedDeleted}, v.Event)
	}
	for _, r := range v.Records {
		require.True(t, r.Router == "mk-c1.example.test" || strings.HasSuffix(r.Router, ".mk-c1.example.test"), r.Router)
		_, parent, _ := strings.Cut(host, ".")
		require.True(t, r.Domain == host || strings.HasSuffix(r.Domain, "."+parent) || strings.HasSuffix(r.Domain, host), r.Domain)
		for _, label := range strings.Split(r.Domain, ".") {
			require.LessOrEqual(t, len(label), 63)
			require.Regexp(t, `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, label)
		}
	}
}

// FuzzReadReports: what the fast reader of reports takes, it reads as encoding/json
// does. What it does not take is read by that.
func FuzzReadReports(f *testing.F) {
	for _, seed := range []string{
		`{"k":{"conditions":[{"type":"Ready","status":"True","unknown":[1,{"a":null}]}],"CONDITIONS":[]}}`, `{"k":{"routes":null},"k":{"adminServerURI":"x"}}`,
		`{"a\u0000b":{"versions":{"kafka":"\ud800"}}}`, "{\"\xff\":{\"capacity\":{}}}", `null`, `{}`, `[]`, `{"k":null}`, `{"k":[]}`, `{"k":{"conditions":{}}}`,
		`{"k":{"conditions":[null,{}],"versions":null,"capacity":null}} `, `{"k":{"updatedTimestamp":1}}`, `{"k":{"type":"a"},"K":{}}`, `{"k":{}}{}`, `{"k":{},}`,
		`{"k":{"conditions":[{"type":"a","type":"b","Type":"c"}]}}`, strings.Repeat(`{"k":`, 11_000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var wanted agent.DataPlaneKafkaStatusUpdateRequest
		err := json.Unmarshal(raw, &wanted)
		got, ok := ReadReports(raw)
		if ok {
			require.NoError(t, err)
			require.Equal(t, wanted, got)
		}
	})
}
