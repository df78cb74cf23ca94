package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// A deployment that was written for another build of the service passes flags
// that mean nothing here. They are accepted, so that the deployment starts, and
// named in one warning, so that nobody believes in them.

// unusedGroup is their group in the docs.
const unusedGroup = "Accepted without effect"

// Why a flag has no effect.
const (
	noGlog       = "log lines are JSON on standard error; use log-level"
	noTLS        = "certificates of instances are not managed yet"
	noCreation   = "clusters are not created yet"
	noTerraform  = "operators are not installed by this service yet, save for the fleetshard add-on"
	noScaling    = "clusters are not scaled yet"
	noLogs       = "logs of data planes are not configured by this service yet"
	noSpecialOrg = "which organisation the fleet manager itself belongs to is a matter of the SSO"
	noAuthz      = "roles are named for each operation of the admin API, not by HTTP method as in that file; renaming them needs a new build"
	noMock       = "there is no mock mode; `make run` starts a sandbox of everything outside"
)

// unused is a flag without effect: its name and its type, b for a boolean.
type unused struct{ name, kind, why string }

func unusedFlags() []unused {
	return []unused{
		{"v", "int", noGlog}, {"vmodule", "string", noGlog}, {"logtostderr", "bool", noGlog}, {"alsologtostderr", "bool", noGlog},
		{"stderrthreshold", "string", noGlog}, {"log_dir", "string", noGlog}, {"log_link", "string", noGlog},
		{"log_backtrace_at", "string", noGlog}, {"logbuflevel", "int", noGlog},

		{"enable-kafka-external-certificate", "bool", noTLS}, {"kafka-tls-cert-file", "string", noTLS}, {"kafka-tls-key-file", "string", noTLS},
		{"kafka-tls-certificate-management-strategy", "string", noTLS}, {"kafka-tls-certificate-management-storage-type", "string", noTLS},
		{"kafka-tls-certificate-management-email", "string", noTLS}, {"kafka-tls-certificate-management-acme-issuer-account-key-file-path", "string", noTLS},
		{"kafka-tls-certificate-management-renewal-window-ratio", "float", noTLS}, {"kafka-tls-certificate-management-secure-storage-cache-ttl", "duration", noTLS},
		{"kafka-tls-certificate-management-must-staple", "bool", noTLS},
		{"aws-secret-manager-access-key-file", "string", noTLS}, {"aws-secret-manager-secret-access-key-file", "string", noTLS},
		{"aws-secret-manager-region", "string", noTLS}, {"aws-secret-manager-secret-prefix", "string", noTLS},

		{"aws-account-id-file", "string", noCreation}, {"aws-access-key-file", "string", noCreation}, {"aws-secret-access-key-file", "string", noCreation},
		{"gcp-api-credentials-file", "string", noCreation},

		{"cluster-logging-operator-addon-id", "string", noTerraform},
		{"strimzi-operator-index-image", "string", noTerraform}, {"strimzi-operator-namespace", "string", noTerraform},
		{"strimzi-operator-package", "string", noTerraform}, {"strimzi-operator-starting-csv", "string", noTerraform},
		{"strimzi-operator-sub-channel", "string", noTerraform}, {"strimzi-operator-subscription-config-file", "string", noTerraform},
		{"kas-fleetshard-operator-index-image", "string", noTerraform}, {"kas-fleetshard-operator-namespace", "string", noTerraform},
		{"kas-fleetshard-operator-package", "string", noTerraform}, {"kas-fleetshard-operator-starting-csv", "string", noTerraform},
		{"kas-fleetshard-operator-sub-channel", "string", noTerraform}, {"kas-fleetshard-operator-subscription-config-file", "string", noTerraform},
		{"observability-operator-index-image", "string", noTerraform}, {"observability-operator-starting-csv", "string", noTerraform},
		{"image-pull-docker-config-file", "string", noTerraform}, {"kubeconfig", "string", noTerraform},
		{"read-only-user-list-file", "string", noTerraform}, {"kafka-sre-user-list-file", "string", noTerraform},
		{"enable-kafka-sre-identity-provider-configuration", "bool", noTerraform},
		{"osd-idp-mas-sso-realm", "string", noTerraform}, {"osd-idp-mas-sso-client-id-file", "string", noTerraform},
		{"osd-idp-mas-sso-client-secret-file", "string", noTerraform},

		{"dynamic-scaling-config-file", "string", noScaling}, {"node-prewarming-config-file", "string", noScaling},

		{"observability-cloudwatchlogging-enable", "bool", noLogs},
		{"observability-cloudwatchlogging-config-file-path", "string", noLogs},

		{"mas-sso-debug", "bool", "requests to the SSO server hold secrets and are never logged"},

		{"sso-special-management-org-id", "string", noSpecialOrg},

		{"admin-api-sso-endpoint-uri", "string", "the issuer is made of admin-api-sso-base-url and admin-api-sso-realm"},
		{"admin-authz-config-file", "string", noAuthz},

		{"enable-ocm-mock", "bool", noMock}, {"ocm-mock-mode", "string", noMock}, {"enable-observatorium-mock", "bool", noMock},
	}
}

// unusedValue takes any text, but still refuses what its type never took.
type unusedValue struct{ kind, text string }

func (v *unusedValue) String() string { return v.text }
func (v *unusedValue) Type() string   { return v.kind }

func (v *unusedValue) Set(text string) (err error) {
	switch v.kind {
	case "bool":
		_, err = strconv.ParseBool(text)
	case "int":
		_, err = strconv.Atoi(text)
	}
	v.text = text
	return err
}

// unusedFlagSet declares those that no part of the configuration has taken over.
func unusedFlagSet(taken func(name string) bool) *pflag.FlagSet {
	fs := pflag.NewFlagSet(unusedGroup, pflag.ContinueOnError)
	for _, u := range unusedFlags() {
		if taken(u.name) {
			continue
		}
		flag := fs.VarPF(&unusedValue{kind: u.kind}, u.name, "", u.why)
		flag.Hidden = true
		if len(u.name) == 1 {
			flag.Shorthand = u.name
		}
		if u.kind == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	return fs
}

// refusedMock tells whether the flag would have replaced an upstream by an
// invention: to accept that and not do it could create real things.
func refusedMock(name, value string) error {
	on, _ := strconv.ParseBool(value)
	if on && slices.Contains([]string{"enable-ocm-mock", "enable-observatorium-mock"}, name) || name == "ocm-mock-mode" && value == "emulate-server" {
		return fmt.Errorf("%s=%s: %s", name, value, noMock)
	}
	return nil
}

// unusedWarning names all that were set in one line.
func unusedWarning(set []string) string {
	return "flags without effect are set: " + strings.Join(set, ", ")
}
