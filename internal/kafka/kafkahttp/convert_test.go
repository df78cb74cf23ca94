package kafkahttp

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
)

// filled is a row in which every field has a value of its own.
func filled(t *testing.T) kafka.Kafka {
	t.Helper()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	k := kafka.Kafka{}
	v := reflect.ValueOf(&k).Elem()
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
		switch field.Kind() {
		case reflect.String:
			field.SetString("row." + name)
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Int, reflect.Int64:
			field.SetInt(int64(i + 1))
		default:
			switch p := field.Addr().Interface().(type) {
			case *time.Time:
				*p = at
			case **time.Time:
				*p = &at
			case *kafka.SizeSnapshot:
				*p = kafka.SizeSnapshot{
					InstanceTypeName: "row.SizeName", IngressThroughputPerSec: "row.In", EgressThroughputPerSec: "row.Out", TotalMaxConnections: 101,
					MaxPartitions: 102, MaxDataRetentionPeriod: "row.Period", MaxConnectionAttemptsPerSec: 103,
				}
			case *kafka.Routes:
				*p = kafka.Routes{{Domain: "row.Routes", Router: "row.Routes"}}
			case *kafka.Exclusions:
				*p = kafka.Exclusions{"row.PlacementExclusions": at}
			default:
				t.Fatalf("field %s has a type this test does not know", name)
			}
		}
	}
	k.MaxDataRetentionSize, k.DesiredKafkaBillingModel = "1Ki", "enterprise"
	return k
}

// What customers never see of a row.
var hiddenFromCustomers = []string{
	"OwnerAccountID", "OrganisationID", "Namespace", "PlacementID", "CanaryServiceAccountClientID", "CanaryServiceAccountClientSecret",
	"DesiredKafkaVersion", "DesiredStrimziVersion", "ActualStrimziVersion", "DesiredKafkaIBPVersion", "ActualKafkaIBPVersion", "QuotaType",
	"SubscriptionID", "RoutesCreationID", "KafkasRoutesBaseDomainName", "KafkasRoutesBaseDomainTLSKeyRef", "KafkasRoutesBaseDomainTLSCrtRef",
	"ReportedClass", "FailedCode", "FailedDetail", "LastError", "Routes", "PlacementExclusions",
}

func TestPublicShowsWhatItShallAndHidesTheRest(t *testing.T) {
	t.Parallel()
	wire := NewPublic(nil, "https://console.test/").toPublic(filled(t))
	requireFilled(t, reflect.ValueOf(wire))
	raw, err := json.Marshal(wire)
	require.NoError(t, err)
	text := string(raw)
	row := reflect.TypeFor[kafka.Kafka]()
	for i := range row.NumField() {
		name := row.Field(i).Name
		if row.Field(i).Type.Kind() != reflect.String && name != "Routes" && name != "PlacementExclusions" {
			continue
		}
		shown := name == "MaxDataRetentionSize" || name == "DesiredKafkaBillingModel" || jsonHas(text, "row."+name)
		hidden := contains(hiddenFromCustomers, name)
		require.NotEqual(t, shown, hidden, "%s must be either shown or on the list of what is hidden", name)
	}
}

func TestPublicOmitsWhatIsNotThereYet(t *testing.T) {
	t.Parallel()
	k := kafka.Kafka{ID: "k1", Status: kafka.Accepted, ClusterID: "hidden", AdminAPIServerURL: "early", MaxDataRetentionSize: "nonsense"}
	raw, err := json.Marshal(NewPublic(nil, "https://console.test").toPublic(k))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"k1","kind":"Kafka","href":"/api/kafkas_mgmt/v1/kafkas/k1","status":"accepted","multi_az":false,
		"reauthentication_enabled":false,"created_at":"0001-01-01T00:00:00Z","updated_at":"0001-01-01T00:00:00Z","max_data_retention_size":{},
		"browser_url":"https://console.test/k1/details/dashboard"}`, string(raw))
}

// What administrators do not see of a row: secrets, what only loops need, and what the wire has no place for.
var hiddenFromAdministrators = []string{
	"PlacementID", "PlacementExclusions", "CanaryServiceAccountClientID", "CanaryServiceAccountClientSecret", "RoutesCreationID", "ReportedClass",
	"KafkasRoutesBaseDomainName", "KafkasRoutesBaseDomainTLSKeyRef", "KafkasRoutesBaseDomainTLSCrtRef", "FailedCode", "AdminAPIServerURL",
	"ActualKafkaBillingModel", "DesiredKafkaBillingModel", "BillingCloudAccountID", "Marketplace", "PromotionStatus", "PromotionDetails",
}

func TestAdministratorsSeeWhatTheyShallAndNothingElse(t *testing.T) {
	t.Parallel()
	k := filled(t)
	k.DesiredKafkaBillingModel = "row.DesiredKafkaBillingModel"
	wire := toAdmin(k, "row.AccountNumber")
	requireFilled(t, reflect.ValueOf(wire))
	require.Equal(t, "row.AccountNumber", wire.AccountNumber)
	raw, err := json.Marshal(wire)
	require.NoError(t, err)
	row := reflect.TypeFor[kafka.Kafka]()
	for i := range row.NumField() {
		name := row.Field(i).Name
		if row.Field(i).Type.Kind() != reflect.String && name != "Routes" && name != "PlacementExclusions" || name == "LastError" {
			continue // the last error is shown in place of another only
		}
		shown := name == "MaxDataRetentionSize" || jsonHas(string(raw), "row."+name)
		require.NotEqual(t, shown, contains(hiddenFromAdministrators, name), "%s must be either shown or on the list of what is hidden", name)
	}
}

func TestAdministratorsAreToldNothingThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(toAdmin(kafka.Kafka{ID: "k1", Status: kafka.Reserving, LastError: "half way", MaxDataRetentionSize: "nonsense"}, ""))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"k1","kind":"Kafka","href":"/api/kafkas_mgmt/v1/kafkas/k1","status":"reserving","failed_reason":"half way","multi_az":false,
		"kafka_upgrading":false,"strimzi_upgrading":false,"kafka_ibp_upgrading":false,"created_at":"0001-01-01T00:00:00Z","updated_at":"0001-01-01T00:00:00Z",
		"max_data_retention_size":{}}`, string(raw))
}

func agentOf(t *testing.T) *Agent {
	t.Helper()
	a, err := NewAgent(nil, nil, AgentSettings{
		Auth: true, TokenURL: "https://sso/token", JWKSURL: "https://sso/certs", Issuer: "https://sso", UserNameClaim: "clientId",
		FallbackUserClaim: "preferred_username", MaxSessionLifetime: kafka.SessionLifetime, TLSTrustedCert: "PEM",
	})
	require.NoError(t, err)
	return a
}

func TestAgentWire(t *testing.T) {
	t.Parallel()
	k := kafka.Kafka{
		ID: "k1", Name: "one", Status: kafka.Suspended, Namespace: "kafka-k1", PlacementID: "p1", InstanceType: "standard", QuotaConsumed: 2,
		MaxDataRetentionSize: "1000Gi", Owner: "alice", OrganisationID: "o'1", BootstrapServerHost: "one-k1.test", ReauthenticationEnabled: true,
		DesiredKafkaVersion: "3.3.1", DesiredStrimziVersion: "strimzi-1", DesiredKafkaIBPVersion: "3.3",
		CanaryServiceAccountClientID: "canary-k1", CanaryServiceAccountClientSecret: "sealed",
		SizeSnapshot: kafka.SizeSnapshot{
			IngressThroughputPerSec: "50Mi", EgressThroughputPerSec: "100Mi", TotalMaxConnections: 9000, MaxPartitions: 1500,
			MaxDataRetentionPeriod: "P14D", MaxConnectionAttemptsPerSec: 100,
		},
	}
	raw, err := json.Marshal(agentOf(t).toAgent(kafka.Desired{Stamped: kafka.Stamped{Kafka: k}, CanarySecret: log.Secret("s3cret")}))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"k1","kind":"ManagedKafka","metadata":{"name":"one","namespace":"kafka-k1",
		"annotations":{"bf2.org/id":"k1","bf2.org/placementId":"p1"},
		"labels":{"bf2.org/kafkaInstanceProfileType":"standard","bf2.org/kafkaInstanceProfileQuotaConsumed":"2","bf2.org/suspended":"true"}},
		"spec":{"capacity":{"ingressPerSec":"50Mi","egressPerSec":"100Mi","totalMaxConnections":9000,"maxDataRetentionSize":"1000Gi","maxPartitions":1500,
		"maxDataRetentionPeriod":"P14D","maxConnectionAttemptsPerSec":100},
		"oauth":{"tokenEndpointURI":"https://sso/token","jwksEndpointURI":"https://sso/certs","validIssuerEndpointURI":"https://sso","userNameClaim":"clientId",
		"fallbackUserNameClaim":"preferred_username","tlsTrustedCertificate":"PEM","maximumSessionLifetime":299000,
		"customClaimCheck":"@.rh-org-id == 'o\\'1'|| @.org_id == 'o\\'1'"},
		"owners":["alice"],"endpoint":{"bootstrapServerHost":"one-k1.test"},"versions":{"kafka":"3.3.1","strimzi":"strimzi-1","kafkaIbp":"3.3"},
		"serviceAccounts":[{"name":"canary","principal":"canary-k1","password":"s3cret"}],"deleted":false}}`, string(raw))
}

// TestACanaryOpensItsInstance although its token names another organisation.
func TestACanaryOpensItsInstance(t *testing.T) {
	t.Parallel()
	k := kafka.Kafka{ID: "k1", OrganisationID: "o1", CanaryServiceAccountClientID: "srvc-acct-1"}
	a := agentOf(t)
	a.settings.CanariesByID = true
	shown := func(k kafka.Kafka) string {
		return a.toAgent(kafka.Desired{Stamped: kafka.Stamped{Kafka: k}}).Spec.OAuth.CustomClaimCheck
	}
	require.Equal(t, "@.rh-org-id == 'o1'|| @.org_id == 'o1' || @.clientId == 'srvc-acct-1'", shown(k))
	k.CanaryServiceAccountClientID = "a'|| @.x == 'b"
	require.Contains(t, shown(k), `|| @.clientId == 'a\'|| @.x == \'b'`)
	k.CanaryServiceAccountClientID = ""
	require.Equal(t, "@.rh-org-id == 'o1'|| @.org_id == 'o1'", shown(k), "a check that an empty claim passes would open it to many")
}

func TestAgentReportsAreRead(t *testing.T) {
	t.Parallel()
	report := fromAgent(agent.DataPlaneKafkaStatus{
		Conditions: []agent.StatusCondition{{Type: "Ready", Status: "True", Reason: "r", Message: "m"}},
		Versions:   agent.ManagedKafkaVersions{Kafka: "1", Strimzi: "2", KafkaIBP: "3"}, AdminServerURI: "u",
		Routes:           []agent.KafkaStatusRoute{{Name: "n", Prefix: "p", Router: "r"}},
		UpdatedTimestamp: "2026-11-22T12:00:00.123456789Z",
	})
	at := time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
	require.Equal(t, kafka.Report{
		Conditions: []kafka.Condition{{Type: "Ready", Status: "True", Reason: "r", Message: "m"}}, KafkaVersion: "1", StrimziVersion: "2", IBPVersion: "3",
		AdminServerURI: "u", Routes: []kafka.ReportedRoute{{Name: "n", Prefix: "p", Router: "r"}}, At: &at,
	}, report)
	require.Nil(t, fromAgent(agent.DataPlaneKafkaStatus{UpdatedTimestamp: "yesterday"}).At)
}

// requireFilled demands that a conversion sets every field of the wire.
func requireFilled(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		require.False(t, v.Field(i).IsZero(), "%s.%s is never set", v.Type(), v.Type().Field(i).Name)
	}
}

func contains(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}

// jsonHas looks for a value, possibly with something around it, as a whole word.
func jsonHas(text, value string) bool {
	for i := 0; i+len(value) <= len(text); i++ {
		if text[i:i+len(value)] != value {
			continue
		}
		after := i + len(value)
		if after == len(text) || !isLetter(text[after]) {
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
