package config

import (
	"fmt"
	"strings"
)

// Environment is a named set of defaults, chosen by the variable OCM_ENV.
type Environment string

// The environments.
const (
	Development Environment = "development"
	Testing     Environment = "testing"
	Integration Environment = "integration"
	Stage       Environment = "stage"
	Production  Environment = "production"
)

// environmentVariable chooses the environment.
const environmentVariable = "OCM_ENV"

func environments() []string {
	return []string{string(Development), string(Testing), string(Integration), string(Stage), string(Production)}
}

// parseEnvironment takes development for nothing: a laptop sets no variable.
func parseEnvironment(name string) (Environment, error) {
	if name == "" {
		return Development, nil
	}
	for _, known := range environments() {
		if name == known {
			return Environment(name), nil
		}
	}
	return "", fmt.Errorf("%s: %q is none of %s", environmentVariable, name, strings.Join(environments(), ", "))
}

// defaults gives what the environment sets instead of the flags' own defaults.
// Testing sets nothing: tests say what they need.
func (e Environment) defaults() map[string]string {
	const (
		localSSO  = "http://127.0.0.1:8180"
		stageOCM  = "https://api.stage.openshift.com"
		integrOCM = "https://api-integration.6943.hive-integration.openshiftapps.com"
	)
	switch e {
	case Development:
		return map[string]string{ //nolint:gosec // 2026-11: the address of a token refresher is no credential
			"ocm-base-url": stageOCM, "ams-base-url": stageOCM,
			"api-server-bindaddress": "localhost:8000",
			"enable-deny-list":       "true",
			"mas-sso-base-url":       localSSO, "mas-sso-realm": "rhoas", "sso-provider-type": "mas_sso",
			"admin-api-sso-base-url": localSSO, "admin-api-sso-realm": "rhoas-kafka-sre",
			"jwks-allow-http":          "true", // the local SSO has no TLS
			"allow-developer-instance": "true", "max-allowed-developer-instances": "1",
			"quota-type": "quota-management-list", "dataplane-cluster-scaling-type": "manual",
			"kas-fleetshard-addon-id": "kas-fleetshard-operator-qe", "strimzi-operator-addon-id": "managed-kafka-qe",
			"observability-red-hat-sso-token-refresher-url": "http://localhost:8085", "observability-red-hat-sso-tenant": "managedkafka",
		}
	case Integration:
		return map[string]string{
			"ocm-base-url": integrOCM, "ams-base-url": integrOCM,
			"enable-deny-list":              "true",
			"enable-instance-limit-control": "true", "max-allowed-instances": "1",
			"mas-sso-base-url": localSSO, "mas-sso-realm": "rhoas", "sso-provider-type": "mas_sso",
			"admin-api-sso-base-url": localSSO, "admin-api-sso-realm": "rhoas-kafka-sre",
			"jwks-allow-http":          "true",
			"allow-developer-instance": "true",
			"quota-type":               "quota-management-list", "dataplane-cluster-scaling-type": "manual",
			"kas-fleetshard-addon-id": "kas-fleetshard-operator-qe", "strimzi-operator-addon-id": "managed-kafka-qe",
		}
	case Stage:
		return map[string]string{
			"ocm-base-url": stageOCM, "ams-base-url": stageOCM,
			"enable-deny-list": "true", "max-allowed-instances": "1",
			"mas-sso-base-url": "https://identity.api.stage.openshift.com", "mas-sso-realm": "rhoas",
		}
	case Production:
		return map[string]string{
			"enable-sentry": "true", "enable-deny-list": "true", "max-allowed-instances": "1",
			"mas-sso-base-url": "https://identity.api.openshift.com", "mas-sso-realm": "rhoas",
		}
	default:
		return nil
	}
}
