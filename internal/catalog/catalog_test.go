package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
)

func usual() (c catalog.Config) {
	c.Flags(pflag.NewFlagSet("", pflag.ContinueOnError))
	return c
}

func load(t *testing.T, types, providers string) (*catalog.Catalog, error) {
	t.Helper()
	c := usual()
	for text, path := range map[string]*string{types: &c.InstanceTypesFile, providers: &c.ProvidersFile} {
		if text != "" {
			*path = filepath.Join(t.TempDir(), "f.yaml")
			require.NoError(t, os.WriteFile(*path, []byte(text), 0o600))
		}
	}
	return catalog.Load(c)
}

func bytes(text string, n int64) catalog.Quantity { return catalog.Quantity{Text: text, Bytes: n} }

const (
	mi = int64(1) << 20
	gi = int64(1) << 30
)

func TestDefaultsAreTheKnownTable(t *testing.T) {
	t.Parallel()
	c, err := load(t, "", "")
	require.NoError(t, err)

	standard := []string{"standard"}
	model := func(id, product string, grace int, ams ...string) catalog.BillingModel {
		return catalog.BillingModel{ID: id, AMSResource: "rhosak", AMSProduct: product, AMSBillingModels: ams, GracePeriodDays: grace}
	}
	x1 := catalog.Size{
		ID: "x1", DisplayName: "1", IngressThroughputPerSec: bytes("50Mi", 50*mi), EgressThroughputPerSec: bytes("100Mi", 100*mi),
		TotalMaxConnections: 9000, MaxConnectionAttemptsPerSec: 100, MaxDataRetentionSize: bytes("1000Gi", 1000*gi),
		MaxDataRetentionPeriod: "P14D", MaxPartitions: 1500, MaxMessageSize: bytes("1Mi", mi), MinInSyncReplicas: 2, ReplicationFactor: 3,
		QuotaConsumed: 1, QuotaType: "RHOSAK", CapacityConsumed: 1, SupportedAZModes: []string{"multi"}, MaturityStatus: "stable",
	}
	x2 := x1
	x2.ID, x2.DisplayName, x2.MaturityStatus = "x2", "2", "preview"
	x2.IngressThroughputPerSec, x2.EgressThroughputPerSec = bytes("100Mi", 100*mi), bytes("200Mi", 200*mi)
	x2.TotalMaxConnections, x2.MaxConnectionAttemptsPerSec, x2.MaxPartitions = 18000, 200, 3000
	x2.MaxDataRetentionSize, x2.QuotaConsumed, x2.CapacityConsumed = bytes("2000Gi", 2000*gi), 2, 2
	require.Equal(t, []catalog.InstanceType{
		{
			ID: "standard", DisplayName: "Standard", Sizes: []catalog.Size{x1, x2},
			BillingModels: []catalog.BillingModel{
				model("standard", "RHOSAK", 0, standard...), model("marketplace", "RHOSAK", 0, "marketplace", "marketplace-rhm", "marketplace-aws"),
				model("eval", "RHOSAKEval", 4, standard...), model("enterprise", "RHOSAKCC", 0, standard...),
			},
		},
		{
			ID: "developer", DisplayName: "Trial", BillingModels: []catalog.BillingModel{model("standard", "RHOSAKTrial", 0, standard...)},
			Sizes: []catalog.Size{{
				ID: "x1", DisplayName: "1", IngressThroughputPerSec: bytes("1Mi", mi), EgressThroughputPerSec: bytes("1Mi", mi),
				TotalMaxConnections: 100, MaxConnectionAttemptsPerSec: 50, MaxDataRetentionSize: bytes("10Gi", 10*gi),
				MaxDataRetentionPeriod: "P14D", MaxPartitions: 100, MaxMessageSize: bytes("1Mi", mi), MinInSyncReplicas: 1, ReplicationFactor: 1,
				QuotaConsumed: 1, QuotaType: "RHOSAKTrial", CapacityConsumed: 1, SupportedAZModes: []string{"single"},
				LifespanSeconds: 172800, MaturityStatus: "stable",
			}},
		},
	}, c.InstanceTypes())
	require.Equal(t, []catalog.Provider{{Name: "aws", Default: true, Regions: []catalog.Region{
		{Name: "us-east-1", Default: true, Types: []catalog.RegionType{{ID: "developer"}, {ID: "standard"}}},
	}}}, c.Providers())
}

func TestLookups(t *testing.T) {
	t.Parallel()
	c, err := load(t, "", `
supported_providers:
- name: gcp
  regions:
  - {name: r1, supported_instance_type: {standard: {limit: 5, min_available_capacity_slack_streaming_units: 2}, developer: {limit: 0}}}
  - {name: r2, default: true, supported_instance_type: {standard: {limit: null}}}
- name: aws
  default: true
  regions: [{name: r1, default: true}]
`)
	require.NoError(t, err)
	require.Equal(t, "aws", c.DefaultProvider().Name)
	require.Equal(t, "Amazon Web Services", c.DefaultProvider().DisplayName())
	gcp, ok := c.Provider("gcp")
	require.True(t, ok)
	require.Equal(t, "r2", gcp.DefaultRegion().Name)
	_, ok = c.Provider("azure")
	require.False(t, ok)

	r1, ok := c.Region("gcp", "r1")
	require.True(t, ok)
	standard, ok := r1.Type("standard")
	require.True(t, ok)
	require.Equal(t, catalog.RegionType{ID: "standard", Limit: catalog.Limit{Limited: true, Units: 5}, MinSlack: 2}, standard)
	require.True(t, standard.Limit.Allows(3, 2))
	require.False(t, standard.Limit.Allows(4, 2))
	require.False(t, standard.Limit.Closed())
	developer, _ := r1.Type("developer")
	require.True(t, developer.Limit.Closed())
	r2, _ := c.Region("gcp", "r2")
	free, _ := r2.Type("standard")
	require.True(t, free.Limit.Allows(1<<40, 1), "null is no limit")
	_, ok = r2.Type("developer")
	require.False(t, ok)
	_, ok = c.Region("aws", "r2")
	require.False(t, ok)
	_, ok = c.Region("azure", "r1")
	require.False(t, ok)

	size, ok := c.Size("developer", "x1")
	require.True(t, ok)
	require.Equal(t, 48*time.Hour, size.LifespanSeconds.Duration())
	_, ok = c.Size("developer", "x9")
	require.False(t, ok)
	_, ok = c.Size("none", "x1")
	require.False(t, ok)
	kind, _ := c.InstanceType("standard")
	model, ok := kind.BillingModel("Eval")
	require.True(t, ok)
	require.Equal(t, "eval", model.ID)
}

func TestEveryMistakeIsTold(t *testing.T) {
	t.Parallel()
	_, err := load(t, `
supported_instance_types:
- id: huge
  display_name: Huge
  supported_billing_models:
  - {id: a, ams_resource: rhosak, ams_product: X, ams_billing_models: [standard, standard]}
  - {id: A, ams_resource: rhosak, ams_product: RHOSAK, ams_billing_models: [], grace_period_days: -1}
  sizes:
  - id: x1
    display_name: "1"
    ingressThroughputPerSec: 1Mi
    egressThroughputPerSec: 0
    maxDataRetentionPeriod: 14 days
    maxDataRetentionSize: 1Gi
    maxMessageSize: 1Mi
    totalMaxConnections: 1
    maxConnectionAttemptsPerSec: 1
    maxPartitions: 1
    minInSyncReplicas: 2
    replicationFactor: 1
    quotaConsumed: 1
    quotaType: X
    capacityConsumed: 1
    supportedAZModes: [triple]
    maturityStatus: new
`, `
supported_providers:
- name: oracle
  default: true
  regions:
  - name: r1
    supported_instance_type:
      standard: {}
      huge: {limit: 1, min_available_capacity_slack_streaming_units: 2}
- name: aws
  default: true
`)
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		_, lines[i], _ = strings.Cut(line, "f.yaml:")
	}
	in := "supported_instance_types[0]."
	prov := "supported_providers"
	require.Equal(t, []string{
		"3: " + in + `id: "huge" is not one of standard, developer`,
		"6: " + in + `supported_billing_models[0].ams_product: "X" is not one of RHOSAK, RHOSAKTrial, RHOSAKEval, RHOSAKCC`,
		"6: " + in + `supported_billing_models[0].ams_billing_models[1]: "standard" stands there twice`,
		"7: " + in + `supported_billing_models[1].id: "A" stands there twice`,
		"7: " + in + `supported_billing_models[1].ams_billing_models: at least one value is required`,
		"7: " + in + `supported_billing_models[1].grace_period_days: must not be negative`,
		"12: " + in + `sizes[0].egressThroughputPerSec: must be at least 1`,
		"19: " + in + `sizes[0].minInSyncReplicas: must not exceed replicationFactor`,
		"13: " + in + `sizes[0].maxDataRetentionPeriod: "14 days" is not an ISO 8601 period`,
		"24: " + in + `sizes[0].supportedAZModes[0]: "triple" is not one of single, multi`,
		"25: " + in + `sizes[0].maturityStatus: "new" is not one of stable, preview`,
		"3: " + prov + `[0].name: "oracle" is not one of aws, gcp, azure`,
		"9: " + prov + `[0].regions[0].supported_instance_type.huge.min_available_capacity_slack_streaming_units: must not exceed the limit of 1`,
		"5: " + prov + `[0].regions: exactly one region must be the default, found 0`,
		"10: " + prov + `[1].regions: exactly one region must be the default, found 0`,
		"2: " + prov + `: exactly one provider must be the default, found 2`,
	}, lines)
}

// The wire and the rows have 32 bits for a count: a larger one would be shown as
// a negative number, or no row could be written with it.
func TestCountsThatAreTooLargeAreRefused(t *testing.T) {
	t.Parallel()
	keys := []string{
		"totalMaxConnections", "maxConnectionAttemptsPerSec", "maxPartitions", "minInSyncReplicas", "replicationFactor", "quotaConsumed", "capacityConsumed",
	}
	read := func(number, life string) error {
		var size strings.Builder
		for _, key := range keys {
			size.WriteString(", " + key + ": " + number)
		}
		_, err := load(t, `
supported_instance_types:
- id: standard
  display_name: Standard
  supported_billing_models:
  - {id: standard, ams_resource: rhosak, ams_product: RHOSAK, ams_billing_models: [standard]}
  sizes:
  - {id: x1, display_name: "1", ingressThroughputPerSec: 3Gi, egressThroughputPerSec: 3Gi, maxDataRetentionPeriod: P14D, maxDataRetentionSize: 3Gi,
     maxMessageSize: 3Gi, quotaType: RHOSAK, supportedAZModes: [multi], maturityStatus: stable, lifespanSeconds: `+life+size.String()+`}
`, "supported_providers: [{name: aws, default: true, regions: [{name: r, default: true, supported_instance_type: {standard: {}}}]}]")
		return err
	}
	require.NoError(t, read("2147483647", "2147483647"))
	require.ErrorContains(t, read("1", "2147483648"), "between 1 and 2147483647, found `2147483648`")
	err := read("2147483648", "1")
	for _, key := range keys {
		require.ErrorContains(t, err, key+": must be at most 2147483647")
	}
}

func TestValuesOfTheWrongKindAreToldTogether(t *testing.T) {
	t.Parallel()
	_, err := load(t, `
supported_instance_types:
- id: standard
  sizes:
  - {id: x1, ingressThroughputPerSec: fast, lifespanSeconds: 0, totalConnections: 3}
`, "supported_providers: [{name: aws, default: true, regions: [{name: r, default: true, supported_instance_type: {standard: {limit: -1}}}]}]")
	for _, want := range []string{
		"f.yaml:5: expected a quantity like 10Mi, found `fast`",
		"f.yaml:5: expected a number of seconds between 1 and 2147483647, found `0`",
		`f.yaml:5: unknown key "totalConnections"`,
		"f.yaml:1: expected a number of streaming units, at least 0, found `-1`",
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestRegionLimitsAgainstManualClusters(t *testing.T) {
	t.Parallel()
	both, onlyStandard := []string{"standard", "developer"}, []string{"standard"}
	cluster := func(units int, types []string) catalog.ClusterCapacity {
		return catalog.ClusterCapacity{Provider: "aws", Region: "r1", Units: units, Types: types, Schedulable: true}
	}
	elsewhere, closed := cluster(90, both), cluster(90, both)
	elsewhere.Provider, closed.Schedulable = "gcp", false
	for name, c := range map[string]struct {
		types    string
		clusters []catalog.ClusterCapacity
		want     string
	}{
		"no limits promise nothing":       {"standard: {}, developer: {}", nil, ""},
		"one type, equal":                 {"standard: {limit: 7}", []catalog.ClusterCapacity{cluster(3, both), cluster(4, both), elsewhere, closed}, ""},
		"one type, too much":              {"standard: {limit: 8}", []catalog.ClusterCapacity{cluster(7, both)}, "the limit of standard is 8, but schedulable clusters hold 7"},
		"one type, capacity unused":       {"standard: {limit: 6}", []catalog.ClusterCapacity{cluster(7, both)}, "is 6, but"},
		"one type, unlimited cluster":     {"standard: {limit: 6}", []catalog.ClusterCapacity{cluster(catalog.Unlimited, both)}, ""},
		"closed type":                     {"standard: {limit: 0}", []catalog.ClusterCapacity{cluster(7, both)}, ""},
		"two types, between":              {"standard: {limit: 5}, developer: {}", []catalog.ClusterCapacity{cluster(3, onlyStandard), cluster(4, both)}, ""},
		"two types, below its own":        {"standard: {limit: 2}, developer: {}", []catalog.ClusterCapacity{cluster(3, onlyStandard), cluster(4, both)}, "clusters only for it hold 3 and clusters that accept it hold 7"},
		"two types, above what accepts":   {"standard: {}, developer: {limit: 5}", []catalog.ClusterCapacity{cluster(3, onlyStandard), cluster(4, both)}, "the limit of developer is 5"},
		"two types, limits add up":        {"standard: {limit: 5}, developer: {limit: 2}", []catalog.ClusterCapacity{cluster(3, onlyStandard), cluster(4, both)}, ""},
		"two types, limits do not":        {"standard: {limit: 5}, developer: {limit: 1}", []catalog.ClusterCapacity{cluster(3, onlyStandard), cluster(4, both)}, "the limits add up to 6, but schedulable clusters hold 7"},
		"two types, one closed":           {"standard: {limit: 5}, developer: {limit: 0}", []catalog.ClusterCapacity{cluster(3, onlyStandard), cluster(4, both)}, ""},
		"a limit where no cluster stands": {"standard: {limit: 1}", []catalog.ClusterCapacity{elsewhere}, "schedulable clusters hold 0"},
	} {
		cat, err := load(t, "", "supported_providers: [{name: aws, default: true, regions: [{name: r1, default: true, supported_instance_type: {"+c.types+"}}]}]")
		require.NoError(t, err, name)
		if err := cat.CheckManual(c.clusters); c.want == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.want, name)
			require.ErrorContains(t, err, "aws/r1", name)
		}
	}
}

func TestPathsAreRequired(t *testing.T) {
	t.Parallel()
	require.NoError(t, usual().Validate())
	require.EqualError(t, catalog.Config{ProvidersFile: `""`}.Validate(),
		"supported-kafka-instance-types-config-file: must not be empty\nproviders-config-file: must not be empty")
}
