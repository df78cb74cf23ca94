package kafkahttp

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
)

// The two decoders must agree on everything that the quick one accepts.
func FuzzReportsAreReadAsEncodingJSONReadsThem(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"k1":null}`, `{"k1":{}}`, `{"k1":{},"k1":{"adminServerURI":"second"}}`, `{"k1":{"CONDITIONS":[{"TYPE":"Ready"}]}}`,
		`{"k1":{"conditions":null,"routes":[null,{}],"versions":{"kafka":"3.3.1"},"updatedTimestamp":"2026-01-02T03:04:05Z"}}`,
		`{"k1":{"conditions":[{"type":"Ready","status":"True","reason":"a\u0000b","message":"\ud800"}]}}`, `{"k1":{"adminServerURI":1}}`,
		"{\"k1\":{\"adminServerURI\":\"\xff\xfe\"}}", `{"k1":{"capacity":{"maxPartitions":1e2}}}`, `{"k1":{"unknown":[[[]]]}}`, `{"k1":{}} x`, ``, `{`,
		`{"k1":{"conditions":[{"type":"Ready","status":"True"}],"conditions":[{"reason":"x"}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		quick, ok := ReadReports(body)
		if !ok {
			return
		}
		var slow agent.DataPlaneKafkaStatusUpdateRequest
		require.NoError(t, json.Unmarshal(body, &slow))
		require.Equal(t, slow, quick)
	})
}

func TestAWellFormedReportIsReadTheQuickWay(t *testing.T) {
	t.Parallel()
	reports, ok := ReadReports([]byte(`{"k1":{"conditions":[{"type":"Ready","status":"True"}],"routes":[{"name":"a","prefix":"b","router":"c"}]}}`))
	require.True(t, ok)
	require.Equal(t, "Ready", reports["k1"].Conditions[0].Type)
}
