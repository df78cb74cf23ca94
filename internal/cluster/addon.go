package cluster

import "github.com/kas-fleet/kas-fleet-manager/internal/log"

// Parameter is a setting of an add-on. One of them is a secret, so none is ever printed.
type Parameter struct {
	ID    string
	Value log.Secret
}

// Account is what an agent logs in with.
type Account struct {
	ClientID string
	Secret   log.Secret
}

// Endpoints are where an agent finds what it needs.
type Endpoints struct {
	Issuer       string // of its SSO realm
	ControlPlane string // the fleet manager
}

// AgentParameters are the settings of the fleetshard add-on, in the order that
// is shown to the provider. The agent reads exactly these names.
func (c Config) AgentParameters(clusterID string, account Account, at Endpoints) []Parameter {
	return []Parameter{
		{"sso-auth-server-url", log.Secret(at.Issuer)},
		{"sso-client-id", log.Secret(account.ClientID)},
		{"sso-secret", account.Secret},
		{"control-plane-url", log.Secret(at.ControlPlane)},
		{"cluster-id", log.Secret(clusterID)},
		{"poll-interval", log.Secret(c.PollInterval)},
		{"resync-interval", log.Secret(c.ResyncInterval)},
	}
}
