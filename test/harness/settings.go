package harness

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
)

// Add-ons of a cluster.
const (
	strimziAddon    = "managed-kafka"
	fleetshardAddon = "kas-fleetshard-operator"
)

const usualQuota = `
registered_users_per_organisation:
- id: "` + Organisation + `"
  any_user: true
  max_allowed_instances: 100
- id: "` + LimitedOrganisation + `"
  any_user: true
  max_allowed_instances: 1
`

// files are the configuration files of the replicas, by flag.
type files map[string]string

// writeFiles writes what an operator would mount. All replicas share it.
func (w *World) writeFiles() {
	w.t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	encoded := base64.StdEncoding.EncodeToString(key)
	w.secrets.add("the encryption key", encoded)
	quota := usualQuota
	if w.o.quotaList != "" {
		quota = w.o.quotaList
	}
	content := map[string]string{
		"secret-encryption-key-file":         "first:" + encoded + "\n",
		"mas-sso-client-id-file":             adminClient,
		"mas-sso-client-secret-file":         adminSecret + "\n",
		"redhat-sso-client-id-file":          robotClient,
		"redhat-sso-client-secret-file":      robotSecret + "\n",
		"ocm-client-id-file":                 ocmClient,
		"ocm-client-secret-file":             ocmSecret + "\n",
		"self-token-file":                    "",
		"aws-route53-access-key-file":        awsKey,
		"aws-route53-secret-access-key-file": awsSecret,
		"quota-management-list-config-file":  quota,
		"deny-list-config-file":              "- " + Eve + "\n",
		"dataplane-cluster-config-file":      w.clusterFile(w.o.clusters),
	}
	if w.o.providers != "" {
		content["providers-config-file"] = w.o.providers
	}
	w.files = files{}
	w.dir = w.t.TempDir()
	for flag, text := range content {
		w.files[flag] = filepath.Join(w.dir, flag)
		w.Rewrite(flag, text)
	}
}

// Rewrite changes the content of a configuration file, as an operator would.
func (w *World) Rewrite(flag, content string) {
	w.t.Helper()
	path, ok := w.files[flag]
	if !ok {
		w.t.Fatalf("flag %s names no file", flag)
	}
	// Renamed into place, so that nobody reads half of it.
	draft := path + ".draft"
	if err := os.WriteFile(draft, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(draft, path); err != nil {
		w.t.Fatal(err)
	}
}

func (w *World) clusterFile(clusters []Cluster) string {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for _, c := range clusters {
		fmt.Fprintf(&text, "- {name: %s, cluster_id: %s, cloud_provider: aws, region: us-east-1, multi_az: true, schedulable: true, kafka_instance_limit: %d}\n",
			clusterName(c.ID), c.ID, c.Units)
	}
	return text.String()
}

// values are the flags that one replica starts with.
func (w *World) values() map[string]string {
	values := map[string]string{
		"api-server-bindaddress": "127.0.0.1:0", "metrics-server-bindaddress": "127.0.0.1:0", "health-check-server-bindaddress": "127.0.0.1:0",
		"public-host-url": w.gateway.url, "shutdown-delay": "0s", "log-level": "debug", "db-max-open-connections": "10",
		"leader-lease-expiration-time": "3s", "leader-election-reconciler-repeat-interval": "500ms", "reconciler-repeat-interval": "1s",
		"token-issuer-url": w.SSO.Issuer(UserRealm), "jwks-url": w.SSO.Issuer(UserRealm) + "/protocol/openid-connect/certs", "jwks-allow-http": "true",
		"admin-api-sso-base-url": w.SSO.url, "admin-api-sso-realm": AdminRealm, "enable-deny-list": "true",
		"sso-provider-type": w.o.provider, "mas-sso-base-url": w.SSO.url, "mas-sso-realm": Realm, "redhat-sso-base-url": w.SSO.url,
		"ocm-base-url": w.OCM.url, "ams-base-url": w.AMS.url, "ocm-token-url": w.SSO.Issuer(UserRealm) + "/protocol/openid-connect/token",
		"enable-kafka-cname-registration": "true", "kafka-domain-name": Domain, "aws-route53-endpoint-url": w.DNS.url,
		"api-docs-client-id":                            "cloud-services",
		"observability-red-hat-sso-token-refresher-url": w.Observatorium.url, "observability-red-hat-sso-tenant": "managedkafka",
		"browser-url": "https://console.sandbox.test/kafkas/",
		"quota-type":  "quota-management-list", "enable-instance-limit-control": "true", "max-allowed-instances": "1",
		"allow-developer-instance": "true", "max-allowed-developer-instances": "1",
		"dataplane-cluster-scaling-type": "manual", "strimzi-operator-addon-id": strimziAddon, "kas-fleetshard-addon-id": fleetshardAddon,
		"kas-fleetshard-poll-interval": "100ms", "kas-fleetshard-resync-interval": "400ms",
	}
	for flag, path := range w.files {
		values[flag] = path
	}
	for flag, value := range w.o.settings {
		values[flag] = value
	}
	return values
}

// configuration is what a replica in this process starts with, which finds the
// database there.
func (w *World) configuration(database string) *config.Config {
	w.t.Helper()
	environ := []string{"OCM_ENV=testing", "DATABASE_URL=" + database}
	for flag, value := range w.values() {
		environ = append(environ, config.Variable(flag)+"="+value)
	}
	settings := config.New(environ)
	if err := settings.Resolve(); err != nil {
		w.t.Fatal(err)
	}
	for _, warning := range settings.Warnings() {
		w.t.Errorf("the configuration of the harness: %s", warning)
	}
	if err := settings.Config.Validate(); err != nil {
		w.t.Fatalf("the configuration of the harness: %s", strings.Join(config.Lines(err), "; "))
	}
	return &settings.Config
}
