package hostile

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/openapi"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// record is a row as the database has it, column by column.
type record map[string]any

func (s scene) record(id string) record {
	var text string
	s.Scan(&text, "SELECT to_jsonb(k)::text FROM kafka_requests k WHERE id = ?", id)
	var r record
	_ = json.Unmarshal([]byte(text), &r) // PostgreSQL wrote it
	return r
}

// changed names the columns that differ, save those that every write moves.
func (r record) changed(then record) []string {
	var names []string
	for name := range r {
		if fmt.Sprint(r[name]) != fmt.Sprint(then[name]) && name != "version" && name != "updated_at" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// forbidden is a body with every field of the wire and every column of the row,
// except those that customers may choose in this request.
func forbidden(t *testing.T, r record, chosen ...string) map[string]any {
	t.Helper()
	body := map[string]any{"is_admin": true, "__proto__": map[string]any{"owner": "mallory"}, "$set": map[string]any{"owner": "mallory"}}
	for name, schema := range wireSchema(t, "KafkaRequest").Properties {
		body[name] = wish(schema.Value)
	}
	for name, value := range r {
		switch value.(type) {
		case bool:
			body[name] = !r[name].(bool) //nolint:forcetypeassert // the case says so
		case float64:
			body[name] = 4711
		default:
			body[name] = "wished-for"
		}
	}
	for _, name := range chosen {
		delete(body, name)
	}
	return body
}

func wireSchema(t *testing.T, name string) *openapi3.Schema {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.PublicYAML())
	require.NoError(t, err)
	require.Contains(t, doc.Components.Schemas, name)
	return flat(doc.Components.Schemas[name].Value)
}

// flat puts the parts of an allOf together.
func flat(s *openapi3.Schema) *openapi3.Schema {
	whole := openapi3.NewSchema()
	whole.Properties = maps.Clone(s.Properties)
	if whole.Properties == nil {
		whole.Properties = openapi3.Schemas{}
	}
	for _, part := range s.AllOf {
		maps.Copy(whole.Properties, flat(part.Value).Properties)
	}
	return whole
}

func wish(s *openapi3.Schema) any {
	switch {
	case s.Type.Is("boolean"):
		return true
	case s.Type.Is("integer"), s.Type.Is("number"):
		return 4711
	case s.Type.Is("object"):
		return map[string]any{"bytes": 4711}
	default:
		return "wished-for"
	}
}

// Whoever sends whatever, a change changes what that caller may change.
func TestAChangeReachesNoOtherColumn(t *testing.T) {
	t.Parallel()
	s := setScene(t)
	id := s.objects["kafka"].existing
	for _, who := range s.callers(t) {
		before := s.record(id)
		require.Contains(t, before, "organisation_id", "or nothing is compared")
		mayWrite := who.kind == owner || who.kind == admin
		for what, body := range map[string]any{
			"all that is not theirs": forbidden(t, before, "owner", "reauthentication_enabled"),
			"nulls":                  `{"owner":null,"reauthentication_enabled":null,"status":null,"id":null}`,
			"nothing":                `{}`,
		} {
			reply := who.Do(http.MethodPatch, "/kafkas/"+id, body)
			require.Equal(t, mayWrite, reply.Status == http.StatusOK, "%s, %s: %d", who.name, what, reply.Status)
			require.Empty(t, before.changed(s.record(id)), "%s, %s", who.name, what)
		}
		// Of two values for one field the last counts, for the check as for the write.
		was, _ := before["reauthentication_enabled"].(bool)
		twice := fmt.Sprintf(`{"reauthentication_enabled":%t,"status":"failed","reauthentication_enabled":%t}`, was, !was)
		who.Do(http.MethodPatch, "/kafkas/"+id, twice)
		want := []string(nil)
		if mayWrite {
			want = []string{"reauthentication_enabled"}
		}
		require.Equal(t, want, before.changed(s.record(id)), who.name)
	}
	// Another owner brings the account along, and nothing else.
	before := s.record(id)
	s.As(harness.Carol).Patch(id, map[string]any{"owner": harness.Bob})
	require.Subset(t, []string{"owner", "owner_account_id"}, before.changed(s.record(id)))
	require.Equal(t, harness.Bob, s.record(id)["owner"])
}

// What a customer wishes for beside the choices of an order is not heard.
func TestAnOrderChoosesNothingElse(t *testing.T) {
	t.Parallel()
	s := setScene(t)
	alice := s.As(harness.Alice)
	plain := alice.CreateKafka("plain")
	s.WaitStatus(plain.ID, kafka.Ready)
	body := forbidden(t, s.record(plain.ID),
		"name", "cloud_provider", "region", "reauthentication_enabled", "plan", "billing_model", "billing_cloud_account_id", "marketplace", "cluster_id")
	body["name"] = "greedy"
	var greedy harness.Kafka
	alice.Do(http.MethodPost, "/kafkas?async=true", body).Must(http.StatusAccepted).Into(&greedy)
	s.WaitStatus(greedy.ID, kafka.Ready)
	own := []string{ // what differs between any two instances
		"id", "name", "namespace", "created_at", "status_changed_at", "next_attempt_at", "reported_at", "routes_due_at", "placement_id", "bootstrap_server_host",
		"admin_api_server_url", "routes", "routes_creation_id", "canary_service_account_client_id", "canary_service_account_client_secret", "cluster_id",
		"attempts", "last_error",
	}
	differing := s.record(plain.ID).changed(s.record(greedy.ID))
	require.Subset(t, own, differing)
	require.NotContains(t, fmt.Sprint(s.record(greedy.ID)), "wished-for")
	require.NotContains(t, fmt.Sprint(s.record(greedy.ID)), "4711")
}

// An agent says how things are, not what they are to be.
func TestAReportReachesNoColumnOfTheCustomers(t *testing.T) {
	t.Parallel()
	s := setScene(t)
	id := s.objects["kafka"].existing
	before := s.record(id)
	body := forbidden(t, before, "status", "routes", "capacity")
	body["conditions"] = []map[string]any{{"type": "Ready", "status": "True"}}
	body["versions"] = map[string]any{"kafka": "3.99.9"}
	s.AsAgent(harness.ClusterOne).Do(http.MethodPut, "/agent-clusters/"+harness.ClusterOne+"/kafkas/status", map[string]any{id: body}).Must(http.StatusOK)
	changed := before.changed(s.record(id))
	require.Contains(t, changed, "actual_kafka_version", "the report is taken")
	require.Subset(t, []string{"reported_at", "reported_class", "actual_kafka_version", "actual_strimzi_version", "actual_kafka_ibp_version"}, changed)
	require.NotContains(t, fmt.Sprint(s.record(id)), "wished-for")
}

// No reply to a customer has a field that the specification does not name.
func TestRepliesHoldNothingBesideTheSpecification(t *testing.T) {
	t.Parallel()
	s := setScene(t)
	id := s.objects["kafka"].existing
	known := wireSchema(t, "KafkaRequest").Properties
	for _, who := range []string{harness.Alice, harness.Bob, harness.Carol} {
		var one map[string]any
		s.As(who).Do(http.MethodGet, "/kafkas/"+id, nil).Must(http.StatusOK).Into(&one)
		var list struct{ Items []map[string]any }
		s.As(who).Do(http.MethodGet, "/kafkas?size=1000", nil).Must(http.StatusOK).Into(&list)
		require.NotEmpty(t, list.Items)
		for _, shown := range append(list.Items, one) {
			for name := range shown {
				require.Contains(t, known, name, who)
			}
		}
		text, err := json.Marshal(list)
		require.NoError(t, err)
		row := s.record(id)
		for _, hidden := range []string{"organisation_id", "placement_id", "canary_service_account_client_id", "owner_account_id", "namespace"} {
			value, _ := row[hidden].(string)
			require.NotEmpty(t, value, hidden)
			require.False(t, strings.Contains(string(text), `"`+value+`"`), "%s of the row is shown", hidden)
		}
	}
}
