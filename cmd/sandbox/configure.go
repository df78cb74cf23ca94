package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// newCredentials makes what opens nothing but this world.
func newCredentials() credentials {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return credentials{
		SSOClient: "kas-fleet-manager", SSOSecret: rand.Text(),
		RobotClient: "kas-fleet-manager-accounts", RobotSecret: rand.Text(),
		OCMClient: "ocm-service", OCMSecret: rand.Text(),
		AWSAccessKey: "AKIASANDBOX", AWSSecret: rand.Text(),
		EncryptionKeys: "sandbox:" + base64.StdEncoding.EncodeToString(key) + "\n",
	}
}

// configure writes the fleet manager's files and gives the flags that all replicas share.
func configure(f *folder, s settings, p ports, c credentials) ([]string, error) {
	args := []string{
		"--kas-fleetshard-poll-interval=" + s.Poll.String(),
		"--kas-fleetshard-resync-interval=5s",
		"--kas-fleetshard-addon-id=" + fleetAddon,
		"--public-host-url=" + address(p.Gateway),
		"--shutdown-delay=0s",
		"--enable-deny-list=true",
		"--enable-instance-limit-control=true",
		"--quota-type=" + s.QuotaType,
		"--enable-terms-acceptance=" + strconv.FormatBool(s.QuotaType == accountsQuota), // asked where the quota is
		"--kafka-domain-name=" + kafkaZone,
		"--enable-kafka-cname-registration=true",
		"--api-docs-client-id=" + publicClient,
		"--browser-url=" + address(p.Gateway) + "/",
		"--jwks-allow-http=true",
		"--token-issuer-url=" + address(p.SSO) + "/auth/realms/" + customerRealm,
		"--jwks-url=" + address(p.SSO) + "/auth/realms/" + customerRealm + "/protocol/openid-connect/certs",
		"--sso-provider-type=" + s.SSO,
		"--redhat-sso-base-url=" + address(p.SSO),
		"--redhat-sso-scope=" + accountScope,
		"--mas-sso-base-url=" + address(p.SSO),
		"--mas-sso-realm=" + accountRealm,
		"--admin-api-sso-base-url=" + address(p.SSO),
		"--admin-api-sso-realm=" + adminRealm,
		"--ocm-base-url=" + address(p.OCM),
		"--ams-base-url=" + address(p.OCM),
		"--ocm-token-url=" + address(p.SSO) + "/auth/realms/" + customerRealm + "/protocol/openid-connect/token",
		"--aws-route53-endpoint-url=" + address(p.Route53),
		"--observability-red-hat-sso-token-refresher-url=" + address(p.Observatorium),
		"--observability-red-hat-sso-tenant=managedkafka",
	}
	for _, file := range []struct{ flag, name, content string }{
		{"quota-management-list-config-file", "config/quota-management-list-configuration.yaml", quotaList()},
		{"deny-list-config-file", "config/deny-list-configuration.yaml", "- " + deniedUser + "\n"},
		{"dataplane-cluster-config-file", "config/dataplane-cluster-configuration.yaml", clusterList()},
		{"secret-encryption-key-file", "secrets/encryption.keys", c.EncryptionKeys},
		{"mas-sso-client-id-file", "secrets/keycloak-service.clientId", c.SSOClient},
		{"mas-sso-client-secret-file", "secrets/keycloak-service.clientSecret", c.SSOSecret},
		{"redhat-sso-client-id-file", "secrets/redhatsso-service.clientId", c.RobotClient},
		{"redhat-sso-client-secret-file", "secrets/redhatsso-service.clientSecret", c.RobotSecret},
		{"ocm-client-id-file", "secrets/ocm-service.clientId", c.OCMClient},
		{"ocm-client-secret-file", "secrets/ocm-service.clientSecret", c.OCMSecret},
		{"self-token-file", "secrets/ocm-service.token", ""},
		{"aws-route53-access-key-file", "secrets/aws.route53accesskey", c.AWSAccessKey},
		{"aws-route53-secret-access-key-file", "secrets/aws.route53secretaccesskey", c.AWSSecret},
	} {
		path, err := f.write(file.name, file.content)
		if err != nil {
			return nil, err
		}
		args = append(args, "--"+file.flag+"="+path)
	}
	return args, nil
}

// replicaArgs add what differs from replica to replica.
func replicaArgs(shared []string, r replicaPorts) []string {
	return append([]string{
		"--api-server-bindaddress=" + local(r.API),
		"--metrics-server-bindaddress=" + local(r.Metrics),
		"--health-check-server-bindaddress=" + local(r.Health),
	}, shared...)
}

// environ is the environment of the fleet manager: the user's own, so that
// KFM_LOG_LEVEL=debug works, but never another environment's set of defaults.
func environ(databaseURL string) []string {
	var kept []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "OCM_ENV=") && !strings.HasPrefix(pair, "DATABASE_URL=") {
			kept = append(kept, pair)
		}
	}
	return append(kept, "OCM_ENV=development", "DATABASE_URL="+databaseURL)
}

// quotaList grants what accounts management would.
func quotaList() string {
	var b strings.Builder
	b.WriteString("registered_users_per_organisation:\n")
	for _, c := range customerOrgs() {
		if len(c.grants) == 0 {
			continue
		}
		fmt.Fprintf(&b, "- id: %q\n  any_user: true\n  granted_quota:\n", c.id)
		b.WriteString("  - instance_type_id: standard\n    kafka_billing_models:\n")
		for _, g := range c.grants {
			fmt.Fprintf(&b, "    - id: %s\n      max_allowed_instances: %d\n", g.model, g.units)
		}
	}
	return b.String()
}

func clusterList() string {
	var b strings.Builder
	b.WriteString("clusters:\n")
	for _, c := range clusters() {
		fmt.Fprintf(&b, "- name: %s\n  cluster_id: %s\n  cloud_provider: %s\n  region: %s\n", c.Name, c.ID, c.CloudProvider, c.Region)
		fmt.Fprintf(&b, "  multi_az: %t\n  schedulable: true\n  kafka_instance_limit: 500\n  status: cluster_provisioning\n", c.MultiAZ)
		b.WriteString("  provider_type: ocm\n  supported_instance_type: standard,developer\n")
	}
	return b.String()
}
