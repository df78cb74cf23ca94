package cluster

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

func parse(t *testing.T, text string) File {
	t.Helper()
	file, err := ParseFile("clusters.yaml", []byte(text))
	require.NoError(t, err)
	return file
}

const two = `
clusters:
- {name: one, cluster_id: c1, cloud_provider: aws, region: us-east-1, multi_az: true, schedulable: true, kafka_instance_limit: 5}
- {cluster_id: c2, cloud_provider: aws, region: us-east-1, kafka_instance_limit: -1, status: ready, cluster_dns: apps.c2.example.test, supported_instance_type: developer}
`

func TestFileWithDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, []Entry{
		{Name: "one", ClusterID: "c1", CloudProvider: "aws", Region: "us-east-1", MultiAZ: true, Schedulable: true, Limit: 5,
			Status: Provisioning, ProviderType: "ocm", InstanceTypes: "standard,developer"},
		{ClusterID: "c2", CloudProvider: "aws", Region: "us-east-1", Limit: -1, Status: Ready, ProviderType: "ocm",
			ClusterDNS: "apps.c2.example.test", InstanceTypes: "developer"},
	}, parse(t, two).Entries)
	require.Equal(t, []catalog.ClusterCapacity{
		{Provider: "aws", Region: "us-east-1", Units: 5, Types: []string{"standard", "developer"}, Schedulable: true},
		{Provider: "aws", Region: "us-east-1", Units: catalog.Unlimited, Types: []string{"developer"}},
	}, parse(t, two).Capacities())
	require.Empty(t, parse(t, "").Entries)
}

func TestFileTellsAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := ParseFile("clusters.yaml", []byte(`clusters:
- cloud_provider: aws
  region: r
- {cluster_id: a/b, kafka_instance_limit: -2, status: accepted, provider_type: standalone, cluster_dns: "-x", supported_instance_type: "standard,standard"}
- {cluster_id: c, cloud_provider: aws, region: r, provider_type: aws_eks, supported_instance_type: trial}
- {cluster_id: c, cloud_provider: aws, region: r}
- {cluster_id: d, cloud_provider: aws, region: r, kafka_instance_limit: 2147483648}
`))
	for _, want := range []string{
		"clusters.yaml:2: clusters[0].cluster_id: is required",
		"clusters[1].cluster_id: expected", "clusters[1].cloud_provider: is required", "clusters[1].region: is required",
		"clusters[1].kafka_instance_limit", "clusters[1].status", "clusters[1].provider_type: standalone is not available yet",
		"clusters[1].cluster_dns", "clusters[1].supported_instance_type", `clusters[2].provider_type: "aws_eks" is not known`,
		"clusters[2].supported_instance_type", "clusters.yaml:6: clusters[3].cluster_id: is there twice",
		"clusters.yaml:7: clusters[4].kafka_instance_limit: expected",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = ParseFile("clusters.yaml", []byte("clusters:\n- cluster_name: x\n"))
	require.ErrorContains(t, err, `clusters.yaml:2: unknown key "cluster_name"`)
}

func TestPlanFile(t *testing.T) {
	t.Parallel()
	file := parse(t, two)
	plan := PlanFile(file, nil, noon)
	require.Len(t, plan.Register, 2)
	require.Empty(t, plan.Update)
	first, second := plan.Register[0], plan.Register[1]
	require.Equal(t, "c1", first.ProviderID())
	require.Equal(t, Provisioning, first.Status)
	require.Equal(t, noon, first.NextAttemptAt, "a loop looks at it at once")
	require.True(t, first.CreatedAt.Before(second.CreatedAt), "placement prefers the first of the list")
	require.Equal(t, Ready, second.Status)

	live := []Cluster{first, second}
	require.Equal(t, FilePlan{}, PlanFile(file, live, noon.Add(time.Hour)), "nothing differs, nothing is written")

	file.Entries[0].Limit, file.Entries[0].Schedulable, file.Entries[0].InstanceTypes = 7, false, "standard"
	file.Entries[1].ClusterDNS = ""
	plan = PlanFile(file, live, noon)
	require.Len(t, plan.Update, 1, "a DNS name that left the list is still the cluster's")
	require.Equal(t, Columns{"capacity_limit": 7, "schedulable": false, "supported_instance_type": "standard", "next_attempt_at": noon}, plan.Update[0].Set)

	gone := PlanFile(File{}, live, noon)
	require.Len(t, gone.Update, 1, "the second takes no instances already")
	require.True(t, gone.Update[0].Dropped)
	require.Equal(t, Columns{"schedulable": false}, gone.Update[0].Set)

	first.ClusterType = "enterprise"
	require.Empty(t, PlanFile(File{}, []Cluster{first}, noon).Update, "a customer's own cluster is never in the list")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	var c Config
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.Flags(fs)
	require.NoError(t, c.Validate(), "the defaults are usable")
	file, err := LoadFile(c)
	require.NoError(t, err)
	require.Empty(t, file.Entries)
	live, err := OpenFile(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Empty(t, live.Get().Entries)

	secret := filepath.Join(t.TempDir(), "o.yaml")
	require.NoError(t, os.WriteFile(secret, []byte("github_resources_auth_token: s3cret\nremote_write_configuration: {remote_write_url: https://x}\n"), 0o600))
	require.NoError(t, fs.Parse([]string{"--dataplane-observability-config-enable", "--dataplane-observability-config-file-path", secret}))
	require.NoError(t, c.Validate())
	require.Equal(t, log.Secret("s3cret"), c.Observability.Token)

	require.NoError(t, fs.Parse([]string{"--dataplane-cluster-scaling-type=auto", "--public-host-url=here", "--strimzi-operator-addon-id=",
		"--kas-fleetshard-poll-interval=", "--dataplane-observability-config-file-path=/nowhere"}))
	err = c.Validate()
	for _, want := range []string{
		"dataplane-cluster-scaling-type: auto is not available yet", "public-host-url", "strimzi-operator-addon-id: must not be empty",
		"kas-fleetshard-poll-interval: must not be empty", "dataplane-observability-config-file-path",
	} {
		require.ErrorContains(t, err, want)
	}
}
